"""The weights file: what `viva rbr fit` writes and the reward reads, with the identity of everything it depends on.

Weights fitted with one policy, reading, grader or reward model mean nothing with another; `refuse_mismatch` says so.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vivavoce.errors import ConfigError, DataError
from vivavoce.files import write_json
from vivavoce.rbr.comparisons import Comparison
from vivavoce.rbr.fit import Fit

FORMAT = 1
IDENTITY_KEYS = ("policy_digest", "reading", "grader", "reward_model")


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardWeights:
    """Weights by response type and feature, and what they were fitted with."""

    by_response_type: Mapping[str, Mapping[str, float]]
    made_with: Mapping[str, Any] = field(default_factory=dict)

    def refuse_mismatch(self, now: Mapping[str, Any]) -> None:
        """Raises: ConfigError naming each identity that differs from what the weights were fitted with."""
        differ = [
            f"{key} ({self.made_with[key]!r}, now {now[key]!r})"
            for key in IDENTITY_KEYS
            if key in self.made_with and key in now and self.made_with[key] != now[key]
        ]
        if differ:
            raise ConfigError(
                f"the weights were fitted with another {', '.join(differ)}; refit, or use what they were fitted with"
            )


def find_made_with(comparisons: list[Comparison]) -> dict[str, Any]:
    """The identity that all comparisons share. Raises: DataError naming the first line that differs."""
    first = comparisons[0]
    for item in comparisons:
        if dict(item.made_with) != dict(first.made_with):
            raise DataError(f"{item.where}: made_with differs from that of {first.where}; features do not mix")
    return dict(first.made_with)


def write_weights(
    path: Path, fits: Mapping[str, Fit], *, made_with: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    """Write the weights file. With one response type its entries also stand at the top level."""
    only = next(iter(fits.values())).to_json() if len(fits) == 1 else {}
    entries = {name: fit.to_json() for name, fit in fits.items()}
    document = {
        "format": FORMAT,
        **only,
        "by_response_type": entries,
        "made_with": dict(made_with),
        "settings": dict(settings),
    }
    write_json(path, document)


def read_weights(path: Path) -> RewardWeights:
    """Weights from a file that `viva rbr fit` or a person wrote. Raises: ConfigError saying what is wrong with it."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"no weights file {path}; make one with `viva rbr fit --json {path}`") from error
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT or not document.get("by_response_type"):
        raise ConfigError(f"{path} is no weights file of format {FORMAT}; make one with `viva rbr fit --json`")
    weights: dict[str, dict[str, float]] = {}
    for kind, entry in document["by_response_type"].items():
        values = entry.get("weights")
        numbers = isinstance(values, dict) and all(
            isinstance(value, int | float) and math.isfinite(value) for value in values.values()
        )
        if not numbers:
            raise ConfigError(f"{path}: weights of {kind} are not {{feature: number}}")
        weights[kind] = {name: float(value) for name, value in values.items()}
    return RewardWeights(by_response_type=weights, made_with=document.get("made_with") or {})
