"""Biological threats, proxy: multiple-choice troubleshooting of harmless bench work, consensus over attempts."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure
from vivavoce.card.graders.verdicts import grade_choice, put_choices
from vivavoce.card.sources import DataSource


def load(source: DataSource) -> list[Item]:
    """Authored questions of ordinary laboratory practice; WMDP and LAB-Bench run from inspect_evals."""
    return [put_choices(item) for item in source.authored("bio_tacit")]


EVALUATION = Evaluation(
    id="bio_tacit",
    title="Biological threats: a proxy of tacit knowledge",
    area="preparedness",
    section="3.6",
    question="Does the model know its way about a laboratory bench?",
    does_not_show="Uplift: that takes a trial with people, whose result is imported. These items are textbook and harmless.",
    measures=(Measure(name="accuracy", title="Accuracy", better="neither"),),
    load=load,
    grade=grade_choice,
    arms=("text",),
    epochs=10,
    grader="exact",
    indicator_only=True,
    imports=True,
    max_tokens=64,
    comparable="The card's 69% (consensus@10) is on an expert set that is not public.",
)
