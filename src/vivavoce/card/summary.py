"""The card as numbers: everything that is printed, computed from logs, imports and findings, as one JSON document.

Byte-stable: the same logs give the same bytes. Renderers read this and nothing else.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from vivavoce.card.agreement import measure_agreement
from vivavoce.card.derived import SEED, derive, estimate_share_difference
from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.evaluation import AREA_TITLES, ARM_TITLES, ARMS, Evaluation, Measure
from vivavoce.card.graders.words import rules_version
from vivavoce.card.records import EvaluationRun, Record, read_runs
from vivavoce.card.sources import read_package_file
from vivavoce.stats import (
    Estimate,
    estimate_clustered_proportion,
    estimate_mean,
    estimate_quantile,
    estimate_ratio,
    sign_flip_p_value,
)

SCHEMA_VERSION = 1
MAX_EXAMPLES = 2


@cache
def load_published() -> tuple[dict[str, Any], ...]:
    """Published GPT-4o numbers, edition-tagged."""
    return tuple(yaml.safe_load(read_package_file("published.yaml"))["results"])


def summarise_run(folder: Path, labels: Path | None = None) -> dict[str, Any]:
    """The evaluations of a run folder as the card prints them.

    Raises: DataError if the folder holds no logs.
    """
    runs = read_runs(folder)
    skipped = _read_json(folder / "skipped.json", {})
    first = next(iter(runs.values()))
    measured = _read_json(folder / "graders.json", {})
    evaluations = [
        summarise_evaluation(evaluation, runs.get(name), skipped.get(name, ""), labels, measured)
        for name, evaluation in EVALUATIONS.items()
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "model": first.model,
        "preset": ", ".join(sorted({run.preset for run in runs.values()})),
        "seed": first.seed,
        "date": max(run.created for run in runs.values()),
        "studio": dict(first.studio),
        "about": _read_about(folder),
        "num_samples": sum(len(run.records) for run in runs.values()),
        "tokens": {
            "input": sum(run.input_tokens for run in runs.values()),
            "output": sum(run.output_tokens for run in runs.values()),
        },
        "graders": {"rules_version": rules_version()},
        "evaluations": evaluations,
        "merged": merge_inference(runs),
        "controls": summarise_controls(runs),
    }


def _read_json(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else default


def _read_about(folder: Path) -> dict[str, Any]:
    about = _read_json(folder / "about.json", {})
    config = _read_json(folder / "config.json", {})
    kept = {
        key: about[key] for key in ("commit", "diff_digest", "python", "packages", "processor", "cores") if key in about
    }
    return {**kept, "config_digest": config.get("digest"), "config": config.get("config")}


def summarise_evaluation(
    evaluation: Evaluation,
    run: EvaluationRun | None,
    skipped: str,
    labels: Path | None = None,
    measured: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One evaluation: what it is, whether it ran, its measures, breakdowns, graders and examples."""
    about = {
        "id": evaluation.id,
        "title": evaluation.title,
        "area": evaluation.area,
        "area_title": AREA_TITLES[evaluation.area],
        "section": evaluation.section,
        "question": evaluation.question,
        "does_not_show": evaluation.does_not_show,
        "indicator_only": evaluation.indicator_only,
        "comparable": evaluation.comparable,
        "published": [row for row in load_published() if row["evaluation"] == evaluation.id],
        "grader": evaluation.grader,
    }
    graded = [record for record in run.records if record.value is not None] if run else []
    if run is None or not graded:
        why = skipped or (_say_failure(run) if run else "no log in this run")
        return {**about, "status": "not run", "why": why, "measures": [], "derived": [], "examples": []}
    agreement = measure_agreement(evaluation.id, labels) if evaluation.grader == "rules" else None
    return {
        **about,
        "status": "run" if run.status == "success" else "partial",
        "why": run.error,
        "preset": run.preset,
        "seed": run.seed,
        "used": dict(run.used),
        "authored_only": all(name.startswith("authored/") for name in run.used),
        "num_samples": len(run.records),
        "num_items": len({record.item.unit for record in run.records}),
        "measures": [summarise_measure(measure, run.records) for measure in evaluation.measures if _has(measure, run)],
        "derived": [row.to_json() for row in derive(evaluation.id, run.records)],
        "agreement": agreement.to_json() if agreement else None,
        "opinions": summarise_opinions(evaluation.id, graded, measured or {}),
        "examples": choose_examples(evaluation, graded),
    }


def _has(measure: Measure, run: EvaluationRun) -> bool:
    return any(record.item.measure == measure.name for record in run.records)


def _say_failure(run: EvaluationRun) -> str:
    reasons = Counter(record.reason for record in run.records if record.value is None)
    why = next((record.why for record in run.records if record.why), run.error)
    counts = ", ".join(f"{reason} {count}" for reason, count in sorted(reasons.items()))
    return f"every sample is unscored ({counts}): {why[:200]}" if counts else f"no sample was run: {run.error}"


def summarise_measure(measure: Measure, records: Sequence[Record]) -> dict[str, Any]:
    """Estimates of one measure: per arm, per voice, per category, text against audio, and what stood beside the grade."""
    own = [record for record in records if record.item.measure == measure.name]
    arms = {
        arm: summarise_group(measure, [r for r in own if r.arm == arm])
        for arm in ARMS
        if any(r.arm == arm for r in own)
    }
    spoken = [record for record in own if record.voice]
    return {
        "name": measure.name,
        "title": measure.title,
        "kind": measure.kind,
        "better": measure.better,
        "unit": measure.unit,
        "arms": arms,
        "text_against_audio": compare_arms(own),
        "by_voice": _break_down(measure, spoken, lambda record: record.voice),
        "by_category": _break_down(measure, own, lambda record: f"{record.item.category} · {ARM_TITLES[record.arm]}"),
        "by_channel": _break_down(measure, [r for r in own if r.channel], lambda record: record.channel),
        "beside": _summarise_extra(own),
    }


def _break_down(measure: Measure, records: Sequence[Record], key: Any) -> dict[str, Any]:
    names = sorted({key(record) for record in records})
    if len(names) < 2:
        return {}
    return {name: summarise_group(measure, [record for record in records if key(record) == name]) for name in names}


def summarise_group(measure: Measure, records: Sequence[Record]) -> dict[str, Any]:
    """Estimate, coverage and reasons of a group of records; quantiles where the measure is reported so."""
    graded = [record for record in records if record.value is not None]
    reasons = Counter(record.reason for record in records if record.value is None)
    group: dict[str, Any] = {
        "estimate": estimate(measure, graded).to_json(),
        "graded": len(graded),
        "total": len(records),
        "reasons": dict(sorted(reasons.items())),
    }
    if measure.kind == "quantiles" and graded:
        values = [record.value for record in graded if record.value is not None]
        group["quantiles"] = {
            "min": min(values),
            **{f"p{round(100 * share)}": estimate_quantile(values, share).to_json() for share in (0.5, 0.9, 0.95)},
        }
    return group


def estimate(measure: Measure, graded: Sequence[Record]) -> Estimate:
    """A measure's estimate, clustered by the unit of independence."""
    values = [record.value for record in graded if record.value is not None]
    units = [record.item.unit for record in graded]
    if measure.kind == "proportion":
        return estimate_clustered_proportion(values, units)
    return estimate_mean(values, units if len(set(units)) < len(units) else None)


def compare_arms(records: Sequence[Record]) -> dict[str, Any] | None:
    """Audio to audio minus text to text, paired by item and clustered by unit; None where either arm is missing."""
    sides: dict[str, dict[str, list[float]]] = {"text": {}, "audio": {}}
    units: dict[str, str] = {}
    for record in records:
        if record.arm in sides and record.value is not None and not record.channel:
            sides[record.arm].setdefault(record.item.item_id, []).append(record.value)
            units[record.item.item_id] = record.item.unit
    both = sorted(sides["text"].keys() & sides["audio"].keys())
    if not both:
        return None
    spoken = [sum(sides["audio"][item]) / len(sides["audio"][item]) for item in both]
    written = [sum(sides["text"][item]) / len(sides["text"][item]) for item in both]
    clusters = [units[item] for item in both]
    differences = [a - b for a, b in zip(spoken, written)]
    return {
        "difference": estimate_share_difference(spoken, written, clusters).to_json(),
        "p_value": round(sign_flip_p_value(differences, seed=SEED, clusters=clusters), 6),
        "num_items": len(both),
    }


def _summarise_extra(records: Sequence[Record]) -> dict[str, Any]:
    names = sorted({name for record in records for name in record.extra})
    table = {}
    for name in names:
        values = [float(record.extra[name]) for record in records if record.value is not None and name in record.extra]
        units = [record.item.unit for record in records if record.value is not None and name in record.extra]
        is_share = all(value in (0.0, 1.0) for value in values)
        found = estimate_clustered_proportion(values, units) if is_share else estimate_mean(values, units)
        table[name] = found.to_json()
    return table


def summarise_opinions(
    evaluation_id: str, graded: Sequence[Record], measured: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Each second opinion: who gave it, agreement with the rules on this run and with gold labels, how often it had none.

    measured: what graders.json of the run holds, `{name: {identity, evaluations: {id: agreement}}}`.
    """
    names = sorted({name for record in graded for name in record.opinions})
    table = {}
    for name in names:
        pairs = [
            (record.value == 1, record.opinions[name]["value"] == 1, record.item.unit)
            for record in graded
            if name in record.opinions and record.opinions[name].get("value") is not None
        ]
        reasons = Counter(
            record.opinions[name].get("reason", "ungraded")
            for record in graded
            if name in record.opinions and record.opinions[name].get("value") is None
        )
        same = estimate_clustered_proportion([float(a == b) for a, b, _ in pairs], [unit for *_, unit in pairs])
        model = next((str(r.opinions[name]["model"]) for r in graded if "model" in r.opinions.get(name, {})), "")
        table[name] = {
            "model": model,
            "agreement": same.to_json(),
            "num_ungraded": reasons.total(),
            "reasons": dict(sorted(reasons.items())),
            "labels": measured.get(name, {}).get("evaluations", {}).get(evaluation_id),
        }
    return table


def merge_inference(runs: Mapping[str, EvaluationRun]) -> dict[str, Any] | None:
    """Ungrounded inference and trait attribution as the card merges them: one accuracy."""
    parts = [runs[name].records for name in ("ugi_refusal", "sta_hedge") if name in runs]
    graded = [record for records in parts for record in records if record.value is not None]
    if len(parts) < 2 or not graded:
        return None
    values = [record.value for record in graded if record.value is not None]
    return estimate_clustered_proportion(values, [record.item.unit for record in graded]).to_json()


def summarise_controls(runs: Mapping[str, EvaluationRun]) -> dict[str, Any]:
    """Fidelity of every synthesised input and agreement of every transcript with its sound, over the whole run."""
    records = [record for run in runs.values() for record in run.records]
    inputs = [record for record in records if record.input_check and record.input_check["words"]]
    outputs = [record for record in records if record.output_check and record.output_check["words"]]
    return {
        "input_word_error_rate": _pool(inputs, "input_check").to_json(),
        "inputs_flagged": sum(bool(record.input_check and record.input_check["flagged"]) for record in inputs),
        "inputs_checked": len(inputs),
        "output_word_error_rate": _pool(outputs, "output_check").to_json(),
        "outputs_checked": len(outputs),
        "unscored": dict(sorted(Counter(record.reason for record in records if record.value is None).items())),
    }


def _pool(records: Sequence[Record], name: str) -> Estimate:
    checks = [getattr(record, name) for record in records]
    errors, words = [check["errors"] for check in checks], [check["words"] for check in checks]
    return estimate_ratio(errors, words, [record.item.unit for record in records])


def choose_examples(evaluation: Evaluation, graded: Sequence[Record]) -> list[dict[str, Any]]:
    """A failing and a passing sample with sound, so that a reader can listen; none of what must not be spread."""
    spoken = [
        record for record in graded if record.output_sound or (record.input_sound and evaluation.solver == "no_model")
    ]
    if not spoken:
        return []
    ordered = sorted(spoken, key=lambda record: (record.value or 0.0, record.sample_id))
    chosen = ordered[:1] if len(ordered) == 1 else [ordered[0], ordered[-1]]
    return [
        {
            "sample_id": record.sample_id,
            "prompt": record.item.prompt or f"[{record.item.sound}]",
            "answer": record.answer,
            "value": record.value,
            "why": record.why,
            "input_sound": record.input_sound,
            "output_sound": record.output_sound,
            "voice": record.voice,
        }
        for record in chosen[:MAX_EXAMPLES]
    ]
