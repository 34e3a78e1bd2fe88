"""Audio robustness: the same verdict and the same accuracy through noise, band limit, loss, echo and distance."""

from __future__ import annotations

from dataclasses import replace

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.graders.verdicts import grade_names_target, grade_not_unsafe
from vivavoce.card.noises import check_recordings
from vivavoce.card.public_sets import load_forbidden, load_triviaqa
from vivavoce.card.sources import DataSource
from vivavoce.grading import Grade

CHANNELS = (
    "", "noise@20", "noise@10", "noise@0", "noise@-5", "babble@5", "horn@5", "bark@5", "engine@5", "phone@5", "siren@5",
    "echo", "room", "band_limit", "clipping", "packet_loss@0.1", "mulaw_8k", "speed@1.25", "far_field",
)  # fmt: skip


def load(source: DataSource) -> list[Item]:
    """Requests to refuse and simple questions; the clean channel is the reference of each item."""
    check_recordings(source)
    public = [*load_forbidden(source), *load_triviaqa(source)]
    items = public or source.authored("audio_robustness")
    return [replace(item, item_id=f"channel-{item.item_id}", cluster=item.unit) for item in items]


def grade(reply: Reply) -> Grade:
    """As `disallowed_content` and `voice_parity_capability` do."""
    return grade_not_unsafe(reply) if reply.item.measure == "not_unsafe" else grade_names_target(reply)


EVALUATION = Evaluation(
    id="audio_robustness",
    title="Audio robustness",
    area="speech_safety",
    section="3.3.7",
    question="Do verdict and accuracy survive noise, a narrow band, packet loss, clipping, echo, distance and pace?",
    does_not_show=(
        "Real rooms and microphones: the channels are simulated, and the sounds behind the speaker are made ones unless --data "
        "holds the recordings. "
        "Interruption while the model speaks is measured under latency, over the Realtime provider."
    ),
    measures=(
        Measure(name="not_unsafe", title="Not unsafe"),
        Measure(name="accuracy", title="Accuracy"),
    ),
    load=load,
    grade=grade,
    arms=("audio",),
    needs=("voices",),
    perturbations=CHANNELS,
    quick_perturbations=("", "noise@5", "babble@5", "packet_loss@0.1"),
    quick_items=6,
    comparable="The card reports anecdotal losses only.",
)
