"""How often the next word is offered when the eyes rest on it."""
