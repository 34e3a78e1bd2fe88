"""Typed questions in more wordings."""

import re

import numpy as np
import pytest

from vivavoce.data.items import Item, load_table
from vivavoce.data.pools import list_items
from vivavoce.data.retyping import list_others, type_question

TASKS = ("name", "size", "count", "draw", "fact", "decline")
NEAREST = 2
"""Words in which a wording of training differs from those that tests keep."""


def test_tests_are_typed_as_they_are_written_but_for_the_last_mark() -> None:
    generator = np.random.default_rng(0)
    for item in (list_items(task, "test")[0] for task in TASKS):
        typed = {type_question(item, "test", generator) for _ in range(40)}
        assert typed == {item.ask, item.ask.rstrip(".?")}


@pytest.mark.parametrize(
    ("task", "ask", "kept"),
    [("draw", "draw a red ball.", "a red ball"), ("count", "how many balls are there?", "balls"), ("size", "what size is the cat?", "cat")],
)  # fmt: skip
def test_training_sees_many_wordings_and_each_keeps_what_is_asked(task: str, ask: str, kept: str) -> None:
    generator = np.random.default_rng(0)
    item = Item(task, ask, "", list_items(task, "train")[0].answer)
    typed = {type_question(item, "train", generator) for _ in range(200)}
    assert len(typed) > 60
    assert all(kept in one for one in typed)


def test_other_wordings_are_filled_like_the_question() -> None:
    item = Item("size", "is it a big cat or a small cat?", "", list_items("size", "train")[0].answer)
    expected = tuple(form.replace("{n}", "cat") for form in load_table("wordings")["phrasings"]["size"])
    assert list_others(item) == expected
    unlike = Item("size", "is it a big cat or a small dog?", "", item.answer)
    assert list_others(unlike) == ()


def test_a_text_to_read_aloud_has_no_other_wording() -> None:
    assert not any(list_others(item) for item in list_items("read_aloud", "train")[:200])


def test_no_wording_of_training_is_near_one_that_tests_keep() -> None:
    table = load_table("wordings")
    kept = [form for entry in load_table("phrasings").values() for form in entry.get("ask_new", [])]
    kept += [form for entry in load_table("facts").values() for form in entry["ask_new"]]
    kept += [form for kind in ("talk", "decline", "allow") for entry in load_table("manners")[kind] for form in entry["ask_new"]]  # fmt: skip
    made = [form for section in table.values() for forms in section.values() for form in forms]
    assert len(made) > 3000
    for form in made:
        nearest = min(kept, key=lambda other: _count_edits(form, other))
        assert _count_edits(form, nearest) >= NEAREST, (form, nearest)


def test_no_question_of_training_is_one_of_the_tests() -> None:
    for task in ("fact", "decline", "allow", "talk"):
        learned = {text for item in list_items(task, "train") for text in (item.ask, *item.typed)}
        held_out = {item.ask for item in list_items(task, "test") if item.is_new}
        assert held_out
        assert not learned & held_out


@pytest.mark.parametrize(
    "task", ["name", "colour", "count", "exists", "relation", "film_name", "film_last", "draw", "copy"]
)
def test_nothing_that_training_types_is_a_wording_of_the_tests(task: str) -> None:
    # with all that is put around a question, left out of it or taken for another word
    generator = np.random.default_rng(1)
    forms = [
        form for kind in (task, f"{task}_any") for form in load_table("phrasings").get(kind, {}).get("ask_new", [])
    ]
    kept = [re.compile(" ".join(".+" if "{" in word else word for word in _split(form))) for form in forms]
    assert kept
    for item in list_items(task, "train")[:300]:
        typed = " ".join(_split(type_question(item, "train", generator)))
        assert not any(form.fullmatch(typed) for form in kept), typed


def _split(text: str) -> list[str]:
    return re.findall(r"[a-z'{}]+", text)


def _count_edits(one: str, other: str) -> int:
    """Words to put in, leave out or change."""
    first, second = _split(one), _split(other)
    row = list(range(len(second) + 1))
    for count, word in enumerate(first, 1):
        above, row = row, [count]
        for place, against in enumerate(second):
            row.append(min(above[place + 1] + 1, row[-1] + 1, above[place] + (word != against)))
    return row[-1]
