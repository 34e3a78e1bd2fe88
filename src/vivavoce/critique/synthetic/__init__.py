"""Five tasks whose answers, critiqueability and critiques a program can judge."""
