"""What changed between two models: every measure and arm paired by sample, p-values corrected for their number (Holm)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from vivavoce.card.derived import SEED, estimate_share_difference
from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.records import EvaluationRun, Record, read_runs
from vivavoce.errors import DataError
from vivavoce.stats import correct_holm, estimate_difference, mcnemar_p_value, sign_flip_p_value

ALPHA = 0.05


def compare_runs(first: Path, second: Path) -> dict[str, Any]:
    """Differences second minus first of all that both ran, paired by sample and clustered by unit.

    Raises: DataError if a folder holds no logs, or the two share no graded sample.
    """
    before, after = read_runs(first), read_runs(second)
    rows = [
        row for name in EVALUATIONS if name in before and name in after for row in _compare(before[name], after[name])
    ]
    if not rows:
        raise DataError(f"{first} and {second} share no graded sample; run the same preset, seed and data")
    adjusted = correct_holm({str(idx): row["p_value"] for idx, row in enumerate(rows)})
    for idx, row in enumerate(rows):
        row["p_adjusted"] = round(adjusted[str(idx)], 6)
        row["verdict"] = _judge(row)
    return {
        "models": [next(iter(before.values())).model, next(iter(after.values())).model],
        "num_tests": len(rows),
        "rows": rows,
        "only_in_one": sorted(before.keys() ^ after.keys()),
    }


def _compare(before: EvaluationRun, after: EvaluationRun) -> list[dict[str, Any]]:
    evaluation = EVALUATIONS[before.evaluation_id]
    rows = []
    for measure in evaluation.measures:
        for arm in ("text", "audio_to_text", "audio"):
            left, right = (_index(run.records, measure.name, arm) for run in (before, after))
            keys = sorted(left.keys() & right.keys())
            if not keys:
                continue
            old, new = [left[key].value or 0.0 for key in keys], [right[key].value or 0.0 for key in keys]
            units = [left[key].item.unit for key in keys]
            is_share = measure.kind == "proportion"
            estimate = estimate_share_difference(new, old, units) if is_share else estimate_difference(new, old, units)
            alone = len(set(units)) == len(units)
            p_value = (
                mcnemar_p_value(old, new)
                if is_share and alone
                else sign_flip_p_value([a - b for a, b in zip(new, old)], seed=SEED, clusters=units)
            )
            rows.append(
                {
                    "evaluation": evaluation.id,
                    "measure": measure.name,
                    "arm": arm,
                    "better": measure.better,
                    "difference": estimate.to_json(),
                    "p_value": round(p_value, 6),
                    "test": "McNemar, exact" if is_share and alone else "sign flips, clustered",
                    "gained": sum(a > b for a, b in zip(new, old)),
                    "lost": sum(a < b for a, b in zip(new, old)),
                    "num_samples": len(keys),
                    "unpaired": len(left.keys() ^ right.keys()),
                }
            )
    return rows


def _index(records: Sequence[Record], measure: str, arm: str) -> dict[tuple[str, int], Record]:
    return {
        (record.sample_id, record.epoch): record
        for record in records
        if record.item.measure == measure and record.arm == arm and record.value is not None
    }


def _judge(row: dict[str, Any]) -> str:
    if row["p_adjusted"] >= ALPHA:
        return "no difference shown"
    if row["better"] == "neither":
        return "different"
    improved = (row["difference"]["value"] > 0) == (row["better"] == "higher")
    return "better" if improved else "worse"
