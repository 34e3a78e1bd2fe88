"""The HTTP surfaces, in the shapes of OpenAI's API."""
