"""The joint tasks: how each is written for a model, read back, and drawn from records."""
