"""Other people's data as records, and records into the store: one file per format."""
