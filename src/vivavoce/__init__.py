"""vivavoce: an open omni model, and everything that makes one fit to meet people.

Rooms (`omni`, `data`, `rbr`, `critique`, `card`, `serve`) share only the root files: what is said (`content`), how it is
judged (`grading`, `stats`), where it is recorded (`run`).
"""

__version__ = "0.1.0"
