"""Red teaming: people talk to the model, tag what they find, and turn findings into items of an evaluation."""
