"""Flags that take names, and may be given several times: `--only a b --only c`."""

from __future__ import annotations

import json
from itertools import chain
from typing import Annotated, Any

import tyro

from vivavoce.errors import ConfigError

Names = Annotated[tuple[tuple[str, ...], ...], tyro.conf.UseAppendAction]
"""Names of a flag that may be given several times, each with one name or more."""


def join_names(names: Names) -> tuple[str, ...]:
    """All names of a repeated flag, each once, in the order given."""
    return tuple(dict.fromkeys(chain.from_iterable(names)))


def read_pairs(pairs: tuple[str, ...]) -> dict[str, Any]:
    """`("pace=4", "voice=alloy")` as a dictionary; values are JSON where they can be, else text.

    Raises: ConfigError for one without `=`.
    """
    values: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator:
            raise ConfigError(f"model argument {pair!r} has no '='; write name=value")
        try:
            values[name] = json.loads(text)
        except json.JSONDecodeError:
            values[name] = text
    return values
