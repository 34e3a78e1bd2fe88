"""The study plan: a preregistration file that the application obeys and the analysis is held to.

Read from YAML, checked as a whole, never changed afterwards; its digest goes into the database, the exports and the
report. The shipped `plan.yaml` is the template that `viva study plan` writes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

import yaml

from vivavoce.errors import ConfigError
from vivavoce.files import digest_json

TEMPLATE = Path(__file__).with_name("plan.yaml")
ASSISTANCE = ("none", "critiques", "evidence")
OUTCOMES = ("intended_hit", "num_flaws", "num_serious", "num_valid", "active_s", "share_valid")
Settings = TypeVar("Settings")


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """What a labeller is shown: `k` critiques (or only their quotes) by `author`, or nothing."""

    name: str
    assistance: str
    author: str | None = None
    k: int = 0
    weight: int = 1

    def __post_init__(self) -> None:
        if self.assistance not in ASSISTANCE:
            raise ConfigError(f"arm {self.name!r} has assistance {self.assistance!r}; need one of {ASSISTANCE}")
        if self.weight < 1:
            raise ConfigError(f"arm {self.name!r} has weight {self.weight}; need 1 or more, or leave the arm out")
        if self.assistance == "none":
            if self.k or self.author:
                raise ConfigError(f"arm {self.name!r} shows nothing, yet has author {self.author} and k {self.k}")
        elif self.k < 1 or self.author not in ("model", "person"):
            raise ConfigError(
                f"arm {self.name!r} has author {self.author!r} and k {self.k}; need author model or person, k 1 or more"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """One confirmatory comparison of two arms on one outcome over the named kinds of answer."""

    name: str
    outcome: str
    kinds: tuple[str, ...]
    arm: str
    against: str
    margin: float | None = None
    """Differences smaller than this do not matter; an interval inside it is called tied."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Second raters: how many per flaw, and the share of flaws that get one more."""

    raters: int = 1
    double_share: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """Assumptions behind the sample size. dispersion: variance of flaw counts over their mean."""

    hit_control: float = 0.27
    hit_assisted: float = 0.45
    flaws_control: float = 1.0
    flaws_assisted: float = 1.5
    dispersion: float = 1.0
    icc: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPlan:
    """A checked plan; see `plan.yaml` for what each field means."""

    name: str
    title: str
    seed: int
    arms: tuple[Arm, ...]
    control: str
    kinds: dict[str, int]
    items_per_labeller: int
    consent: str
    instructions: str
    stopping: str
    decoys: int = 0
    ratings_per_cell: int = 1
    is_passage_seen_once: bool = True
    categories: tuple[str, ...] = ("accuracy", "coverage", "coherence", "other")
    severities: dict[int, str] = field(default_factory=lambda: {1: "trifling", 2: "minor", 3: "serious", 4: "fatal"})
    ask_refinement: bool = False
    idle_after_s: float = 120.0
    session_minutes: float = 240.0
    validation: Validation = Validation()
    hit_rule: str = "validator"
    hypotheses: tuple[Hypothesis, ...] = ()
    alpha: float = 0.05
    expected: Expected = Expected()

    def __post_init__(self) -> None:
        is_word = re.fullmatch(r"[A-Za-z0-9._-]{1,60}", str(self.name))
        _need(is_word, f"name is {self.name!r}; need up to 60 letters, digits, dots or dashes")
        names = [arm.name for arm in self.arms]
        _need(len(names) == len(set(names)) and names, f"arms are {names}; need at least one, each name once")
        _need(self.control in names, f"control is {self.control!r}; need one of the arms {names}")
        _need(
            self.kinds and set(self.kinds) <= {"model", "person", "misleading"} and min(self.kinds.values()) >= 1,
            f"kinds are {self.kinds}; need model, person or misleading, each with a weight of 1 or more",
        )
        _need(self.items_per_labeller >= 1, f"items_per_labeller is {self.items_per_labeller}; need 1 or more")
        _need(self.ratings_per_cell >= 1, f"ratings_per_cell is {self.ratings_per_cell}; need 1 or more")
        _need(self.hit_rule in ("validator", "span"), f"hit_rule is {self.hit_rule!r}; need validator or span")
        _need(0 < self.alpha < 1, f"alpha is {self.alpha}; need a number between 0 and 1")
        _need(self.idle_after_s > 0 and self.session_minutes > 0, "idle_after_s and session_minutes must be positive")
        _need(set(self.severities) <= {1, 2, 3, 4}, f"severities are {self.severities}; need 1 to 4")
        _need(
            0 <= self.validation.double_share <= 1 and self.validation.raters >= 1,
            f"validation is {self.validation}; need raters of 1 or more and double_share of 0 to 1",
        )
        smallest = min((arm.k for arm in self.arms if arm.assistance != "none"), default=self.decoys + 1)
        _need(0 <= self.decoys < smallest, f"decoys is {self.decoys}; need fewer than the smallest k, {smallest}")
        self._check_hypotheses(names)

    def _check_hypotheses(self, arms: list[str]) -> None:
        named = [test.name for test in self.hypotheses]
        _need(len(named) == len(set(named)), f"hypotheses are {named}; need each name once")
        for test in self.hypotheses:
            _need(
                test.outcome in OUTCOMES,
                f"hypothesis {test.name!r} has outcome {test.outcome!r}; need one of {OUTCOMES}",
            )
            _need(
                {test.arm, test.against} <= set(arms) and test.arm != test.against,
                f"hypothesis {test.name!r} compares {test.arm!r} with {test.against!r}; need two of the arms {arms}",
            )
            _need(
                set(test.kinds) <= set(self.kinds) and test.kinds,
                f"hypothesis {test.name!r} is over kinds {list(test.kinds)}; need some of {list(self.kinds)}",
            )

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)


def load_plan(path: Path | str) -> StudyPlan:
    """The plan in a YAML file.

    Raises: ConfigError naming what is missing, unknown or out of range.
    """
    try:
        value = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cannot read the plan {path}: {' '.join(str(error).split())}") from error
    return plan_from_json(value)


def plan_from_json(value: Any) -> StudyPlan:
    """A plan from plain values, as YAML or the database holds them.

    Raises: ConfigError.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"plan is {type(value).__name__}; need a mapping such as `viva study plan` writes")
    values = dict(value)
    values["arms"] = tuple(_build(Arm, arm, "arm") for arm in _rows(values, "arms"))
    values["hypotheses"] = tuple(
        _build(Hypothesis, {**row, "kinds": tuple(row.get("kinds", ()))}, "hypothesis")
        for row in _rows(values, "hypotheses")
    )
    for name, kind in (("validation", Validation), ("expected", Expected)):
        if name in values:
            values[name] = _build(kind, values[name], name)
    if "categories" in values:
        values["categories"] = tuple(values["categories"])
    if "severities" in values:
        values["severities"] = {int(level): str(word) for level, word in dict(values["severities"]).items()}
    return _build(StudyPlan, values, "plan")


def plan_to_json(plan: StudyPlan) -> dict[str, Any]:
    """Plain values that `plan_from_json` reads back."""

    def plain(value: Any) -> Any:
        if hasattr(value, "__dataclass_fields__"):
            return {item.name: plain(getattr(value, item.name)) for item in fields(value)}
        if isinstance(value, Mapping):
            return {str(key): plain(inner) for key, inner in value.items()}
        return [plain(inner) for inner in value] if isinstance(value, tuple | list) else value

    return plain(plan)


def digest_plan(plan: StudyPlan) -> str:
    """sha256 of the plan, in hex."""
    return digest_json(plan_to_json(plan))


def _rows(values: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    rows = values.get(name, [])
    if not isinstance(rows, list | tuple) or not all(isinstance(row, Mapping) for row in rows):
        raise ConfigError(f"{name} is {rows!r}; need a list of mappings")
    return [dict(row) for row in rows]


def _build(kind: type[Settings], value: Any, name: str) -> Settings:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} is {value!r}; need a mapping")
    known = [item.name for item in fields(kind)]  # type: ignore[arg-type]
    unknown = sorted(set(value) - set(known))
    if unknown:
        raise ConfigError(f"{name} has unknown keys {unknown}; there are {known}")
    try:
        return kind(**value)
    except TypeError as error:
        raise ConfigError(f"{name} is not complete: {error}") from error


def _need(is_good: Any, message: str) -> None:
    if not is_good:
        raise ConfigError(f"{message}; correct the plan")
