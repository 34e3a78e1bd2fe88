"""Slips: in training, some of what the network reads back of its own is not what should have been there.

Training reads the true transcript, sound and drawing; in use the network reads its own, which is often wrong, and one slip
used to bring the next (scheduled sampling's problem: Bengio et al. 2015, arXiv 1506.03099). What is to be predicted stays
true, so the network learns to listen and to keep to its words rather than to go on from what it said.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vivavoce.omni.engine.rules import PAD
from vivavoce.omni.steps import Steps
from vivavoce.omni.vocabulary import NUM_CONTROL_ROWS

SLIPPING_SHARE = 0.5
"""Of rows that have slips at all. chosen."""
MAX_RATE = 0.4
"""The rate of a row that has them is uniform up to this."""

_LATE_SHARES = (0.3, 0.3, 0.25, 0.15)
"""Of rows, whose words all come 0, 1, 2 or 3 steps late. chosen, as is the share of words that come later still."""
_LATER_SHARE = 1 / 7


def add_slips(row: Steps, generator: np.random.Generator, *, num_text_ids: int, silent_code: int) -> Steps:
    """`row` with slips in what is read back: transcript tokens late, left out or taken for any other, words of a note taken for
    any other, codes of another moment, cells of a drawing taken from elsewhere.

    A row's transcript, its notes, its sound and its drawings slip at rates of their own.
    """
    ids = _slip_cells(row.ids, _draw_rate(generator), generator, num_text_ids)
    return replace(
        row,
        # a note is heard better than a word on its own: all that was said by then decides it
        ids=_slip_notes(ids, row.noted, _draw_rate(generator) / 2, generator, num_text_ids),
        heard=_slip_words(come_late(row.heard, generator), _draw_rate(generator), generator, num_text_ids),
        codes_read=_slip_codes(row.codes, _draw_rate(generator), generator, silent_code),
    )


def come_late(heard: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """A row's transcript [N] in which words come up to three steps late, all alike, and one in seven up to three more: a word is
    written once no other is likely, and those after it wait."""
    places = np.flatnonzero(heard != PAD)
    if not len(places):
        return heard
    due = places + int(generator.choice(4, p=_LATE_SHARES))
    due += np.where(generator.random(len(places)) < _LATER_SHARE, generator.integers(1, 4, len(places)), 0)
    order = np.arange(len(places))
    written = np.maximum.accumulate(due - order) + order
    # what the end leaves no room for is earlier
    written = np.minimum(written, len(heard) - 1 - order[::-1])
    late = np.full_like(heard, PAD)
    late[written] = heard[places]
    return late


def _draw_rate(generator: np.random.Generator) -> float:
    return float(generator.uniform(0, MAX_RATE)) if generator.random() < SLIPPING_SHARE else 0.0


def _slip_words(heard: np.ndarray, rate: float, generator: np.random.Generator, num_text_ids: int) -> np.ndarray:
    is_slip = (heard != PAD) & (generator.random(heard.shape) < rate)
    others = generator.integers(NUM_CONTROL_ROWS, num_text_ids, heard.shape)
    others[generator.random(heard.shape) < 0.5] = PAD
    return np.where(is_slip, others, heard)


def _slip_notes(
    ids: np.ndarray, noted: np.ndarray, rate: float, generator: np.random.Generator, num_text_ids: int
) -> np.ndarray:
    slipped, words = ids.copy(), noted[ids[noted] >= NUM_CONTROL_ROWS]
    others = generator.integers(NUM_CONTROL_ROWS, num_text_ids, len(words))
    slipped[words] = np.where(generator.random(len(words)) < rate, others, ids[words])
    return slipped


def _slip_cells(ids: np.ndarray, rate: float, generator: np.random.Generator, num_text_ids: int) -> np.ndarray:
    """Codes of drawings, which are ids from `num_text_ids` on, take those of other cells of the row."""
    cells = np.flatnonzero(ids >= num_text_ids)
    slipped = ids.copy()
    if len(cells):
        others = ids[generator.choice(cells, len(cells))]
        slipped[cells] = np.where(generator.random(len(cells)) < rate, others, ids[cells])
    return slipped


def _slip_codes(codes: np.ndarray, rate: float, generator: np.random.Generator, silent_code: int) -> np.ndarray:
    """Each book for itself takes its code of another voiced frame, so that slips sound like speech, in the wrong place."""
    voiced = np.flatnonzero((codes != silent_code).all(axis=1))
    slipped = codes.copy()
    if len(voiced):
        from_frames = generator.choice(voiced, (len(voiced), codes.shape[1]))
        is_slip = generator.random((len(voiced), codes.shape[1])) < rate
        slipped[voiced] = np.where(is_slip, np.take_along_axis(codes, from_frames, axis=0), codes[voiced])
    return slipped
