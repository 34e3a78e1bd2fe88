"""Speech codec: 24 kHz speech to 4 codes every 80 ms and back, causally."""
