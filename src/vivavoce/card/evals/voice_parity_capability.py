"""Voice parity of capability: the same questions in several voices, the same accuracy wanted."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.graders.verdicts import grade_choice, grade_names_target, put_choices
from vivavoce.card.public_sets import (
    LAMBADA,
    MMLU_CARD,
    PIQA,
    TRIVIAQA,
    load_gold_choices,
    load_lambada,
    load_mmlu,
    load_triviaqa,
)
from vivavoce.card.sources import DataSource
from vivavoce.grading import Grade


def load(source: DataSource) -> list[Item]:
    """TriviaQA, 12 MMLU subjects, LAMBADA and PIQA (for HellaSwag); simple authored questions where none is there."""
    public = [*load_triviaqa(source), *load_mmlu(source, MMLU_CARD), *load_lambada(source)]
    public += load_gold_choices(source, PIQA, "PIQA")
    items = public or source.authored("voice_parity_capability")
    return [put_choices(item) if item.choices else item for item in items]


def grade(reply: Reply) -> Grade:
    """1 for the right option or a right name."""
    return grade_choice(reply) if reply.item.choices else grade_names_target(reply)


EVALUATION = Evaluation(
    id="voice_parity_capability",
    title="Disparate performance on voice inputs: capability",
    area="speech_safety",
    section="3.3.3",
    question="Is accuracy the same whoever asks, and the same as in text?",
    does_not_show="How real people fare: the voices are synthesised, few and mostly of native English.",
    measures=(Measure(name="accuracy", title="Accuracy"),),
    load=load,
    grade=grade,
    arms=("text", "audio_to_text", "audio"),
    needs=("voices",),
    sources=(TRIVIAQA, LAMBADA, PIQA, *MMLU_CARD),
    quick_voices=2,
    full_voices=10,
    quick_items=8,
    max_tokens=64,
    comparable="HellaSwag is replaced by PIQA; the card's scores come from fixed random subsets and are in a chart only.",
)
