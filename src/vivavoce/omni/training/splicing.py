"""Sentences that nobody says: words of one voice, spliced from its recordings in an order that tells nothing.

Whoever learns to hear from what is usually said learns what is usually said, too: in wordings that it had never met, the second pass
found the familiar one likelier by its sound alone, in voices that it knew by heart (experiments/LOG.md). Here only the sound tells
what the next word is; what people say is the language model's.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from vivavoce.data.voices.shards import Shards
from vivavoce.errors import DataError

_MAX_WORDS = 3
"""Words that are taken together, at most. chosen: most of what is familiar is longer."""
_MARKS = ".,;:?!"
_MIN_FRAMES = 40
_LATE_FRAMES = 18
"""How much later than between two words the moment between the last token of the one and the first of the next is said. measured: on 819
words of the preset voice, whose teacher tells when they begin; what is left differs by 45 ms (standard deviation)."""
_SNAP_FRAMES = 4
"""The quietest frame around is taken."""
_SHORTEST_FRAMES = 5


class Splicer:
    """Draws spliced utterances from recordings whose words' places are known.

    mels: arrays [F, 80]; cuts: of the same recordings in the same order, arrays [words + 1] of frames at which words begin and the
    last one ends, empty where that is not known.

    Raises: DataError if no recording has cuts, or there are not as many cuts as mels.
    """

    def __init__(self, mels: Sequence[Shards], cuts: Sequence[Shards]) -> None:
        if list(map(len, mels)) != list(map(len, cuts)):
            raise DataError("cuts are not of the same recordings as the mels; remove them, so that they are made anew")
        self._mels, self._cuts = mels, cuts
        self._places: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for idx, one in enumerate(cuts):
            for number in range(len(one)):
                about = one.about(number)
                if about["length"]:
                    self._places[about["voice"]].append((idx, number))
        if not self._places:
            raise DataError(
                "no recording has cuts to splice at; the second pass that finds them has learned nothing yet"
            )
        self._voices = sorted(self._places)
        # a voice of few recordings comes oftener than they do: it is another voice, and its words are not used up
        counts = np.sqrt([len(self._places[voice]) for voice in self._voices])
        self._shares = counts / counts.sum()

    def splice(self, num_frames: int, generator: np.random.Generator) -> tuple[np.ndarray, str]:
        """A mel [at least num_frames, 80] float32 of one voice, with the words that are heard and a full stop."""
        voice = self._voices[int(generator.choice(len(self._voices), p=self._shares))]
        places, pieces, words = self._places[voice], [], []
        missing = max(num_frames, _MIN_FRAMES)
        while missing > 0:
            piece, said = self._draw_words(*places[int(generator.integers(len(places)))], generator)
            pieces.append(piece)
            words += said
            missing -= len(piece)
        return np.concatenate(pieces).astype(np.float32), " ".join(words) + "."

    def _draw_words(self, idx: int, number: int, generator: np.random.Generator) -> tuple[np.ndarray, list[str]]:
        item, cuts = self._mels[idx][number], self._cuts[idx][number].array
        words = item.about["text"].split()
        count = int(generator.integers(1, min(_MAX_WORDS, len(words)) + 1))
        first = int(generator.integers(len(words) - count + 1))
        chosen = [word.strip(_MARKS) for word in words[first : first + count]]
        return item.array[cuts[first] : cuts[first + count]], [word for word in chosen if word]


def place_cuts(token_frames: np.ndarray, words: Sequence[int], mel: np.ndarray) -> np.ndarray:
    """Frames at which each word begins, and the end: [len(words) + 1], rising; empty if a word would have no room.

    Shapes: token_frames [sum(words)], the frame of `mel` [F, 80] on which each token is said; words: how many tokens each word has.
    """
    ends = np.cumsum(words)
    if ends[-1] != len(token_frames) or min(words) < 1:
        return np.empty(0, np.int64)
    around = (token_frames[ends[:-1] - 1] + token_frames[ends[:-1]]) / 2 - _LATE_FRAMES
    loudness = mel.astype(np.float32).mean(1)
    cuts = [0]
    for centre in np.clip(np.round(around).astype(int), 0, len(mel) - 1):
        first = max(centre - _SNAP_FRAMES, 0)
        cuts.append(first + int(loudness[first : centre + _SNAP_FRAMES + 1].argmin()))
    cuts.append(len(mel))
    found = np.array(cuts)
    return found if (np.diff(found) >= _SHORTEST_FRAMES).all() else np.empty(0, np.int64)
