"""Alphabetising: words to sort; a critique names two words out of order, or one missing or extra."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from random import Random

from vivavoce.critique.spans import TextSpan
from vivavoce.critique.synthetic.task import Corruption, Problem, grade_bool, unparsed
from vivavoce.critique.synthetic.wordlist import load_words
from vivavoce.grading import Grade

_ANSWER = re.compile(r"[a-z]+( [a-z]+)*")
_ORDER = re.compile(r'"([a-z]+)" should come before "([a-z]+)"\.')
_COUNT = re.compile(r'"([a-z]+)" is (missing|extra)\.')


@dataclass(frozen=True, slots=True)
class Alphabetising:
    """Knob: number of words."""

    num_words: int = 18
    name: str = "alphabetising"

    def generate(self, rng: Random) -> Problem:
        """Distinct words in random order, never sorted already."""
        words = rng.sample(load_words(), self.num_words)
        if words == sorted(words):
            words.reverse()
        reference = " ".join(sorted(words))
        return Problem(
            self.name, " ".join(words), "What is the list in alphabetical order?", reference, {"words": words}
        )

    def corrupt(self, problem: Problem, rng: Random) -> Corruption:
        """Operators: two words swapped, one dropped, one repeated, one replaced."""
        words = problem.reference.split()
        operator = rng.choice(("swap", "drop", "repeat", "replace"))
        idx = rng.randrange(len(words))
        if operator == "swap":
            other = rng.choice([place for place in range(len(words)) if place != idx])
            words[idx], words[other] = words[other], words[idx]
        elif operator == "drop" and len(words) > 1:
            words.pop(idx)
        elif operator == "repeat":
            words.insert(idx, words[idx])
        else:
            words[idx] = rng.choice([word for word in load_words() if word not in words])
        wrong = " ".join(words)
        critique = rng.choice(self.list_critiques(problem, wrong))
        return Corruption(
            wrong, operator, critique, self.locate(problem, wrong, critique) or TextSpan(0, len(words[0]))
        )

    def check_answer(self, problem: Problem, answer: str) -> Grade:
        """Lower-case words with single spaces; equal to the sorted list."""
        if not _ANSWER.fullmatch(answer.strip()):
            return unparsed(answer)
        return grade_bool(answer.strip() == problem.reference)

    def check_critique(self, problem: Problem, answer: str, critique: str) -> Grade:
        """Valid iff what it says holds in the answer."""
        if not _ANSWER.fullmatch(answer.strip()):
            return unparsed(answer)
        words = answer.split()
        if order := _ORDER.fullmatch(critique.strip()):
            first, second = order.groups()
            holds = first in words and second in words and first < second
            return grade_bool(holds and _last(words, first) > words.index(second))
        if count := _COUNT.fullmatch(critique.strip()):
            word, kind = count.groups()
            wanted, found = problem.facts["words"].count(word), words.count(word)
            return grade_bool(found < wanted if kind == "missing" else found > wanted)
        return unparsed(critique)

    def list_critiques(self, problem: Problem, answer: str) -> list[str]:
        """Words out of order, then missing, then extra ones."""
        words, wanted = answer.split(), Counter(problem.facts["words"])
        found = Counter(words)
        order = {
            (first, second): None for idx, second in enumerate(words) for first in words[idx + 1 :] if first < second
        }
        said = [f'"{first}" should come before "{second}".' for first, second in order]
        said += [f'"{word}" is missing.' for word in sorted(wanted) if found[word] < wanted[word]]
        return said + [f'"{word}" is extra.' for word in sorted(found) if found[word] > wanted[word]]

    def draw_invalid(self, problem: Problem, answer: str, rng: Random) -> str | None:
        """A right order called wrong, a word there called missing or extra."""
        valid = set(self.list_critiques(problem, answer))
        words = answer.split()
        for _ in range(200):
            if len(words) > 1 and rng.random() < 0.6:
                second, first = rng.sample(words, 2)
                said = f'"{first}" should come before "{second}".'
            else:
                said = f'"{rng.choice(words)}" is {rng.choice(("missing", "extra"))}.'
            if said not in valid:
                return said
        return None

    def locate(self, problem: Problem, answer: str, critique: str) -> TextSpan | None:
        """The word that should come earlier, or the extra one; a missing word: where it should stand."""
        words = answer.split()
        if order := _ORDER.fullmatch(critique.strip()):
            word = order[1]
        elif count := _COUNT.fullmatch(critique.strip()):
            word = count[1]
            if word not in words:
                word = next((there for there in words if there > word), words[-1] if words else "")
        else:
            return None
        if word not in words:
            return None
        # spans are offsets into the answer as it stands, so runs of spaces count
        place = [match.span() for match in re.finditer(r"\S+", answer)][_last(words, word)]
        return TextSpan(*place)

    def repair(self, problem: Problem, answer: str, critique: str) -> str | None:
        """Moves, inserts or removes the named word."""
        words = answer.split()
        if order := _ORDER.fullmatch(critique.strip()):
            first, second = order.groups()
            if first not in words or second not in words:
                return None
            words.pop(_last(words, first))
            words.insert(words.index(second), first)
        elif count := _COUNT.fullmatch(critique.strip()):
            word, kind = count.groups()
            if kind == "missing":
                words.insert(sum(there < word for there in words), word)
            elif word in words:
                words.pop(_last(words, word))
        else:
            return None
        return " ".join(words) or None


def _last(words: list[str], word: str) -> int:
    return len(words) - 1 - words[::-1].index(word)
