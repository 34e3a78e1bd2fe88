"""Addition: two integers; a critique names a digit position of the sum and what should stand there.

Positions count from the right, 1 is the ones. A missing digit is called `absent`, so that answers of any length can
be criticised digit by digit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from vivavoce.critique.spans import TextSpan
from vivavoce.critique.synthetic.task import Corruption, Problem, grade_bool, unparsed
from vivavoce.grading import Grade

_ANSWER = re.compile(r"[0-9]{1,40}")
_CRITIQUE = re.compile(r"Digit ([0-9]{1,2}) from the right should be ([0-9]|absent)\.")


@dataclass(frozen=True, slots=True)
class Addition:
    """Knob: digits of each number."""

    num_digits: int = 6
    name: str = "addition"

    def generate(self, rng: Random) -> Problem:
        """Two numbers of exactly `num_digits` digits."""
        low, high = 10 ** (self.num_digits - 1), 10**self.num_digits - 1
        left, right = rng.randint(low, high), rng.randint(low, high)
        facts = {"left": left, "right": right}
        return Problem(self.name, f"{left} + {right}", "What is the sum?", str(left + right), facts)

    def corrupt(self, problem: Problem, rng: Random) -> Corruption:
        """Operators: a wrong digit, a carry lost or invented, two neighbours swapped, a digit dropped."""
        right = problem.reference
        while True:
            operator = rng.choice(("digit", "carry", "swap", "drop"))
            idx = rng.randrange(len(right))
            if operator == "digit":
                wrong = right[:idx] + rng.choice("0123456789") + right[idx + 1 :]
            elif operator == "carry":
                wrong = str(max(0, int(right) + rng.choice((-1, 1)) * 10 ** (len(right) - 1 - idx)))
            elif operator == "swap" and idx > 0:
                wrong = right[: idx - 1] + right[idx] + right[idx - 1] + right[idx + 1 :]
            else:
                wrong = right[:idx] + right[idx + 1 :]
            if not wrong or wrong.startswith("0") or int(wrong) == int(right):
                continue
            critique = rng.choice(self.list_critiques(problem, wrong))
            return Corruption(wrong, operator, critique, self.locate(problem, wrong, critique) or TextSpan(0, 1))

    def check_answer(self, problem: Problem, answer: str) -> Grade:
        """Digits only; equal to the sum."""
        if not _ANSWER.fullmatch(answer.strip()):
            return unparsed(answer)
        return grade_bool(answer.strip() == problem.reference)

    def check_critique(self, problem: Problem, answer: str, critique: str) -> Grade:
        """Valid iff that position is wrong in the answer and the stated digit is the right one."""
        said = _CRITIQUE.fullmatch(critique.strip())
        if said is None or not _ANSWER.fullmatch(answer.strip()):
            return unparsed(critique)
        position, digit = int(said[1]), said[2]
        if position < 1:
            return grade_bool(False)
        is_wrong = _digit(answer.strip(), position) != _digit(problem.reference, position)
        return grade_bool(is_wrong and digit == _digit(problem.reference, position))

    def list_critiques(self, problem: Problem, answer: str) -> list[str]:
        """One per wrong position."""
        answer = answer.strip()
        positions = range(1, max(len(answer), len(problem.reference)) + 1)
        return [
            _say(position, _digit(problem.reference, position))
            for position in positions
            if _digit(answer, position) != _digit(problem.reference, position)
        ]

    def draw_invalid(self, problem: Problem, answer: str, rng: Random) -> str | None:
        """A position that is right, or a wrong digit for it."""
        valid = set(self.list_critiques(problem, answer))
        while True:
            said = _say(rng.randint(1, len(problem.reference)), rng.choice("0123456789"))
            if said not in valid:
                return said

    def locate(self, problem: Problem, answer: str, critique: str) -> TextSpan | None:
        """The digit; for a position left of the number, its first digit."""
        said = _CRITIQUE.fullmatch(critique.strip())
        if said is None or not answer.strip():
            return None
        begin = max(0, len(answer.rstrip()) - int(said[1]))
        return TextSpan(begin, begin + 1)

    def repair(self, problem: Problem, answer: str, critique: str) -> str | None:
        """The digit put right; not for answers of another length than the stated position."""
        said = _CRITIQUE.fullmatch(critique.strip())
        answer = answer.strip()
        if said is None or said[2] == "absent" or not 1 <= int(said[1]) <= len(answer):
            return None
        idx = len(answer) - int(said[1])
        return answer[:idx] + said[2] + answer[idx + 1 :]


def _digit(number: str, position: int) -> str:
    return number[-position] if position <= len(number) else "absent"


def _say(position: int, digit: str) -> str:
    return f"Digit {position} from the right should be {digit}."
