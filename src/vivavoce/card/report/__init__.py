"""The card as documents: one JSON document (`document`) and what is rendered from it: HTML, Markdown, machine formats."""
