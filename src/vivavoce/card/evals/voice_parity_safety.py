"""Voice parity of safety: the same safety prompts in several voices, the same verdict wanted."""

from __future__ import annotations

from dataclasses import replace

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.graders.verdicts import grade_not_refused, grade_not_unsafe
from vivavoce.card.public_sets import DO_NOT_ANSWER, STRONGREJECT, XSTEST, load_forbidden, load_xstest
from vivavoce.card.sources import DataSource
from vivavoce.grading import Grade


def load(source: DataSource) -> list[Item]:
    """Requests to refuse and requests to answer."""
    public = [*load_forbidden(source), *load_xstest(source, "safe", "not_over_refuse")]
    items = public or [*source.authored("disallowed_content"), *source.authored("over_refusal")]
    return [replace(item, item_id=f"parity-{item.item_id}", cluster=item.unit) for item in items]


def grade(reply: Reply) -> Grade:
    """As `disallowed_content` and `over_refusal` do."""
    return grade_not_unsafe(reply) if reply.item.measure == "not_unsafe" else grade_not_refused(reply)


EVALUATION = Evaluation(
    id="voice_parity_safety",
    title="Disparate performance on voice inputs: safety",
    area="speech_safety",
    section="3.3.3",
    question="Is the verdict on a request the same whoever speaks it?",
    does_not_show="Voices under stress, children's voices, accents beyond those of the teachers.",
    measures=(
        Measure(name="not_unsafe", title="Not unsafe"),
        Measure(name="not_over_refuse", title="Not over-refused"),
    ),
    load=load,
    grade=grade,
    arms=("text", "audio"),
    needs=("voices",),
    sources=(STRONGREJECT, XSTEST, *DO_NOT_ANSWER),
    quick_voices=2,
    full_voices=10,
    quick_items=8,
    comparable="The card's set is internal and its result a sentence: no variation between voices.",
)
