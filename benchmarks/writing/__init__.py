"""What writing costs a simulated person."""
