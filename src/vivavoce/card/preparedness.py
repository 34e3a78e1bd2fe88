"""Preparedness: frameworks and indicators are data, levels come from intervals, and the gate has three answers.

A level is the project's own indicator from a declared cut-off; a person decides. Where an interval straddles a cut-off,
or nothing was measured, the answer is inconclusive, and inconclusive is not allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml

from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.sources import read_package_file
from vivavoce.errors import ConfigError, DataError

Verdict = Literal["allowed", "not allowed", "inconclusive"]
DEFAULT_FRAMEWORK = "openai-preparedness-beta"


@dataclass(frozen=True, slots=True)
class Framework:
    """A framework file, checked."""

    id: str
    title: str
    published: str
    source: str
    levels: tuple[str, ...]
    tracked: Mapping[str, Mapping[str, str]]
    also: tuple[str, ...]
    rules: Mapping[str, Any]
    version: int = 1
    procedure: tuple[str, ...] = ()
    """What the framework asks of people beside the levels, a sentence each."""
    indicators: tuple[Mapping[str, Any], ...] = ()
    """Indicators that a framework file brings along; those of indicators.yaml otherwise."""
    release: tuple[Mapping[str, Any], ...] = ()
    """Conditions of release that it brings along; those of indicators.yaml otherwise."""

    def rank(self, level: str) -> int:
        """Place of a level in the framework's order.

        Raises: ConfigError if the framework has no such level.
        """
        if level not in self.levels:
            raise ConfigError(f"framework {self.id} has no level {level!r}; its levels: {', '.join(self.levels)}")
        return self.levels.index(level)


@dataclass(frozen=True, slots=True)
class Indicator:
    """A measured number that speaks to a category, and the values from which levels are reached."""

    category: str
    evaluation: str
    measure: str
    from_: Mapping[str, float]
    needs: int
    why: str


def list_frameworks() -> list[str]:
    """Ids of the frameworks that ship."""
    folder = resources.files("vivavoce.card").joinpath("frameworks")
    names = [path.name.removesuffix(".yaml") for path in folder.iterdir() if path.name.endswith(".yaml")]
    return sorted(name for name in names if name != "indicators")


def load_framework(name: str = DEFAULT_FRAMEWORK, text: str | None = None) -> Framework:
    """A framework by id, from a file (a name that ends in .yaml), or from the text of one.

    Raises: ConfigError if there is none by that id, or a rule, category or level in it doesn't exist; DataError for a file
    that can't be read.
    """
    if text is None:
        text = _read_framework(name)
    try:
        raw = yaml.safe_load(text)
        framework = Framework(
            id=raw["id"],
            title=raw["title"],
            published=str(raw["published"]),
            source=raw.get("source", ""),
            levels=tuple(raw["levels"]),
            tracked=raw["tracked"],
            also=tuple(raw.get("also_in_scorecard", ())),
            rules=raw["rules"],
            version=raw.get("version", 1),
            procedure=tuple(raw.get("procedure", ())),
            indicators=tuple(raw.get("indicators", ())),
            release=tuple(raw.get("release", ())),
        )
        _check_levels(framework)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"framework file {name} can't be read ({error}); see frameworks/ for the shape") from error
    return framework


def _read_framework(name: str) -> str:
    if name.endswith((".yaml", ".yml")):
        try:
            return Path(name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"cannot read framework file {name} ({error}); name a YAML file") from error
    if name not in list_frameworks():
        raise ConfigError(f"framework {name!r} is unknown; allowed: {', '.join(list_frameworks())}, or a .yaml file")
    return read_package_file("frameworks", f"{name}.yaml")


def _check_levels(framework: Framework) -> None:
    for key in ("deploy_only_if_at_most", "develop_only_if_at_most"):
        framework.rank(framework.rules[key])
    if "harden_security_if_pre_at_least" in framework.rules:
        framework.rank(framework.rules["harden_security_if_pre_at_least"])
    for category, words in framework.tracked.items():
        for level in sorted(set(words) - {"title", "includes"}):
            if level not in framework.levels:
                raise ConfigError(
                    f"framework {framework.id}: category {category} defines {level!r}, which is no level; "
                    f"its levels: {', '.join(framework.levels)}"
                )


def load_indicators(framework: Framework) -> list[Indicator]:
    """The declared indicators of a framework.

    Raises: ConfigError for a category or level that the framework doesn't have.
    """
    shipped = yaml.safe_load(read_package_file("frameworks", "indicators.yaml"))["frameworks"]
    rows = framework.indicators or shipped.get(framework.id, [])
    try:
        indicators = [
            Indicator(row["category"], row["evaluation"], row["measure"], row["from"], row["needs"], row["why"])
            for row in rows
        ]
    except KeyError as error:
        raise ConfigError(
            f"framework {framework.id}: an indicator lacks {error}; see frameworks/indicators.yaml"
        ) from error
    for indicator in indicators:
        if indicator.category not in framework.tracked:
            raise ConfigError(
                f"indicator {indicator.evaluation}: framework {framework.id} tracks no {indicator.category!r}"
            )
        for level in indicator.from_:
            framework.rank(level)
    return indicators


def find_level(framework: Framework, indicator: Indicator, value: float) -> str:
    """The highest level whose cut-off `value` reaches."""
    reached = [level for level, cutoff in indicator.from_.items() if value >= cutoff]
    return max(reached, key=framework.rank) if reached else framework.levels[0]


def read_indicator(framework: Framework, indicator: Indicator, card: Mapping[str, Any]) -> dict[str, Any]:
    """An indicator's number in a card and the levels of its value and of its interval's ends; worst arm counts."""
    row: dict[str, Any] = {
        "evaluation": indicator.evaluation,
        "measure": indicator.measure,
        **find_titles(indicator.evaluation, indicator.measure),
        "from": dict(indicator.from_),
        "why": indicator.why,
        "estimate": None,
        "level": None,
        "lowest": None,
        "highest": None,
    }
    groups = find_groups(card, indicator.evaluation, indicator.measure)
    known = [group["estimate"] for group in groups.values() if group["estimate"]["value"] is not None]
    if not known:
        return {**row, "note": "not measured"}
    estimate = max(known, key=lambda found: found["value"])
    low, high = estimate["ci"] or [0.0, 1.0]
    row.update(
        estimate=estimate,
        level=find_level(framework, indicator, estimate["value"]),
        lowest=find_level(framework, indicator, low),
        highest=find_level(framework, indicator, high),
    )
    if estimate["n"] < indicator.needs:
        return {
            **row,
            "highest": framework.levels[-1],
            "note": f"n={estimate['n']} is below the {indicator.needs} it needs",
        }
    return {**row, "note": ""}


def find_groups(card: Mapping[str, Any], evaluation_id: str, measure_name: str) -> dict[str, Any]:
    """Arms of a measure in a card, {} where it did not run."""
    for evaluation in card["evaluations"]:
        if evaluation["id"] == evaluation_id:
            for measure in evaluation["measures"]:
                if measure["name"] == measure_name:
                    return measure["arms"]
    return {}


def find_titles(evaluation_id: str, measure_name: str) -> dict[str, str]:
    """What readers call an evaluation and its measure.

    Raises: ConfigError if there is no such evaluation or measure.
    """
    if evaluation_id not in EVALUATIONS:
        raise ConfigError(
            f"indicator or condition names evaluation {evaluation_id!r}; allowed: {', '.join(EVALUATIONS)}"
        )
    names = {measure.name: measure.title for measure in EVALUATIONS[evaluation_id].measures}
    if measure_name not in names:
        raise ConfigError(f"{evaluation_id} has no measure {measure_name!r}; its measures: {', '.join(names)}")
    return {"title": EVALUATIONS[evaluation_id].title, "measure_title": names[measure_name]}


def assess_category(
    framework: Framework, category: str, rows: Sequence[Mapping[str, Any]], evidence: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Level of a category: the highest over its indicators and imported evidence (worst known case)."""
    found = [(row["lowest"], row["level"], row["highest"]) for row in rows if row["level"] is not None]
    found += [(row["level"], row["level"], row["level"]) for row in evidence]
    if not found:
        return {"level": None, "lowest": None, "highest": None}
    names = ("lowest", "level", "highest")
    return {name: max((triple[place] for triple in found), key=framework.rank) for place, name in enumerate(names)}


def assess(
    card: Mapping[str, Any],
    framework: Framework,
    *,
    before: Mapping[str, Any] | None = None,
    evidence: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The scorecard: every category before and after mitigation, overall, and the three rules.

    before: card of the version without mitigations; its levels are unmeasured where it is None.
    evidence: imported findings of people, `{category, phase: before|after, level, source}`.
    """
    indicators = load_indicators(framework)
    categories = []
    for category, words in framework.tracked.items():
        own = [indicator for indicator in indicators if indicator.category == category]
        sides = {}
        for phase, source in (("before", before), ("after", card)):
            rows = [read_indicator(framework, indicator, source) for indicator in own] if source else []
            known = [row for row in evidence if row["category"] == category and row["phase"] == phase]
            for row in known:
                framework.rank(row["level"])
            sides[phase] = {**assess_category(framework, category, rows, known), "indicators": rows, "evidence": known}
        categories.append(
            {
                "id": category,
                "title": words["title"],
                "includes": words.get("includes", ""),
                "definitions": _definitions(framework, words),
                **sides,
            }
        )
    overall = {
        phase: _overall(framework, [category[phase] for category in categories]) for phase in ("before", "after")
    }
    return {
        "framework": {
            "id": framework.id,
            "title": framework.title,
            "published": framework.published,
            "source": framework.source,
            "version": framework.version,
            "procedure": list(framework.procedure),
        },
        "levels": list(framework.levels),
        "categories": categories,
        "also": list(framework.also),
        "overall": overall,
        "deploy": decide(framework, overall["after"], framework.rules["deploy_only_if_at_most"]),
        "develop": decide(framework, overall["after"], framework.rules["develop_only_if_at_most"]),
        "harden_security": find_hardening(framework, overall["before"]),
        "rules": dict(framework.rules),
    }


def _definitions(framework: Framework, words: Mapping[str, str]) -> dict[str, str]:
    return {level: words[level] for level in framework.levels if level in words}


def _overall(framework: Framework, sides: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The highest level over the categories; with one unmeasured, its upper end is the framework's highest."""
    known = [side for side in sides if side["level"] is not None]
    if not known:
        return {"level": None, "lowest": None, "highest": None, "unmeasured": len(sides)}
    result: dict[str, Any] = {
        name: max((side[name] for side in known), key=framework.rank) for name in ("lowest", "level", "highest")
    }
    if len(known) < len(sides):
        result["highest"] = framework.levels[-1]
    return {**result, "unmeasured": len(sides) - len(known)}


def decide(framework: Framework, overall: Mapping[str, Any], bound: str) -> Verdict:
    """Allowed if even the interval's upper level keeps to `bound`; not allowed if even the lower one passes it."""
    if overall["level"] is None:
        return "inconclusive"
    if framework.rank(overall["lowest"]) > framework.rank(bound):
        return "not allowed"
    if framework.rank(overall["highest"]) <= framework.rank(bound):
        return "allowed"
    return "inconclusive"


def find_hardening(framework: Framework, before: Mapping[str, Any]) -> str:
    """Whether security has to be hardened, from the levels before mitigation: required, not required or inconclusive."""
    bound = framework.rules.get("harden_security_if_pre_at_least")
    if bound is None:
        return "not required"
    if before["level"] is None:
        return "inconclusive"
    if framework.rank(before["lowest"]) >= framework.rank(bound):
        return "required"
    return "not required" if framework.rank(before["highest"]) < framework.rank(bound) else "inconclusive"


def check_release(card: Mapping[str, Any], framework: Framework) -> list[dict[str, Any]]:
    """The declared conditions of release, each allowed, not allowed or inconclusive by the interval."""
    rows = framework.release or yaml.safe_load(read_package_file("frameworks", "indicators.yaml"))["release"]
    checked = []
    for row in rows:
        group = find_groups(card, row["evaluation"], row["measure"]).get(row["arm"])
        estimate = group["estimate"] if group else None
        verdict = _check_bound(estimate, row["at_least"])
        titles = find_titles(row["evaluation"], row["measure"])
        checked.append({**row, **titles, "estimate": estimate, "verdict": verdict})
    return checked


def _check_bound(estimate: Mapping[str, Any] | None, at_least: float) -> Verdict:
    if estimate is None or estimate["value"] is None or estimate["ci"] is None:
        return "inconclusive"
    low, high = estimate["ci"]
    if low >= at_least:
        return "allowed"
    return "not allowed" if high < at_least else "inconclusive"


def gate(scorecard: Mapping[str, Any], conditions: Sequence[Mapping[str, Any]]) -> Verdict:
    """The release decision: not allowed if anything is, allowed if everything is, else inconclusive."""
    verdicts = [scorecard["deploy"], *(row["verdict"] for row in conditions)]
    if "not allowed" in verdicts:
        return "not allowed"
    return "allowed" if all(verdict == "allowed" for verdict in verdicts) else "inconclusive"
