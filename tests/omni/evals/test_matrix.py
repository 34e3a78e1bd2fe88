"""The matrix counts right answers as right, wrong as wrong, and what can't be judged as neither."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest

from vivavoce.content import Audio, Conversation, Image, Message, Text, assistant
from vivavoce.data.curriculum import iterate_cell
from vivavoce.data.example import Example, fill_speech
from vivavoce.grading import Graded, Ungraded
from vivavoce.omni.evals.judging import Judges, grade_answer
from vivavoce.omni.evals.matrix import find_constant_reply, run_matrix, score_examples


class Reader:
    """A recogniser that reads the transcript pinned to the sound."""

    def transcribe(self, audio: Audio) -> str:
        return audio.transcript or ""


class Connoisseur:
    """Sees a drawing as right if its first pixel is white."""

    def judge(self, image: Image, wanted) -> "Connoisseur":
        self.is_thing_and_colour = bool(image.pixels[0, 0, 0] == 255)
        return self


JUDGES = Judges(Reader(), Connoisseur())
WHITE, BLACK = (Image(np.full((64, 64, 3), shade, np.uint8)) for shade in (255, 0))


def fill(example: Example) -> Conversation:
    return fill_speech(example, [Audio(np.zeros(8, np.float32), one.rate_hz) for one in example.speeches])


def answer_rightly(example: Example) -> Message:
    parts: list = []
    if "text" in example.outputs:
        parts.append(Text(example.answer.text))
    if "audio" in example.outputs:
        parts.append(Audio(np.zeros(8, np.float32), 24_000, example.answer.text))
    if "image" in example.outputs:
        parts.append(WHITE)
    return assistant(*parts)


@pytest.mark.parametrize("cell", [("text", "text"), ("audio", "audio"), ("text", "image"), ("image", "audio+image")])
def test_right_answers_are_right_and_empty_ones_wrong(cell: tuple[str, str]) -> None:
    for example in islice(iterate_cell(*cell, "test", 3), 5):
        assert grade_answer(example, answer_rightly(example), JUDGES).value == 1  # type: ignore[union-attr]
        assert grade_answer(example, assistant(), JUDGES).value == 0  # type: ignore[union-attr]


def test_both_modalities_must_be_right() -> None:
    example = next(iterate_cell("audio", "audio+image", "test", 3))
    spoken, drawn = answer_rightly(example).parts
    assert grade_answer(example, assistant(spoken, BLACK), JUDGES).value == 0  # type: ignore[union-attr]
    wrong = replace(spoken, transcript="nonsense")
    assert grade_answer(example, assistant(wrong, drawn), JUDGES).value == 0  # type: ignore[union-attr, type-var]


def test_speech_without_a_recogniser_is_ungraded_and_not_zero() -> None:
    example = next(iterate_cell("audio", "audio", "test", 3))
    grade = grade_answer(example, answer_rightly(example), Judges(None, Connoisseur()))
    assert isinstance(grade, Ungraded)
    assert grade.reason == "no_recogniser"


def test_every_cell_is_scored_with_n_interval_coverage_and_baseline() -> None:
    def ask(conversations: Sequence[Conversation], outputs: frozenset[str]) -> list[Message]:
        assert all(conversation.messages[-1].role == "user" for conversation in conversations)
        return [assistant("nonsense") for _ in conversations]

    report = run_matrix(ask, fill, JUDGES, items_per_cell=2, seed=0)
    assert len(report["cells"]) == 35
    for cell in report["cells"]:
        assert (cell["value"], cell["n"], len(cell["ci"])) == (0.0, 2, 2)
        assert cell["coverage"] == {"graded": 2, "total": 2, "reasons": {}}
        assert 0 <= cell["baseline"] <= 1
    assert sum(task["n"] for task in report["tasks"]) == 70


def test_the_constant_reply_is_right_more_often_than_never() -> None:
    reply = find_constant_reply("exists")
    examples = [e for e in islice(iterate_cell("text+image", "text", "test", 0), 60) if e.task == "exists"]
    scored = score_examples(examples, lambda asked, outputs: [assistant(reply)] * len(asked), fill, JUDGES)
    assert all(isinstance(one.grade, Graded) and one.grade.value == one.baseline for one in scored)
    assert any(one.baseline for one in scored)
