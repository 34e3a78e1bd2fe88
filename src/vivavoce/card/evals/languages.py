"""Underrepresented languages: the same questions in several languages, and the gap to English."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure
from vivavoce.card.graders.verdicts import grade_choice, put_choices
from vivavoce.card.public_sets import load_belebele
from vivavoce.card.sources import DataSource


def load(source: DataSource) -> list[Item]:
    """Belebele in five languages (a proxy for the card's Uhura sets); else authored questions in five."""
    return [put_choices(item) for item in load_belebele(source) or source.authored("languages")]


EVALUATION = Evaluation(
    id="languages",
    title="Underrepresented languages",
    area="society",
    section="5.4",
    question="How far does accuracy fall behind English in other languages?",
    does_not_show="Hausa and Yoruba (no set at hand); speech in any language but English; fluency.",
    measures=(Measure(name="accuracy", title="Accuracy"),),
    load=load,
    grade=grade_choice,
    arms=("text", "audio"),
    needs=("voices",),
    sources=("languages/belebele.jsonl",),
    quick_items=15,
    grader="exact",
    max_tokens=64,
    comparable="The card's Uhura sets are on the Hub only; Belebele is another task in other languages.",
)
