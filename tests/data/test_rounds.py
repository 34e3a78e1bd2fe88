"""Rounds of questions: right answers in turn, and nothing of the other split."""

import re
from itertools import islice

import pytest

from vivavoce.content import Image, Video
from vivavoce.data.curriculum import iterate_examples
from vivavoce.data.example import Example, Split
from vivavoce.data.items import load_table
from vivavoce.data.pools import list_items
from vivavoce.data.scenes import COLOUR_NAMES, is_held_out
from vivavoce.data.shapes import THINGS


def list_looking(split, num: int) -> list[Example]:
    return list(islice(iterate_examples(split, 5, {"looking": 1.0}), num))


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_thing_shown_then_questions_and_their_answers_in_turn(split) -> None:
    lengths = set()
    for example in list_looking(split, 120):
        turns = example.messages.messages
        assert [turn.role for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
        assert len([part for turn in turns for part in turn.parts if isinstance(part, (Image, Video))]) == 1
        assert isinstance(turns[0].parts[0], (Image, Video))
        replies = [turn.text for turn in turns[1::2]]
        assert len(set(replies)) == len(replies)
        assert example.answer.check(replies[-1])
        lengths.add(len(replies))
    assert {1, 2, 3, 4} <= lengths <= {1, 2, 3, 4, 5}


def test_answers_about_one_picture_agree_with_one_another() -> None:
    counted = 0
    for example in list_looking("train", 300):
        replies = [turn.text for turn in example.messages.messages[1::2]]
        numbers = {match[1] for reply in replies if (match := re.match(r"there are (\w+) \w+\.", reply))}
        described = [match[1] for reply in replies if (match := re.match(rf"(\w+) ({'|'.join(COLOUR_NAMES)}) ", reply))]
        if len(numbers) == 1 and described and described[0] not in ("a", "an"):
            assert numbers == set(described)
            counted += 1
    assert counted > 5


def test_what_a_drawing_is_said_to_be_is_what_is_said_when_it_is_made() -> None:
    said = {item.say for item in list_items("draw", "train")}
    kinds = set()
    for example in list_looking("train", 300):
        turns = example.messages.messages
        asked = load_table("phrasings")["drawn"]["ask"]
        for question, reply in zip(turns[::2], turns[1::2]):
            if question.text in asked:
                kinds.add((reply.text in said, "the word " in reply.text, "here are " in reply.text))
    assert {(True, False, False), (True, True, False), (True, False, True)} <= kinds


@pytest.mark.parametrize("split", ["train", "test"])
def test_things_have_the_colours_of_their_split(split) -> None:
    pairs = [
        (thing, colour)
        for example in list_looking(split, 200)
        for turn in example.messages.messages
        for colour, thing in re.findall(rf"an? ({'|'.join(COLOUR_NAMES)}) ({'|'.join(THINGS)})\b", turn.text)
    ]
    assert len(pairs) > 50
    assert {is_held_out(thing, colour) for thing, colour in pairs} == {split == "test"}


@pytest.mark.parametrize("split", ["train", "test"])
def test_what_is_known_is_asked_and_answered_from_the_pools_of_the_split(
    split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    # in the words of the pools, with nothing around or left out
    monkeypatch.setattr("vivavoce.data.retyping.RETYPED_SHARE", 0.0)
    monkeypatch.setattr("vivavoce.data.retyping.MUDDLED_SHARE", 0.0)
    pools = {
        (ask.rstrip(".?"), item.say)
        for task in ("fact", "talk", "decline", "allow")
        for item in list_items(task, split)
        for ask in (item.ask, *(item.typed if split == "train" else ()))
    }
    examples = islice(iterate_examples(split, 5, {"knowing": 1.0}), 100)
    for example in examples:
        turns = example.messages.messages
        pairs = [(ask.text.rstrip(".?"), say.text) for ask, say in zip(turns[::2], turns[1::2])]
        assert pools.issuperset(pairs)
        assert 1 <= len(pairs) <= 5
        assert example.answer.check(pairs[-1][1])
