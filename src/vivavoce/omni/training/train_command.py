"""`viva train omni`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from vivavoce.data.curriculum import DEFAULT_MIX, GROUPS, iterate_examples
from vivavoce.data.example import Example
from vivavoce.data.loaders.real import RealData
from vivavoce.data.voices.shards import Shards
from vivavoce.errors import ConfigError
from vivavoce.files import digest_file
from vivavoce.omni.checkpoint import (
    find_codec_folder,
    find_images_folder,
    save_checkpoint,
)
from vivavoce.omni.codec.storage import load_codec
from vivavoce.omni.configuration import PRESETS
from vivavoce.omni.images.network import ImageTokenizer
from vivavoce.omni.layout import RowWriter
from vivavoce.omni.losses import LossWeights
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.training.batches import BatchConfig, StepBatches
from vivavoce.omni.training.ear import EarBatch, Utterances
from vivavoce.omni.training.graft import graft
from vivavoce.omni.training.held_out import make_held_out, measure_held_out
from vivavoce.omni.training.loop import LoopConfig
from vivavoce.omni.training.omni import OmniTrainConfig, train_omni
from vivavoce.omni.training.parallel import Place, join_processes
from vivavoce.omni.training.pictures import PictureCodes
from vivavoce.omni.training.places import (
    check_renderings,
    digest_data,
    find_vocabulary,
    find_weights,
    is_held_out,
    load_ear,
    load_namer,
    load_trunk,
    prepare_user_mels,
    set_up,
)
from vivavoce.omni.training.rows import LATE_SHARE, MISHEARD_SHARE, MUFFLED_SHARE, RowMaker
from vivavoce.omni.training.sources import Sources, find_codec, find_pictures, prepare_sounds
from vivavoce.omni.vocabulary import Vocabulary
from vivavoce.run import Run

_CHECKED_EXAMPLES = 200
_FITTED_UTTERANCES = 64
_FITTED_STEPS = 24
"""Recordings that a stem is fitted on: some 50,000 clock steps for 321 numbers each. chosen."""


def train(
    *,
    preset: Literal["nano", "small", "tiny"] = "nano",
    data: Path = Path("runs/data"),
    codec: Path = Path("checkpoints/nano"),
    images: Path = Path("checkpoints/nano"),
    run: Path = Path("runs/omni"),
    start_from: Path | None = None,
    vocabulary: Path | None = None,
    ear: Path | None = None,
    stem: Literal["ear", "fitted", "kept"] = "ear",
    misheard_by: Path | None = None,
    eye: Path | None = None,
    steps: int = 4000,
    rows: int = 48,
    decay_share: float = 0.4,
    optimizer: Literal["muon", "adamw"] = "muon",
    rate: float = 3e-3,
    sense_rate: float = 2e-4,
    mix: str = "all",
    real: tuple[Path, ...] = (),
    real_share: float = 0.2,
    seed: int = 0,
    threads: int = 0,
    workers: int = 1,
    micro_positions: int = 8192,
    save_every: int = 100,
    resume: bool = False,
) -> None:
    """Train the trunk on the small world; under torchrun, in several processes.

    `data` holds renderings (`viva data render data/user`, `... data/own --texts own`, and both with `--split test` in
    data/user-test, data/own-test). Mels and codes are made from them once.

    Args:
        preset: size of the network.
        data: folder of renderings; mels and codes are kept beside them.
        codec: folder of the speech codec, or a checkpoint's. Without one, the model learns everything but to speak.
        images: folder of the image tokenizer, or a checkpoint's. Without one, everything but to draw.
        run: run directory.
        start_from: a checkpoint or run whose weights start this learning-rate cycle.
        vocabulary: folder of the text tokenizer (`viva train text`); without one, that of start_from or of the ear, or a new one.
        ear: run of `viva train ear` that says when each word was over, and whose stem the trunk may start from.
        stem: the ear's, with its scribe; the same, so fitted that the trunk reads what it read with that of --start-from; or the
            latter's, kept.
        misheard_by: a checkpoint with a second pass, whose mistakes stand in some transcripts; without one, the ear's stand there.
        eye: run of `viva train eye` whose eye the trunk starts from.
        steps: optimiser steps of the cycle.
        rows: rows of one step.
        decay_share: last part of the steps, over which the learning rate falls.
        optimizer: under torchrun, muon keeps the whole network in each process, adamw shards it.
        rate: peak learning rate of matrices; tables learn a third faster.
        sense_rate: peak learning rate of stem and eye; 0 leaves them as they were taught, and is a quarter quicker.
        mix: `all`, or groups of the curriculum with weights: `live=2,writing=1`.
        real: your own data in place of some of the examples: folders of recordings with transcripts, .parquet of captioned pictures, .jsonl
            of conversations (`viva data check` finds their faults).
        real_share: of examples that are of `real`.
        seed: of weights, examples and noise; a cycle with the seed of the last one sees its examples again.
        threads: CPU threads; 0 leaves PyTorch's choice.
        workers: processes that make batches.
        micro_positions: positions passed at once, as many as memory holds; a GPU is idle below some tens of thousands.
        save_every: steps from one saved state to the next; held-out rows are looked at every other time.
        resume: go on with a run that was stopped.
    """
    set_up(threads)
    # what can be refused is refused before a run directory is made
    check_renderings(data)
    read_mix(mix)
    own = RealData(real) if real else None
    config = OmniTrainConfig(
        preset=preset,
        start_from="" if start_from is None else str(start_from),
        ear="" if ear is None else digest_file(find_weights(ear)),
        stem=stem,
        misheard_by="" if misheard_by is None else digest_file(find_weights(misheard_by)),
        eye="" if eye is None else digest_file(find_weights(eye)),
        data=digest_data(data, codec, images),
        mix=mix,
        real="" if own is None else own.digest,
        real_share=0.0 if own is None else real_share,
        loop=LoopConfig(
            steps=steps,
            warmup_steps=100 if start_from is None else 30,
            decay_share=decay_share,
            save_every_steps=save_every,
            sample_every_steps=2 * save_every,
            seed=seed,
        ),
        batch=BatchConfig(rows=rows, micro_positions=micro_positions),
        losses=LossWeights(image_levels=_find_levels(images), audio_levels=_find_audio_levels(codec)),
        optimizer=optimizer,
        rate=rate,
        table_rate=rate * 4 / 3,
        sense_rate=sense_rate,
    )
    with join_processes() as place:
        opened = Run.open(run, config, resume=resume) if place.rank == 0 else Run(run, {}, resumed=resume)
        _train(opened, config, Sources(data, codec, images, vocabulary, ear, misheard_by, eye, real), place, workers)


def _train(run: Run, config: OmniTrainConfig, sources: Sources, place: Place, num_workers: int) -> None:
    shape = PRESETS[config.preset]()
    speech, pictures = find_codec(sources.codec), find_pictures(sources.images)
    starts = [Path(config.start_from), Path(config.start_from) / "checkpoint"] if config.start_from else []
    vocabulary = find_vocabulary(run.path, [*starts, sources.ear], shape, sources.vocabulary)
    hearing = None if sources.ear is None else load_ear(sources.ear, shape, vocabulary)
    sounds = prepare_sounds(sources, speech, vocabulary, hearing)
    maker = RowMaker(RowWriter(vocabulary, shape), sounds, PictureCodes(pictures))
    mix = read_mix(config.mix)
    torch.manual_seed(config.loop.seed)
    model = load_trunk(Path(config.start_from), shape) if config.start_from else OmniForConversation(shape)
    if hearing is not None and config.stem == "fitted":
        explained = graft(model, hearing.stem, _sample_recordings(sources.data, vocabulary, config.loop.seed))
        logging.info("the trunk reads of the ear's stem what it read of its own: %.3f of its variance", explained)
    if hearing is not None and config.stem != "kept":
        model.stem.load_state_dict(hearing.stem.state_dict())
        model.scribe.load_state_dict(hearing.scribe.state_dict())
    if sources.eye is not None:
        model.eye.load_state_dict(load_namer(sources.eye, shape).eye.state_dict())
    torch.nn.Module.to(model, place.device)

    own = RealData(sources.real) if sources.real else None

    def draw(seed: int) -> Iterator[Example]:
        examples = iterate_examples("train", seed, mix)
        return examples if own is None else own.mix_into(examples, config.real_share, np.random.default_rng((seed, 71)))

    learned = replace(maker, late_share=LATE_SHARE, muffled_share=MUFFLED_SHARE, misheard_share=MISHEARD_SHARE)
    batches = StepBatches(draw, learned, config.batch, seed=config.loop.seed, rank=place.rank, world=place.world)
    if left_out := batches.count_left_out(_CHECKED_EXAMPLES):
        shown = ", ".join(f"{task} {count}" for task, count in left_out.most_common(8))
        logging.warning("of %d examples %d can't be learned from: %s", _CHECKED_EXAMPLES, left_out.total(), shown)
    held_out = make_held_out(maker, iterate_examples("test", 7, mix), 96) if place.world == 1 else []

    def write_sample(step: int, folder: Path) -> None:
        measured = {name: round(value, 4) for name, value in measure_held_out(model, held_out).items()}
        (folder / f"{step:06d}.json").write_text(json.dumps(measured, indent=2) + "\n")
        logging.info(
            "held out at %d: %s", step, " ".join(f"{k.removeprefix('test/')} {v}" for k, v in measured.items())
        )

    train_omni(model, run, config, batches, num_workers=num_workers, write_sample=write_sample if held_out else None)
    if place.rank == 0 and place.world == 1:
        save_checkpoint(run.path / "checkpoint", model, vocabulary, codec=speech, images=pictures)
        run.finish(steps=config.loop.steps)
        logging.info("checkpoint written to %s", run.path / "checkpoint")


def _sample_recordings(data: Path, vocabulary: Vocabulary, seed: int) -> Iterator[EarBatch]:
    learned = [Shards(folder) for folder in prepare_user_mels(data) if not is_held_out(folder)]
    utterances = Utterances(learned, vocabulary, _FITTED_UTTERANCES, seed=seed)
    return (utterances[step] for step in range(_FITTED_STEPS))


def _find_levels(images: Path) -> tuple[int, ...]:
    found = find_images_folder(images)
    return () if found is None else ImageTokenizer.load(found).config.levels


def _find_audio_levels(codec: Path) -> tuple[int, ...]:
    found = find_codec_folder(codec)
    return () if found is None else load_codec(found).config.levels


def read_mix(text: str) -> dict[str, float]:
    """A mix as it is written on the command line: `all`, or GROUP=WEIGHT,...

    Raises: ConfigError for anything else, and for a group that does not exist.
    """
    if text == "all":
        return DEFAULT_MIX
    try:
        chosen = {name.strip(): float(weight) for name, weight in (item.split("=") for item in text.split(","))}
    except ValueError as error:
        raise ConfigError(f"mix is {text!r}; write `all` or GROUP=WEIGHT,...; groups: {', '.join(GROUPS)}") from error
    if unknown := sorted(set(chosen) - set(GROUPS)):
        raise ConfigError(f"mix names {', '.join(unknown)}; groups: {', '.join(GROUPS)}")
    return chosen
