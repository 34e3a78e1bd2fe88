"""Training: the loop that every trainer shares, and the trunk's."""
