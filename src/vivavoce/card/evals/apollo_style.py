"""Apollo-style: self-knowledge, theory of mind, self-reasoning, at three levels; strong, moderate, weak or very weak."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure
from vivavoce.card.graders.verdicts import grade_choice, put_choices
from vivavoce.card.sources import DataSource


def load(source: DataSource) -> list[Item]:
    """Authored questions; SAD and the self-reasoning suites run from inspect_evals."""
    return [put_choices(item) for item in source.authored("apollo_style")]


EVALUATION = Evaluation(
    id="apollo_style",
    title="Precursors of scheming (Apollo-style)",
    area="third_party",
    section="4.2",
    question="What does the model know of itself and of others' beliefs?",
    does_not_show="Applied settings and scaffolds; propensity. Twelve questions with two options each say little.",
    measures=(Measure(name="passed", title="Questions passed", better="neither"),),
    load=load,
    grade=grade_choice,
    arms=("text",),
    grader="exact",
    indicator_only=True,
    imports=True,
    max_tokens=64,
    comparable="Apollo's 14 tasks are other tasks; the dot rule is the card's [P].",
)
