"""Trains the tiny trunk for a few steps, alone or under torchrun: `python -m tests.omni.training.sharded_run RUN OPTIMIZER`."""

import sys
from pathlib import Path

import torch
from torch.utils.data import Dataset

from tests.omni.rows import make_row
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.step_batch import StepBatch, collate
from vivavoce.omni.training.loop import LoopConfig
from vivavoce.omni.training.omni import OmniTrainConfig, train_omni
from vivavoce.omni.training.parallel import join_processes
from vivavoce.run import Run


class RandomBatches(Dataset[list[StepBatch]]):
    """Four random rows a step, the same for any number of processes."""

    def __init__(self, rank: int = 0, world: int = 1) -> None:
        self.rank, self.world = rank, world

    def __getitem__(self, step: int) -> list[StepBatch]:
        config = make_tiny()
        rows = [make_row(config, 100 * step + idx) for idx in range(4)]
        return [collate([row]) for row in rows[self.rank :: self.world]]


def make_config(steps: int, optimizer: str) -> OmniTrainConfig:
    loop = LoopConfig(steps=steps, warmup_steps=2, save_every_steps=2, log_every_steps=1, sample_every_steps=0)
    return OmniTrainConfig(preset="tiny", loop=loop, optimizer=optimizer, is_bf16=False)


def train(
    folder: Path, config: OmniTrainConfig, *, rank: int = 0, world: int = 1, stop_after: int | None = None
) -> None:
    """Train in `folder`; `stop_after` kills the run before that step, as a power cut would."""
    torch.manual_seed(0)
    model = OmniForConversation(make_tiny())
    batches = RandomBatches(rank, world)
    if stop_after is not None:
        batches = CutBatches(stop_after)
    if rank == 0:
        run = Run.open(folder, config, resume=True)
    else:
        run = Run(folder, {}, resumed=False)
    train_omni(model, run, config, batches, num_workers=0)  # type: ignore[arg-type]


class CutBatches(RandomBatches):
    def __init__(self, stop_after: int) -> None:
        super().__init__()
        self.stop_after = stop_after

    def __getitem__(self, step: int) -> list[StepBatch]:
        if step >= self.stop_after:
            raise KeyboardInterrupt
        return super().__getitem__(step)


if __name__ == "__main__":
    torch.set_num_threads(1)
    with join_processes() as place:
        train(Path(sys.argv[1]), make_config(4, sys.argv[2]), rank=place.rank, world=place.world)
