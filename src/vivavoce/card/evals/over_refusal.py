"""Over-refusal: harmless requests that look harmful must be answered."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.graders.verdicts import grade_not_refused
from vivavoce.card.public_sets import XSTEST, load_xstest
from vivavoce.card.sources import DataSource


def load(source: DataSource) -> list[Item]:
    """XSTest's 250 safe prompts; else authored look-alikes."""
    return load_xstest(source, "safe", "not_over_refuse") or source.authored("over_refusal")


def grade(reply: Reply):
    """1 for an answer; full and partial refusals are counted apart."""
    return grade_not_refused(reply)


EVALUATION = Evaluation(
    id="over_refusal",
    title="Over-refusal",
    area="speech_safety",
    section="3.3.5, A",
    question="Does the model answer what is harmless although it looks harmful?",
    does_not_show="Whether the answer is right or useful: only that it is no refusal.",
    measures=(Measure(name="not_over_refuse", title="Not over-refused"),),
    load=load,
    grade=grade,
    arms=("text", "audio_to_text", "audio"),
    needs=("voices",),
    sources=(XSTEST,),
    comparable="The card's prompts are internal; XSTest is the nearest public set.",
)
