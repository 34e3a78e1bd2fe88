"""`viva critique gdc`: the gaps of a model, in a table and as JSON."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Literal

from vivavoce.critique.checkpoints import find_critic
from vivavoce.critique.endpoint import open_respondent
from vivavoce.critique.gdc.measuring import TaskGaps, make_preset, measure_gdc, pool_tasks
from vivavoce.files import write_json
from vivavoce.run import describe_environment


def gdc(
    *,
    preset: Literal["quick", "full"] = "quick",
    model: str = "",
    base_url: str = "",
    tasks: tuple[str, ...] = (),
    num_items: int | None = None,
    seed: int = 0,
    json: Path | None = None,
) -> None:
    """Measure generator, discriminator and critique ability and the gaps between them.

    Args:
        preset: quick (small tasks, minutes on one core) or full.
        model: a folder or name, or endpoint:PROVIDER/MODEL; the critic that ships when empty.
        base_url: address of an OpenAI-compatible endpoint.
        tasks: synthetic tasks to measure; all when not given.
        num_items: held-out problems per task; the preset's when not given.
        seed: of problems, samples and bootstraps.
        json: write every estimate here.
    """
    config = dataclasses.replace(make_preset(preset), tasks=tasks, seed=seed)
    if num_items is not None:
        config = dataclasses.replace(config, num_items=num_items)
    name = find_critic(model)
    gaps = measure_gdc(open_respondent(name, base_url), config)
    print(f"{'task':<17}{'':<15}{'value [95% interval] (n)'}")
    for task, found in gaps.items():
        _print_task(task, found)
    together = pool_tasks(gaps.values(), seed=seed)
    for name, value in together.items() if len(gaps) > 1 else ():
        print(f"{'all tasks' if name == 'generator' else '':<17}{name:<22}{value}")
    print("eta is 0 for a random pick of two answers, 1 for the better one; CD above 0: knows more than it says")
    if json is not None:
        about = {"model": Path(name).name if Path(name).exists() else name, "config": dataclasses.asdict(config)}
        write_json(
            json,
            {
                "tasks": {task: found.to_json() for task, found in gaps.items()},
                "all_tasks": {name: value.to_json() for name, value in together.items()},
                **about,
                "about": describe_environment(),
            },
        )


def _print_task(task: str, found: TaskGaps) -> None:
    print(f"{task:<17}{'generator':<15}{found.generator}")
    print(f"{'':<17}{'discriminator':<15}{found.discriminator}  (eta)")
    print(f"{'':<17}{'critique':<15}{found.critique}  (eta)")
    for name, gap in found.gaps.items():
        print(f"{'':<17}{name:<22}{gap}")
    for name, coverage in found.coverage.items():
        print(f"{'':<17}{'coverage of ' + name:<22}{coverage}")
