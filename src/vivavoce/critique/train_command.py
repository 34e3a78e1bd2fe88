"""`viva critique train`: one model on all joint tasks, from the store or from the synthetic tasks."""

from __future__ import annotations

from pathlib import Path

import tyro

from vivavoce.critique.language import LanguageModel
from vivavoce.critique.loaders.exporting import export_records
from vivavoce.critique.store import open_store
from vivavoce.critique.synthetic.registry import make_records, make_tasks
from vivavoce.critique.tasks.examples import Example, make_examples
from vivavoce.critique.training import TrainingConfig, TrainingReport, train
from vivavoce.errors import ConfigError, DataError
from vivavoce.files import write_json


def train_critic(
    out: tyro.conf.Positional[Path],
    *,
    store: str = "",
    sources: tuple[str, ...] = (),
    num_problems: int = 1000,
    config: TrainingConfig = TrainingConfig(),  # noqa: B008
    resume: bool = False,
    json: Path | None = None,
) -> None:
    """Train a critic. Kill it at any moment; --resume goes on.

    Args:
        out: run directory; the model is in `model` under it.
        store: train on this store's train split, validate on its validation split; synthetic tasks when empty.
        sources: sources of the store to use (a beginning names a family, such as synthetic/); all when not given.
        num_problems: training problems per synthetic task, without a store.
        config: what is trained and how.
        resume: go on with the run in `out`.
        json: write the report here.
    """
    if num_problems < 1:
        raise ConfigError(f"num_problems is {num_problems}; need 1 or more")
    examples, validation = _read(store, sources, num_problems, config.seed)
    language, report = train(config, examples, validation, out, resume=resume)
    _print(report, language, out)
    if json is not None:
        write_json(json, report.to_json())


def _read(store: str, sources: tuple[str, ...], num_problems: int, seed: int) -> tuple[list[Example], list[Example]]:
    if not store:
        tasks = make_tasks("quick").values()
        return (
            list(make_examples(make_records(tasks, "train", num_problems, seed))),
            list(make_examples(make_records(tasks, "validation", 60, seed))),
        )
    with open_store(store) as opened:
        parts = [
            list(make_examples(export_records(opened, split=split, sources=sources)))
            for split in ("train", "validation")
        ]
    for part, split in zip(parts, ("train", "validation")):
        if not part:
            raise DataError(
                f"{store} has no {split} example of {', '.join(sources) or 'any source'}; import some first"
            )
    return parts[0], parts[1]


def _print(report: TrainingReport, language: LanguageModel, out: Path) -> None:
    print(f"{report.num_parameters:,} parameters, {report.num_steps} steps; model in {out / 'model'}")
    if report.num_left_out:
        print(f"{report.num_left_out} examples did not fit {language.context_tokens} tokens and were left out")
    print(f"validation loss, nats per character, passages as clusters: {report.loss}")
    for task, loss in report.loss_by_task.items():
        print(f"  {task:<24}{loss}")
    for task, error in report.calibration_error.items():
        print(f"  {task}: calibration error {error['before']:.3f} -> {error['after']:.3f} (n={error['n']:.0f})")
