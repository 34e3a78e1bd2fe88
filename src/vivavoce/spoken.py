"""Text as it is said: numbers in words, one spelling, and the words of two texts made comparable."""

from __future__ import annotations

import re
import unicodedata

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
NUMBER_WORDS = frozenset([*_ONES, *_TENS, "hundred", "thousand"])
_ORDINALS = {"one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth"}
_ORDINALS |= {"twelve": "twelfth"}
_SPELLINGS = {
    "gray": "grey", "color": "colour", "colors": "colours", "colored": "coloured", "favorite": "favourite",
    "center": "centre", "centers": "centres", "okay": "ok", "mr": "mister", "mrs": "missus", "dr": "doctor",
    "vs": "versus", "neighbor": "neighbour", "neighbors": "neighbours", "honor": "honour", "theater": "theatre",
    "meter": "metre", "traveler": "traveller", "traveling": "travelling", "jewelry": "jewellery", "pajamas": "pyjamas",
    "plow": "plough", "tire": "tyre", "favor": "favour", "flavor": "flavour", "harbor": "harbour", "labor": "labour",
    "mold": "mould",
}  # fmt: skip
_CONTRACTIONS = {
    "can't": "can not", "cannot": "can not", "won't": "will not", "n't": " not", "'re": " are", "'ll": " will",
    "'ve": " have", "'m": " am",
}  # fmt: skip


def say_number(value: int) -> str:
    """An integer from 0 to 999,999 in words, as our voice says it: `forty two`, `one hundred five`.

    Raises: ValueError for any other.
    """
    if not 0 <= value < 1_000_000:
        raise ValueError(f"number is {value}; need 0 to 999999")
    if value < 20:
        return _ONES[value]
    if value < 100:
        tens, ones = divmod(value, 10)
        return _TENS[tens - 2] + (f" {_ONES[ones]}" if ones else "")
    unit, name = (1000, "thousand") if value >= 1000 else (100, "hundred")
    count, rest = divmod(value, unit)
    return f"{say_number(count)} {name}" + (f" {say_number(rest)}" if rest else "")


def split_words(text: str) -> list[str]:
    """Words that may be compared: lower case, no marks, numbers in words, one spelling, contractions written out.

    A hyphen parts words; "%", "&" and "+" become words.
    """
    text = unicodedata.normalize("NFKC", text.lower()).replace("’", "'").replace("`", "'")
    text = text.replace("&", " and ").replace("%", " percent ").replace("+", " plus ").replace("=", " equals ")
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"\b(\d+)(st|nd|rd|th)\b", lambda found: f" {_say_ordinal(found[1])} ", text)
    text = re.sub(r"\d+", lambda found: f" {_say_digits(found[0])} ", text)
    for short, long in _CONTRACTIONS.items():
        pattern = rf"\b{short}\b" if short[0].isalpha() and short != "n't" else rf"{short}\b"
        text = re.sub(pattern, long, text)
    words = re.sub(r"[^a-z' ]+", " ", text).split()
    words = [word.strip("'") for word in words]
    return [_SPELLINGS.get(word, word) for word in words if word]


def _say_digits(digits: str) -> str:
    """A number in words; one with a leading 0 or more than six digits is read digit by digit."""
    if len(digits) > 6 or (len(digits) > 1 and digits[0] == "0"):
        return " ".join(_ONES[int(digit)] for digit in digits)
    return say_number(int(digits))


def _say_ordinal(digits: str) -> str:
    *before, last = _say_digits(digits).split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return " ".join([*before, last])
