"""`viva train ear`."""

from __future__ import annotations

import json
import logging
from itertools import islice
from pathlib import Path
from typing import Literal

import torch
from torch import nn

from vivavoce.data.voices.shards import Shards
from vivavoce.files import digest_file
from vivavoce.omni.configuration import PRESETS
from vivavoce.omni.training.ear import Ear, EarTrainConfig, Utterances, measure_ear, train_ear
from vivavoce.omni.training.parallel import Place, join_processes
from vivavoce.omni.training.places import (
    check_renderings,
    digest_data,
    find_vocabulary,
    find_weights,
    holds_ear,
    is_held_out,
    make_sense_loop,
    prepare_user_mels,
    set_up,
    start_ear,
)
from vivavoce.run import Run

_TEST_BATCH = 50
_TEST_BATCHES = 4


def train(
    *,
    preset: Literal["nano", "small", "tiny"] = "nano",
    data: Path = Path("runs/data"),
    run: Path = Path("runs/ear"),
    start_from: Path | None = None,
    vocabulary: Path | None = None,
    stem: Literal["trained", "held"] = "trained",
    steps: int = 1500,
    utterances: int = 64,
    rate: float = 2e-3,
    seed: int = 0,
    threads: int = 0,
    workers: int = 1,
    resume: bool = False,
) -> None:
    """Teach the ear to write down what it hears, before the trunk: `viva train omni --ear RUN` starts from it. Under torchrun, in
    several processes.

    Learns from the recordings in data/user* but those whose folder ends in -test, on which it is measured.

    Args:
        preset: size of the network that it is for.
        data: folder of renderings.
        run: run directory.
        start_from: run or checkpoint whose tokenizer, stem and scribe it goes on from; else all is new.
        vocabulary: folder of the text tokenizer (`viva train text`); without one, that of start_from, or a new one.
        stem: held, where a trunk hears with it already: only the scribe learns.
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
    loop = make_sense_loop(steps, seed)
    config = EarTrainConfig(
        preset=preset,
        start_from="" if start_from is None else digest_file(find_weights(start_from)),
        data=digest_data(data),
        loop=loop,
        utterances=utterances,
        rate=rate,
        is_stem_held=stem == "held",
        is_spelling_apart=start_from is not None and not holds_ear(start_from),
    )
    with join_processes() as place:
        opened = Run.open(run, config, resume=resume) if place.rank == 0 else Run(run, {}, resumed=resume)
        _train(opened, config, data, start_from, vocabulary, place, workers)


def _train(
    run: Run,
    config: EarTrainConfig,
    data: Path,
    start_from: Path | None,
    vocabulary: Path | None,
    place: Place,
    num_workers: int,
) -> None:
    shape, seed = PRESETS[config.preset](), config.loop.seed
    tokens = find_vocabulary(run.path, [start_from], shape, vocabulary)
    mels = prepare_user_mels(data)
    held_out = [Shards(folder) for folder in mels if is_held_out(folder)]
    learned = [Shards(folder) for folder in mels if not is_held_out(folder)]
    torch.manual_seed(seed)
    ear = Ear(shape) if start_from is None else start_ear(start_from, shape, tokens)
    nn.Module.to(ear, place.device)

    def write_sample(step: int, folder: Path) -> None:
        test = Utterances(held_out, tokens, _TEST_BATCH, seed=seed).take_clean(_TEST_BATCH)
        measured = {"token_error_rate": round(measure_ear(ear, islice(test, _TEST_BATCHES)), 4)}
        (folder / f"{step:06d}.json").write_text(json.dumps(measured) + "\n")
        logging.info("held out at %d: %s", step, measured)

    batches = Utterances(learned, tokens, config.utterances, seed=seed, rank=place.rank, world=place.world)
    train_ear(ear, run, config, batches, num_workers=num_workers, write_sample=write_sample if held_out else None)
    if place.rank == 0:
        run.finish(steps=config.loop.steps)
