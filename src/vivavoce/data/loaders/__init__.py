"""Real data as the same examples that the small world gives: recordings, captioned pictures, conversations."""
