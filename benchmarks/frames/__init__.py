"""Which lines at the beginning of the prompt help most."""
