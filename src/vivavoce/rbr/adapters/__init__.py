"""The reward in the shape each trainer asks for. Every trainer gets one total, in the reward model's units."""
