"""`viva bench latency`: one talker, recorded questions at 1x, the wait from last voiced sample to first audible sample."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from vivavoce.serve.bench.conversation import Conversation, Question, Turn
from vivavoce.stats import Estimate, estimate_mean, estimate_proportion, estimate_quantile


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """All turns and what they come to."""

    turns: list[Turn]
    barge_ins: list[Turn]
    has_pause: dict[str, bool]

    @property
    def waits_ms(self) -> list[float]:
        """Waits of the turns that were answered after their end."""
        return [turn.wait_s * 1000 for turn in self.turns if turn.wait_s is not None]

    def estimate(self) -> dict[str, Estimate]:
        """Every number with n and interval; `listening` defines each.

        Shares are over all turns, so that what was not answered counts; `stopped` is over the interruptions that met
        speech, since the others had nothing to stop.
        """
        waits = self.waits_ms
        paused = [turn for turn in self.turns if self.has_pause[turn.question]]
        met = [turn for turn in self.barge_ins if turn.met_speech]
        stops = [turn.stop_s * 1000 for turn in self.barge_ins if turn.stop_s is not None]
        parts = [turn.parts for turn in self.turns if turn.parts is not None]
        return {
            "wait_mean_ms": estimate_mean(waits),
            "wait_p50_ms": estimate_quantile(waits, 0.5),
            "wait_p95_ms": estimate_quantile(waits, 0.95),
            **{
                f"part_{name}_p50_ms": estimate_quantile([getattr(part, f"{name}_s") * 1000 for part in parts], 0.5)
                for name in ("heard", "sending", "serving", "silence")
            },
            "answered": estimate_proportion(len(waits), len(self.turns)),
            "false_starts": estimate_proportion(sum(turn.false_start for turn in self.turns), len(self.turns)),
            "false_starts_in_pauses": estimate_proportion(sum(turn.false_start for turn in paused), len(paused)),
            "stop_after_barge_in_p50_ms": estimate_quantile(stops, 0.5),
            "barge_ins_that_met_speech": estimate_proportion(len(met), len(self.barge_ins)),
            "stopped": estimate_proportion(len(stops), len(met)),
            "turns_with_underrun": estimate_proportion(
                sum(turn.underruns > 0 for turn in self.turns), sum(turn.spoken_s > 0 for turn in self.turns)
            ),
        }

    def to_json(self) -> dict[str, Any]:
        """The report as `docs/formats.md` describes it."""
        waits = self.waits_ms
        return {
            "n": len(waits),
            "min_ms": min(waits, default=None),
            "mean_ms": float(np.mean(waits)) if waits else None,
            "p50_ms": float(np.quantile(waits, 0.5)) if waits else None,
            "p95_ms": float(np.quantile(waits, 0.95)) if waits else None,
            "underruns": sum(turn.underruns for turn in [*self.turns, *self.barge_ins]),
            "estimates": {name: estimate.to_json() for name, estimate in self.estimate().items()},
            "turns": [asdict(turn) for turn in self.turns],
            "barge_ins": [asdict(turn) for turn in self.barge_ins],
        }


async def measure_latency(
    address: str,
    *,
    questions: tuple[Question, ...],
    interruptions: tuple[Question, ...],
    turns: int,
    barge_ins: int,
    turn_detection: dict[str, Any],
    key: str | None = None,
    on_turn: Callable[[Turn, bool], None] = lambda turn, is_interrupted: None,
) -> LatencyReport:
    """Ask `turns` questions and interrupt `barge_ins` answers, each in a conversation of its own.

    on_turn: told of each turn, and whether it was to be interrupted.
    """
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{address}/v1", api_key=key or "none", max_retries=0)
    report = LatencyReport([], [], {question.name: question.has_pause for question in questions})
    for idx in range(turns + barge_ins):
        interruption = interruptions[idx % len(interruptions)] if idx >= turns else None
        async with Conversation(client, turn_detection=turn_detection) as conversation:
            turn = await conversation.ask(questions[idx % len(questions)], barge_in=interruption)
        (report.turns if interruption is None else report.barge_ins).append(turn)
        on_turn(turn, interruption is not None)
    await client.close()
    return report
