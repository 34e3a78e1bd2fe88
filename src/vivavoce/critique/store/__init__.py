"""Passages, questions, answers, critiques, refinements, ratings and events in a database, append-only."""

from vivavoce.critique.store.append_only import install_triggers
from vivavoce.critique.store.database import Store, open_store, record_event
from vivavoce.critique.store.tables import (
    Answer,
    Base,
    Critique,
    Event,
    Passage,
    Question,
    Rating,
    Refinement,
    Versioned,
    utc_now,
)
from vivavoce.critique.store.versions import add, add_or_skip, current, find, history, retract, revise

__all__ = [
    "Answer",
    "Base",
    "Critique",
    "Event",
    "Passage",
    "Question",
    "Rating",
    "Refinement",
    "Store",
    "Versioned",
    "add",
    "add_or_skip",
    "current",
    "find",
    "history",
    "install_triggers",
    "open_store",
    "record_event",
    "retract",
    "revise",
    "utc_now",
]
