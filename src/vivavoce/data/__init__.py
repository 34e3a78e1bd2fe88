"""Data: the small world, the voices that speak it, and loaders of real data."""
