"""Scientific capabilities: reading small figures."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure
from vivavoce.card.graders.verdicts import grade_names_target
from vivavoce.card.sources import DataSource


def load(source: DataSource) -> list[Item]:
    """Figures that we draw: bars, lines, points, parts. SciAssess and LAB-Bench run from their own packages."""
    return source.authored("science_figures")


EVALUATION = Evaluation(
    id="science_figures",
    title="Scientific figures",
    area="society",
    section="5.3",
    question="Does the model read a plain figure rightly?",
    does_not_show="Real papers: multi-panel figures, small print, units. The card gives no number here.",
    measures=(Measure(name="accuracy", title="Accuracy"),),
    load=load,
    grade=grade_names_target,
    arms=("text", "audio"),
    needs=("figures",),
    grader="exact",
    max_tokens=64,
)
