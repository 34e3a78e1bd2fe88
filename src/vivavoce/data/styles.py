"""Which styles of drawing belong to which split: seeds never overlap, and some test pictures have a test-only style."""

from __future__ import annotations

import numpy as np

from vivavoce.data.drawing import Style, sample_style
from vivavoce.data.example import Split

SEED_RANGES = {"train": (0, 2**30), "test": (2**30, 2**31), "judge": (2**31, 2**31 + 2**30)}
"""Style seeds by use. The judge of drawings learns from seeds that no training picture has."""
_CLEAN_SHARE = 0.25
_HELD_OUT_SHARE = 0.2


def choose_style(split: Split, generator: np.random.Generator) -> tuple[Style, bool]:
    """A style for a picture that is shown, and whether it is of the test-only family."""
    seed = int(generator.integers(*SEED_RANGES[split]))
    if split == "test" and generator.random() < _HELD_OUT_SHARE:
        return sample_style(seed, "held_out"), True
    return sample_style(seed, "clean" if generator.random() < _CLEAN_SHARE else "plain"), False
