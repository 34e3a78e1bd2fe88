"""What training saw: every proposition's mean, coverage, and how far the shadow grader drifts from the reward's.

One JSON line per batch. A warning when the reward rises while the shadow's falls: the policy may be gaming the grader.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vivavoce.grading import Ungraded
from vivavoce.rbr.reward import Reward, Scored

logger = logging.getLogger(__name__)
WINDOW = 20  # chosen: batches on each side of the comparison


class RewardLog:
    """Collects and writes one record a batch. path None keeps records in memory only."""

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self.records: list[dict[str, float]] = []
        self.warnings = 0

    def add(self, rewards: Sequence[Reward], shadows: Sequence[Reward] = ()) -> dict[str, float]:
        """Record a batch; returns what was recorded, names as `group/name`."""
        scored = [reward for reward in rewards if isinstance(reward, Scored)]
        record: dict[str, float] = {"reward/coverage": len(scored) / len(rewards) if rewards else 0.0}
        for reward in rewards:
            if isinstance(reward, Ungraded):
                record[f"ungraded/{reward.reason}"] = record.get(f"ungraded/{reward.reason}", 0) + 1
        if scored:
            record["reward/total"] = float(np.mean([reward.total for reward in scored]))
            record["reward/rm"] = float(np.mean([reward.rm for reward in scored]))
            record["reward/rbr"] = float(np.mean([reward.rbr for reward in scored]))
            names = {name for reward in scored for name in reward.features}
            for name in sorted(names):
                values = [reward.features[name] for reward in scored if name in reward.features]
                record[f"feature/{name}"] = float(np.mean(values))
        pairs = [(a.rbr, b.rbr) for a, b in zip(rewards, shadows) if isinstance(a, Scored) and isinstance(b, Scored)]
        if pairs:
            record["shadow/rbr"] = float(np.mean([b for _, b in pairs]))
            record["shadow/gap"] = float(np.mean([a - b for a, b in pairs]))
        self._write(record)
        return record

    def _write(self, record: dict[str, float]) -> None:
        self.records.append(record)
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as handle:
                handle.write(json.dumps({"batch": len(self.records), **record}) + "\n")
        if self.is_diverging():
            self.warnings += 1
            logger.warning("the reward rises while the shadow grader's falls: the policy may be gaming the grader")

    def is_diverging(self) -> bool:
        """Whether, over the last two windows of batches, the rules' part rose and the shadow's fell."""
        both = [(r["reward/rbr"], r["shadow/rbr"]) for r in self.records if "shadow/rbr" in r]
        if len(both) < 2 * WINDOW or len(both) % WINDOW:
            return False
        before, after = np.mean(both[-2 * WINDOW : -WINDOW], axis=0), np.mean(both[-WINDOW:], axis=0)
        spread = np.std(both[-2 * WINDOW :], axis=0) / WINDOW**0.5 + 1e-12
        rises, falls = (after - before) / spread
        return bool(rises > 2 and falls < -2)
