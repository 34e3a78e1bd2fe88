"""Text guards by rules kept as data: what is asked for or said, by category, with the harmless neighbours let through.

A rule fires where one of its `any` patterns matches and none of its `unless` patterns does. Rules see words, not
meaning: they are the default because they need no weights and take microseconds. `--moderation MODULE:FUNCTION` puts
any classifier in their place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from importlib import import_module, resources
from pathlib import Path
from typing import Any, Literal

import yaml

from vivavoce.errors import ConfigError
from vivavoce.serve.guards.findings import Finding, TextGuard, Where


@dataclass(frozen=True, slots=True)
class Rule:
    """One category. `where` it applies; `needs`: the user's question must match too, for rules about answers."""

    category: str
    where: tuple[Where, ...]
    any: tuple[re.Pattern[str], ...]
    unless: tuple[re.Pattern[str], ...] = ()
    needs: tuple[re.Pattern[str], ...] = ()

    def fires(self, text: str, where: Where, question: str) -> bool:
        """Whether `text` falls under the rule."""
        if where not in self.where or not any(pattern.search(text) for pattern in self.any):
            return False
        if any(pattern.search(text) for pattern in self.unless):
            return False
        return not self.needs or any(pattern.search(question) for pattern in self.needs)


class RuleGuard:
    """All rules of one file."""

    def __init__(self, guard: Literal["moderation", "identity"], rules: tuple[Rule, ...]) -> None:
        self._guard: Literal["moderation", "identity"] = guard
        self._rules = rules

    def judge(self, text: str, where: Where, question: str = "") -> Finding | None:
        """See `TextGuard.judge`."""
        plain, asked = _normalise(text), _normalise(question)
        for rule in self._rules:
            if rule.fires(plain, where, asked):
                return Finding(self._guard, where, rule.category, 1.0)
        return None


def _normalise(text: str) -> str:
    return re.sub(r"\s+", " ", text.lower().replace("’", "'")).strip()


@cache
def load_rule_guard(guard: Literal["moderation", "identity"]) -> RuleGuard:
    """The rules that ship with the package."""
    text = resources.files("vivavoce.serve.guards").joinpath(f"{guard}.yaml").read_text()
    return RuleGuard(guard, read_rules(text, f"{guard}.yaml"))


def read_rules(text: str, name: str) -> tuple[Rule, ...]:
    """Rules of a YAML file. Raises: ConfigError naming file and rule."""
    loaded: Any = yaml.safe_load(text)
    if not isinstance(loaded, dict) or not isinstance(loaded.get("rules"), list):
        raise ConfigError(f"{name} has no list `rules`; see docs/serve.md")
    words = loaded.get("words", {})
    rules = []
    for idx, row in enumerate(loaded["rules"]):
        unknown = set(row) - {"category", "where", "any", "unless", "needs"}
        if unknown or "category" not in row or not row.get("any"):
            raise ConfigError(
                f"{name}: rule {idx} needs category and any, knows where, unless, needs; has {sorted(row)}"
            )
        try:
            patterns = {
                key: tuple(re.compile(_fill(pattern, words)) for pattern in row.get(key, ()))
                for key in ("any", "unless", "needs")
            }
        except (re.error, KeyError) as error:
            raise ConfigError(f"{name}: rule {idx} ({row['category']}) has a bad pattern: {error}") from error
        rules.append(Rule(row["category"], tuple(row.get("where", ("input", "output"))), **patterns))
    return tuple(rules)


def _fill(pattern: str, words: dict[str, str]) -> str:
    """Named word lists stand in patterns as <name>."""
    return re.sub(r"<(\w+)>", lambda found: f"(?:{words[found[1]]})", pattern)


def load_text_guard(target: str) -> TextGuard:
    """A guard of someone's own: `module:function`, where the function returns a `TextGuard`; or a YAML file of rules.

    Raises: ConfigError if it can't be imported or is no guard.
    """
    if target.endswith((".yaml", ".yml")):
        path = Path(target)
        if not path.is_file():
            raise ConfigError(f"moderation rules {target} are not there; name a YAML file or module:function")
        return RuleGuard("moderation", read_rules(path.read_text(), target))
    module, _, function = target.partition(":")
    try:
        guard = getattr(import_module(module), function)()
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"moderation {target!r} can't be loaded ({error}); name it as module:function") from error
    if not callable(getattr(guard, "judge", None)):
        raise ConfigError(f"moderation {target!r} has no method judge; see vivavoce.serve.guards.findings.TextGuard")
    return guard
