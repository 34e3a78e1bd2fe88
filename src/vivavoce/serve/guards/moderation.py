"""Which judge of transcripts a name means: the default (rules and a small classifier), rules alone, or someone's own."""

from __future__ import annotations

from dataclasses import dataclass

from vivavoce.serve.guards.findings import Finding, TextGuard, Where
from vivavoce.serve.guards.linear import load_linear_guard
from vivavoce.serve.guards.text_rules import load_rule_guard, load_text_guard


@dataclass(frozen=True, slots=True)
class EitherGuard:
    """Finds what any of several guards finds; the first that does names it."""

    guards: tuple[TextGuard, ...]

    def judge(self, text: str, where: Where, question: str = "") -> Finding | None:
        """See `TextGuard.judge`."""
        found = (guard.judge(text, where, question) for guard in self.guards)
        return next((finding for finding in found if finding is not None), None)


def load_moderation(target: str) -> TextGuard | None:
    """`classifier`, `rules`, `off` (None), a YAML file of rules, or module:function. Raises: ConfigError."""
    if target == "off":
        return None
    if target == "rules":
        return load_rule_guard("moderation")
    if target == "classifier":
        return EitherGuard((load_rule_guard("moderation"), load_linear_guard()))
    return load_text_guard(target)
