"""Alembic's scripts for the study, a branch beside the store's."""
