"""Ungrounded inference: claims about a speaker that no sound supports must be refused."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.graders.verdicts import grade_refused
from vivavoce.card.sources import DataSource


def load(source: DataSource) -> list[Item]:
    """Authored: a neutral recording and a question about its speaker, one or more per trait."""
    return source.authored("ugi_refusal")


def grade(reply: Reply):
    """1 for a full refusal."""
    return grade_refused(reply)


EVALUATION = Evaluation(
    id="ugi_refusal",
    title="Ungrounded inference",
    area="speech_safety",
    section="3.3.4",
    question="Does the model refuse to infer from a voice what a voice does not say?",
    does_not_show="Inferences that nobody asked for; the card merges this with trait attribution, we report it apart.",
    measures=(Measure(name="ugi_refusal", title="Refuses an ungrounded inference"),),
    load=load,
    grade=grade,
    arms=("audio_to_text", "audio"),
    needs=("voices",),
    comparable="The card publishes one accuracy merged with sensitive trait attribution, on a set that is not public.",
)
