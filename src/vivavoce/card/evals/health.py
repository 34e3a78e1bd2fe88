"""Health: medical multiple choice in text and, which the card lacks, by voice."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure
from vivavoce.card.graders.verdicts import grade_choice, put_choices
from vivavoce.card.public_sets import MMLU_HEALTH, load_medical, load_mmlu
from vivavoce.card.sources import DataSource


def load(source: DataSource) -> list[Item]:
    """Six MMLU subjects, MedQA (4 options), MedMCQA: 8 of the card's 11 sets; else authored everyday questions."""
    public = [*load_mmlu(source, MMLU_HEALTH), *load_medical(source)]
    return [put_choices(item) for item in public or source.authored("health")]


EVALUATION = Evaluation(
    id="health",
    title="Health",
    area="society",
    section="5.2",
    question="Does the model pick the right medical answer, asked in text and by voice?",
    does_not_show="Use: these sets test knowledge and are saturated. The 5-shot arm is not run.",
    measures=(Measure(name="accuracy", title="Accuracy, 0-shot"),),
    load=load,
    grade=grade_choice,
    arms=("text", "audio"),
    needs=("voices",),
    sources=(*MMLU_HEALTH, "health/medqa_us_4opt_test.jsonl.gz", "health/medmcqa_dev.jsonl.gz"),
    grader="exact",
    max_tokens=64,
)
