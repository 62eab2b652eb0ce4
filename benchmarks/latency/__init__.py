"""Sample in over LSL, band-pass, sample out over LSL: how long it takes, and what it costs."""
