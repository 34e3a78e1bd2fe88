"""What stands between the model and people: the voice guard, moderation of transcripts, no naming of speakers."""
