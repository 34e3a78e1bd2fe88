"""Word error rate: how texts are made comparable, how errors are counted, and the rate over a set with its interval."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from vivavoce.stats import Estimate, estimate_ratio

_ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
_ORDINALS |= {"twelve": "twelfth"}
_SPELLINGS = {
    "gray": "grey", "color": "colour", "colors": "colours", "colored": "coloured", "favorite": "favourite",
    "center": "centre", "okay": "ok", "mr": "mister", "mrs": "missus", "dr": "doctor", "vs": "versus",
    "neighbor": "neighbour", "neighbors": "neighbours", "honor": "honour", "theater": "theatre", "meter": "metre",
    "traveler": "traveller", "traveling": "travelling", "jewelry": "jewellery", "pajamas": "pyjamas", "plow": "plough",
    "tire": "tyre", "favor": "favour", "flavor": "flavour", "harbor": "harbour", "labor": "labour", "mold": "mould",
}  # fmt: skip
_CONTRACTIONS = {
    "can't": "can not", "cannot": "can not", "won't": "will not", "n't": " not", "'re": " are", "'ll": " will",
    "'ve": " have", "'m": " am",
}  # fmt: skip


class WordErrors(NamedTuple):
    """Errors of one text against its reference, and the reference's words."""

    errors: int
    words: int


def normalise(text: str) -> list[str]:
    """Words that may be compared: lower case, no marks, numbers in words, one spelling, contractions written out.

    A hyphen parts words; "%", "&" and "+" become words. "riverbank" and "river bank" stay different here; `count_errors`
    takes them as equal.
    """
    text = unicodedata.normalize("NFKC", text.lower()).replace("’", "'").replace("`", "'")
    text = text.replace("&", " and ").replace("%", " percent ").replace("+", " plus ").replace("=", " equals ")
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"\b(\d+)(st|nd|rd|th)\b", lambda found: f" {_ordinal(int(found[1]))} ", text)
    text = re.sub(r"\d+", lambda found: f" {_number(found[0])} ", text)
    for short, long in _CONTRACTIONS.items():
        pattern = rf"\b{short}\b" if short[0].isalpha() and short != "n't" else rf"{short}\b"
        text = re.sub(pattern, long, text)
    words = re.sub(r"[^a-z' ]+", " ", text).split()
    words = [word.strip("'") for word in words]
    return [_SPELLINGS.get(word, word) for word in words if word]


def _number(digits: str) -> str:
    """A number in words; one with a leading 0 or more than six digits is read digit by digit."""
    if len(digits) > 6 or (len(digits) > 1 and digits[0] == "0"):
        return " ".join(_ONES[int(digit)] for digit in digits)
    return _below_million(int(digits))


def _below_million(value: int) -> str:
    if value < 20:
        return _ONES[value]
    if value < 100:
        return _TENS[value // 10 - 2] + (f" {_ONES[value % 10]}" if value % 10 else "")
    if value < 1000:
        return f"{_ONES[value // 100]} hundred" + (f" {_below_million(value % 100)}" if value % 100 else "")
    return f"{_below_million(value // 1000)} thousand" + (f" {_below_million(value % 1000)}" if value % 1000 else "")


def _ordinal(value: int) -> str:
    *before, last = _number(str(value)).split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return " ".join([*before, last])


def count_errors(reference: str, heard: str) -> WordErrors:
    """Least number of words put in, left out or changed; two words run together or one cut in two cost nothing."""
    true, said = normalise(reference), normalise(heard)
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
