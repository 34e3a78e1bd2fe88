"""Machine formats of the card: Hugging Face `.eval_results` YAML and Every Eval Ever records (schema 0.3.0).

Sources: huggingface_hub.EvalResultEntry; evaleval/every_eval_ever, JSON emitted directly, because its package needs a newer
Python than ours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from vivavoce import __version__
from vivavoce.card.evaluation import ARM_TITLES
from vivavoce.files import digest_json

EVERY_EVAL_EVER_SCHEMA = "0.3.0"


def iterate_numbers(
    document: Mapping[str, Any],
) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any], str, Mapping[str, Any]]]:
    """(evaluation, measure, arm, group) of everything that has a value."""
    for evaluation in document["card"]["evaluations"]:
        for measure in evaluation["measures"]:
            for arm, group in measure["arms"].items():
                if group["estimate"]["value"] is not None:
                    yield evaluation, measure, arm, group


def export_hugging_face(document: Mapping[str, Any]) -> str:
    """`.eval_results/*.yaml` of a model repository; interval, n and coverage stand in the notes."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    entries = []
    for evaluation, measure, arm, group in iterate_numbers(document):
        estimate = group["estimate"]
        interval = f"95% interval {estimate['ci'][0]:.4f} to {estimate['ci'][1]:.4f}, " if estimate["ci"] else ""
        entries.append(
            EvalResultEntry(
                dataset_id=f"vivavoce/{evaluation['id']}",
                task_id=f"{measure['name']}_{arm}",
                dataset_revision=digest_json(evaluation["used"])[:12],
                value=round(estimate["value"], 6),
                date=document["card"]["date"],
                notes=f"{ARM_TITLES[arm]}; {interval}n={estimate['n']}, graded {group['graded']} of {group['total']}",
            )
        )
    return yaml.safe_dump(eval_result_entries_to_yaml(entries), sort_keys=False, allow_unicode=True)


def export_every_eval_ever(document: Mapping[str, Any]) -> dict[str, Any]:
    """One Every Eval Ever record of the run."""
    card = document["card"]
    results = []
    for evaluation, measure, arm, group in iterate_numbers(document):
        estimate = group["estimate"]
        metric: dict[str, Any] = {
            "evaluation_description": evaluation["question"],
            "lower_is_better": measure["better"] == "lower",
            "score_type": "continuous",
        }
        if measure["kind"] == "proportion":
            metric.update(min_score=0.0, max_score=1.0)
        uncertainty: dict[str, Any] = {"num_samples": estimate["n"]}
        if estimate["ci"]:
            uncertainty["confidence_interval"] = {
                "lower": estimate["ci"][0],
                "upper": estimate["ci"][1],
                "confidence_level": 0.95,
                "method": estimate["method"],
            }
        results.append(
            {
                "evaluation_name": f"{evaluation['id']}/{measure['name']}/{arm}",
                "evaluation_timestamp": card["date"],
                "source_data": {
                    "source_type": "other",
                    "dataset_name": evaluation["id"],
                    "additional_details": dict(evaluation["used"]),
                },
                "metric_config": metric,
                "score_details": {"score": estimate["value"], "uncertainty": uncertainty},
            }
        )
    levels = document["scorecards"][0]
    for category in levels["categories"]:
        if category["after"]["level"] is not None:
            names = levels["levels"]
            results.append(
                {
                    "evaluation_name": f"preparedness/{levels['framework']['id']}/{category['id']}",
                    "evaluation_timestamp": card["date"],
                    "source_data": {"source_type": "other", "dataset_name": levels["framework"]["id"]},
                    "metric_config": {
                        "evaluation_description": "declared indicator; a person decides",
                        "lower_is_better": True,
                        "score_type": "levels",
                        "level_names": names,
                        "has_unknown_level": True,
                    },
                    "score_details": {"score": names.index(category["after"]["level"])},
                }
            )
    provider, _, name = card["model"].partition("/")
    return {
        "schema_version": EVERY_EVAL_EVER_SCHEMA,
        "evaluation_id": f"vivavoce/{card['model'].replace('/', '_')}/{digest_json(card)[:16]}",
        "retrieved_timestamp": card["date"],
        "source_metadata": {
            "source_name": "vivavoce system card",
            "source_type": "evaluation_run",
            "source_organization_name": "vivavoce",
            "evaluator_relationship": "first_party",
        },
        "eval_library": {
            "name": "inspect_ai",
            "version": (card["about"].get("packages") or {}).get("inspect-ai") or "unknown",
            "additional_details": {"vivavoce": __version__},
        },
        "model_info": {"name": name or card["model"], "id": card["model"], "inference_platform": provider},
        "evaluation_results": results,
    }
