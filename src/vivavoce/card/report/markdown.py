"""The card as Markdown: the same numbers in the same order, without plots and sound."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vivavoce.card.evaluation import AREA_TITLES, ARM_TITLES, ARMS
from vivavoce.card.report.wording import (
    say_agreement,
    say_caution,
    say_coverage,
    say_derived,
    say_estimate,
    say_level,
    say_opinion,
    say_p,
    say_published,
)


def render_markdown(document: Mapping[str, Any]) -> str:
    """The Markdown of a document."""
    card = document["card"]
    lines = [
        f"# {document['title']}",
        "",
        f"Model `{card['model']}`, {card['preset']} preset, seed {card['seed']}, {card['date']}, {card['num_samples']} samples.",
        "",
        f"**Deployment: {document['verdict']}** (an indicator from declared cut-offs; a person decides).",
        "",
        *[f"- {reason}" for reason in document["reasons"]],
        *[f"- Read this first: {warning}" for warning in document["warnings"]],
        "",
        *_write_scorecard(document),
    ]
    for area, title in AREA_TITLES.items():
        lines += [f"## {title}", ""]
        for evaluation in card["evaluations"]:
            if evaluation["area"] == area:
                lines += _write_evaluation(evaluation, document)
    findings = document["red_team"]
    lines += ["## Red teaming", "", f"{findings['num_findings']} findings, {findings['num_violating']} violations.", ""]
    lines += [f"- {name}: {count}" for name, count in findings["by_category"].items()]
    lines += ["", "## Limits", "", *[f"- {limit}" for limit in document["limits"]]]
    if document["change_log"]:
        lines += ["", "## Change log", "", *[f"- {line}" for line in document["change_log"]]]
    lines += ["", "Published numbers: [W] the web page, [P] the PDF (arXiv 2410.21276), [B] both editions."]
    return "\n".join(lines) + "\n"


def _write_scorecard(document: Mapping[str, Any]) -> list[str]:
    rows = [
        [area["title"], say_estimate(area["estimate"]), say_estimate(area["early"])] for area in document["key_areas"]
    ]
    lines = ["## Scorecard", "", *_table(["Key area", "Passes", "Early checkpoint"], rows), ""]
    for score in document["scorecards"]:
        rows = [
            [
                category["title"],
                say_level(category["before"]["level"]),
                say_level(category["after"]["level"]),
                f"{say_level(category['after']['lowest'])} to {say_level(category['after']['highest'])}",
            ]
            for category in score["categories"]
        ]
        lines += [f"### {score['framework']['title']} ({score['framework']['published']})", ""]
        lines += _table(["Category", "Before mitigation", "After", "By the interval"], rows)
        lines += [
            "",
            f"Overall {say_level(score['overall']['after']['level'])}; deploy: {score['deploy']}; develop: {score['develop']}.",
            "",
        ]
    rows = [
        [
            f"{row['title']}: {row['measure_title'].lower()}, {ARM_TITLES[row['arm']]}",
            say_estimate(row["estimate"]),
            f">= {row['at_least']}",
            row["verdict"],
        ]
        for row in document["conditions"]
    ]
    return [
        *lines,
        "### Declared conditions of release",
        "",
        *_table(["Condition", "Measured", "Bound", "Verdict"], rows),
        "",
    ]


def _write_evaluation(evaluation: Mapping[str, Any], document: Mapping[str, Any]) -> list[str]:
    lines = [f"### {evaluation['title']}", "", evaluation["question"], ""]
    if evaluation["status"] == "not run":
        return [*lines, f"Not run: {evaluation['why']}", ""]
    rows = []
    for measure in evaluation["measures"]:
        for arm in ARMS:
            if arm in measure["arms"]:
                group = measure["arms"][arm]
                rows.append(
                    [
                        measure["title"],
                        ARM_TITLES[arm],
                        say_estimate(group["estimate"], measure["unit"]),
                        say_coverage(group),
                    ]
                )
    lines += [*_table(["Measure", "Arm", "Value", "Graded"], rows), ""]
    for measure in evaluation["measures"]:
        compared = measure["text_against_audio"]
        if compared:
            lines.append(
                f"Speech minus text, {measure['title'].lower()}: {say_estimate(compared['difference'])}, {say_p(compared['p_value'])}."
            )
    for row in evaluation["derived"]:
        value = say_estimate(row["estimate"]) if row["estimate"] else row["word"]
        lines.append(f"- {say_derived(row['label'])}: {value}{' (' + row['note'] + ')' if row['note'] else ''}")
    if evaluation["published"]:
        lines.append(f"Published for GPT-4o: {say_published(evaluation)}.")
    if caution := say_caution(evaluation):
        lines.append(caution)
    if evaluation["agreement"]:
        lines.append(f"Grader: declared rules; agrees with gold labels {say_agreement(evaluation['agreement'])}.")
    lines += [f"Second opinion, {say_opinion(name, row)}." for name, row in evaluation["opinions"].items()]
    lines.append(f"Does not show: {evaluation['does_not_show']}")
    for result in document["human_results"]:
        if result["evaluation"] == evaluation["id"]:
            arms = "; ".join(f"{arm['name']} {say_estimate(arm['estimate'])}" for arm in result["arms"])
            lines.append(
                f"Imported, by people: {result['measure']}: {arms}. {result['conducted']}; {result['source']}."
            )
    return [*lines, ""]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(head), line(["---"] * len(head)), *map(line, rows)]
