"""The judges of speech that `omni.judges` offers, as three functions, each None where its weights are not at hand."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vivavoce.content import Audio
from vivavoce.errors import DataError, VivaError
from vivavoce.media import resample

log = logging.getLogger(__name__)
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, slots=True)
class Judges:
    """recogniser: what is said; encoder: unit vector of who speaks, None for too little voice; quality: DNSMOS overall."""

    recogniser: Callable[[Audio], str] | None = None
    encoder: Callable[[Audio], np.ndarray | None] | None = None
    quality: Callable[[Audio], float | None] | None = None
    names: dict[str, str] = field(default_factory=dict)

    def describe(self) -> dict[str, str]:
        """Which judge serves, by role."""
        return dict(self.names)


def load_judges() -> Judges:
    """The judges at hand; what can't be had is left out and named in the log."""
    recogniser, heard = _attempt(_load_recogniser)
    encoder, speaker = _attempt(_load_encoder)
    quality, clean = _attempt(_load_quality)
    names = {"recogniser": heard, "speaker encoder": speaker, "quality": clean}
    return Judges(recogniser, encoder, quality, names)


def _attempt(load: Callable[[], tuple[Callable, str]]) -> tuple[Callable | None, str]:
    try:
        return load()
    except (VivaError, ImportError) as error:
        log.warning("a judge of speech is not at hand: %s", error)
        return None, "not at hand"


def _load_recogniser() -> tuple[Callable[[Audio], str], str]:
    from vivavoce.omni.judges.recogniser import NAME, Recogniser

    recogniser = Recogniser()

    def recognise(audio: Audio) -> str:
        # the engine is not asked twice at once: it is no faster so, and its answers must not depend on luck
        with _ONE_AT_A_TIME:
            return recogniser.transcribe(audio)

    return recognise, NAME


def _load_encoder() -> tuple[Callable[[Audio], np.ndarray | None], str]:
    from vivavoce.omni.judges.speaker import embed_voice, load_encoder

    load_encoder()

    def embed(audio: Audio) -> np.ndarray | None:
        try:
            with _ONE_AT_A_TIME:
                # judged at 16 kHz by whatever came: a preset at 24 kHz must not differ by its rate alone
                return embed_voice(resample(audio, 16_000))
        except DataError:
            return None

    return embed, "GE2E of Resemblyzer"


def _load_quality() -> tuple[Callable[[Audio], float | None], str]:
    from vivavoce.assets import resolve
    from vivavoce.omni.judges.quality import judge_quality

    resolve("dnsmos")

    def rate(audio: Audio) -> float | None:
        with _ONE_AT_A_TIME:
            return judge_quality(audio).overall

    return rate, "DNSMOS P.835"
