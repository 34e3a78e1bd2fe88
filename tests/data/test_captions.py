"""Captions say what the picture shows: the colour is in it, the number is spelled out, and pairs stay in their split."""

import re
from collections import Counter

import numpy as np
import pytest

from vivavoce.data.captions import NOTHING, make_captioned
from vivavoce.data.scenes import COLOUR_NAMES, is_held_out
from vivavoce.data.shapes import THINGS


@pytest.mark.parametrize("split", ["train", "test"])
def test_captions_show_what_their_split_may_show(split) -> None:
    found = [make_captioned(split, np.random.default_rng(seed)) for seed in range(150)]
    pattern = rf"an? (?:small )?({'|'.join(COLOUR_NAMES)}) ({'|'.join(THINGS)})\b"
    pairs = [pair for _, caption in found for pair in re.findall(pattern, caption)]
    assert len(pairs) > 50
    assert {is_held_out(thing, colour) for colour, thing in pairs} == {split == "test"}
    assert all(image.pixels.shape == (64, 64, 3) for image, _ in found)
    kinds = Counter(caption.split()[0] for _, caption in found)
    assert {"a", "the", "two", "three", NOTHING} <= set(kinds)


def test_nothing_is_an_empty_frame() -> None:
    shown = {caption == NOTHING: [] for caption in ("", NOTHING)}
    for seed in range(300):
        image, caption = make_captioned("train", np.random.default_rng(seed))
        shown[caption == NOTHING].append(float(image.pixels.std(axis=(0, 1)).max()))
    assert np.mean(shown[True]) < 0.5 * np.mean(shown[False])
