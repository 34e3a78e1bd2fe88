"""What the omni model can do, measured on held-out things, phrasings and voices by judges that share nothing with it."""
