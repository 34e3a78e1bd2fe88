"""`viva train second-pass`."""

from __future__ import annotations

import json
import logging
from itertools import islice
from pathlib import Path
from typing import Literal

import torch
from torch import distributed

from vivavoce.data.voices.shards import Shards
from vivavoce.errors import ConfigError
from vivavoce.files import digest_file
from vivavoce.omni.configuration import PRESETS
from vivavoce.omni.training.ear import Utterances
from vivavoce.omni.training.features import digest_weights, prepare_cuts
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
from vivavoce.omni.training.splicing import Splicer
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
    splice_share: float = 0.0,
    alone_share: float = 0.0,
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
        splice_share: of utterances that are words of one voice in an order that tells nothing, spliced where --again-from says that
            they begin.
        alone_share: of utterances in which it has to do without the stem.
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
        splice_share=splice_share,
        alone_share=alone_share,
    )
    if splice_share and again_from is None:
        raise ConfigError("splicing needs a second pass that knows where words begin; name one: --again-from")
    torch.manual_seed(seed)
    listener = Listener(shape, stem, alone_share=alone_share)
    if again_from is not None:
        load_weights(find_weights(again_from), {"listener": listener})
    with join_processes() as place:
        opened = Run.open(run, config, resume=resume) if place.rank == 0 else Run(run, {}, resumed=resume)
        if place.rank == 0:
            save_vocabulary(tokens, run)
        _train(opened, config, data, listener, tokens, place, workers)


def _train(
    run: Run,
    config: SecondPassTrainConfig,
    data: Path,
    listener: Listener,
    tokens: Vocabulary,
    place: Place,
    num_workers: int,
) -> None:
    seed, mels = config.loop.seed, prepare_user_mels(data)
    held_out = [Shards(folder) for folder in mels if is_held_out(folder)]
    learned = [folder for folder in mels if not is_held_out(folder)]
    listener.move_to(place.device)
    splicer = _make_splicer(data, learned, listener, tokens, place) if config.splice_share else None

    def write_sample(step: int, folder: Path) -> None:
        test = Utterances(held_out, tokens, _TEST_BATCH, seed=seed).take_clean(_TEST_BATCH)
        measured = {"token_error_rate": round(measure_second_pass(listener, islice(test, _TEST_BATCHES)), 4)}
        (folder / f"{step:06d}.json").write_text(json.dumps(measured) + "\n")
        logging.info("held out at %d: %s", step, measured)

    batches = Utterances(
        [Shards(folder) for folder in learned],
        tokens,
        config.utterances,
        seed=seed,
        rank=place.rank,
        world=place.world,
        quiet=QUIET,
        splicer=splicer,
        splice_share=config.splice_share,
    )
    sample = write_sample if held_out else None
    train_second_pass(listener, run, config, batches, num_workers=num_workers, write_sample=sample)
    if place.rank == 0:
        run.finish(steps=config.loop.steps)


def _make_splicer(data: Path, mels: list[Path], listener: Listener, tokens: Vocabulary, place: Place) -> Splicer:
    """Cuts of all recordings, made once; each process makes those of its own share of the folders."""
    cuts = [data / f"cuts-{digest_weights(listener, tokens.digest)}" / folder.name for folder in mels]
    for number, (heard, out) in enumerate(zip(mels, cuts)):
        if number % place.world == place.rank:
            for done, total in prepare_cuts(heard, out, listener, tokens):
                logging.debug("cuts of %s: part %d of %d", heard.name, done, total)
    if place.world > 1:
        distributed.barrier()
    return Splicer([Shards(folder) for folder in mels], [Shards(folder) for folder in cuts])
