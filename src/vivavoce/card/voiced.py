"""Inputs read aloud, kept by what made them: the same words in the same voice are spoken and read back once.

An item is put in several arms, and several evaluations share items; a voice or a recogniser that takes seconds is asked once
for all of them, also after a kill. `$VIVA_CARD_VOICED` names a folder that several runs share.
"""

from __future__ import annotations

import json
import os
import threading
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import NamedTuple

from vivavoce.card.media_store import MediaStore
from vivavoce.card.speech import Studio
from vivavoce.content import Audio
from vivavoce.files import digest_json, write_json
from vivavoce.media import read_audio

ENVIRONMENT_VARIABLE = "VIVA_CARD_VOICED"
_LOCKS: defaultdict[Path, threading.Lock] = defaultdict(threading.Lock)
_PICKING = threading.Lock()


class Voiced(NamedTuple):
    """A clip, exact at 16 bits, and what a recogniser read of it (None without a recogniser)."""

    audio: Audio
    heard: str | None


def voice_input(studio: Studio, text: str, voice: str, *, read_back: bool = True) -> Voiced:
    """`text` in `voice`: from the store where it was voiced before, else spoken, read back and kept.

    read_back: False for words in a language that the recogniser does not know.

    Raises: VivaError if the voice is not there or cannot say it.
    """
    store = MediaStore(os.environ.get(ENVIRONMENT_VARIABLE) or MediaStore.current().folder)
    path = store.folder / "voiced" / f"{digest_json([_describe(studio), text, voice])[:32]}.json"
    # the arms of an item come at the same time: the second waits for the first and finds what it made
    with _pick_lock(path):
        if not path.is_file():
            name = store.keep(studio.speak(text, voice))
            clip = read_audio(store.folder / name)
            heard = studio.recognise(clip) if read_back and studio.has_recogniser else None
            write_json(path, {"file": name, "heard": heard})
        kept = json.loads(path.read_text(encoding="utf-8"))
    audio = read_audio(store.folder / kept["file"])
    return Voiced(Audio(audio.samples, audio.rate_hz, text), kept["heard"])


def _pick_lock(path: Path) -> threading.Lock:
    with _PICKING:
        return _LOCKS[path]


@cache
def _describe(studio: Studio) -> str:
    return digest_json([studio.name, studio.describe()])
