"""The judges of speech that `omni.judges` offers, as three functions, each None where its weights are not at hand."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from vivavoce.content import Audio

log = logging.getLogger(__name__)


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
    """The judges at hand."""
    return Judges()
