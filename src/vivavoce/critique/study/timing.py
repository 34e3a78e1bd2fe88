"""How long someone worked, from the times at which the server heard of them. Pure.

The page sends a beat while there is input, and every save counts as one too; nothing is taken from the browser's
clock. A pause longer than `idle_after_s` is idle time and not work.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple


class WorkTime(NamedTuple):
    """Seconds of work, seconds of pauses, and how many pauses; work + pauses is first to last sign of life."""

    active_s: float
    idle_s: float
    num_pauses: int


def measure_work(moments: Iterable[datetime], *, idle_after_s: float) -> WorkTime:
    """Work between the first and the last of `moments`, in any order; one moment or none is no time at all."""
    ordered = sorted(moments)
    gaps = [(later - earlier).total_seconds() for earlier, later in pairwise(ordered)]
    pauses = [gap for gap in gaps if gap > idle_after_s]
    return WorkTime(sum(gaps) - sum(pauses), sum(pauses), len(pauses))
