"""What a cycle of the trunk takes and does not learn: recordings made ready, and the two tokenizers."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from vivavoce.errors import ConfigError
from vivavoce.omni.checkpoint import find_codec_folder, find_images_folder, load_checkpoint
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.codec.storage import load_codec
from vivavoce.omni.images.network import ImageTokenizer
from vivavoce.omni.training.ear import Ear
from vivavoce.omni.training.features import (
    PreparedSounds,
    align_recordings,
    digest_codes,
    digest_ear,
    prepare_alignments,
    prepare_codes,
    prepare_mishearings,
)
from vivavoce.omni.training.mishearing import BothPasses, EarAlone, Writer
from vivavoce.omni.training.places import is_held_out, prepare_user_mels
from vivavoce.omni.vocabulary import Vocabulary


@dataclass(frozen=True, slots=True)
class Sources:
    """Where they are; see `train_command.train`."""

    data: Path
    codec: Path
    images: Path
    vocabulary: Path | None
    ear: Path | None
    misheard_by: Path | None
    eye: Path | None
    real: tuple[Path, ...]


def prepare_sounds(sources: Sources, codec: Codec | None, vocabulary: Vocabulary, ear: Ear | None) -> PreparedSounds:
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


def find_codec(folder: Path) -> Codec | None:
    """The speech codec of a folder or checkpoint; None, with a warning, if it has none."""
    if (found := find_codec_folder(folder)) is not None:
        return load_codec(found)
    logging.warning("no codec in %s: learning everything but to speak", folder)
    return None


def find_pictures(images: Path) -> ImageTokenizer | None:
    """The image tokenizer of a folder or checkpoint; None, with a warning, if it has none."""
    if (found := find_images_folder(images)) is not None:
        return ImageTokenizer.load(found)
    logging.warning("no image tokenizer in %s: learning everything but to draw", images)
    return None
