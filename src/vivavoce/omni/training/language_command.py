"""`viva train language`."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Literal

import torch

from vivavoce.data.voices.shards import Shards
from vivavoce.files import digest_file
from vivavoce.omni.configuration import PRESETS
from vivavoce.omni.training.language import (
    LanguageTrainConfig,
    Texts,
    list_held_out,
    measure_language,
    train_language,
)
from vivavoce.omni.training.loop import LoopConfig
from vivavoce.omni.training.places import digest_data, find_weights, is_held_out, set_up, start_ear
from vivavoce.omni.vocabulary import load_vocabulary, save_vocabulary
from vivavoce.run import Run


def train(
    *,
    start_from: Path,
    preset: Literal["nano", "small", "tiny"] = "nano",
    data: Path = Path("runs/data"),
    run: Path = Path("runs/language"),
    steps: int = 4000,
    texts: int = 96,
    rate: float = 2e-3,
    seed: int = 0,
    threads: int = 0,
    resume: bool = False,
) -> None:
    """Teach the scribe's language model on texts alone: all that training asks, in all the wordings that are typed.

    Reads the transcripts of data/user* besides, where there are any, but those of folders that end in -test. Measured on the test
    split's questions.

    Args:
        start_from: run or checkpoint whose tokenizer and scribe it goes on from.
        preset: size of the network that it is for.
        data: folder of renderings.
        run: run directory.
        steps: optimiser steps.
        texts: texts of one optimiser step.
        rate: peak learning rate.
        seed: of the order.
        threads: CPU threads; 0 leaves PyTorch's choice.
        resume: go on with a run that was stopped.
    """
    set_up(threads)
    shape = PRESETS[preset]()
    tokens = load_vocabulary(start_from, num_text_ids=shape.num_text_ids, num_image_codes=shape.num_image_codes)
    scribe = start_ear(start_from, shape, tokens).scribe
    config = LanguageTrainConfig(
        preset=preset,
        start_from=digest_file(find_weights(start_from)),
        data=digest_data(data),
        loop=LoopConfig(
            steps=steps, warmup_steps=100, decay_share=0.6, save_every_steps=500, sample_every_steps=500, seed=seed
        ),
        texts=texts,
        rate=rate,
    )
    torch.manual_seed(seed)
    opened = Run.open(run, config, resume=resume)
    save_vocabulary(tokens, run)
    held_out = list_held_out(tokens)

    def write_sample(step: int, folder: Path) -> None:
        measured = {"expected_nats": round(measure_language(scribe, held_out), 4)}
        (folder / f"{step:06d}.json").write_text(json.dumps(measured) + "\n")
        logging.info("held out at %d: %s", step, measured)

    write_sample(0, run / "samples")
    train_language(
        scribe, opened, config, Texts(_list_recorded(data), tokens, texts, seed=seed), write_sample=write_sample
    )
    opened.finish(steps=steps)


def _list_recorded(data: Path) -> list[str]:
    """Transcripts of data/user*, each once."""
    folders = sorted(path for path in data.glob("user*") if list(path.glob("part-*.jsonl")) and not is_held_out(path))
    texts = {
        shards.about(idx)["text"]: None
        for folder in folders
        for shards in [Shards(folder)]
        for idx in range(len(shards))
    }
    return list(texts)
