"""Speech as sound: looks up the clean rendering or makes it, then spoils it by the seed.

Clean renderings are kept in a folder of shards, keyed by text and voice, because a teacher takes far longer than the
spoiling: so a bounded cache serves training in which every epoch sounds different. `render_all` fills it in parallel.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vivavoce.content import Audio
from vivavoce.data.example import OWN_RATE_HZ, USER_RATE_HZ, Speech
from vivavoce.data.voices.augment import augment
from vivavoce.data.voices.networks import hibari_phonemes, hibari_word_starts
from vivavoce.data.voices.roster import Voice, resolve_voice
from vivavoce.data.voices.shards import Shards, has_part, write_part
from vivavoce.data.voices.speaking import speak
from vivavoce.errors import ConfigError, DataError
from vivavoce.files import digest_json, write_json

_PART_ITEMS = 200
Wanted = tuple[str, str]
"""Text and name of a voice."""


class Renderings:
    """Clean renderings on disk, by (text, voice). Without a folder, everything is rendered when asked for."""

    def __init__(self, folder: Path | str | None = None) -> None:
        self._shards: list[Shards] = []
        self._place: dict[Wanted, tuple[int, int]] = {}
        # a folder may hold parts, or folders of parts
        roots = [] if folder is None else sorted({path.parent for path in Path(folder).rglob("part-*.jsonl")})
        for root in roots:
            shards = Shards(root)
            for number in range(len(shards)):
                about = shards.about(number)
                self._place[about["text"], about["voice"]] = len(self._shards), number
            self._shards.append(shards)

    def __len__(self) -> int:
        return len(self._place)

    def find(self, text: str, voice: str) -> Audio | None:
        """The clean rendering, if it is there."""
        place = self._place.get((text, voice))
        if place is None:
            return None
        item = self._shards[place[0]][place[1]]
        return Audio(item.array.astype(np.float32) / 32767, item.about["rate_hz"], text)

    def render(self, speech: Speech) -> Audio:
        """The sound of `speech`, without silence at its ends: 16 kHz for users, 24 kHz for the preset voice.

        Raises: ConfigError for an unknown voice, DataError for an empty text, AssetError if a teacher is missing.
        """
        voice = resolve_voice(speech.voice, speech.text)
        clean = self.find(speech.text, voice.name) or speak(speech.text, voice, rate_of(voice))
        return clean if speech.seed is None else augment(clean, speech.seed)


def rate_of(voice: Voice) -> int:
    """24,000 for the preset voice, 16,000 for users' voices."""
    return OWN_RATE_HZ if voice.split == "preset" else USER_RATE_HZ


def render_all(speeches: Iterable[Speech], folder: Path, *, num_workers: int = 1) -> Iterator[tuple[int, int, float]]:
    """Fill `folder` with the clean renderings of all `speeches`, each (text, voice) once; goes on where it stopped.

    Yields (parts done, parts in all, seconds of sound in the part) as parts get done.
    Raises: ConfigError if the folder holds renderings of other speeches.
    """
    pairs = dict.fromkeys((speech.text, resolve_voice(speech.voice, speech.text).name) for speech in speeches)
    wanted = list(pairs)
    digest, plan_path = digest_json(wanted), folder / "plan.json"
    if plan_path.exists() and json.loads(plan_path.read_text())["digest"] != digest:
        raise ConfigError(f"{folder} holds renderings of other texts or voices; name another folder")
    write_json(plan_path, {"digest": digest, "count": len(wanted)})
    parts = [
        (folder, part, wanted[start : start + _PART_ITEMS])
        for part, start in enumerate(range(0, len(wanted), _PART_ITEMS))
    ]
    todo = [part for part in parts if not has_part(folder, part[1])]
    done = len(parts) - len(todo)
    if num_workers == 1:
        for part in todo:
            seconds, done = _render_part(part), done + 1
            yield done, len(parts), seconds
        return
    with multiprocessing.get_context("spawn").Pool(num_workers) as pool:
        for seconds in pool.imap_unordered(_render_part, todo):
            done += 1
            yield done, len(parts), seconds


def _render_part(job: tuple[Path, int, Sequence[Wanted]]) -> float:
    folder, number, wanted = job
    items = list(_render_items(wanted))
    write_part(folder, number, items)
    return sum(len(samples) / about["rate_hz"] for samples, about in items)


def _render_items(wanted: Sequence[Wanted]) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
    for text, name in wanted:
        voice = resolve_voice(name, text)
        audio = speak(text, voice, rate_of(voice))
        if not len(audio.samples):
            raise DataError(f"voice {name} says nothing for {text!r}; write it in words")
        about = {"text": text, "voice": name, "rate_hz": audio.rate_hz}
        if voice.engine == "hibari" and voice.split == "preset":
            # the codec's training hears from the teacher which phones it said
            about["phonemes"] = hibari_phonemes(text)
            # and the trunk's, when each word begins
            about["word_starts_s"] = hibari_word_starts(text)
        yield np.round(audio.samples * 32767).astype(np.int16), about
