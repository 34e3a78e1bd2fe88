"""Results that only people can give (uplift trials, persuasion studies, long tasks, levels): imported, checked, shown with source.

One JSON file is one finding. Nothing imported is mixed into a measured number; it stands beside it, named as imported.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.preparedness import load_framework
from vivavoce.errors import DataError
from vivavoce.files import write_json
from vivavoce.stats import Estimate, estimate_proportion


class Arm(BaseModel):
    """One arm of a study: counts, or a value with its interval."""

    model_config = ConfigDict(extra="forbid")

    name: str
    successes: int | None = Field(default=None, ge=0)
    n: int = Field(ge=1)
    value: float | None = None
    low: float | None = None
    high: float | None = None
    human_minutes: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _has_a_number(self) -> Arm:
        if (self.successes is None) == (self.value is None):
            raise ValueError(f"arm {self.name!r} needs either successes or value")
        if self.successes is not None and self.successes > self.n:
            raise ValueError(f"arm {self.name!r} has {self.successes} successes of {self.n}")
        return self

    def estimate(self) -> Estimate:
        """The arm's number with its interval: Wilson's for counts, the study's own for values."""
        if self.successes is not None:
            return estimate_proportion(self.successes, self.n)
        return Estimate(self.value, self.n, self.low, self.high, "as imported")


class HumanResult(BaseModel):
    """A finding of people."""

    model_config = ConfigDict(extra="forbid")

    evaluation: str
    measure: str
    arms: list[Arm] = Field(min_length=1)
    conducted: str
    """When and by whom."""
    source: str
    """Where it can be checked: a report, a registration, an address."""
    follow_up: str = ""
    """Such as `one week later`."""
    note: str = ""
    category: str = ""
    """Preparedness category that it is evidence for, if any."""
    phase: Literal["before", "after"] = "after"
    level: str = ""
    """Level that the people who conducted it declare, if any."""
    framework: str = "openai-preparedness-beta"

    @model_validator(mode="after")
    def _names_what_exists(self) -> HumanResult:
        if self.evaluation not in EVALUATIONS or not EVALUATIONS[self.evaluation].imports:
            allowed = ", ".join(name for name, evaluation in EVALUATIONS.items() if evaluation.imports)
            raise ValueError(f"evaluation {self.evaluation!r} takes no results of people; allowed: {allowed}")
        if self.level:
            framework = load_framework(self.framework)
            framework.rank(self.level)
            if self.category not in framework.tracked:
                raise ValueError(f"category {self.category!r} is not tracked by {framework.id}")
        return self


def read_human_result(path: Path) -> HumanResult:
    """A finding from a file.

    Raises: DataError if it is no JSON or lacks something, in one line.
    """
    try:
        return HumanResult.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except json.JSONDecodeError as error:
        raise DataError(f"{path} is not JSON ({error}); see docs/card.md for the shape") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise DataError(f"{path}: {place}: {first['msg']}") from error


def import_human_result(path: Path, folder: Path) -> Path:
    """Check a finding and keep it in a run folder; returns where."""
    result = read_human_result(path)
    target = folder / "imports" / f"{path.stem}.json"
    write_json(target, result.model_dump(mode="json"))
    return target


def load_human_results(folder: Path) -> list[HumanResult]:
    """The findings kept in a run folder, by file name."""
    return [read_human_result(path) for path in sorted((folder / "imports").glob("*.json"))]


def describe_result(result: HumanResult) -> dict[str, Any]:
    """As card.json keeps it."""
    arms = [
        {"name": arm.name, "estimate": arm.estimate().to_json(), "human_minutes": arm.human_minutes}
        for arm in result.arms
    ]
    return {**result.model_dump(mode="json"), "arms": arms}


def list_evidence(results: list[HumanResult], framework_id: str) -> list[dict[str, Any]]:
    """Findings that declare a level of a framework, as `preparedness.assess` takes them."""
    return [
        {"category": result.category, "phase": result.phase, "level": result.level, "source": result.source}
        for result in results
        if result.level and result.framework == framework_id
    ]
