"""Sentences with wide phonetic coverage, to be read by a teacher voice.

Two sources: the example phrases of WordNet (a Debian package, `wordnet-base`) and a seeded grammar of our own over
numbers, letters, colours, days and everyday things. Not the small world's questions and answers: those are in
`vivavoce.data`. A sentence is in the test split by a digest of its text, so that no text is on both sides.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from vivavoce.errors import AssetError

Split = Literal["train", "test"]

WORDNET_FOLDER = Path("/usr/share/wordnet")
# chosen: one text in twenty is for testing
_TEST_SHARE = 20

_DIGITS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
_NUMBERS = [*_DIGITS.split(), "seventeen", "eighteen", "nineteen"]
_TENS = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_COLOURS = [
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
    "grey",
    "gold",
    "silver",
    "violet",
]
_SIZES = ["big", "small", "tiny", "large", "huge", "little", "tall", "short", "wide", "narrow", "thick", "thin"]
_THINGS = [
    "ball",
    "cube",
    "star",
    "tree",
    "house",
    "cat",
    "dog",
    "fish",
    "car",
    "cup",
    "bird",
    "boat",
    "bell",
    "book",
    "box",
    "flower",
    "apple",
    "banana",
    "chair",
    "table",
    "lamp",
    "key",
    "clock",
    "hat",
    "shoe",
    "moon",
    "sun",
    "cloud",
    "heart",
    "ring",
    "square",
    "circle",
    "triangle",
    "diamond",
    "arrow",
    "cross",
    "leaf",
    "mushroom",
    "rabbit",
    "horse",
    "cow",
    "pig",
    "sheep",
    "duck",
    "frog",
    "bus",
    "train",
    "plane",
    "ship",
    "bottle",
    "spoon",
    "fork",
    "knife",
    "plate",
    "glass",
    "window",
    "door",
    "bridge",
    "kite",
    "drum",
]
_PLACES = [
    "on the left",
    "on the right",
    "at the top",
    "at the bottom",
    "in the middle",
    "above the {thing}",
    "below the {thing}",
    "next to the {thing}",
    "behind the {thing}",
    "in front of the {thing}",
    "under the {thing}",
    "between the two {thing}s",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_LETTERS = [
    "A",
    "B",
    "C",
    "D",
    "E",
    "F",
    "G",
    "H",
    "I",
    "J",
    "K",
    "L",
    "M",
    "N",
    "O",
    "P",
    "Q",
    "R",
    "S",
    "T",
    "U",
    "V",
    "W",
    "X",
    "Y",
    "Z",
]
_SOUNDS = ["beep", "clap", "bell", "whistle", "knock", "siren", "horn", "drum", "tone", "click"]
_TEMPLATES = [
    "I can see {number} {colour} {thing}s {place}.",
    "There is a {size} {colour} {thing} {place}.",
    "The {thing} is {place}.",
    "It is a {colour} {thing}.",
    "The answer is {number}.",
    "{number} plus {number} is {number}.",
    "{number} minus {number} makes {number}.",
    "The letter {letter} comes before the letter {letter}.",
    "That word is spelled {letter}, {letter}, {letter}, {letter}.",
    "{day} comes after {day}.",
    "After {month} comes {month}.",
    "The picture shows {number} {thing}s and a {colour} {thing}.",
    "I heard {number} {sound}s and then a {sound}.",
    "The {thing} moved from left to right.",
    "A {colour} {thing} appeared, and the {thing} vanished.",
    "I will draw a {size} {colour} {thing} {place}.",
    "Here is your {colour} {thing}.",
    "Sorry, I can't tell who is speaking from a voice.",
    "No, the {thing} is {size}, and the {thing} is {size}.",
    "Yes, there are {number} of them.",
    "What colour is the {thing} {place}?",
    "How many {thing}s do you see?",
    "The opposite of {size} is {size}.",
    "My name is Viva, and I can hear, see, speak and draw.",
    "I don't know that one, sorry.",
    "The number is {number} {number} {number} {number}.",
    "A {thing} is bigger than a {thing}, I think.",
    "On {day} the {day_month} of {month} we met {place}.",
    "{tens} {thing}s and {tens} {thing}s.",
    "Please say that once more.",
    "It says {letter} {letter} {letter}.",
    "The {colour} one is {place}.",
]


def grammar_sentences(seed: int) -> Iterator[str]:
    """Endless sentences of the grammar, the same for the same seed. Some are nonsense, on purpose."""
    rng = random.Random(seed)
    while True:
        text = rng.choice(_TEMPLATES)
        while slot := re.search(r"\{(\w+)\}", text):
            text = text[: slot.start()] + _fill(slot[1], rng) + text[slot.end() :]
        yield text[0].upper() + text[1:]


def _fill(slot: str, rng: random.Random) -> str:
    if slot == "tens":
        return rng.choice(_TENS) + rng.choice(["", " " + rng.choice(_NUMBERS[1:10])])
    tables = {
        "number": _NUMBERS,
        "colour": _COLOURS,
        "size": _SIZES,
        "thing": _THINGS,
        "place": _PLACES,
        "day": _DAYS,
        "month": _MONTHS,
        "letter": _LETTERS,
        "sound": _SOUNDS,
        "day_month": ["first", "second", "third", "fourth", "fifth", "tenth", "twelfth", "twentieth", "thirtieth"],
    }
    return rng.choice(tables[slot])


def wordnet_sentences(folder: Path = WORDNET_FOLDER) -> list[str]:
    """Example phrases of WordNet 3.0 that have 4 to 14 plain words, in file order, each once.

    Raises: AssetError if WordNet's data files are not in `folder`.
    """
    found: dict[str, None] = {}
    for part in ("noun", "verb", "adj", "adv"):
        path = folder / f"data.{part}"
        if not path.exists():
            raise AssetError(f"WordNet's {path} is missing; install the Debian package wordnet-base (apt install ...)")
        for line in path.read_text(encoding="latin-1").splitlines():
            for phrase in re.findall(r'"([^"]+)"', line.partition(" | ")[2]):
                if sentence := _tidy(phrase):
                    found[sentence] = None
    return list(found)


def _tidy(phrase: str) -> str | None:
    phrase = phrase.strip().rstrip(".;,!")
    is_plain = re.fullmatch(r"[A-Za-z][A-Za-z' ,?-]*", phrase) is not None
    if not is_plain or not 4 <= len(phrase.split()) <= 14:
        return None
    return phrase[0].upper() + phrase[1:] + ("" if phrase.endswith("?") else ".")


def is_test_text(text: str) -> bool:
    """True for the twentieth of all texts that are for testing; depends on the words alone, not case or marks."""
    words = re.sub(r"[^a-z' ]", "", text.lower())
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:4], "big") % _TEST_SHARE == 0


def reading_texts(count: int, seed: int, split: Split = "train", folder: Path = WORDNET_FOLDER) -> list[str]:
    """`count` different sentences of one split: two thirds WordNet's, one third the grammar's, shuffled.

    Raises: AssetError without WordNet, or if it has too few phrases.
    """
    rng = random.Random(seed)
    is_test = split == "test"
    phrases = [text for text in wordnet_sentences(folder) if is_test_text(text) == is_test]
    rng.shuffle(phrases)
    num_phrases = count * 2 // 3
    if num_phrases > len(phrases):
        raise AssetError(
            f"asked for {count} sentences; WordNet has {len(phrases)} phrases, enough for two thirds of fewer"
        )
    texts = dict.fromkeys(phrases[:num_phrases])
    for text in grammar_sentences(seed):
        if len(texts) == count:
            break
        if is_test_text(text) == is_test:
            texts[text] = None
    chosen = list(texts)
    rng.shuffle(chosen)
    return chosen
