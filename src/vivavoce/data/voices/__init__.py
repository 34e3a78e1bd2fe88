"""Teacher voices, the texts they read, augmentation, and renderings on disk."""
