"""Unscrambling: the letters of a word; a critique says that a letter is used too often or too seldom, or no word."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from random import Random

from vivavoce.critique.spans import TextSpan
from vivavoce.critique.synthetic.task import Corruption, Problem, grade_bool, unparsed
from vivavoce.critique.synthetic.wordlist import load_words
from vivavoce.grading import Grade

_ANSWER = re.compile(r"[a-z]{1,30}")
_LETTER = re.compile(r'The letter "([a-z])" is used too (often|seldom)\.')
_NO_WORD = re.compile(r'"([a-z]+)" is not a word\.')


@dataclass(frozen=True, slots=True)
class Unscrambling:
    """Knobs: shortest and longest word, in letters."""

    min_letters: int = 4
    max_letters: int = 8
    name: str = "unscrambling"

    def generate(self, rng: Random) -> Problem:
        """A word of the list, shuffled; the order given is never the word itself."""
        word = rng.choice([word for word in load_words() if self.min_letters <= len(word) <= self.max_letters])
        letters = list(word)
        while "".join(letters) == word:
            rng.shuffle(letters)
        return Problem(
            self.name, " ".join(letters), "Which word do the letters make?", word, {"letters": "".join(letters)}
        )

    def corrupt(self, problem: Problem, rng: Random) -> Corruption:
        """Operators: a letter replaced, dropped or doubled, the letters in an order that is no word, another word."""
        word = problem.reference
        while True:
            operator = rng.choice(("replace", "drop", "double", "shuffle", "other_word"))
            idx = rng.randrange(len(word))
            if operator == "replace":
                wrong = word[:idx] + rng.choice("abcdefghijklmnopqrstuvwxyz") + word[idx + 1 :]
            elif operator == "drop":
                wrong = word[:idx] + word[idx + 1 :]
            elif operator == "double":
                wrong = word[:idx] + word[idx] + word[idx:]
            elif operator == "shuffle":
                wrong = "".join(rng.sample(word, len(word)))
            else:
                wrong = rng.choice([other for other in load_words() if abs(len(other) - len(word)) <= 1])
            critiques = self.list_critiques(problem, wrong)
            if critiques:
                critique = rng.choice(critiques)
                return Corruption(
                    wrong, operator, critique, self.locate(problem, wrong, critique) or TextSpan(0, len(wrong))
                )

    def check_answer(self, problem: Problem, answer: str) -> Grade:
        """Any word of the list made of exactly the letters."""
        if not _ANSWER.fullmatch(answer.strip()):
            return unparsed(answer)
        word = answer.strip()
        return grade_bool(word in load_words() and sorted(word) == sorted(problem.facts["letters"]))

    def check_critique(self, problem: Problem, answer: str, critique: str) -> Grade:
        """Valid iff it holds of the answer."""
        word = answer.strip()
        if not _ANSWER.fullmatch(word):
            return unparsed(answer)
        if letter := _LETTER.fullmatch(critique.strip()):
            found, wanted = word.count(letter[1]), problem.facts["letters"].count(letter[1])
            return grade_bool(found > wanted if letter[2] == "often" else found < wanted)
        if no_word := _NO_WORD.fullmatch(critique.strip()):
            return grade_bool(no_word[1] == word and word not in load_words())
        return unparsed(critique)

    def list_critiques(self, problem: Problem, answer: str) -> list[str]:
        """Letters used too often, too seldom, then that it is no word."""
        word = answer.strip()
        found, wanted = Counter(word), Counter(problem.facts["letters"])
        said = [
            f'The letter "{letter}" is used too often.' for letter in sorted(found) if found[letter] > wanted[letter]
        ]
        said += [
            f'The letter "{letter}" is used too seldom.' for letter in sorted(wanted) if found[letter] < wanted[letter]
        ]
        return said if word in load_words() else [*said, f'"{word}" is not a word.']

    def draw_invalid(self, problem: Problem, answer: str, rng: Random) -> str | None:
        """A letter used rightly called wrong, or a word called none."""
        word, valid = answer.strip(), set(self.list_critiques(problem, answer))
        for _ in range(200):
            letter = rng.choice(word + problem.facts["letters"])
            said = f'The letter "{letter}" is used too {rng.choice(("often", "seldom"))}.'
            if rng.random() < 0.15:
                said = f'"{word}" is not a word.'
            if said not in valid:
                return said
        return None

    def locate(self, problem: Problem, answer: str, critique: str) -> TextSpan | None:
        """The last such letter; the whole word where the letter is absent or the word is no word."""
        word = answer.strip()
        begin = answer.find(word)
        if not word:
            return None
        if (letter := _LETTER.fullmatch(critique.strip())) and letter[1] in word:
            idx = begin + word.rindex(letter[1])
            return TextSpan(idx, idx + 1)
        if letter or _NO_WORD.fullmatch(critique.strip()):
            return TextSpan(begin, begin + len(word))
        return None

    def repair(self, problem: Problem, answer: str, critique: str) -> str | None:
        """Nothing follows from a letter count about where the letter goes: the whole word is given."""
        grade = self.check_critique(problem, answer, critique)
        return problem.reference if getattr(grade, "value", 0) == 1 else None
