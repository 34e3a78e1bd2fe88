"""The omni model: one network that hears, sees, reads, speaks and draws."""
