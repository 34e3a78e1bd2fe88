"""The study: people find flaws with and without help, in randomised arms, in front of a database."""
