"""Renderings as the trunk reads them: mels of the users, codes of the preset voice. Made once, kept in shards.

Mels are of the clean recordings; room, line, gain and much of the voice are drawn on them anew each time (`noise`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from vivavoce.content import Audio
from vivavoce.data.example import MUMBLED_VOICE, Sound, Speech
from vivavoce.data.sounds import render_sound
from vivavoce.data.voices.roster import load_roster
from vivavoce.data.voices.shards import Item, Shards, has_part, write_part
from vivavoce.data.voices.trim import speech_bounds
from vivavoce.omni.codec.config import CODEC_MEL
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.configuration import MEL_FRAMES_PER_STEP
from vivavoce.omni.mel import log_mel
from vivavoce.omni.second_pass import FRAMES_PER_STEP, MEL_PER_FRAME
from vivavoce.omni.training.ear import Ear, align, collate_utterances, place_on_clock, stack_mels
from vivavoce.omni.training.mishearing import Writer, mishear
from vivavoce.omni.training.mumbling import mumble
from vivavoce.omni.training.rows import Heard, Misheard, find_said
from vivavoce.omni.training.second_pass import Listener
from vivavoce.omni.training.splicing import place_cuts
from vivavoce.omni.vocabulary import Vocabulary

_PART_ITEMS = 500
_ALIGN_ITEMS = 50
_ONSET_S = 0.005

Made = Iterator[tuple[np.ndarray, dict[str, Any]]]


def prepare_mels(renderings: Path, out: Path) -> Iterator[tuple[int, int]]:
    """Mels of all user renderings; goes on where it stopped. Yields (parts done, parts in all)."""
    return _prepare(Shards(renderings), out, _mels_of)


def _mels_of(items: Sequence[Item]) -> Made:
    for item in items:
        samples = item.array.astype(np.float32) / 32767
        yield log_mel(samples, multiple=1).astype(np.float16), {name: item.about[name] for name in ("text", "voice")}


def prepare_codes(renderings: Path, out: Path, codec: Codec) -> Iterator[tuple[int, int]]:
    """Codes of all renderings of the preset voice; goes on where it stopped. Yields (parts done, parts in all)."""
    return _prepare(Shards(renderings), out, partial(_codes_of, codec))


@torch.no_grad()
def _codes_of(codec: Codec, items: Sequence[Item]) -> Made:
    for item in items:
        samples = item.array.astype(np.float32) / 32767
        # an answer is heard as soon as it begins: no quiet in front of the voice
        onset = speech_bounds(samples, item.about["rate_hz"], before_s=_ONSET_S).start
        mel = torch.from_numpy(log_mel(samples[onset:], CODEC_MEL))
        codes = codec.encode(mel[None])[0].numpy().astype(np.int16)
        about = {name: item.about.get(name) for name in ("text", "voice", "word_starts_s")}
        yield codes, about


def prepare_alignments(mels: Path, out: Path, ear: Ear, vocabulary: Vocabulary) -> Iterator[tuple[int, int]]:
    """When each token of every transcript was over; goes on where it stopped. Yields (parts done, parts in all)."""
    ear.eval()
    return _prepare(Shards(mels), out, partial(_alignments_of, ear, vocabulary))


def _alignments_of(ear: Ear, vocabulary: Vocabulary, items: Sequence[Item]) -> Made:
    for start in range(0, len(items), _ALIGN_ITEMS):
        chosen = items[start : start + _ALIGN_ITEMS]
        found = align_recordings(
            ear, vocabulary, [item.array.astype(np.float32) for item in chosen], [item.about["text"] for item in chosen]
        )
        for ends, item in zip(found, chosen):
            kept = np.empty(0, np.int16) if ends is None else ends.astype(np.int16)
            yield kept, {name: item.about[name] for name in ("text", "voice")}


@torch.no_grad()
def align_recordings(
    ear: Ear, vocabulary: Vocabulary, mels: Sequence[np.ndarray], texts: Sequence[str]
) -> list[np.ndarray | None]:
    """Frame at which each token of each text was over in its recording [F, 80], [tokens]; None where it has too many for its length."""
    device = next(ear.parameters()).device
    tracks = [place_on_clock(mel) for mel in mels]
    lengths = [len(track) // MEL_FRAMES_PER_STEP for track in tracks]
    said = ear(stack_mels(tracks).to(device)).cpu().numpy()
    found = align(said, lengths, [vocabulary.encode(text) for text in texts])
    return [None if steps is None else (steps + 1) * MEL_FRAMES_PER_STEP - 1 for steps in found]


def prepare_mishearings(mels: Path, out: Path, writer: Writer) -> Iterator[tuple[int, int]]:
    """What `writer` makes of every recording, once, in another voice and in noise; goes on where it stopped. Yields (parts done, parts
    in all)."""
    return _prepare(Shards(mels), out, partial(_mishearings_of, writer))


def _mishearings_of(writer: Writer, items: Sequence[Item]) -> Made:
    for start in range(0, len(items), _ALIGN_ITEMS):
        chosen = items[start : start + _ALIGN_ITEMS]
        for found, item in zip(mishear(writer, chosen), chosen):
            if found is not None:
                yield np.stack(found, axis=1).astype(np.int16), {name: item.about[name] for name in ("text", "voice")}


def prepare_cuts(mels: Path, out: Path, listener: Listener, vocabulary: Vocabulary) -> Iterator[tuple[int, int]]:
    """Where words begin in every recording (`splicing.place_cuts`), by a second pass that hears well; goes on where it stopped. Yields
    (parts done, parts in all)."""
    listener.eval()
    return _prepare(Shards(mels), out, partial(_cuts_of, listener, vocabulary))


@torch.no_grad()
def _cuts_of(listener: Listener, vocabulary: Vocabulary, items: Sequence[Item]) -> Made:
    device = next(listener.parameters()).device
    for start in range(0, len(items), _ALIGN_ITEMS):
        chosen = items[start : start + _ALIGN_ITEMS]
        texts = [item.about["text"] for item in chosen]
        tracks = [place_on_clock(item.array.astype(np.float32)) for item in chosen]
        batch = collate_utterances(tracks, texts, vocabulary)
        said, lengths = listener(batch.to(device)).said.cpu().numpy(), (batch.lengths * FRAMES_PER_STEP).tolist()
        for frames, item in zip(align(said, lengths, [vocabulary.encode(text) for text in texts]), chosen):
            cuts = np.empty(0, int)
            if frames is not None:
                cuts = place_cuts(frames * MEL_PER_FRAME, vocabulary.count_by_word(item.about["text"]), item.array)
            yield cuts.astype(np.int16), {name: item.about[name] for name in ("text", "voice")}


def _prepare(source: Shards, out: Path, make: Callable[[Sequence[Item]], Made]) -> Iterator[tuple[int, int]]:
    count = -(-len(source) // _PART_ITEMS)
    for part in range(count):
        if not has_part(out, part):
            numbers = range(part * _PART_ITEMS, min(len(source), (part + 1) * _PART_ITEMS))
            write_part(out, part, make([source[number] for number in numbers]))
        yield part + 1, count


def digest_codes(codec: Codec) -> str:
    """Digest of what decides the codes: the encoder and the cut. The decoder may go on training."""
    return digest_weights(codec.encoder, str(_ONSET_S))


def digest_ear(ear: Ear, vocabulary: Vocabulary) -> str:
    """Digest of what decides the alignments."""
    return digest_weights(ear, vocabulary.digest)


def digest_weights(module: nn.Module, beside: str = "") -> str:
    """Digest of all tensors of a module, and of a text."""
    digest = hashlib.sha256(beside.encode())
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]


AlignOne = Callable[[np.ndarray, str], np.ndarray | None]
"""Mel [F, 80] and what is said in it to the frame at which each token was over."""


class PreparedSounds:
    """Mels and codes on disk, by text and voice; what is a recording itself is made ready when it is asked for, and aligned by
    `align_one`. Satisfies `rows.Sounds`."""

    def __init__(
        self,
        mels: Iterable[Path] = (),
        codes: Iterable[Path] = (),
        alignments: Iterable[Path] = (),
        mishearings: Iterable[Path] = (),
        align_one: AlignOne | None = None,
    ) -> None:
        self._align_one = align_one
        self._mels, self._mel_place = _index(mels, ("text", "voice"))
        self._ends, self._end_place = _index(alignments, ("text", "voice"))
        self._misheard, self._misheard_place = _index(mishearings, ("text", "voice"))
        self._codes, self._code_place = _index(codes, ("text",))
        self._voices: dict[tuple[str, str], list[str]] = {}
        for text, voice in self._mel_place:
            # imported recordings are nobody's of the roster, and the curriculum does not ask for them
            if voice in load_roster():
                self._voices.setdefault((load_roster()[voice].split, text), []).append(voice)

    def user_mel(self, what: Heard) -> np.ndarray:
        """Scaled log-mel [F, 80] float32 of the clean sound.

        Raises: KeyError if the speech was not prepared.
        """
        if isinstance(what, Audio):
            return log_mel(what.samples, multiple=1)
        if isinstance(what, Sound):
            return _sound_mel(what)
        if what.voice == MUMBLED_VOICE:
            return mumble(what.text)
        shard, number = self._mel_place[self._find_key(what)]
        return self._mels[shard][number].array.astype(np.float32)

    def token_ends(self, what: Heard) -> np.ndarray | None:
        """Frame at which each token of the transcript was over, [tokens]; None where it was not aligned."""
        if not isinstance(what, Speech):
            said = find_said(what)
            return self._align_one(self.user_mel(what), said) if said and self._align_one is not None else None
        place = self._end_place.get(self._find_key(what))
        return None if place is None else self._ends[place[0]][place[1]].array.astype(np.int64)

    def misheard(self, what: Heard) -> Misheard | None:
        """What was written of it in another voice and in noise; None where that is not known."""
        place = self._misheard_place.get(self._find_key(what)) if isinstance(what, Speech) else None
        if place is None:
            return None
        ids, ends = self._misheard[place[0]][place[1]].array.astype(np.int64).T
        return Misheard(ids, ends)

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

    def _find_key(self, speech: Speech) -> tuple[str, str]:
        """`any-<split>-<take>` is whichever voices of the split have read the text, in turn: the roster may have had other
        shares, or fewer takes, when they were rendered."""
        if not speech.voice.startswith("any-"):
            return speech.text, speech.voice
        _, split, take = speech.voice.split("-")
        voices = self._voices.get((split, speech.text), [""])
        return speech.text, voices[int(take) % len(voices)]


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
