"""What is dictated beside sentences: distinct, sayable, of the training split, and asked as it is dictated."""

from itertools import islice

import pytest

from vivavoce.data.curriculum import iterate_examples
from vivavoce.data.dictation import MAX_WORDS, iterate_dictated
from vivavoce.data.example import Speech
from vivavoce.data.pools import list_items, list_reworded

QUESTIONS = {task: list_items(task, "train") for task in ("name", "count", "fact", "decline", "describe")}


def test_texts_are_distinct_and_can_be_said() -> None:
    texts = [one.text for one in islice(iterate_dictated(QUESTIONS, 0), 3000)]
    assert len(set(texts)) == 3000
    assert all(0 < len(text.split()) <= MAX_WORDS and text[-1] in ".?" for text in texts)
    assert not any(sign.isdigit() or sign in '{}"' for text in texts for sign in text)


def test_the_same_seed_gives_the_same_texts_and_a_longer_list_begins_like_a_shorter() -> None:
    first, again, other = (list(islice(iterate_dictated(QUESTIONS, seed), 50)) for seed in (3, 3, 4))
    assert first == again == list(islice(iterate_dictated(QUESTIONS, 3), 80))[:50]
    assert first != other


def test_each_task_that_asks_comes_as_often_as_another_and_a_fifth_is_no_question() -> None:
    tasks = [one.task for one in islice(iterate_dictated(QUESTIONS, 0), 2000)]
    shares = {task: tasks.count(task) / len(tasks) for task in ("", *QUESTIONS)}
    assert shares[""] == pytest.approx(0.22, abs=0.05)
    assert all(0.15 < shares[task] < 0.25 for task in ("count", "fact", "decline"))
    # texts are distinct, and there are fewer ways to ask for a name
    assert all(0.05 < shares[task] < 0.2 for task in ("name", "describe"))


def test_no_text_of_training_is_dictated_in_tests() -> None:
    learned = {item.say for item in list_items("write_down", "train")}
    asked = {item.ask for task in QUESTIONS for item in list_items(task, "test") if item.is_new}
    assert not learned & {item.say for item in list_items("write_down", "test")}
    assert not learned & asked


def test_spoken_questions_come_in_those_wordings_too_and_keep_their_answers() -> None:
    reworded = {item.ask: item for item in list_reworded("fact")}
    pool = {item.ask for item in list_items("fact", "train")}
    answers = {item.say for item in list_items("fact", "train")}
    assert len(reworded.keys() - pool) > 400
    assert all(item.say in answers for item in reworded.values())
    spoken = [
        example.speeches[0].text
        for example in islice(iterate_examples("train", 0, {"audio -> text": 1.0}), 400)
        if example.task.startswith("fact_") and isinstance(example.speeches[0], Speech)
    ]
    share = sum(text in reworded and text not in pool for text in spoken) / len(spoken)
    assert 0.25 < share < 0.6
