"""How much simpler a model may be when a person does the choosing: size, depth, context, and how many words."""
