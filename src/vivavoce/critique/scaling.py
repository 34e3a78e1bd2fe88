"""Scaling: several sizes trained on one mixture, each measured, everything against validation loss as the paper plots it.

The x axis is nats per character of target on held-out passages, so that sizes with other tokenizers stand on one axis.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from vivavoce.critique.gdc.measuring import GdcConfig, measure_gdc, pool_tasks
from vivavoce.critique.language import LanguageModel
from vivavoce.critique.matrix import measure_matrix
from vivavoce.critique.pool import Sampling
from vivavoce.critique.refining import Item, RefiningConfig, measure_refining
from vivavoce.critique.sizes import SIZES, count_parameters
from vivavoce.critique.synthetic.registry import generate_problems, make_records, make_tasks
from vivavoce.critique.tasks.examples import Example, make_examples
from vivavoce.critique.training import TrainingConfig, measure_loss, train
from vivavoce.errors import ConfigError
from vivavoce.files import write_json
from vivavoce.run import Run

_GAPS = ("GD", "GC", "CD", "CD_pairs")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingConfig:
    """One mixture, several sizes."""

    sizes: tuple[str, ...] = ("2xs", "xs", "s", "m", "smollm2-135m-instruct")
    """Sizes from scratch or models by name, at least two."""
    training: TrainingConfig = field(default_factory=TrainingConfig)
    """Shared by all; `base` is replaced."""
    pretrained_learning_rate: float = 1e-4
    """Learning rate of sizes that are not from scratch."""
    pretrained_num_examples: int | None = None
    """Training examples of those; as many as of the others when None."""
    pretrained_batch_examples: int | None = None
    """Examples a step of those; as many as of the others when None."""
    pretrained_num_items: int | None = None
    """Held-out problems per task for their measures and for the critic-by-author matrix; `num_items` when None."""
    pretrained_in_bfloat16: bool = False
    """Measure them in bfloat16, about 1.6 times as fast on a processor that has it; training and loss stay in float32."""
    difficulty: str = "quick"
    """Of the synthetic tasks."""
    num_problems: int = 1000
    """Training problems per task."""
    num_items: int = 60
    """Held-out problems per task for every measure."""
    num_validation: int = 60
    """Validation problems per task, on which the loss is measured and the yes/no heads are calibrated."""
    num_critiques: int = 8
    """Critiques per answer."""
    num_refinements: int = 4
    """Refinements of which best-of-N keeps one."""
    max_new_tokens: int = 80
    """Bound of an answer, critique or refinement."""
    seed: int = 0
    """Of data, training and measures."""

    def __post_init__(self) -> None:
        if len(set(self.sizes)) != len(self.sizes) or len(self.sizes) < 2:
            raise ConfigError(f"sizes are {self.sizes}; need two or more distinct ones")


def run_scaling(config: ScalingConfig, out: Path, *, trained: Mapping[str, Path] | None = None) -> list[dict[str, Any]]:
    """Train and measure each size; `out/SIZE/point.json` is written when a size is done, so a stopped run goes on.

    trained: folders of models that are taken as they are, by size: the caller vouches that they had these settings.
    Returns the points in order of validation loss, worst first; `out/points.json` and `out/scaling.svg` hold them too.
    Raises: ConfigError if `out` was started with other settings (sizes may be added): such points make no curve.
    """
    Run.open(out, {key: value for key, value in asdict(config).items() if key != "sizes"}, resume=True)
    data = make_data(config)
    folders = {size: out / size.replace("/", "_") for size in config.sizes}
    models = {size: folder / "run" / "model" for size, folder in folders.items()} | dict(trained or {})
    points = [
        _measure_size(size, config, data, folders[size], models[size] if size in (trained or {}) else None)
        for size in config.sizes
    ]
    points.sort(key=lambda point: -point["loss_nats_per_char"]["value"])
    points[0]["cross"] = _cross({point["size"]: models[point["size"]] for point in points}, config)
    write_json(out / "points.json", {"config": asdict(config), "points": points})
    draw(points, out / "scaling.svg")
    return points


def make_data(config: ScalingConfig) -> tuple[list[Example], list[Example]]:
    """Training and validation examples, shared by all sizes."""
    tasks = make_tasks(config.difficulty).values()
    return (
        list(make_examples(make_records(tasks, "train", config.num_problems, config.seed))),
        list(make_examples(make_records(tasks, "validation", config.num_validation, config.seed))),
    )


def make_training(size: str, config: ScalingConfig) -> TrainingConfig:
    """How `size` is trained: the shared settings, and what is stated apart for sizes that are not from scratch."""
    training = replace(config.training, base=size, seed=config.seed)
    if size in SIZES:
        return training
    return replace(
        training,
        learning_rate=config.pretrained_learning_rate,
        num_examples=config.pretrained_num_examples or training.num_examples,
        batch_examples=config.pretrained_batch_examples or training.batch_examples,
    )


def _measure_size(
    size: str, config: ScalingConfig, data: tuple[list[Example], list[Example]], folder: Path, trained: Path | None
) -> dict[str, Any]:
    done = folder / "point.json"
    if done.is_file():
        return json.loads(done.read_text())
    training = make_training(size, config)
    if trained is None:
        language, report = train(training, *data, folder / "run", resume=(folder / "run" / "config.json").exists())
        loss = report.loss
    else:
        language = LanguageModel.load(str(trained))
        loss = measure_loss(language, data[1])[0]
    num_items = _prepare(language, size, config)
    gdc = GdcConfig(
        difficulty=config.difficulty,
        num_items=num_items,
        num_critiques=(1, config.num_critiques),
        max_new_tokens=config.max_new_tokens,
        seed=config.seed,
    )
    gaps = measure_gdc(language, gdc)
    point = {
        "size": size,
        "num_parameters": count_parameters(language.model),
        "num_steps": training.num_steps,
        "num_examples": training.num_examples,
        "num_items": num_items,
        "loss_nats_per_char": loss.to_json(),
        "tasks": {name: found.to_json() for name, found in gaps.items()},
        "refinement": _measure_refinement(language, config, num_items),
        "all_tasks": {name: value.to_json() for name, value in pool_tasks(gaps.values(), seed=config.seed).items()},
    }
    write_json(done, point)
    return point


def _prepare(language: LanguageModel, size: str, config: ScalingConfig) -> int:
    """Put a model into the number format it is measured in; return on how many problems per task."""
    if size in SIZES:
        return config.num_items
    if config.pretrained_in_bfloat16:
        language.model.to(torch.bfloat16)  # pyright: ignore[reportArgumentType]  # transformers annotates `to` for a mixin
    return config.pretrained_num_items or config.num_items


def _measure_refinement(language: LanguageModel, config: ScalingConfig, num_items: int) -> dict[str, Any]:
    """Gains over the original answer, all tasks together."""
    items = [
        Item(p.passage + p.question, p.passage, p.question, lambda text, p=p, task=task: task.check_answer(p, text))
        for task in make_tasks(config.difficulty).values()
        for p in generate_problems(task, "test", num_items, config.seed)
    ]
    refining = RefiningConfig(
        num_critiques=config.num_critiques, num_refinements=config.num_refinements,
        max_new_tokens=config.max_new_tokens, seed=config.seed,
    )  # fmt: skip
    report = measure_refining(language, items, refining)
    return {pair: value.to_json() for pair, value in report.differences.items()}


def _cross(folders: Mapping[str, Path], config: ScalingConfig) -> dict[str, Any]:
    """Critic by author over all sizes: the diagonal is self-critique, whose difficulty grows with the author."""
    models = {size: LanguageModel.load(str(folder)) for size, folder in folders.items()}
    num_items = min(_prepare(model, size, config) for size, model in models.items())
    tasks = list(make_tasks(config.difficulty).values())
    problems = {task.name: list(generate_problems(task, "test", num_items, config.seed)) for task in tasks}
    sampling = Sampling(num_critiques=config.num_critiques, max_new_tokens=config.max_new_tokens, seed=config.seed)
    found = measure_matrix(models, tasks, problems, sampling)
    return {
        "valid": {
            critic: {author: value.to_json() for author, value in row.items()} for critic, row in found.cells.items()
        },
        "flawed": {author: value.to_json() for author, value in found.flawed.items()},
    }


def list_curve(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows (measure, size, loss, value, low, high) of the plot; undefined values are left out.

    Self-critique confounds two things that grow together, so both are drawn alone: every critic on the worst model's
    answers (skill), and the best critic on every model's answers (how hard they are to criticise).
    """
    cross = next((point["cross"] for point in points if "cross" in point), {"valid": {}, "flawed": {}})
    by_loss = sorted(points, key=lambda point: -point["loss_nats_per_char"]["value"])
    worst, best = by_loss[0]["size"], by_loss[-1]["size"]
    rows = list[dict[str, Any]]()
    for point in points:
        size, loss = point["size"], point["loss_nats_per_char"]["value"]
        values: dict[str, dict[str, Any] | None] = {
            "self-critique valid": cross["valid"].get(size, {}).get(size),
            "valid on the worst model's answers": cross["valid"].get(size, {}).get(worst),
            "best critic valid on own answers": cross["valid"].get(best, {}).get(size),
            "own answers flawed": cross["flawed"].get(size),
            "refinement gain, best critique": point["refinement"]["conditional_best - original"],
            "refinement gain, direct": point["refinement"]["direct - original"],
        }
        values |= {f"{gap}, all tasks": point["all_tasks"][gap] for gap in _GAPS}
        for task, found in point["tasks"].items():
            values |= {f"{gap}, {task}": found["gaps"][gap] for gap in _GAPS}
        for measure, value in values.items():
            if value is not None and value["value"] is not None:
                low, high = value["ci"] or (None, None)
                rows.append(
                    {"measure": measure, "size": size, "loss": loss, "value": value["value"], "low": low, "high": high}
                )
    return rows


def draw(points: Sequence[Mapping[str, Any]], path: Path) -> None:
    """One panel a measure, value and interval against validation loss, loss falling to the right."""
    import altair as alt

    rows = list_curve(points)
    axis = alt.X("loss:Q", title="validation loss, nats per character", scale=alt.Scale(reverse=True, zero=False))
    start = alt.Chart().encode(x=axis)
    chart = alt.layer(
        start.mark_line(color="#1f4e79").encode(y=alt.Y("value:Q", title=None)),
        start.mark_rule(color="#1f4e79").encode(y="low:Q", y2="high:Q"),
        start.mark_point(filled=True, color="#1f4e79", size=50).encode(y="value:Q"),
        start.mark_text(dx=6, dy=-7, align="left", fontSize=8).encode(y="value:Q", text="size:N"),
        data=alt.Data(values=rows),
    ).properties(width=180, height=130)
    # in the order of `list_curve`: critiques and refinement first, the gaps by task after them
    order = list(dict.fromkeys(row["measure"] for row in rows))
    facets = chart.facet(facet=alt.Facet("measure:N", title=None, sort=order), columns=3).resolve_scale(y="independent")
    path.parent.mkdir(parents=True, exist_ok=True)
    facets.save(str(path))
