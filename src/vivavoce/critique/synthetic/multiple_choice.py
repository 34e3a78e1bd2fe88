"""Multiple choice about a small story; a critique names a better option and may quote the passage for it.

A freely usable stand-in for reading-comprehension sets whose licence does not allow it: stories are generated, so the
key is known and so is the one sentence that supports it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from vivavoce.critique.spans import TextSpan
from vivavoce.critique.synthetic.task import Corruption, Problem, grade_bool, unparsed
from vivavoce.errors import ConfigError
from vivavoce.grading import Grade

_NAMES = ("Ada", "Ben", "Cleo", "Dara", "Emil", "Faye", "Gus", "Hana", "Ivo", "June", "Kai", "Lena", "Milo", "Nora")
_THINGS = ("kite", "drum", "lamp", "map", "coin", "rope", "boot", "book", "bell", "flute", "cup", "hat", "key", "vase")
_PLACES = (
    "attic",
    "barn",
    "cellar",
    "garden",
    "kitchen",
    "tower",
    "shed",
    "boat",
    "cabin",
    "library",
    "mill",
    "stable",
)
_LETTERS = "ABCDEFGH"
_ANSWER = re.compile(r"[A-H]")
_CRITIQUE = re.compile(r'Option ([A-H]) is better(?:: "([^"\n]{1,200})")?\.')


@dataclass(frozen=True, slots=True)
class MultipleChoice:
    """Knobs: facts in the story, options per question, and whether things move before the question is asked."""

    num_facts: int = 8
    num_options: int = 4
    has_moves: bool = True
    name: str = "multiple_choice"

    def __post_init__(self) -> None:
        if not 2 <= self.num_options <= min(8, len(_PLACES)) or not 1 <= self.num_facts <= len(_NAMES):
            raise ConfigError(
                f"need 2 to 8 options and 1 to {len(_NAMES)} facts; got {self.num_options}, {self.num_facts}"
            )

    def generate(self, rng: Random) -> Problem:
        """Who keeps what where, with some things moved later; the question asks where one of them is now."""
        names, things = rng.sample(_NAMES, self.num_facts), rng.sample(_THINGS, self.num_facts)
        places = [rng.choice(_PLACES) for _ in names]
        sentences = [f"{name} keeps a {thing} in the {place}." for name, thing, place in zip(names, things, places)]
        support = list(sentences)
        for idx in rng.sample(range(self.num_facts), self.num_facts // 3 if self.has_moves else 0):
            places[idx] = rng.choice([place for place in _PLACES if place != places[idx]])
            support[idx] = f"Then {names[idx]} moves it to the {places[idx]}."
            # directly after its fact, so that "it" has one reading
            sentences[idx] = f"{sentences[idx]} {support[idx]}"
        asked = rng.randrange(self.num_facts)
        others = rng.sample([place for place in _PLACES if place != places[asked]], self.num_options - 1)
        options = [*others, places[asked]]
        rng.shuffle(options)
        key = _LETTERS[options.index(places[asked])]
        listed = " ".join(f"({letter}) {option}" for letter, option in zip(_LETTERS, options))
        question = f"Where is the {things[asked]} of {names[asked]} now? {listed}"
        facts = {"support": support[asked], "num_options": self.num_options}
        return Problem(self.name, " ".join(sentences), question, key, facts)

    def corrupt(self, problem: Problem, rng: Random) -> Corruption:
        """Operator: another option."""
        wrong = rng.choice(
            [letter for letter in _LETTERS[: problem.facts["num_options"]] if letter != problem.reference]
        )
        return Corruption(wrong, "other_option", self.list_critiques(problem, wrong)[-1], TextSpan(0, 1))

    def check_answer(self, problem: Problem, answer: str) -> Grade:
        """One letter of the options; the key."""
        letter = answer.strip()
        if not _ANSWER.fullmatch(letter) or letter not in _LETTERS[: problem.facts["num_options"]]:
            return unparsed(answer)
        return grade_bool(letter == problem.reference)

    def check_critique(self, problem: Problem, answer: str, critique: str) -> Grade:
        """Valid iff the answer is not the key, the option named is, and a quote, if any, is the supporting sentence."""
        said = _CRITIQUE.fullmatch(critique.strip())
        if said is None or not _ANSWER.fullmatch(answer.strip()):
            return unparsed(critique)
        is_quoted_right = said[2] is None or said[2] == problem.facts["support"]
        return grade_bool(said[1] == problem.reference and answer.strip() != problem.reference and is_quoted_right)

    def list_critiques(self, problem: Problem, answer: str) -> list[str]:
        """The better option, without and with the quote."""
        if answer.strip() == problem.reference:
            return []
        said = f"Option {problem.reference} is better"
        return [f"{said}.", f'{said}: "{problem.facts["support"]}".']

    def draw_invalid(self, problem: Problem, answer: str, rng: Random) -> str | None:
        """A worse option called better, or the better one with a quote that does not support it."""
        options = _LETTERS[: problem.facts["num_options"]]
        sentences = [part.strip() for part in re.findall(r"[^.]+\.", problem.passage)]
        valid = set(self.list_critiques(problem, answer))
        for _ in range(200):
            said = f"Option {rng.choice([letter for letter in options if letter != answer.strip()])} is better"
            said += f': "{rng.choice(sentences)}".' if rng.random() < 0.5 else "."
            if said not in valid:
                return said
        return None

    def locate(self, problem: Problem, answer: str, critique: str) -> TextSpan | None:
        """The letter."""
        if _CRITIQUE.fullmatch(critique.strip()) is None or not answer.strip():
            return None
        begin = answer.find(answer.strip())
        return TextSpan(begin, begin + 1)

    def repair(self, problem: Problem, answer: str, critique: str) -> str | None:
        """The option that the critique names."""
        said = _CRITIQUE.fullmatch(critique.strip())
        return said[1] if said else None
