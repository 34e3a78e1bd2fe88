"""Judges that are independent of the model: of speech, of voices, of drawings."""
