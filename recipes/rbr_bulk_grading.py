"""Grade many completions with Ray Data, on one machine or a cluster; without Ray, in this process.

command    python recipes/rbr_bulk_grading.py --completions runs/rbr_made/completions.jsonl --out runs/rbr_grades
hardware   any; `pip install 'ray[data]'` for more than one process
time       thousands of completions a minute per core with the offline grader
expected   one JSON line per completion; the same grades whichever way
"""

import importlib.util
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from vivavoce.files import write_bytes
from vivavoce.grading import Graded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.graders.interface import GradeRequest, Item, grade_all_now
from vivavoce.rbr.graders.open import open_grader
from vivavoce.rbr.synth import read_completions


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What may be changed."""

    completions: Path
    """completions.jsonl of `viva rbr synth`."""
    out: Path
    """Folder to write grades.jsonl to."""
    grader: str = "offline"
    """See `viva rbr gold`; an endpoint grader makes this a client of a vLLM server."""
    workers: int = 2
    """Processes, with Ray."""
    base_url: str | None = None
    """Address of the endpoint."""


class Worker:
    """One process's grader; Ray makes one per worker and feeds it batches."""

    def __init__(self, path: str, grader: str, base_url: str | None) -> None:
        self.rules = load_rules()
        self.rows = read_completions(Path(path))
        self.grader = open_grader(grader, self.rules, base_url=base_url).grader

    def __call__(self, batch: dict[str, Any]) -> dict[str, list[str]]:
        """{"idx": [N]} to {"line": [N]}: row numbers go in, so that no text crosses processes twice."""
        return {"line": [json.dumps(row) for row in self.grade([int(idx) for idx in batch["idx"]])]}

    def grade(self, indices: Iterable[int]) -> list[dict[str, Any]]:
        """Grades of rows, null where ungraded."""
        indices = list(indices)
        requests = [
            GradeRequest(
                item=Item(prompt=self.rows[idx].prompt, completion=self.rows[idx].completion),
                propositions=self.rules.list_graded(self.rows[idx].response_type),
            )
            for idx in indices
        ]
        return [
            {"idx": idx, "grades": {name: g.value if isinstance(g, Graded) else None for name, g in grades.items()}}
            for idx, grades in zip(indices, grade_all_now(self.grader, requests))
        ]


def main(recipe: Recipe) -> None:
    """Grade everything and write it in the order of the input."""
    arguments = (str(recipe.completions.resolve()), recipe.grader, recipe.base_url)
    num_rows = len(read_completions(recipe.completions))
    if importlib.util.find_spec("ray") is None:
        rows, how = Worker(*arguments).grade(range(num_rows)), "in this process (ray is not installed)"
    else:
        import ray  # pyright: ignore[reportMissingImports]  # optional: bring your own cluster

        # cut as it is made: a step that cuts would want a core of its own, and wait for ever where the workers have them all
        items = [{"idx": idx} for idx in range(num_rows)]
        data = ray.data.from_items(items, override_num_blocks=min(num_rows, 4 * recipe.workers))
        workers = ray.data.ActorPoolStrategy(size=recipe.workers)
        done = data.map_batches(Worker, fn_constructor_args=arguments, compute=workers, batch_size=64)
        rows = sorted((json.loads(row["line"]) for row in done.take_all()), key=lambda row: row["idx"])
        how = f"by Ray Data with {recipe.workers} workers"
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_bytes(recipe.out / "grades.jsonl", text.encode())
    ungraded = sum(value is None for row in rows for value in row["grades"].values())
    print(f"{recipe.out / 'grades.jsonl'}: {len(rows)} completions graded {how}; {ungraded} grades missing")


if __name__ == "__main__":
    main(tyro.cli(Recipe))
