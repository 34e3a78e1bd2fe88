"""Deterministic checkers: patterns in a data file, exact, free, and the same every time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from vivavoce.errors import ConfigError
from vivavoce.files import digest_json
from vivavoce.grading import Grade, Graded, Ungraded
from vivavoce.rbr.graders.interface import GradeRequest, Usage, refuse_empty
from vivavoce.rbr.rules import find_policy, read_strict_yaml


@dataclass(frozen=True, slots=True, kw_only=True)
class Checker:
    """One proposition's patterns. exactly: this many matches of `any_of` instead of at least one."""

    any_of: tuple[re.Pattern[str], ...]
    none_of: tuple[re.Pattern[str], ...] = ()
    exactly: int | None = None
    at_most_words: int | None = None

    def count(self, text: str) -> int:
        """Matches of all patterns of `any_of`."""
        return sum(len(pattern.findall(text)) for pattern in self.any_of)

    def holds(self, text: str) -> bool:
        """Whether the proposition holds for `text`."""
        if any(pattern.search(text) for pattern in self.none_of):
            return False
        if self.at_most_words is not None and len(text.split()) > self.at_most_words:
            return False
        return self.count(text) == self.exactly if self.exactly is not None else self.count(text) > 0


def load_checkers(name_or_path: str | Path = "checkers") -> dict[str, Checker]:
    """Checkers by proposition. Raises: ConfigError naming the entry with a broken pattern or an unknown key."""
    path = find_policy(name_or_path)
    entries = (read_strict_yaml(path) or {}).get("checkers") or {}
    checkers: dict[str, Checker] = {}
    for name, entry in entries.items():
        if extra := sorted(set(entry) - {"any", "none", "exactly", "at_most_words"}):
            raise ConfigError(f"{path}: checker {name} has unknown keys {', '.join(extra)}")
        try:
            compiled = {
                key: tuple(re.compile(text, re.IGNORECASE) for text in entry.get(key) or ()) for key in ("any", "none")
            }
        except re.error as error:
            raise ConfigError(f"{path}: checker {name} has a broken pattern: {error}") from error
        if not compiled["any"]:
            raise ConfigError(f"{path}: checker {name} has no pattern under `any`")
        checkers[name] = Checker(
            any_of=compiled["any"],
            none_of=compiled["none"],
            exactly=entry.get("exactly"),
            at_most_words=entry.get("at_most_words"),
        )
    return checkers


class CheckerGrader:
    """Grades 0 or 1 by pattern; a proposition without a checker is ungraded (`no_checker`)."""

    def __init__(self, checkers: Mapping[str, Checker]) -> None:
        self.checkers = dict(checkers)
        self.usage = Usage()
        patterns = {
            name: [[p.pattern for p in c.any_of], [p.pattern for p in c.none_of], c.exactly, c.at_most_words]
            for name, c in sorted(checkers.items())
        }
        self.identity = f"checkers:{digest_json(patterns)[:12]}"

    async def grade(self, request: GradeRequest) -> dict[str, Grade]:
        """A grade for every proposition that has a checker."""
        if (empty := refuse_empty(request)) is not None:
            return empty
        text = request.item.completion
        self.usage.add(Usage(num_requests=1, num_grades=len(request.propositions)))
        return {
            name: Graded(float(self.checkers[name].holds(text)))
            if name in self.checkers
            else Ungraded("no_checker", f"{name} has no checker")
            for name in request.propositions
        }
