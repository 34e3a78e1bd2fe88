"""Renderings as the trunk reads them: mels of the users, codes of the preset voice. Made once, kept in shards.

Spoiling a recording and taking its mel costs more than a training step has to spare, so each (text, voice) is kept in a
few takes: clean, and spoiled by different seeds. Steady noise and gain are added later, on the mel (`rows`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vivavoce.content import Audio
from vivavoce.data.example import Sound, Speech
from vivavoce.data.sounds import render_sound
from vivavoce.data.voices.augment import draw_spoiling, spoil
from vivavoce.data.voices.roster import resolve_voice
from vivavoce.data.voices.shards import Shards, has_part, write_part
from vivavoce.data.voices.trim import speech_bounds
from vivavoce.omni.codec.config import CODEC_MEL
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.configuration import MEL_FRAMES_PER_STEP
from vivavoce.omni.mel import log_mel
from vivavoce.omni.training.ear import Ear, align, place_on_clock, stack_mels
from vivavoce.omni.training.rows import Heard
from vivavoce.omni.vocabulary import Vocabulary

_PART_ITEMS = 500
_ALIGN_ITEMS = 50
_ONSET_S = 0.005
NUM_SPOILED = 2
"""Spoiled takes beside the clean one. chosen: enough that a voice is rarely met in one channel only."""


def prepare_mels(renderings: Path, out: Path, *, num_spoiled: int = NUM_SPOILED) -> Iterator[tuple[int, int]]:
    """Mels of all user renderings, each clean and spoiled; goes on where it stopped. Yields (parts done, parts in all).

    Noise is left out of the spoiling: it would start and end with the speech, which noise does not.
    """
    source = Shards(renderings)
    count = -(-len(source) // _PART_ITEMS)
    for part in range(count):
        if not has_part(out, part):
            numbers = range(part * _PART_ITEMS, min(len(source), (part + 1) * _PART_ITEMS))
            write_part(out, part, _mels_of(source, numbers, num_spoiled))
        yield part + 1, count


def _mels_of(source: Shards, numbers: Iterable[int], num_spoiled: int) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    for number in numbers:
        item = source[number]
        clean = Audio(item.array.astype(np.float32) / 32767, item.about["rate_hz"])
        about = {"text": item.about["text"], "voice": item.about["voice"]}
        for take in range(num_spoiled + 1):
            audio = clean
            if take:
                seed = number * 16 + take
                audio = spoil(clean, draw_spoiling(seed)._replace(noise_db=None), seed)
            yield log_mel(audio.samples, multiple=1).astype(np.float16), {**about, "take": take}


def prepare_codes(renderings: Path, out: Path, codec: Codec) -> Iterator[tuple[int, int]]:
    """Codes of all renderings of the preset voice; goes on where it stopped. Yields (parts done, parts in all)."""
    source = Shards(renderings)
    count = -(-len(source) // _PART_ITEMS)
    for part in range(count):
        if not has_part(out, part):
            numbers = range(part * _PART_ITEMS, min(len(source), (part + 1) * _PART_ITEMS))
            write_part(out, part, _codes_of(source, numbers, codec))
        yield part + 1, count


@torch.no_grad()
def _codes_of(source: Shards, numbers: Iterable[int], codec: Codec) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    for number in numbers:
        item = source[number]
        samples = item.array.astype(np.float32) / 32767
        # an answer is heard as soon as it begins: no quiet in front of the voice
        onset = speech_bounds(samples, item.about["rate_hz"], before_s=_ONSET_S).start
        mel = torch.from_numpy(log_mel(samples[onset:], CODEC_MEL))
        codes = codec.encode(mel[None])[0].numpy().astype(np.int16)
        about = {name: item.about.get(name) for name in ("text", "voice", "word_starts_s")}
        yield codes, about


@torch.no_grad()
def prepare_alignments(mels: Path, out: Path, ear: Ear, vocabulary: Vocabulary) -> Iterator[tuple[int, int]]:
    """When each token of every transcript was over; goes on where it stopped. Yields (parts done, parts in all)."""
    ear.eval()
    source = Shards(mels)
    count = -(-len(source) // _PART_ITEMS)
    for part in range(count):
        if not has_part(out, part):
            numbers = range(part * _PART_ITEMS, min(len(source), (part + 1) * _PART_ITEMS))
            write_part(out, part, _alignments_of(source, numbers, ear, vocabulary))
        yield part + 1, count


def _alignments_of(
    source: Shards, numbers: Iterable[int], ear: Ear, vocabulary: Vocabulary
) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    for start in range(0, len(numbers := list(numbers)), _ALIGN_ITEMS):
        items = [source[number] for number in numbers[start : start + _ALIGN_ITEMS]]
        tracks = [place_on_clock(item.array.astype(np.float32)) for item in items]
        for log_probs, track, item in zip(ear(stack_mels(tracks)).numpy(), tracks, items):
            ids = vocabulary.encode(item.about["text"])
            steps = align(log_probs[: len(track) // MEL_FRAMES_PER_STEP], ids)
            ends = np.empty(0, int) if steps is None else (steps + 1) * MEL_FRAMES_PER_STEP - 1
            yield ends.astype(np.int16), {name: item.about[name] for name in ("text", "voice", "take")}


def digest_codes(codec: Codec) -> str:
    """Digest of what decides the codes: the encoder and the cut. The decoder may go on training."""
    digest = hashlib.sha256(str(_ONSET_S).encode())
    for name, tensor in sorted(codec.encoder.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.float().numpy().tobytes())
    return digest.hexdigest()[:16]


def digest_ear(ear: Ear, vocabulary: Vocabulary) -> str:
    """Digest of what decides the alignments."""
    digest = hashlib.sha256(vocabulary.digest.encode())
    for name, tensor in sorted(ear.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.float().numpy().tobytes())
    return digest.hexdigest()[:16]


class PreparedSounds:
    """Mels and codes on disk, by text and voice. Satisfies `rows.Sounds`."""

    def __init__(self, mels: Iterable[Path] = (), codes: Iterable[Path] = (), alignments: Iterable[Path] = ()) -> None:
        self._mels, self._mel_place = _index(mels, ("text", "voice", "take"))
        self._ends, self._end_place = _index(alignments, ("text", "voice", "take"))
        self._codes, self._code_place = _index(codes, ("text",))

    def user_mel(self, what: Heard) -> np.ndarray:
        """Scaled log-mel [F, 80] float32. A spoiled speech takes one of the spoiled takes, by its seed.

        Raises: KeyError if the speech was not prepared.
        """
        if isinstance(what, Audio):
            return log_mel(what.samples, multiple=1)
        if isinstance(what, Sound):
            return _sound_mel(what)
        shard, number = self._mel_place[self._find_key(what)]
        return self._mels[shard][number].array.astype(np.float32)

    def token_ends(self, speech: Speech) -> np.ndarray | None:
        """Frame at which each token of the transcript was over, [tokens]; None where it was not aligned."""
        place = self._end_place.get(self._find_key(speech))
        return None if place is None else self._ends[place[0]][place[1]].array.astype(np.int64)

    def own_codes(self, speech: Speech) -> np.ndarray:
        """Codes [T, K] int64.

        Raises: KeyError if the speech was not prepared.
        """
        shard, number = self._code_place[(speech.text,)]
        return self._codes[shard][number].array.astype(np.int64)

    def own_word_starts(self, speech: Speech) -> np.ndarray | None:
        """Seconds from the start of the sound at which each word begins, [words]; None where the teacher did not say."""
        shard, number = self._code_place[(speech.text,)]
        starts = self._codes[shard].about(number).get("word_starts_s")
        return None if starts is None else np.asarray(starts, float)

    def _find_key(self, speech: Speech) -> tuple[str, str, int]:
        """Where fewer voices read each text than the curriculum asks for, the first of them serves for all."""
        key = _key_of(speech)
        if key not in self._mel_place and speech.voice.startswith("any-"):
            return _key_of(replace(speech, voice=f"{speech.voice.rpartition('-')[0]}-0"))
        return key


def _key_of(speech: Speech) -> tuple[str, str, int]:
    take = 0 if speech.seed is None else 1 + speech.seed % NUM_SPOILED
    return speech.text, resolve_voice(speech.voice, speech.text).name, take


@lru_cache(maxsize=4096)
def _sound_mel(sound: Sound) -> np.ndarray:
    return log_mel(render_sound(sound).samples, multiple=1)


def _index(folders: Iterable[Path], keys: tuple[str, ...]) -> tuple[list[Shards], dict[tuple, tuple[int, int]]]:
    shards = [Shards(folder) for folder in folders]
    place = {
        tuple(one.about(number)[key] for key in keys): (idx, number)
        for idx, one in enumerate(shards)
        for number in range(len(one))
    }
    return shards, place
