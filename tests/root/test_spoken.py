"""Text as it is said: numbers in words and words that may be compared, worked by hand."""

import pytest

from vivavoce.spoken import say_number, split_words


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("I've 23 cats!", "i have twenty three cats"),
        ("The 21st, 12th and 30th", "the twenty first twelfth and thirtieth"),
        ("1,250 & 007", "one thousand two hundred fifty and zero zero seven"),
        ("it CAN'T be gray-blue", "it can not be grey blue"),
        ("50% isn't 'right'", "fifty percent is not right"),
        ("Don’t", "do not"),
    ],
)
def test_texts_are_made_comparable(text: str, words: str) -> None:
    assert " ".join(split_words(text)) == words


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "zero"),
        (19, "nineteen"),
        (42, "forty two"),
        (105, "one hundred five"),
        (9_999, "nine thousand nine hundred ninety nine"),
        (250_010, "two hundred fifty thousand ten"),
    ],
)
def test_numbers_are_said(value: int, words: str) -> None:
    assert say_number(value) == words


def test_a_number_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="need 0 to 999999"):
        say_number(1_000_000)
