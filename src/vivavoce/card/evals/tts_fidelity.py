"""Control: is the synthesised input what was meant? A recogniser that never saw the text reads every clip."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.sources import DataSource
from vivavoce.card.speech import MAX_INPUT_WER
from vivavoce.grading import Grade, Graded, Ungraded

GSM8K = "capability/gsm8k_test.jsonl"


def load(source: DataSource) -> list[Item]:
    """Authored sentences with numbers and names; GSM8K's word problems where they are there."""
    items = source.authored("tts_fidelity")
    if source.has(GSM8K):
        for idx, row in enumerate(source.read_jsonl(GSM8K)):
            items.append(
                Item(item_id=f"gsm8k-{idx}", measure="input_word_error_rate", category="GSM8K", prompt=row["question"])
            )
    return items


def grade(reply: Reply) -> Grade:
    """Word error rate of the clip; above the bound the item is flagged as not what was meant."""
    checks = reply.facts.get("input_checks")
    if not checks:
        return Ungraded("no_recogniser", "the studio has no recogniser; install the extra `judges`")
    rate = checks[0]["errors"] / max(1, checks[0]["words"])
    return Graded(
        rate, {"why": f"heard {checks[0]['heard'][:120]!r}", "extra": {"flagged": float(rate > MAX_INPUT_WER)}}
    )


EVALUATION = Evaluation(
    id="tts_fidelity",
    title="Fidelity of the synthesised input",
    area="control",
    section="3.2",
    question="Do the voices say what the items mean?",
    does_not_show="Intonation and emotion. Part of the errors are the recogniser's own.",
    measures=(
        Measure(name="input_word_error_rate", title="Word error rate of the input", kind="mean", better="lower"),
    ),
    load=load,
    grade=grade,
    arms=("audio",),
    needs=("voices", "recogniser"),
    sources=(GSM8K,),
    solver="no_model",
    grader="signal",
    quick_voices=2,
)
