"""3-SAT: a formula; the answer gives every variable a value; a critique names a clause that is false."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from vivavoce.critique.spans import TextSpan
from vivavoce.critique.synthetic.task import Corruption, Problem, grade_bool, unparsed
from vivavoce.errors import ConfigError
from vivavoce.grading import Grade

_ANSWER = re.compile(r"[a-z]=[01]( [a-z]=[01])*")
_CRITIQUE = re.compile(r"Clause ([0-9]{1,3}) is false\.")

Clause = tuple[tuple[int, bool], ...]


@dataclass(frozen=True, slots=True)
class Satisfiability:
    """Knobs: variables, and clauses per variable (random 3-SAT is hardest near 4.27).

    Formulas are made around a hidden assignment, so each has a solution; that makes them easier than random
    satisfiable ones at the same ratio.
    """

    num_variables: int = 8
    clause_ratio: float = 3.5
    name: str = "satisfiability"

    def __post_init__(self) -> None:
        if not 3 <= self.num_variables <= 26:
            raise ConfigError(f"num_variables is {self.num_variables}; need 3 to 26")

    def generate(self, rng: Random) -> Problem:
        """Clauses of three distinct variables, each true under a hidden assignment."""
        hidden = [rng.random() < 0.5 for _ in range(self.num_variables)]
        clauses = list[Clause]()
        while len(clauses) < round(self.num_variables * self.clause_ratio):
            chosen = sorted(rng.sample(range(self.num_variables), 3))
            clause = tuple((variable, rng.random() < 0.5) for variable in chosen)
            if is_satisfied(clause, hidden):
                clauses.append(clause)
        passage = "; ".join(f"{number}: {_say_clause(clause)}" for number, clause in enumerate(clauses, 1))
        facts = {"clauses": tuple(clauses), "num_variables": self.num_variables}
        return Problem(self.name, passage, "Which values make every clause true?", write_assignment(hidden), facts)

    def corrupt(self, problem: Problem, rng: Random) -> Corruption:
        """Operators: flips of 1, 2 or 3 variables that leave a clause false."""
        right = parse_assignment(problem, problem.reference)
        assert right is not None
        for attempt in range(1000):
            values = list(right)
            flipped = rng.sample(range(len(values)), rng.choice((1, 2, 3)) if attempt < 500 else len(values) // 2)
            for variable in flipped:
                values[variable] = not values[variable]
            wrong = write_assignment(values)
            critiques = self.list_critiques(problem, wrong)
            if critiques:
                critique = rng.choice(critiques)
                span = self.locate(problem, wrong, critique) or TextSpan(0, len(wrong))
                return Corruption(wrong, f"flip_{len(flipped)}", critique, span)
        raise ConfigError("no flip makes a clause false; raise clause_ratio")

    def check_answer(self, problem: Problem, answer: str) -> Grade:
        """Every variable has one value; every clause is true. Any satisfying assignment is right."""
        values = parse_assignment(problem, answer)
        if values is None:
            return unparsed(answer)
        return grade_bool(all(is_satisfied(clause, values) for clause in problem.facts["clauses"]))

    def check_critique(self, problem: Problem, answer: str, critique: str) -> Grade:
        """Valid iff that clause exists and is false under the answer."""
        said, values = _CRITIQUE.fullmatch(critique.strip()), parse_assignment(problem, answer)
        if said is None or values is None:
            return unparsed(critique)
        clauses, number = problem.facts["clauses"], int(said[1])
        return grade_bool(1 <= number <= len(clauses) and not is_satisfied(clauses[number - 1], values))

    def list_critiques(self, problem: Problem, answer: str) -> list[str]:
        """One per false clause."""
        values = parse_assignment(problem, answer)
        if values is None:
            return []
        clauses = enumerate(problem.facts["clauses"], 1)
        return [f"Clause {number} is false." for number, clause in clauses if not is_satisfied(clause, values)]

    def draw_invalid(self, problem: Problem, answer: str, rng: Random) -> str | None:
        """A clause that is true."""
        valid = set(self.list_critiques(problem, answer))
        numbers = range(1, len(problem.facts["clauses"]) + 1)
        others = [said for number in numbers if (said := f"Clause {number} is false.") not in valid]
        return rng.choice(others) if others else None

    def locate(self, problem: Problem, answer: str, critique: str) -> TextSpan | None:
        """The value of the clause's first variable."""
        said = _CRITIQUE.fullmatch(critique.strip())
        clauses = problem.facts["clauses"]
        if said is None or not 1 <= int(said[1]) <= len(clauses):
            return None
        begin = answer.find(f"{_letter(clauses[int(said[1]) - 1][0][0])}=")
        return TextSpan(begin, begin + 3) if begin >= 0 else None

    def repair(self, problem: Problem, answer: str, critique: str) -> str | None:
        """A solution of the whole formula: making one clause true may break another."""
        grade = self.check_critique(problem, answer, critique)
        return problem.reference if getattr(grade, "value", 0) == 1 else None


def is_satisfied(clause: Clause, values: list[bool]) -> bool:
    """True if a literal of the clause is true."""
    return any(values[variable] == is_positive for variable, is_positive in clause)


def parse_assignment(problem: Problem, answer: str) -> list[bool] | None:
    """The values by variable; None unless every variable has exactly one."""
    if not _ANSWER.fullmatch(answer.strip()):
        return None
    pairs = dict[str, bool]()
    for part in answer.split():
        if part[0] in pairs:
            return None
        pairs[part[0]] = part[2] == "1"
    letters = [_letter(variable) for variable in range(problem.facts["num_variables"])]
    return [pairs[letter] for letter in letters] if sorted(pairs) == letters else None


def write_assignment(values: list[bool]) -> str:
    """`a=1 b=0 ...`."""
    return " ".join(f"{_letter(variable)}={int(value)}" for variable, value in enumerate(values))


def _letter(variable: int) -> str:
    return "abcdefghijklmnopqrstuvwxyz"[variable]


def _say_clause(clause: Clause) -> str:
    return " or ".join(("" if is_positive else "not ") + _letter(variable) for variable, is_positive in clause)
