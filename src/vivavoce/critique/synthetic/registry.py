"""The five tasks by name, at their published-size and quick difficulties, and their problems as records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from random import Random

from vivavoce.critique.loaders.records import (
    AnswerRecord,
    CritiqueRecord,
    PassageRecord,
    PlantedFlaw,
    QuestionRecord,
    make_key,
)
from vivavoce.critique.spans import TextSpan
from vivavoce.critique.synthetic.addition import Addition
from vivavoce.critique.synthetic.alphabetising import Alphabetising
from vivavoce.critique.synthetic.multiple_choice import MultipleChoice
from vivavoce.critique.synthetic.satisfiability import Satisfiability
from vivavoce.critique.synthetic.task import Problem, SyntheticTask
from vivavoce.critique.synthetic.unscrambling import Unscrambling
from vivavoce.critique.texts import digest_text
from vivavoce.errors import ConfigError

SOURCE_PREFIX = "synthetic/"
_QUICK: tuple[SyntheticTask, ...] = (
    Addition(num_digits=2),
    Alphabetising(num_words=3),
    Unscrambling(min_letters=3, max_letters=5),
    Satisfiability(num_variables=3, clause_ratio=1.4),
    MultipleChoice(num_facts=2, num_options=3, has_moves=False),
)
_FULL: tuple[SyntheticTask, ...] = (Addition(), Alphabetising(), Unscrambling(), Satisfiability(), MultipleChoice())


def make_tasks(difficulty: str = "quick", names: Sequence[str] = ()) -> dict[str, SyntheticTask]:
    """The tasks of a difficulty (`quick` for tiny models, `full` for the sizes in the paper's style), by name.

    Raises: ConfigError for an unknown difficulty or name.
    """
    if difficulty not in ("quick", "full"):
        raise ConfigError(f"difficulty is {difficulty!r}; need quick or full")
    tasks = {task.name: task for task in (_QUICK if difficulty == "quick" else _FULL)}
    unknown = sorted(set(names) - set(tasks))
    if unknown:
        raise ConfigError(f"no synthetic task {unknown}; there are {', '.join(tasks)}")
    return {name: task for name, task in tasks.items() if not names or name in names}


# chosen: as the loaders', so that equal problems fall into one split
_SPLIT_ENDS = (("train", 0.8), ("validation", 0.9), ("test", 1.0))


def split_of(problem: Problem) -> str:
    """The split of a problem, from its text alone: no draw can put one problem into two splits."""
    position = int(digest_text(problem.passage + problem.question)[:8], 16) / 16**8
    return next(name for name, upper in _SPLIT_ENDS if position < upper)


def generate_problems(task: SyntheticTask, split: str, num: int, seed: int) -> Iterator[Problem]:
    """`num` distinct problems of one split.

    Raises: ConfigError if the task at this difficulty has not as many.
    """
    rng, seen = Random(f"{task.name}/{split}/{seed}"), set[str]()
    misses = 0
    while len(seen) < num:
        problem = task.generate(rng)
        text = problem.passage + problem.question
        if split_of(problem) != split or text in seen:
            misses += 1
            if misses > 200 * (num + 10):
                raise ConfigError(
                    f"{task.name} has only about {len(seen)} {split} problems at this difficulty, not {num}"
                )
            continue
        seen.add(text)
        yield problem


def make_records(tasks: Iterable[SyntheticTask], split: str, num: int, seed: int) -> Iterator[PassageRecord]:
    """`num` records of each task."""
    for task in tasks:
        rng = Random(f"records/{task.name}/{split}/{seed}")
        for problem in generate_problems(task, split, num, seed):
            yield make_record(task, problem, rng)


def make_record(task: SyntheticTask, problem: Problem, rng: Random, *, num_flawed: int = 2) -> PassageRecord:
    """A problem with its reference answer and `num_flawed` misleading ones, with valid and invalid critiques of each.

    Invalid critiques of the clean answer are among them, so that a helpfulness head sees both answers criticised.
    """
    source = SOURCE_PREFIX + task.name
    key = make_key(source, problem.passage, problem.question)
    clean = AnswerRecord(
        key=f"{key}.clean", author_kind="person", author="oracle", text=problem.reference, is_correct=True,
        critiques=_invalid(task, problem, problem.reference, f"{key}.clean", rng),
    )  # fmt: skip
    answers = {problem.reference: clean}
    for number in range(num_flawed):
        corruption = task.corrupt(problem, rng)
        if corruption.text in answers:
            continue
        mine = f"{key}.flawed{number}"
        flaw = PlantedFlaw(text=corruption.critique, category="accuracy", severity=4, answer_spans=(corruption.span,))
        answers[corruption.text] = AnswerRecord(
            key=mine, author_kind="misleading", author=corruption.operator, text=corruption.text, is_correct=False,
            parent_key=clean.key, planted_flaws=(flaw,),
            critiques=(
                _valid(task, problem, corruption.text, corruption.critique, corruption.span, mine),
                *_invalid(task, problem, corruption.text, mine, rng),
            ),
        )  # fmt: skip
    question = QuestionRecord(key=f"{key}.q", text=problem.question, answers=tuple(answers.values()))
    return PassageRecord(key=key, source=source, text=problem.passage, split=split_of(problem), questions=(question,))


def _valid(
    task: SyntheticTask, problem: Problem, answer: str, critique: str, span: TextSpan, key: str
) -> CritiqueRecord:
    return CritiqueRecord(
        key=f"{key}.valid", author_kind="oracle", author="oracle", text=critique, category="accuracy", severity=4,
        answer_spans=(span,), is_valid=True, is_helpful=True, refinement=task.repair(problem, answer, critique),
    )  # fmt: skip


def _invalid(task: SyntheticTask, problem: Problem, answer: str, key: str, rng: Random) -> tuple[CritiqueRecord, ...]:
    text = task.draw_invalid(problem, answer, rng)
    if text is None:
        return ()
    return (
        CritiqueRecord(
            key=f"{key}.invalid", author_kind="decoy", author="oracle", text=text, is_valid=False, is_helpful=False
        ),
    )
