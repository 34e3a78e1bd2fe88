"""`viva data show`, `viva data check`: look at the curriculum, and at real data, before training on it."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Literal

import tyro

from vivavoce.content import Audio, Image, Part, Text, Video
from vivavoce.data.curriculum import DEFAULT_MIX, GROUPS, iterate_examples
from vivavoce.data.example import is_unrendered
from vivavoce.errors import ConfigError
from vivavoce.media import write_audio, write_image, write_video


def show(
    *,
    split: Literal["train", "test"] = "train",
    num: int = 10,
    seed: int = 0,
    group: str | None = None,
    out: Path | None = None,
) -> None:
    """Print examples of the small world; with `out`, write their pictures, films and sounds too.

    Args:
        split: train or test.
        num: how many.
        seed: of the curriculum.
        group: one group of the mix only, such as `audio+image -> text`, `reading` or `live`.
        out: folder for the media.
    """
    if group is not None and group not in GROUPS:
        raise ConfigError(f"group is {group!r}; there are {', '.join(GROUPS)}")
    mix = DEFAULT_MIX if group is None else {group: 1.0}
    for example in islice(iterate_examples(split, seed, mix), num):
        print(f"{example.example_id}  {example.cell}")
        for number, message in enumerate(example.messages.messages):
            for order, part in enumerate(message.parts):
                where = "" if out is None else _write(part, out / f"{example.example_id}-{number}{order}")
                print(f"  {message.role:<9} {_describe(part)}{where}")
        if example.caption:
            print(f"  {'(itself)':<9} text   {example.caption}")


def check(
    path: tyro.conf.Positional[Path],
    *,
    kind: Literal["audio", "captions", "chat"],
    direction: Literal["describe", "draw"] = "describe",
) -> None:
    """Read real data to its end and count its examples; the first fault stops it, named by file and row.

    Args:
        path: a folder of recordings, a Parquet file of captioned pictures, or a JSONL file of conversations.
        kind: which of the three.
        direction: of captions.
    """
    counts = Counter(example.cell for example in _load(path, kind, direction))
    if not counts:
        raise ConfigError(f"{path} holds no examples")
    for cell, count in counts.most_common():
        print(f"{count:>8}  {cell}")


def _load(path: Path, kind: str, direction: Literal["describe", "draw"]):
    if kind == "audio":
        from vivavoce.data.loaders.audio_folder import load_audio_folder

        return load_audio_folder(path)
    if kind == "captions":
        from vivavoce.data.loaders.caption_parquet import load_captions

        return load_captions(path, direction=direction)
    from vivavoce.data.loaders.chat_jsonl import load_chat

    return load_chat(path)


def _describe(part: Part) -> str:
    if isinstance(part, Text):
        return f"text   {part.text}"
    if isinstance(part, Audio):
        return f"speech {part.transcript}" if part.transcript else f"sound  {part.duration_s:.1f} s"
    if isinstance(part, Video):
        return f"film   {len(part.frames)} frames, {part.fps:g} a second"
    return "picture" if isinstance(part, Image) else ""


def _write(part: Part, stem: Path) -> str:
    if isinstance(part, Image):
        write_image(path := stem.with_suffix(".png"), part)
    elif isinstance(part, Video):
        write_video(path := stem.with_suffix(".mp4"), part)
    elif isinstance(part, Audio) and not is_unrendered(part):
        write_audio(path := stem.with_suffix(".wav"), part)
    else:
        return ""
    return f"  ({path.name})"
