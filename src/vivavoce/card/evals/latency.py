"""Latency and interruption: end of the user's speech to the first audible sample, and how fast the model falls silent."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.sources import DataSource
from vivavoce.grading import Grade, Graded, Ungraded


def load(source: DataSource) -> list[Item]:
    """Authored short questions, and requests for long answers that are interrupted."""
    return source.authored("latency")


def grade(reply: Reply) -> Grade:
    """Seconds. Only a live endpoint has them; without one the time to compute the whole answer is kept beside."""
    extra = {key: value for key, value in reply.timings.items() if key.endswith("_s") or key == "real_time_factor"}
    key = "barge_in_stop_s" if reply.item.measure == "barge_in_stop" else "latency_s"
    if key in reply.timings:
        return Graded(reply.timings[key], {"why": f"{key} over the wire", "extra": extra})
    if reply.item.measure == "latency" and "generate_s" in reply.timings:
        return Graded(reply.timings["generate_s"], {"why": "whole answer computed, no wire", "extra": extra})
    return Ungraded("not_live", "only the Realtime provider can be interrupted; run viva-realtime/...")


EVALUATION = Evaluation(
    id="latency",
    title="Latency and interruption",
    area="product",
    section="1",
    question="How long after the user's last voiced sample does the first audible sample of the answer arrive?",
    does_not_show=(
        "Anything about a network, unless run over one. In process and over chat completions the number is the time to "
        "compute the whole answer, which is not latency in the card's sense; run the Realtime provider for that."
    ),
    measures=(
        Measure(name="latency", title="Time to first audible sample", kind="quantiles", better="lower", unit="s"),
        Measure(name="barge_in_stop", title="Barge-in to silence", kind="quantiles", better="lower", unit="s"),
    ),
    load=load,
    grade=grade,
    arms=("audio",),
    needs=("voices",),
    grader="signal",
    comparable="The card's method is not published: no n, endpointing, network or percentile.",
)
