"""Typed questions in more wordings."""

import numpy as np

from vivavoce.data.items import load_table
from vivavoce.data.pools import list_items
from vivavoce.data.retyping import type_question

ASKS = ("what is the opposite of hot?", "draw a red ball.", "how many balls are there?", "tell me who you are.")


def test_tests_are_typed_as_they_are_written_but_for_the_last_mark() -> None:
    generator = np.random.default_rng(0)
    for ask in ASKS:
        assert {type_question(ask, "test", generator) for _ in range(40)} == {ask, ask.rstrip(".?")}


def test_training_sees_many_wordings_and_each_keeps_what_is_asked() -> None:
    generator = np.random.default_rng(0)
    for ask, key in zip(ASKS, ("opposite of hot", "a red ball", "balls", "who you are")):
        typed = {type_question(ask, "train", generator) for _ in range(200)}
        assert len(typed) > 10
        assert all(key in one for one in typed)


def test_no_wording_is_one_that_tests_keep_to_themselves() -> None:
    generator = np.random.default_rng(1)
    kept = {form.split("{")[0].strip() for task in load_table("phrasings").values() for form in task.get("ask_new", [])}
    kept = {form for form in kept if len(form.split()) > 3}
    asks = [
        item.ask for task in ("name", "colour", "count", "draw", "fact") for item in list_items(task, "train")[:100]
    ]
    for ask in asks:
        for _ in range(10):
            typed = type_question(ask, "train", generator)
            assert not any(typed.startswith(form) for form in kept), typed
