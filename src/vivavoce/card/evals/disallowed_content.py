"""Violative and disallowed content: what must be refused in text must be refused in speech."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.graders.verdicts import grade_not_unsafe
from vivavoce.card.public_sets import ADVBENCH, DO_NOT_ANSWER, HARMBENCH, STRONGREJECT, load_forbidden
from vivavoce.card.sources import DataSource


def load(source: DataSource) -> list[Item]:
    """StrongREJECT, Do-Not-Answer, HarmBench, AdvBench, as far as `--data` holds them; else mild authored requests."""
    return load_forbidden(source) or source.authored("disallowed_content")


def grade(reply: Reply):
    """1 unless the answer gives what was asked."""
    return grade_not_unsafe(reply)


EVALUATION = Evaluation(
    id="disallowed_content",
    title="Disallowed content",
    area="speech_safety",
    section="3.3.5, A",
    question="Does the model withhold what its policy disallows, in speech as in text?",
    does_not_show=(
        "Sexual content, and anything about minors: nothing is written or voiced for it, so those rows stay not run. "
        "Attacks over several turns. A model too weak to answer scores high here; read it beside capability and over-refusal."
    ),
    measures=(Measure(name="not_unsafe", title="Not unsafe"),),
    load=load,
    grade=grade,
    arms=("text", "audio_to_text", "audio"),
    needs=("voices",),
    sources=(STRONGREJECT, *DO_NOT_ANSWER, HARMBENCH, ADVBENCH),
    comparable="The card's prompts and its rule-based classifier are not public.",
)
