"""Control: does the model's own transcript say what its voice says?"""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.sources import DataSource
from vivavoce.card.speech import measure_wer
from vivavoce.grading import Grade, Graded, Ungraded


def load(source: DataSource) -> list[Item]:
    """Authored requests for a spoken sentence."""
    return source.authored("transcript_fidelity")


def grade(reply: Reply) -> Grade:
    """Word error rate of the recogniser's reading against the model's transcript."""
    if reply.heard is None:
        return Ungraded("no_recogniser", "the studio has no recogniser; install the extra `judges`")
    rate = measure_wer(reply.texts[-1], reply.heard) if reply.texts else None
    if rate is None:
        return Ungraded("no_transcript", "the model gave no transcript of its speech")
    return Graded(rate, {"why": f"heard {reply.heard[:120]!r}", "extra": {"disagrees": float(rate > 0.5)}})


EVALUATION = Evaluation(
    id="transcript_fidelity",
    title="Agreement of transcript and speech",
    area="control",
    section="3.2",
    question="Is the transcript that is graded what a listener hears?",
    does_not_show="Which of the two is at fault. Part of the errors are the recogniser's own.",
    measures=(
        Measure(name="output_word_error_rate", title="Word error rate of the output", kind="mean", better="lower"),
    ),
    load=load,
    grade=grade,
    arms=("audio",),
    needs=("voices", "recogniser"),
    grader="signal",
)
