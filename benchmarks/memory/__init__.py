"""Whether remembered lines help to foresee what is written, and how they are best found."""
