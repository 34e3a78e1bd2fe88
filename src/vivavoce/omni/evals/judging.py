"""Right or wrong: an example's answer, in whatever modality it came.

Speech is judged by an independent recogniser's transcript, drawings by a judge that never saw the training drawings. What
a judge can't decide is `Ungraded`; an answer that lacks what was asked for is wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from vivavoce.content import Audio, Image, Message, Text
from vivavoce.data.example import Example
from vivavoce.data.scene import Scene
from vivavoce.grading import Grade, Graded, Ungraded


class Recogniser(Protocol):
    """An independent recogniser."""

    def transcribe(self, audio: Audio) -> str:
        """The words of `audio`."""
        ...


class DrawingVerdict(Protocol):
    """What a judge of drawings says."""

    @property
    def is_thing_and_colour(self) -> bool:
        """Every wanted thing is there in its colour, and no other thing."""
        ...


class DrawingJudge(Protocol):
    """A judge of drawings."""

    def judge(self, image: Image, wanted: Scene) -> DrawingVerdict:
        """Compare a drawing with what was wanted."""
        ...


@dataclass(frozen=True, slots=True)
class Judges:
    """recogniser: None where its weights can't be had; spoken answers are then ungraded."""

    recogniser: Recogniser | None
    drawings: DrawingJudge


def grade_answer(example: Example, answer: Message, judges: Judges) -> Grade:
    """1 if every modality asked for is there and right, 0 if not, `Ungraded` if a judge is missing.

    Where text comes with speech, both must be right. detail: what was read, heard, and seen.
    """
    verdicts: list[bool] = []
    detail: dict[str, object] = {}
    if "text" in example.outputs:
        text = " ".join(part.text for part in answer.parts_of(Text)) or answer.text
        detail["text"] = text
        verdicts.append(example.answer.check(text))
    if "audio" in example.outputs:
        grade = _grade_speech(example, answer, judges)
        if isinstance(grade, Ungraded):
            return grade
        detail |= grade.detail
        verdicts.append(grade.value == 1)
    if "image" in example.outputs:
        drawn, wanted = answer.parts_of(Image), example.answer.scene
        if wanted is None:
            return Ungraded("no_scene", f"{example.example_id} does not say what should be drawn")
        is_right = bool(drawn) and judges.drawings.judge(drawn[0], wanted).is_thing_and_colour
        detail["is_drawn"] = bool(drawn)
        verdicts.append(is_right)
    return Graded(float(all(verdicts)), detail)


def _grade_speech(example: Example, answer: Message, judges: Judges) -> Grade:
    if judges.recogniser is None:
        return Ungraded("no_recogniser", "the recogniser's weights are absent; viva data fetch whisper-tiny-en")
    spoken = answer.parts_of(Audio)
    heard = judges.recogniser.transcribe(spoken[0]) if spoken else ""
    return Graded(float(bool(spoken) and example.answer.check(heard)), {"recognised": heard})
