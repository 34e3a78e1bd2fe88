"""What sharing the prefix saves: 15 propositions of one completion, at once and by 15 separate calls, same local model.

command    python recipes/rbr_grading_speed.py
hardware   2 CPU cores
time       about a minute for SmolLM2-135M-Instruct
expected   at least 5x faster on a 400-token conversation, probabilities equal to 1e-3; docs/rbr.md has a measured run
"""

import asyncio
import statistics
import time
from dataclasses import dataclass

import tyro

from vivavoce.content import assistant, user
from vivavoce.grading import Graded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.graders.interface import GradeRequest, Item
from vivavoce.rbr.graders.local import LocalGrader
from vivavoce.text_models import load_text_model


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What may be changed."""

    model: str = "smollm2-135m-instruct"
    """The grader."""
    turns: int = 8
    """Messages before the completion, about 45 tokens each."""
    repeats: int = 3
    """Timings of each way."""


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
    times: dict[bool, list[float]] = {True: [], False: []}
    values: dict[bool, list[float]] = {}
    lengths = ""
    for _ in range(recipe.repeats):
        for is_shared in (True, False):
            grader = LocalGrader(text_model, rules.propositions, name=recipe.model, min_mass=0.0, is_shared=is_shared)
            shared, questions = grader.encode(request)
            lengths = f"{len(shared)} shared tokens, {sum(map(len, questions)) / len(questions):.0f} a question"
            start = time.perf_counter()
            grades = asyncio.run(grader.grade(request))
            times[is_shared].append(time.perf_counter() - start)
            values[is_shared] = [grade.value for grade in grades.values() if isinstance(grade, Graded)]
    fast, slow = statistics.median(times[True]), statistics.median(times[False])
    difference = max(abs(a - b) for a, b in zip(values[True], values[False], strict=True))
    print(f"{recipe.model}, {lengths}, {len(values[True])} propositions, median of {recipe.repeats}")
    print(f"at once {fast:.2f} s, apart {slow:.2f} s: {slow / fast:.1f}x; largest difference {difference:.1e}")


if __name__ == "__main__":
    main(tyro.cli(Recipe))
