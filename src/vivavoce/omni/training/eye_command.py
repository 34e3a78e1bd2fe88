"""`viva train eye`."""

from __future__ import annotations

import json
import logging
from functools import partial
from pathlib import Path
from typing import Literal

import torch

from vivavoce.data.captions import make_captioned
from vivavoce.files import digest_file
from vivavoce.omni.configuration import PRESETS
from vivavoce.omni.training.eye import Captioned, EyeTrainConfig, Namer, measure_eye, train_eye
from vivavoce.omni.training.places import (
    find_vocabulary,
    find_weights,
    load_namer,
    load_trunk,
    make_sense_loop,
    set_up,
)
from vivavoce.run import Run

_TEST_PICTURES = 300


def train(
    *,
    preset: Literal["nano", "small", "tiny"] = "nano",
    run: Path = Path("runs/eye"),
    vocabulary: Path | None = None,
    start_from: Path | None = None,
    words_of: Path | None = None,
    steps: int = 1500,
    pictures: int = 64,
    rate: float = 1e-3,
    seed: int = 0,
    threads: int = 0,
    workers: int = 1,
    resume: bool = False,
) -> None:
    """Teach the eye to name what it sees, before the trunk: `viva train omni --eye RUN` starts from it.

    Learns from pictures drawn as it goes; measured on held-out things, colours and styles.

    Args:
        preset: size of the network that it is for.
        run: run directory.
        vocabulary: run or checkpoint whose tokenizer to write with; else one is learned from the curriculum.
        start_from: run of this command to begin another learning-rate cycle from; give another seed.
        words_of: run of `viva train omni` in whose word vectors to name, so that it can read names off what it sees.
        steps: optimiser steps.
        pictures: pictures of one step.
        rate: peak learning rate.
        seed: of weights and pictures.
        threads: CPU threads; 0 leaves PyTorch's choice.
        workers: processes that draw.
        resume: go on with a run that was stopped.
    """
    set_up(threads)
    loop = make_sense_loop(steps, seed)
    before = "" if start_from is None else digest_file(find_weights(start_from))
    spoken = "" if words_of is None else digest_file(find_weights(words_of))
    config = EyeTrainConfig(preset=preset, start_from=before, words_of=spoken, loop=loop, pictures=pictures, rate=rate)
    opened = Run.open(run, config, resume=resume)
    shape = PRESETS[preset]()
    words = find_vocabulary(run, [words_of, start_from], shape, vocabulary)
    torch.manual_seed(seed)
    namer = Namer(shape) if start_from is None else load_namer(start_from, shape)
    if words_of is not None:
        namer.speak_as(load_trunk(words_of, shape).model.embed_tokens.weight)
    test = Captioned(partial(make_captioned, "test"), words, _TEST_PICTURES, seed=seed)[0]

    def write_sample(step: int, folder: Path) -> None:
        measured = {name: round(value, 4) for name, value in measure_eye(namer, test).items()}
        (folder / f"{step:06d}.json").write_text(json.dumps(measured) + "\n")
        logging.info("held out at %d: %s", step, measured)

    batches = Captioned(partial(make_captioned, "train"), words, pictures, seed=seed)
    train_eye(namer, opened, config, batches, num_workers=workers, write_sample=write_sample)
    opened.finish(steps=steps)
