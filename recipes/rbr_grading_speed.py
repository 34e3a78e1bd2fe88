"""What sharing the prefix saves: 15 propositions of one completion, at once and by 15 separate calls, same local model.

command    python recipes/rbr_grading_speed.py
hardware   2 CPU cores
time       about a minute for SmolLM2-135M-Instruct
expected   at least 5x faster on a 400-token conversation, probabilities equal to 1e-3; docs/rbr.md has a measured run

Both clocks are shown: processor time says what the work costs, and is what a machine shared with others does not spoil.
"""

import asyncio
import time
from dataclasses import dataclass

import torch
import tyro

from vivavoce.content import assistant, user
from vivavoce.grading import Graded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.graders.interface import GradeRequest, Item
from vivavoce.rbr.graders.local import LocalGrader
from vivavoce.stats import estimate_mean
from vivavoce.text_models import load_text_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What may be changed."""

    model: str = "smollm2-135m-instruct"
    """The grader."""
    turns: int = 8
    """Messages before the completion, about 45 tokens each."""
    repeats: int = 5
    """Timings of each way, in turn, after one of each that is not counted."""


def main(recipe: Recipe) -> None:
    """Time and compare."""
    rules = load_rules()
    text_model = load_text_model(recipe.model)
    sentence = "I would like to know how a garden can be kept alive through a dry summer without using too much water, please. "
    prompt = [(user if idx % 2 == 0 else assistant)(sentence * 2) for idx in range(recipe.turns | 1)]
    item = Item(
        prompt=tuple(prompt), completion=sentence + "Water early, mulch the beds and choose plants that stand drought."
    )
    request = GradeRequest(item=item, propositions=tuple(rules.propositions)[:15])
    graders = {
        is_shared: LocalGrader(text_model, rules.propositions, name=recipe.model, min_mass=0.0, is_shared=is_shared)
        for is_shared in (True, False)
    }
    shared, questions = graders[True].encode(request)
    spent: dict[bool, list[tuple[float, float]]] = {True: [], False: []}
    values: dict[bool, list[float]] = {}
    for repeat in range(recipe.repeats + 1):
        for is_shared, grader in graders.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            grades = asyncio.run(grader.grade(request))
            if repeat:
                spent[is_shared].append((time.perf_counter() - start, time.process_time() - start_cpu))
            values[is_shared] = [grade.value for grade in grades.values() if isinstance(grade, Graded)]
    difference = max(abs(a - b) for a, b in zip(values[True], values[False], strict=True))
    print(
        f"{recipe.model}, {len(shared)} shared tokens, {sum(map(len, questions)) / len(questions):.0f} a question, "
        f"{len(values[True])} propositions, {torch.get_num_threads()} threads; largest difference {difference:.1e}"
    )
    for clock, which in (("wall clock", 0), ("processor", 1)):
        fast, slow = ([pair[which] for pair in spent[is_shared]] for is_shared in (True, False))
        ratio = estimate_mean([b / a for a, b in zip(fast, slow)])
        print(f"{clock}: at once {sum(fast) / len(fast):.2f} s, apart {sum(slow) / len(slow):.2f} s, ratio {ratio}")


if __name__ == "__main__":
    main(tyro.cli(Recipe))
