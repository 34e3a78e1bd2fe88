"""Models that follow a script: they read the problem from the prompt and are right, wrong or silent as told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from vivavoce.critique.language import Sample
from vivavoce.critique.synthetic.task import Problem, SyntheticTask
from vivavoce.critique.tasks.forms import Rendered
from vivavoce.grading import Grade, Graded


def read_field(prompt: str, heading: str) -> str:
    """The text under `### heading`, up to the next one."""
    return prompt.split(f"### {heading}\n", 1)[1].split("\n\n### ")[0].strip()


class Scripted:
    """A model on one synthetic task. Each behaviour takes (problem, answer, critique, rng)."""

    def __init__(
        self,
        task: SyntheticTask,
        problems: Sequence[Problem],
        *,
        answer: Callable[[Problem, Random], str],
        flawed: Callable[[Problem, str], float],
        critique: Callable[[Problem, str, Random], str],
        helpful: Callable[[Problem, str, str], float],
        refine: Callable[[Problem, str, str | None, Random], str] | None = None,
    ) -> None:
        self.task = task
        self.by_text = {(problem.passage, problem.question): problem for problem in problems}
        self.answer, self.flawed, self.critique, self.helpful, self.refine = answer, flawed, critique, helpful, refine

    def _problem(self, prompt: str) -> Problem:
        return self.by_text[read_field(prompt, "Passage"), read_field(prompt, "Question")]

    def sample(
        self, prompts: Sequence[Rendered], n: int, *, max_new_tokens: int, temperature: float, seed: int
    ) -> list[list[Sample]]:
        """Completions by the script."""
        return [
            [self._complete(rendered.prompt, Random(f"{seed}/{idx}/{rendered.prompt}")) for idx in range(n)]
            for rendered in prompts
        ]

    def _complete(self, prompt: str, rng: Random) -> Sample:
        problem = self._problem(prompt)
        if prompt.endswith("### Answer\n"):
            text = self.answer(problem, rng)
        elif prompt.endswith("### Critique\n"):
            text = self.critique(problem, read_field(prompt, "Answer"), rng)
        elif prompt.endswith("### Better answer\n"):
            critique = read_field(prompt, "Critique") if "### Critique\n" in prompt else None
            assert self.refine is not None
            text = self.refine(problem, read_field(prompt, "Answer"), critique, rng)
        else:
            text = "4 accuracy"
        return Sample(text, False, len(text))

    def judge(self, task: str, prompts: Sequence[Rendered]) -> list[Grade]:
        """Probabilities by the script."""
        grades: list[Grade] = []
        for rendered in prompts:
            problem, answer = self._problem(rendered.prompt), read_field(rendered.prompt, "Answer")
            if task == "critiqueability":
                grades.append(Graded(self.flawed(problem, answer)))
            else:
                grades.append(Graded(self.helpful(problem, answer, read_field(rendered.prompt, "Critique"))))
        return grades
