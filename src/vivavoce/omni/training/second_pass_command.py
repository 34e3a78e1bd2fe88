"""`viva train second-pass`."""

from __future__ import annotations

import json
import logging
from itertools import islice
from pathlib import Path
from typing import Literal

import torch

from vivavoce.data.voices.shards import Shards
from vivavoce.files import digest_file
from vivavoce.omni.configuration import PRESETS
from vivavoce.omni.training.ear import Utterances
from vivavoce.omni.training.features import digest_weights
from vivavoce.omni.training.loop import LoopConfig, load_weights
from vivavoce.omni.training.parallel import Place, join_processes
from vivavoce.omni.training.places import (
    check_renderings,
    digest_data,
    find_weights,
    is_held_out,
    prepare_user_mels,
    set_up,
    start_ear,
)
from vivavoce.omni.training.second_pass import (
    QUIET,
    Listener,
    SecondPassTrainConfig,
    measure_second_pass,
    train_second_pass,
)
from vivavoce.omni.vocabulary import Vocabulary, load_vocabulary, save_vocabulary
from vivavoce.run import Run

_TEST_BATCH = 50
_TEST_BATCHES = 4


def train(
    *,
    start_from: Path,
    preset: Literal["nano", "small", "tiny"] = "nano",
    data: Path = Path("runs/data"),
    run: Path = Path("runs/second-pass"),
    again_from: Path | None = None,
    steps: int = 4000,
    utterances: int = 64,
    rate: float = 2e-3,
    seed: int = 0,
    threads: int = 0,
    workers: int = 1,
    resume: bool = False,
) -> None:
    """Teach the second pass to write down whole utterances, over an ear that stays as it is. Under torchrun, in several processes.

    Learns from the recordings in data/user* but those whose folder ends in -test, on which it is measured.

    Args:
        start_from: run or checkpoint whose tokenizer and stem it hears through.
        preset: size of the network that it is for.
        data: folder of renderings.
        run: run directory.
        again_from: run of this command whose weights it goes on from; else they are new.
        steps: optimiser steps.
        utterances: recordings of one step, over all processes.
        rate: peak learning rate.
        seed: of weights, order and noise.
        threads: CPU threads; 0 leaves PyTorch's choice.
        workers: processes that make batches.
        resume: go on with a run that was stopped.
    """
    set_up(threads)
    check_renderings(data)
    shape = PRESETS[preset]()
    tokens = load_vocabulary(start_from, num_text_ids=shape.num_text_ids, num_image_codes=shape.num_image_codes)
    stem = start_ear(start_from, shape, tokens).stem
    config = SecondPassTrainConfig(
        preset=preset,
        stem=digest_weights(stem),
        again_from="" if again_from is None else digest_file(find_weights(again_from)),
        data=digest_data(data),
        loop=LoopConfig(
            steps=steps, warmup_steps=100, decay_share=0.6, save_every_steps=250, sample_every_steps=250, seed=seed
        ),
        utterances=utterances,
        rate=rate,
    )
    torch.manual_seed(seed)
    listener = Listener(shape, stem)
    if again_from is not None:
        load_weights(find_weights(again_from), {"listener": listener})
    with join_processes() as place:
        opened = Run.open(run, config, resume=resume) if place.rank == 0 else Run(run, {}, resumed=resume)
        if place.rank == 0:
            save_vocabulary(tokens, run)
        _train(opened, config, prepare_user_mels(data), listener, tokens, place, workers)


def _train(
    run: Run,
    config: SecondPassTrainConfig,
    mels: list[Path],
    listener: Listener,
    tokens: Vocabulary,
    place: Place,
    num_workers: int,
) -> None:
    seed = config.loop.seed
    held_out = [Shards(folder) for folder in mels if is_held_out(folder)]
    learned = [Shards(folder) for folder in mels if not is_held_out(folder)]
    listener.move_to(place.device)

    def write_sample(step: int, folder: Path) -> None:
        test = Utterances(held_out, tokens, _TEST_BATCH, seed=seed).take_clean(_TEST_BATCH)
        measured = {"token_error_rate": round(measure_second_pass(listener, islice(test, _TEST_BATCHES)), 4)}
        (folder / f"{step:06d}.json").write_text(json.dumps(measured) + "\n")
        logging.info("held out at %d: %s", step, measured)

    batches = Utterances(
        learned,
        tokens,
        config.utterances,
        seed=seed,
        rank=place.rank,
        world=place.world,
        quiet=QUIET,
    )
    sample = write_sample if held_out else None
    train_second_pass(listener, run, config, batches, num_workers=num_workers, write_sample=sample)
    if place.rank == 0:
        run.finish(steps=config.loop.steps)
