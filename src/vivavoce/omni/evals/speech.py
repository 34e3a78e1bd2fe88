"""Hearing and speaking: word error rates by voice and noise, the preset's likeness, and quality.

Recognition reads the model's own transcript of sentences it never saw; synthesis has sentences of at most 12 words read
aloud and transcribed by an independent recogniser, whose errors on the preset teacher's own recordings are given beside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from vivavoce.content import Audio
from vivavoce.data.answers import normalise_words
from vivavoce.stats import Estimate, estimate_mean, estimate_ratio


class WordErrors(NamedTuple):
    """Insertions, deletions and substitutions against the number of words that should be there."""

    errors: int
    words: int


def count_errors(reference: str, hypothesis: str) -> WordErrors:
    """Word errors after normalising both (lower case, no punctuation, numbers in words, spelling).

    A compound written as one word or as two counts as the same.
    """
    wanted, found = normalise_words(reference), normalise_words(hypothesis)
    if "".join(wanted) == "".join(found):
        return WordErrors(0, len(wanted))
    return WordErrors(measure_distance(wanted, found), len(wanted))


def measure_distance(left: Sequence[str], right: Sequence[str]) -> int:
    """Levenshtein distance (1965) between two sequences."""
    row = np.arange(len(right) + 1)
    for idx, item in enumerate(left):
        substituted = row[:-1] + np.array([item != other for other in right], int)
        best = np.minimum(row[1:] + 1, substituted)
        # insertions: a running minimum, since each costs one more than the place before
        steps = np.arange(1, len(right) + 1)
        row = np.concatenate([[idx + 1], np.minimum.accumulate(np.concatenate([[idx + 1], best - steps]))[1:] + steps])
    return int(row[-1])


def estimate_word_error(pairs: Sequence[tuple[str, str]]) -> Estimate:
    """Word error rate over (reference, hypothesis) pairs, errors over words, one unit a pair."""
    counts = [count_errors(reference, hypothesis) for reference, hypothesis in pairs]
    return estimate_ratio([count.errors for count in counts], [count.words for count in counts])


def measure_recognition(
    transcribe: Callable[[Sequence[Audio]], Sequence[str]], conditions: dict[str, list[tuple[str, Audio]]]
) -> dict[str, Any]:
    """Word error rate of the model's transcripts in each condition (`seen voices, clean`, ...)."""
    report = {}
    for name, items in conditions.items():
        heard = transcribe([audio for _, audio in items])
        report[name] = estimate_word_error([(text, said) for (text, _), said in zip(items, heard)]).to_json()
    return report


def measure_synthesis(
    texts: Sequence[str],
    spoken: Sequence[Audio | None],
    references: Sequence[Audio],
    transcribe: Callable[[Audio], str],
    *,
    likeness: Callable[[Audio, Audio], float] | None = None,
    quality: Callable[[Audio], float] | None = None,
) -> dict[str, Any]:
    """Word error rates of the model's and the teacher's readings of `texts`; likeness and quality where judges are there.

    A text the model did not speak counts as all of its words wrong, and is left out of likeness and quality.
    """
    ours = [(text, transcribe(audio) if audio is not None else "") for text, audio in zip(texts, spoken)]
    teachers = [(text, transcribe(audio)) for text, audio in zip(texts, references)]
    report: dict[str, Any] = {
        "word_error_rate": estimate_word_error(ours).to_json(),
        "teacher_word_error_rate": estimate_word_error(teachers).to_json(),
        "unspoken": sum(audio is None for audio in spoken),
    }
    pairs = [(audio, reference) for audio, reference in zip(spoken, references) if audio is not None]
    if likeness is not None:
        report["speaker_similarity"] = estimate_mean([likeness(*pair) for pair in pairs]).to_json()
    if quality is not None:
        report["dnsmos_overall"] = estimate_mean([quality(audio) for audio, _ in pairs]).to_json()
        report["teacher_dnsmos_overall"] = estimate_mean([quality(reference) for _, reference in pairs]).to_json()
    return report
