"""How much faster than real time a session replays."""
