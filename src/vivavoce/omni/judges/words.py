"""Word error rate: how errors are counted, and the rate over a set with its interval."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import NamedTuple

from vivavoce.spoken import split_words
from vivavoce.stats import Estimate, estimate_ratio


class WordErrors(NamedTuple):
    """Errors of one text against its reference, and the reference's words."""

    errors: int
    words: int


def count_errors(reference: str, heard: str) -> WordErrors:
    """Least number of words put in, left out or changed; two words run together or one cut in two cost nothing."""
    true, said = split_words(reference), split_words(heard)
    rows, columns = len(true) + 1, len(said) + 1
    cost = [[0] * columns for _ in range(rows)]
    for row in range(rows):
        for column in range(columns):
            cost[row][column] = _cheapest(cost, true, said, row, column)
    return WordErrors(cost[-1][-1], len(true))


def _cheapest(cost: list[list[int]], true: list[str], said: list[str], row: int, column: int) -> int:
    if row == 0 or column == 0:
        return row + column
    options = [
        cost[row - 1][column] + 1,
        cost[row][column - 1] + 1,
        cost[row - 1][column - 1] + (true[row - 1] != said[column - 1]),
    ]
    if row > 1 and true[row - 2] + true[row - 1] == said[column - 1]:
        options.append(cost[row - 2][column - 1])
    if column > 1 and said[column - 2] + said[column - 1] == true[row - 1]:
        options.append(cost[row - 1][column - 2])
    return min(options)


def word_error_rate(
    references: Sequence[str], heard: Sequence[str], clusters: Sequence[Hashable] | None = None
) -> Estimate:
    """Errors over reference words of a whole set; n counts texts, or clusters where given.

    Raises: ValueError if the two are of different lengths.
    """
    if len(references) != len(heard):
        raise ValueError(f"{len(references)} references for {len(heard)} transcripts; need one each")
    counts = [count_errors(true, said) for true, said in zip(references, heard)]
    return estimate_ratio([c.errors for c in counts], [c.words for c in counts], clusters)
