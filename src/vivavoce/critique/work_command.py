"""`viva critique criticise`, `rank`, `refine`, `matrix`, `planted`: critics at work, and how well."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Annotated, Literal

import tyro

from vivavoce.critique.checkpoints import find_critic
from vivavoce.critique.criticising import criticise_store
from vivavoce.critique.endpoint import PREFIX, name_author, open_respondent
from vivavoce.critique.language import LanguageModel
from vivavoce.critique.loaders.exporting import export_records
from vivavoce.critique.matrix import measure_matrix
from vivavoce.critique.planted import (
    LexicalCritic,
    ModelCritic,
    Shower,
    compare_recall,
    keep_readable,
    list_twins,
    measure_planted,
    report_to_json,
    trace_curve,
)
from vivavoce.critique.pool import Sampling
from vivavoce.critique.ranking import list_pairs, measure_ranking, rank_report_to_json
from vivavoce.critique.refining import Item, RefiningConfig, measure_refining
from vivavoce.critique.sizes import SIZES, make_model
from vivavoce.critique.store import open_store
from vivavoce.critique.synthetic.registry import generate_problems, make_record, make_records, make_tasks
from vivavoce.errors import ConfigError, DataError
from vivavoce.files import write_json

Difficulty = Literal["quick", "full"]


def _check_count(name: str, value: int) -> None:
    if value < 1:
        raise ConfigError(f"{name} is {value}; need 1 or more")


def criticise(
    *,
    store: str = "critique.db",
    model: str = "",
    base_url: str = "",
    split: Literal["train", "validation", "test"] = "test",
    sources: tuple[str, ...] = (),
    sampling: Sampling = Sampling(),  # noqa: B008
    threshold: float = 0.5,
    length_modifier: float = 0.0,
    limit: int = 8,
) -> None:
    """Write a model's distinct, most helpful critiques of the store's answers into the store, ranked.

    Args:
        store: path of an SQLite file, or a database URL.
        model: a folder or name, or endpoint:PROVIDER/MODEL; the critic that ships when empty.
        base_url: address of an OpenAI-compatible endpoint.
        split: whose answers.
        sources: of which sources; all when not given.
        sampling: how critiques are drawn.
        threshold: the score, as a probability, that a critique must reach to be kept: higher is more precise.
        length_modifier: added to the score's log odds for each place a critique quotes: higher is longer.
        limit: critiques kept per answer.
    """
    _check_count("limit", limit)
    name = find_critic(model)
    with open_store(store) as opened:
        report = criticise_store(
            opened, open_respondent(name, base_url), author=name_author(name), split=split, sources=sources, sampling=sampling,
            threshold=threshold, length_modifier=length_modifier, limit=limit,
        )  # fmt: skip
    if not report.num_answers + report.num_skipped + len(report.refused):
        raise DataError(
            f"{store} has no answer of the {split} split of {', '.join(sources) or 'any source'}; "
            f"`viva critique show --store {store}` counts what is there"
        )
    print(f"{report.num_kept} critiques kept of {report.num_drawn} drawn for {report.num_answers} answers")
    print(f"parsed and judged {report.coverage}; {report.num_skipped} answers had this author's critiques already")
    for key, reason in report.refused[:20]:
        print(f"refused  {key}: {reason}")


def rank(
    *,
    model: str = "",
    base_url: str = "",
    store: str = "",
    num_problems: int = 300,
    seed: int = 0,
    json: Path | None = None,
) -> None:
    """Pairwise accuracy of the helpfulness head on held-out passages, against chance and trivial rankers.

    Args:
        model: a folder or name, or endpoint:PROVIDER/MODEL; the critic that ships when empty.
        base_url: address of an OpenAI-compatible endpoint.
        store: use the store's test split; synthetic test problems when empty.
        num_problems: problems per synthetic task.
        seed: of problems and bootstraps.
        json: write the report here.
    """
    if store:
        with open_store(store) as opened:
            records = list(export_records(opened, split="test"))
    else:
        records = list(make_records(make_tasks("quick").values(), "test", num_problems, seed))
    pairs = list_pairs(records)
    if not pairs:
        raise DataError("no answer of the test split has both a helpful and an unhelpful critique; import some")
    report = measure_ranking(open_respondent(find_critic(model), base_url), pairs, seed=seed)
    for name, value in report.accuracy.items():
        print(f"{name:<18}{value}")
    print(f"model - chance          {report.lead_over_random}")
    print(f"model - {report.best_trivial:<16}{report.lead_over_best_trivial}")
    for source, found in report.by_source.items():
        print(f"{source}: model {found.model}; - {found.best_trivial}, the best there, {found.lead_over_best_trivial}")
    print(f"{len(pairs)} pairs; graded {report.coverage}")
    if json is not None:
        write_json(json, rank_report_to_json(report))


def refine(
    *, model: str = "", base_url: str = "", difficulty: Difficulty = "quick", tasks: tuple[str, ...] = (), num_problems: int = 60,
    config: RefiningConfig = RefiningConfig(), json: Path | None = None,  # noqa: B008
) -> None:  # fmt: skip
    """Compare refinement methods on synthetic problems: quality, differences, tokens spent.

    Args:
        model: a folder or name, or endpoint:PROVIDER/MODEL; the critic that ships when empty.
        base_url: address of an OpenAI-compatible endpoint.
        difficulty: quick or full.
        tasks: synthetic tasks; all when not given.
        num_problems: per task.
        config: how refinements are drawn.
        json: write the report here.
    """
    _check_count("num_problems", num_problems)
    language = open_respondent(find_critic(model), base_url)
    out = {}
    for name, task in make_tasks(difficulty, tasks).items():
        problems = generate_problems(task, "test", num_problems, config.seed)
        items = [
            Item(p.passage + p.question, p.passage, p.question, lambda text, p=p, task=task: task.check_answer(p, text))
            for p in problems
        ]
        report = measure_refining(language, items, config)
        print(name)
        for method, value in report.quality.items():
            print(f"  {method:<26}{value!s:<34}{report.tokens_per_item[method]:6.1f} tokens  {report.coverage[method]}")
        for pair, value in report.differences.items():
            print(f"  {pair:<48}{value}")
        out[name] = {
            "quality": {key: value.to_json() for key, value in report.quality.items()},
            "differences": {key: value.to_json() for key, value in report.differences.items()},
            "tokens_per_item": report.tokens_per_item,
            "coverage": {key: value._asdict() for key, value in report.coverage.items()},
        }
    if json is not None:
        write_json(json, out)


def matrix(
    models: Annotated[tuple[str, ...], tyro.conf.Positional], *, base_url: str = "", difficulty: Difficulty = "quick", num_problems: int = 60,
    sampling: Sampling = Sampling(), json: Path | None = None,  # noqa: B008
) -> None:  # fmt: skip
    """Share of each author's flawed answers in which each critic finds a valid flaw.

    Args:
        models: folders, names or endpoint:PROVIDER/MODEL; each is author and critic.
        base_url: address of an OpenAI-compatible endpoint.
        difficulty: quick or full.
        num_problems: per synthetic task.
        sampling: how critiques are drawn.
        json: write the matrix here.
    """
    _check_count("num_problems", num_problems)
    loaded = {name: open_respondent(name, base_url if name.startswith(PREFIX) else "") for name in models}
    tasks = list(make_tasks(difficulty).values())
    problems = {task.name: list(generate_problems(task, "test", num_problems, sampling.seed)) for task in tasks}
    found = measure_matrix(loaded, tasks, problems, sampling)
    for author in found.flawed:
        print(f"author {author}: flawed {found.flawed[author]}")
        for critic in found.cells:
            graded, total = found.coverage[critic][author]
            print(f"  critic {critic}: valid {found.cells[critic][author]}, graded {graded}/{total}")
    if json is not None:
        write_json(
            json,
            {
                "cells": {c: {a: value.to_json() for a, value in row.items()} for c, row in found.cells.items()},
                "flawed": {author: value.to_json() for author, value in found.flawed.items()},
            },
        )


def planted(
    *, model: str = "", base_url: str = "", untrained: str = "", store: str = "", sources: tuple[str, ...] = (), num_problems: int = 40,
    max_twins: int = 200, threshold: float = 0.5, length_modifier: float = 0.0, limit: int = 1,
    sampling: Sampling = Sampling(), seed: int = 0, json: Path | None = None,  # noqa: B008
) -> None:  # fmt: skip
    """Precision and recall of planted flaws: a critic, an untrained model, and a lexical baseline.

    The critic's curve over thresholds comes with it, from the same draws.

    Args:
        model: a folder or name, or endpoint:PROVIDER/MODEL; the critic that ships when empty.
        base_url: address of an OpenAI-compatible endpoint.
        untrained: another model to compare with, such as the base it was trained from, or a size (xs) with random weights.
        store: use twins of the store's test split; synthetic test problems when empty.
        sources: sources of the store, such as summedits or bump.
        num_problems: per synthetic task.
        max_twins: a random sample of this many.
        threshold: the score, as a probability, that the critic's critiques must reach to be shown: higher is more precise.
        length_modifier: added to the score's log odds for each place a critique quotes: higher is longer.
        limit: critiques shown per answer.
        sampling: how critiques are drawn.
        seed: of the sample and bootstraps.
        json: write the report here.
    """
    if store:
        with open_store(store) as opened:
            records = list(export_records(opened, split="test", sources=sources))
    else:
        rng = Random(seed)
        tasks = make_tasks("quick").values()
        records = [
            make_record(task, p, rng, num_flawed=1)
            for task in tasks
            for p in generate_problems(task, "test", num_problems, seed)
        ]
    twins = list_twins(records)
    if not twins:
        raise DataError("no answer of the test split has a planted flaw and a clean twin; import summedits or bump")
    _check_count("max_twins", max_twins)
    _check_count("limit", limit)
    twins = Random(seed).sample(twins, min(max_twins, len(twins)))
    respondent = open_respondent(find_critic(model), base_url)
    critic = ModelCritic(respondent, sampling, threshold=threshold, length_modifier=length_modifier, limit=limit)
    critics: dict[str, Shower] = {"critic": critic, "lexical": LexicalCritic()}
    if untrained:
        # an untrained head's probabilities mean nothing, so its best critique is always shown
        other = LanguageModel(make_model(untrained, seed=seed)) if untrained in SIZES else open_respondent(untrained)
        critics["untrained"] = ModelCritic(
            other, sampling, threshold=1e-6, length_modifier=length_modifier, limit=limit
        )
    num_drawn, twins = len(twins), keep_readable(twins, critics.values())
    if not twins:
        raise DataError(f"none of {num_drawn} answers fits the context, even without passage; use a longer one")
    if len(twins) < num_drawn:
        print(f"{num_drawn - len(twins)} of {num_drawn} answers do not fit the context even without passage: left out")
    reports = {name: measure_planted(critic, twins, seed=seed) for name, critic in critics.items()}
    passages = len({twin.passage_key for twin in twins})
    print(f"{len(twins)} planted flaws and their clean twins in {passages} passages, which n counts")
    print(f"{'':<16}{'precision':<30}{'recall':<30}false alarms on clean twins")
    for name, report in reports.items():
        print(f"{name:<16}{report.precision!s:<30}{report.recall!s:<30}{report.false_alarms}")
    differences = {
        name: compare_recall(reports["critic"], report, twins) for name, report in reports.items() if name != "critic"
    }
    for name, difference in differences.items():
        print(f"recall of critic - {name:<12}{difference}")
    curve = trace_curve(critic, twins, seed=seed)
    for bar, report in curve.items():
        print(f"critic at {bar:<6}{report.precision!s:<30}{report.recall!s:<30}{report.false_alarms}")
    if json is not None:
        leads = {name: difference.to_json() for name, difference in differences.items()}
        rows = {name: report_to_json(report) for name, report in reports.items()}
        points = [{"threshold": bar, **report_to_json(report)} for bar, report in curve.items()]
        counts = {"twins": len(twins), "left_out": num_drawn - len(twins), "passages": passages}
        write_json(json, {"critics": rows, "recall_of_critic_minus": leads, "curve": points, "counts": counts})
