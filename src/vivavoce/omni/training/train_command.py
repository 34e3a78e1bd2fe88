"""`viva train omni`."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
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
    WEIGHTS_NAME,
    find_codec_folder,
    find_images_folder,
    load_checkpoint,
    save_checkpoint,
)
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.codec.storage import load_codec
from vivavoce.omni.configuration import PRESETS, OmniConfig
from vivavoce.omni.images.network import ImageTokenizer
from vivavoce.omni.layout import RowWriter
from vivavoce.omni.losses import LossWeights
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.training.batches import BatchConfig, StepBatches
from vivavoce.omni.training.ear import Ear, EarBatch, Utterances
from vivavoce.omni.training.features import (
    PreparedSounds,
    align_recordings,
    digest_codes,
    digest_ear,
    prepare_alignments,
    prepare_codes,
    prepare_mishearings,
)
from vivavoce.omni.training.graft import graft
from vivavoce.omni.training.held_out import make_held_out, measure_held_out
from vivavoce.omni.training.loop import LoopConfig
from vivavoce.omni.training.mishearing import BothPasses, EarAlone, Writer
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
    load_language,
    load_namer,
    load_second_pass,
    load_trunk,
    prepare_user_mels,
    set_up,
)
from vivavoce.omni.training.rows import LATE_SHARE, MISHEARD_SHARE, MUFFLED_SHARE, RowMaker
from vivavoce.omni.vocabulary import Vocabulary, load_vocabulary
from vivavoce.run import Run

_CHECKED_EXAMPLES = 200
_FITTED_UTTERANCES = 64
_FITTED_STEPS = 24
"""Recordings that a stem is fitted on: some 50,000 clock steps for 321 numbers each. chosen."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where a cycle takes what it does not learn itself; see `train`."""

    data: Path
    codec: Path
    images: Path
    vocabulary: Path | None
    ear: Path | None
    misheard_by: Path | None
    eye: Path | None
    real: tuple[Path, ...]


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
        misheard_by="" if misheard_by is None else digest_file(misheard_by / WEIGHTS_NAME),
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
    speech, pictures = _find_codec(sources.codec), _find_pictures(sources.images)
    starts = [Path(config.start_from), Path(config.start_from) / "checkpoint"] if config.start_from else []
    vocabulary = find_vocabulary(run.path, [*starts, sources.ear], shape, sources.vocabulary)
    hearing = None if sources.ear is None else load_ear(sources.ear, shape, vocabulary)
    sounds = _prepare(sources, speech, vocabulary, hearing)
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


def _prepare(sources: Sources, codec: Codec | None, vocabulary: Vocabulary, ear: Ear | None) -> PreparedSounds:
    """Mels of data/user*; once there is an ear, when their words were over and what it, or a checkpoint, makes of them in noise; once
    there is a codec, codes of data/own*."""
    data = sources.data
    mels = prepare_user_mels(data)
    codes, alignments, mishearings = [], [], []
    if ear is not None:
        digest = digest_ear(ear, vocabulary)
        for heard in mels:
            alignments.append(data / f"alignments-{digest}" / heard.name)
            for done, total in prepare_alignments(heard, alignments[-1], ear, vocabulary):
                logging.debug("alignments of %s: part %d of %d", heard.name, done, total)
    if (found := _find_writer(vocabulary, ear, sources.misheard_by)) is not None:
        writer, digest = found
        for heard in (folder for folder in mels if not is_held_out(folder)):
            mishearings.append(data / f"mishearings-{digest}" / heard.name)
            for done, total in prepare_mishearings(heard, mishearings[-1], writer):
                logging.debug("mishearings of %s: part %d of %d", heard.name, done, total)
    if codec is not None:
        for folder in sorted(path for path in data.glob("own*") if list(path.glob("part-*.jsonl"))):
            codes.append(data / f"codes-{digest_codes(codec)}" / folder.name)
            for done, total in prepare_codes(folder, codes[-1], codec):
                logging.debug("codes of %s: part %d of %d", folder.name, done, total)
    align_one = None if ear is None else partial(_align_one, ear, vocabulary)
    return PreparedSounds(mels, codes, alignments, mishearings, align_one)


def _align_one(ear: Ear, vocabulary: Vocabulary, mel: np.ndarray, text: str) -> np.ndarray | None:
    return align_recordings(ear, vocabulary, [mel], [text])[0]


def _find_writer(vocabulary: Vocabulary, ear: Ear | None, misheard_by: Path | None) -> tuple[Writer, str] | None:
    """What mishears, and the digest of what decides how."""
    if misheard_by is not None:
        checkpoint = load_checkpoint(misheard_by)
        if checkpoint.vocabulary.digest != vocabulary.digest:
            raise ConfigError(f"{misheard_by} knows another vocabulary than the trunk; its mistakes can't be read")
        return BothPasses(checkpoint.model, vocabulary), checkpoint.weights_digest[:16]
    return None if ear is None else (EarAlone(ear), digest_ear(ear, vocabulary))


def _find_levels(images: Path) -> tuple[int, ...]:
    found = find_images_folder(images)
    return () if found is None else ImageTokenizer.load(found).config.levels


def _find_audio_levels(codec: Path) -> tuple[int, ...]:
    found = find_codec_folder(codec)
    return () if found is None else load_codec(found).config.levels


def _find_codec(folder: Path) -> Codec | None:
    if (found := find_codec_folder(folder)) is not None:
        return load_codec(found)
    logging.warning("no codec in %s: learning everything but to speak", folder)
    return None


def _find_pictures(images: Path) -> ImageTokenizer | None:
    if (found := find_images_folder(images)) is not None:
        return ImageTokenizer.load(found)
    logging.warning("no image tokenizer in %s: learning everything but to draw", images)
    return None


def _find_shape(run: Path) -> OmniConfig:
    """That of a run, or of a checkpoint."""
    if find_weights(run).name == WEIGHTS_NAME:
        return OmniConfig.from_pretrained(run)
    return PRESETS[json.loads((run / "config.json").read_text())["config"]["preset"]]()


def pack(
    *,
    run: Path,
    codec: Path,
    images: Path,
    second_pass: Path | None = None,
    language: Path | None = None,
    out: Path = Path("checkpoints/nano"),
    card: Path | None = None,
    speak_bias: float | None = None,
) -> None:
    """Write a checkpoint from the newest state of a run, finished or not, with the two tokenizers.

    Args:
        run: run directory of viva train omni; or a checkpoint, to give it another second pass or language model.
        codec: folder of the speech codec.
        images: folder of the image tokenizer.
        second_pass: run of `viva train second-pass`, taught over this run's stem; else what the run has.
        language: run of `viva train language`; else what the run has.
        out: folder to write.
        card: model card to put in as README.md.
        speak_bias: how much these weights have to be pushed to answer in time (recipes/serve_foresight.py), else what the checkpoint
            has, and 0 for a run; it can be changed in the checkpoint's config.json later.
    """
    model = load_trunk(run, _find_shape(run))
    shape = model.config
    vocabulary = load_vocabulary(run, num_text_ids=shape.num_text_ids, num_image_codes=shape.num_image_codes)
    if second_pass is not None:
        model.second_pass = load_second_pass(second_pass, shape, model.stem)
    if language is not None:
        load_language(language, model.scribe, vocabulary)
    if speak_bias is not None:
        model.config.speak_bias = speak_bias
    text = card.read_text() if card is not None else ""
    save_checkpoint(out, model, vocabulary, codec=_find_codec(codec), images=_find_pictures(images), card=text)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    print(f"{out}: {size / 1e6:.1f} MB from {find_weights(run).parent}")


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
