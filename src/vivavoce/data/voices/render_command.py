"""`viva data render`: read texts aloud in bulk, into a folder of clean renderings."""

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vivavoce.data.example import PRESET_VOICE, Speech, Split, any_voice
from vivavoce.data.voices.rendering import render_all
from vivavoce.data.voices.sentences import reading_texts
from vivavoce.errors import ConfigError


def render(
    out: Path,
    texts: Annotated[
        Literal["user", "own", "typed", "sentences"] | Path, tyro.conf.arg(metavar="user|own|typed|sentences|FILE")
    ] = "user",
    split: Literal["train", "test"] = "train",
    voice: str | None = None,
    takes: int = 1,
    limit: int | None = None,
    seed: int = 0,
    workers: int = 1,
) -> None:
    """Render texts; a call that was stopped goes on where it was.

    Args:
        out: folder for the renderings.
        texts: `user` or `own`: what users or the model say in the small world; `typed`: questions of fact in the wordings that
            are typed in training; `sentences`: broad English for the codec; or a file with one text a line.
        split: which texts, and which voices.
        voice: one voice for all; without it, each user text gets `takes` voices of the split.
        takes: how many voices read each user text.
        limit: render only the first so many texts.
        seed: of the texts.
        workers: processes.
    """
    chosen = _choose_texts(texts, split, seed, limit)
    is_own = texts in ("own", "sentences")
    speeches = [
        Speech(text, voice or (PRESET_VOICE if is_own else any_voice(split, take)))
        for take in range(1 if is_own or voice else takes)
        for text in chosen
    ]
    started, seconds = time.monotonic(), 0.0
    for done, total, part_s in render_all(speeches, out, num_workers=workers):
        seconds += part_s
        elapsed_s = time.monotonic() - started
        left_s = elapsed_s / done * (total - done)
        print(
            f"part {done}/{total}: {seconds / 3600:.2f} h of sound in {elapsed_s:.0f} s, about {left_s:.0f} s left",
            flush=True,
        )


def _choose_texts(texts: str | Path, split: Split, seed: int, limit: int | None) -> list[str]:
    if texts == "sentences":
        return reading_texts(limit or 6000, seed, split)
    if texts in ("user", "own", "typed"):
        found = list(dict.fromkeys(_list_small_world(str(texts), split, seed)))
        random.Random(seed).shuffle(found)
        return found[:limit]
    path = Path(texts)
    if not path.exists():
        raise ConfigError(f"texts {texts!r} is no file; name one, or use user, own, typed or sentences")
    return [line.strip() for line in path.read_text().splitlines() if line.strip()][:limit]


def _list_small_world(texts: str, split: Split, seed: int) -> Iterator[str]:
    from vivavoce.data.pools import iterate_spoken_texts, list_typed_aloud

    if texts != "typed":
        role = "user" if texts == "user" else "preset"
        return (text for who, text in iterate_spoken_texts(split, seed) if who == role)
    if split == "test":
        raise ConfigError("texts typed is for training; what tests ask is rendered by user")
    return (item.ask for item in list_typed_aloud("fact"))
