"""Measuring the server as its clients meet it: through the `openai` SDK and a real socket, sound fed at 1x."""
