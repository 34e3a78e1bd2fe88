"""Who is shown what: blocked randomisation per labeller and kind of answer. Pure; no clock, no database.

A labeller's sequence of kinds, and within each kind the sequence of arms, are permuted blocks drawn from the study's
seed and the labeller's key. So every labeller gets the arms of every kind in equal numbers, up to one unfinished block
(Zelen 1974), the order cannot be guessed, and an audit can draw it again. Which answer fills a slot is chosen when it
is claimed: the one that was given least often in this arm, ties by the seed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Candidate:
    """An answer that could be given: its kind, and what it must not be combined with (its passage)."""

    item: Hashable
    kind: str
    passage: Hashable


class Slot(NamedTuple):
    """One assignment to be: the answer, its arm, and the place in the kind's sequence of arms."""

    candidate: Candidate
    arm: str
    kind_idx: int


def draw_in_block(seed: int, *names: Hashable, idx: int, weights: Mapping[str, int]) -> str:
    """The `idx`-th of an endless sequence of permuted blocks, each with every name as often as its weight says."""
    block = [name for name, weight in weights.items() for _ in range(weight)]
    _generator(seed, *names, idx // len(block)).shuffle(block)
    return block[idx % len(block)]


def choose_slot(
    candidates: Sequence[Candidate],
    *,
    seed: int,
    labeller: str,
    position: int,
    kinds: Mapping[str, int],
    arms: Mapping[str, int],
    num_drawn: Mapping[str, int],
    seen_items: Collection[Hashable],
    seen_passages: Collection[Hashable],
    num_given: Mapping[tuple[Hashable, str], int],
    quota: int,
) -> Slot | None:
    """The next assignment of `labeller`; None when nothing is left for them.

    num_drawn: per kind, how many arms of its sequence are used up. num_given: labellers per (item, arm) so far.
    When a cell has no answer left, the kind's sequence moves on to its next arm, and after a whole block to the next kind.
    """
    free = [c for c in candidates if c.item not in seen_items and c.passage not in seen_passages]
    first = draw_in_block(seed, labeller, "kind", idx=position, weights=kinds)
    others = [kind for kind in kinds if kind != first]
    _generator(seed, labeller, "fallback", position).shuffle(others)
    for kind in (first, *others):
        start = num_drawn.get(kind, 0)
        # two blocks on from here hold every arm at least once
        for idx in range(start, start + 2 * sum(arms.values())):
            arm = draw_in_block(seed, labeller, "arm", kind, idx=idx, weights=arms)
            open_ones = [c for c in free if c.kind == kind and num_given.get((c.item, arm), 0) < quota]
            if open_ones:
                return Slot(_least_given(open_ones, arm, arms, num_given, (seed, labeller, position)), arm, idx)
    return None


def shuffle_shown(shown: Sequence[Hashable], *, seed: int, assignment: str) -> list[Hashable]:
    """The order in which one labeller sees the suggestions of one assignment."""
    order = list(shown)
    _generator(seed, assignment, "order").shuffle(order)
    return order


def draw_share(seed: int, *names: Hashable, share: float) -> bool:
    """True for a `share` of all names, the same whenever it is asked."""
    return _generator(seed, *names, "share").random() < share


def _least_given(
    candidates: Sequence[Candidate],
    arm: str,
    arms: Iterable[str],
    num_given: Mapping[tuple[Hashable, str], int],
    tie: tuple[Hashable, ...],
) -> Candidate:
    in_arm = [num_given.get((candidate.item, arm), 0) for candidate in candidates]
    min_in_arm = min(in_arm)
    fewest = [candidate for candidate, count in zip(candidates, in_arm) if count == min_in_arm]
    in_all = [sum(num_given.get((candidate.item, other), 0) for other in arms) for candidate in fewest]
    least = min(in_all)
    ties = [candidate for candidate, count in zip(fewest, in_all) if count == least]
    return _generator(*tie, "answer").choice(ties)


def _hash(*names: Hashable) -> bytes:
    return hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()


def _generator(*names: Hashable) -> random.Random:
    return random.Random(_hash(*names))
