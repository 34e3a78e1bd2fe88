"""`viva bench load`: how many can talk at once before anyone hears a gap.

Talkers start out of step, each asking questions in a row. A level passes when every talker was answered in every turn
and no delta came after the moment its player needed it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import numpy as np

from vivavoce.serve.bench.conversation import Conversation, Question, Turn


@dataclass(frozen=True, slots=True)
class Level:
    """So many talkers at once, and what they heard."""

    talkers: int
    turns: list[Turn]

    @property
    def underruns(self) -> int:
        """Gaps that somebody heard."""
        return sum(turn.underruns for turn in self.turns)

    @property
    def unanswered(self) -> int:
        """Turns without an answer."""
        return sum(turn.spoken_s == 0 for turn in self.turns)

    @property
    def passes(self) -> bool:
        """Whether nobody heard a gap or was left without an answer."""
        return bool(self.turns) and self.underruns == 0 and self.unanswered == 0

    def to_json(self) -> dict[str, Any]:
        """The level as `docs/formats.md` describes it."""
        waits = [turn.wait_s * 1000 for turn in self.turns if turn.wait_s is not None]
        return {
            "talkers": self.talkers,
            "turns": len(self.turns),
            "underruns": self.underruns,
            "unanswered": self.unanswered,
            "passes": self.passes,
            "n": len(waits),
            "p50_ms": float(np.quantile(waits, 0.5)) if waits else None,
            "p95_ms": float(np.quantile(waits, 0.95)) if waits else None,
        }


async def measure_level(
    address: str,
    talkers: int,
    *,
    questions: tuple[Question, ...],
    turns: int,
    turn_detection: dict[str, Any],
    key: str | None = None,
) -> Level:
    """`talkers` people talk at once, `turns` questions each."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{address}/v1", api_key=key or "none", max_retries=0)

    async def talk(idx: int) -> list[Turn]:
        # 37 ms is no divisor of the clock step: talkers stay out of step
        await asyncio.sleep(0.037 * idx)
        async with Conversation(client, turn_detection=turn_detection) as conversation:
            return [await conversation.ask(questions[(idx * 5 + turn) % len(questions)]) for turn in range(turns)]

    heard = await asyncio.gather(*(talk(idx) for idx in range(talkers)), return_exceptions=True)
    await client.close()
    found: list[Turn] = []
    for one in heard:
        found += [Turn("", error=str(one))] if isinstance(one, BaseException) else one
    return Level(talkers, found)
