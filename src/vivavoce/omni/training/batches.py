"""Batches of rows for the trunk: step n's batch depends on (seed, n) alone.

Rows of one batch are sorted by length, so that little is padded, and cut into micro-batches. A worker process makes them
ahead of the trainer.
"""

from __future__ import annotations

import itertools
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from vivavoce.data.example import Example
from vivavoce.errors import DataError
from vivavoce.omni.step_batch import StepBatch, collate
from vivavoce.omni.steps import Steps
from vivavoce.omni.training.loop import step_generator
from vivavoce.omni.training.rows import RowMaker
from vivavoce.omni.training.slips import add_slips

logger = logging.getLogger(__name__)

T = TypeVar("T")

DrawExamples = Callable[[int], Iterator[Example]]
"""An endless stream of examples from a seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchConfig:
    """How much the trunk sees at once."""

    rows: int = 48
    """Rows of one optimiser step, over all processes."""
    micro_positions: int = 8192
    """Positions passed at once; more only costs memory."""

    def __post_init__(self) -> None:
        if self.rows < 1 or self.micro_positions < 1:
            raise DataError(f"rows {self.rows} and micro_positions {self.micro_positions} must be at least 1")


class StepBatches(Dataset[list[StepBatch]]):
    """`self[step]` is that step's micro-batches. Examples that can't be laid out are passed over (`count_left_out`)."""

    def __init__(
        self, draw: DrawExamples, rows: RowMaker, config: BatchConfig, *, seed: int, rank: int = 0, world: int = 1
    ) -> None:
        self.draw, self.rows, self.config = draw, rows, config
        self.seed, self.rank, self.world = seed, rank, world
        if config.rows % world:
            raise DataError(f"rows is {config.rows} for {world} processes; need as many each")

    def __getitem__(self, step: int) -> list[StepBatch]:
        """Micro-batches of one step, shortest rows first.

        Raises: DataError if not one of the examples drawn can be laid out.
        """
        seed = step_generator(self.seed, step, "examples").initial_seed()
        generator = np.random.default_rng(seed)
        # each process makes its own share of the step's examples, and no other's
        mine = itertools.islice(self.draw(seed), self.rank, None, self.world)
        made = itertools.islice(self._rows_of(mine, generator), self.config.rows // self.world)
        return [collate(rows) for rows in _cut(sorted(made, key=len), self.config.micro_positions)]

    def count_left_out(self, num_examples: int = 200) -> Counter[str]:
        """How many of the first examples can't be laid out, by task: what is not rendered skews the mix silently."""
        generator = np.random.default_rng(self.seed)
        left_out: Counter[str] = Counter()
        for example in itertools.islice(self.draw(self.seed), num_examples):
            try:
                self.rows.make(example, generator)
            except (DataError, KeyError):
                left_out[example.task] += 1
        return left_out

    def _rows_of(self, examples: Iterable[Example], generator: np.random.Generator) -> Iterator[Steps]:
        failures, shape = 0, self.rows.writer.config
        for example in examples:
            try:
                row = self.rows.make(example, generator)
                yield add_slips(row, generator, num_text_ids=shape.num_text_ids, silent_code=shape.num_codes_per_book)
            except (DataError, KeyError) as error:
                failures += 1
                logger.debug("left out %s (%s): %s", example.example_id, example.task, error)
                if failures > 50 * self.config.rows:
                    raise DataError(f"{failures} examples in a row could not be laid out; the last: {error}") from error


def _cut(rows: list[Steps], micro_positions: int) -> Iterator[list[Steps]]:
    group: list[Steps] = []
    size = 0
    for row in rows:
        if group and size + len(row) > micro_positions:
            yield group
            group, size = [], 0
        group.append(row)
        size += len(row)
    if group:
        yield group


def load_batches(
    batches: Dataset[T], steps: range, *, num_workers: int = 1, device: torch.device | None = None
) -> Iterator[T]:
    """The batches of `steps` in order, made ahead by worker processes; for a GPU in memory that it can read by itself."""
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=list(steps),
        num_workers=num_workers,
        prefetch_factor=4 if num_workers else None,
        worker_init_fn=_quieten if num_workers else None,
        pin_memory=device is not None and device.type == "cuda",
    )
    return iter(loader)


def _quieten(worker: int) -> None:
    torch.set_num_threads(1)
    os.nice(2)
