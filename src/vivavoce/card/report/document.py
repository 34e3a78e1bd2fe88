"""The whole card as one JSON document: numbers, comparisons, scorecards, conditions, imports, findings, change log.

Byte-stable: it depends on the folders given and on nothing else, the clock included.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivavoce.card.evaluation import ARM_TITLES
from vivavoce.card.human_results import describe_result, list_evidence, load_human_results
from vivavoce.card.preparedness import (
    DEFAULT_FRAMEWORK,
    assess,
    check_release,
    find_groups,
    gate,
    list_frameworks,
    load_framework,
)
from vivavoce.card.redteam.findings import read_findings, summarise_findings
from vivavoce.card.report.wording import say_estimate, say_level
from vivavoce.card.summary import summarise_run
from vivavoce.errors import DataError

KEY_AREAS = (
    ("Unauthorized voice generation", "voice_authorization_model", "stayed_in_voice", "audio"),
    ("Speaker identification", "speaker_id", "should_refuse", "audio"),
    ("Ungrounded inference", "ugi_refusal", "ugi_refusal", "audio"),
    ("Sensitive trait attribution", "sta_hedge", "sta_hedge", "audio"),
    ("Disallowed audio content", "disallowed_content", "not_unsafe", "audio"),
    ("Erotic and violent speech", "erotic_violent_filter", "blocked", "audio"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """What is set beside the run."""

    early: Path | None = None
    """Run folder of an early checkpoint, for the early-against-deployed column."""
    cascade: Path | None = None
    """Run folder of the cascade baseline."""
    before: Path | None = None
    """Run folder of the model without mitigations, for the preparedness levels before mitigation."""
    framework: str = DEFAULT_FRAMEWORK
    labels: Path | None = None
    """Folder of further gold labels, one file an evaluation."""
    change_log: Path | None = None
    """A text file of changes, one a line, newest first."""
    title: str = ""


def build_document(folder: Path, options: ReportOptions | None = None) -> dict[str, Any]:
    """The card of a run folder.

    Raises: DataError if it holds no logs, or a file or folder set beside it can't be read; ConfigError for an unknown
    framework.
    """
    options = options or ReportOptions()
    card = summarise_run(folder, options.labels)
    others = {
        name: summarise_run(path)
        for name, path in (("early", options.early), ("cascade", options.cascade), ("before", options.before))
        if path is not None
    }
    results = load_human_results(folder)
    chosen = load_framework(options.framework)
    frameworks = [chosen, *(load_framework(name) for name in list_frameworks() if name != chosen.id)]
    scorecards = [
        assess(card, framework, before=others.get("before"), evidence=list_evidence(results, framework.id))
        for framework in frameworks
    ]
    conditions = check_release(card, chosen)
    return {
        "title": options.title or f"System card of {card['model']}",
        "card": card,
        "comparisons": {name: thin(other) for name, other in others.items()},
        "key_areas": list_key_areas(card, others.get("early")),
        "scorecards": scorecards,
        "conditions": conditions,
        "verdict": gate(scorecards[0], conditions),
        "reasons": list_reasons(scorecards[0], conditions),
        "warnings": list_warnings(card),
        "human_results": [describe_result(result) for result in results],
        "red_team": summarise_findings(read_findings(folder)),
        "change_log": _read_lines(options.change_log),
        "limits": list_limits(card),
    }


def thin(card: Mapping[str, Any]) -> dict[str, Any]:
    """What a comparison column needs of another card: its model and the arms of every measure."""
    table = {
        evaluation["id"]: {measure["name"]: measure["arms"] for measure in evaluation["measures"]}
        for evaluation in card["evaluations"]
        if evaluation["measures"]
    }
    return {"model": card["model"], "preset": card["preset"], "date": card["date"], "evaluations": table}


def list_key_areas(card: Mapping[str, Any], early: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """The headline rows: each key area's number, and the early checkpoint's where there is one."""
    rows = []
    for title, evaluation_id, measure, arm in KEY_AREAS:
        group = find_groups(card, evaluation_id, measure).get(arm)
        before = find_groups(early, evaluation_id, measure).get(arm) if early else None
        rows.append(
            {
                "title": title,
                "evaluation": evaluation_id,
                "measure": measure,
                "estimate": group["estimate"] if group else None,
                "early": before["estimate"] if before else None,
            }
        )
    return rows


def list_reasons(score: Mapping[str, Any], conditions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Why deployment is not simply allowed: what failed, one by one, then how much is inconclusive."""
    reasons = []
    if score["deploy"] == "not allowed":
        reasons.append(f"{score['framework']['title']}: overall {say_level(score['overall']['after']['level'])}.")
    reasons += [
        f"{row['title']}, {row['measure_title'].lower()} in {ARM_TITLES[row['arm']]}: {say_estimate(row['estimate'])}; "
        f"the bound is {row['at_least']}."
        for row in conditions
        if row["verdict"] == "not allowed"
    ]
    open_rows = [row["title"] for row in conditions if row["verdict"] == "inconclusive"]
    if open_rows:
        reasons.append(
            f"Inconclusive, because the interval straddles the bound or nothing was measured: {len(open_rows)} "
            f"of {len(conditions)} conditions of release."
        )
    if score["deploy"] == "inconclusive":
        known = [
            row["title"] for row in score["categories"] if row["after"]["lowest"] == row["after"]["highest"] is not None
        ]
        reasons.append(
            f"Inconclusive levels: {len(score['categories']) - len(known)} of {len(score['categories'])} categories "
            f"of {score['framework']['title']}."
        )
    return reasons


def list_warnings(card: Mapping[str, Any]) -> list[str]:
    """What would mislead a reader who looks at the first screen only."""
    warnings = []
    if card["studio"].get("name") == "tones":
        warnings.append(
            "the voices and judges of this run are test doubles that speak in tones; nothing here is about speech."
        )
    graded = sum(group["graded"] for _, measure in iterate_measures(card) for group in measure["arms"].values())
    total = sum(group["total"] for _, measure in iterate_measures(card) for group in measure["arms"].values())
    if total and graded < 0.9 * total:
        warnings.append(
            f"{total - graded} of {total} samples are ungraded; reasons stand beside each number and under Controls."
        )
    return warnings


def list_limits(card: Mapping[str, Any]) -> list[str]:
    """What a reader must know before believing the numbers, from what this very run did and did not."""
    ran = [evaluation for evaluation in card["evaluations"] if evaluation["status"] != "not run"]
    limits = []
    if "quick" in card["preset"]:
        limits.append(
            "Quick preset: a small fixed subset of every set. With no failure in 12 trials the 95% lower bound is 0.76; "
            "nothing here can support a claim of 0.98."
        )
    authored = [evaluation["title"] for evaluation in ran if evaluation.get("authored_only")]
    if authored:
        limits.append(
            f"{len(authored)} of {len(ran)} evaluations ran on the small authored samples that ship, not on public sets: "
            "their numbers are not comparable with anything published."
        )
    missing = [evaluation["title"] for evaluation in card["evaluations"] if evaluation["status"] == "not run"]
    if missing:
        limits.append(f"Not run: {'; '.join(missing)}.")
    if card["studio"].get("name") == "tones":
        limits.append("The voices and the judges of this run are test doubles (tones): nothing here is about speech.")
    limits += [
        "Input voices are synthesised: intonation, emotion, cross-talk and real rooms are missing.",
        "Refusal, hedging and safety are judged by declared rules on transcripts; their agreement with gold labels, "
        "written by the authors unless others were given, is printed beside each score.",
        "The card's own data sets are not public; where the task is not the same, the published number carries a warning.",
        "Preparedness levels come from this project's declared cut-offs. They are indicators; a person decides.",
    ]
    return limits


def _read_lines(path: Path | None) -> list[str]:
    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read change log {path} ({error}); name a text file, one change a line") from error
    return [line.strip() for line in text.split("\n") if line.strip()]


def iterate_measures(card: Mapping[str, Any]) -> Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """(evaluation, measure) in the card's order, of what ran."""
    return [(evaluation, measure) for evaluation in card["evaluations"] for measure in evaluation["measures"]]
