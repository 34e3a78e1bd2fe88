"""Generator, discriminator and critique ability, and the gaps between them."""
