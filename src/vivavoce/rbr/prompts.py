"""Requests to practise and to be tested on: a data file of templates, expanded; train and test share no request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vivavoce.content import Message, user
from vivavoce.errors import ConfigError
from vivavoce.rbr.rules import Rules, find_policy, read_strict_yaml

Split = Literal["train", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A conversation to be completed, and how it is to be responded to.

    answer, part: what a complying reply says in full and in part, where the file knows it.
    """

    prompt_id: str
    messages: tuple[Message, ...]
    area: str
    response_type: str
    answer: str = ""
    part: str = ""


def load_prompts(rules: Rules, split: Split, name_or_path: str | Path = "prompts") -> list[Prompt]:
    """All prompts of a split, in the file's order.

    Raises: ConfigError if an area is unknown, an entry is malformed, or a request is in both splits.
    """
    path = find_policy(name_or_path)
    document = read_strict_yaml(path)
    if not isinstance(document, dict) or not isinstance(document.get("prompts"), dict):
        raise ConfigError(f"{path} holds no prompts; need `prompts: {{area: ...}}`")
    found: dict[Split, list[Prompt]] = {"train": [], "test": []}
    for area_name, entry in document["prompts"].items():
        area = rules.find_content_area(area_name)
        for part in found:
            for idx, row in enumerate(_expand(entry, part, f"{path}, area {area_name}")):
                found[part].append(
                    Prompt(
                        prompt_id=f"{part}-{area_name}-{idx:03}",
                        messages=(user(row["x"]),),
                        area=area.name,
                        response_type=area.response_type,
                        answer=row.get("answer", ""),
                        part=row.get("part", ""),
                    )
                )
    refuse_shared_texts(found["train"], found["test"])
    return found[split]


def limit_prompts(prompts: Sequence[Prompt], limit: int | None) -> list[Prompt]:
    """The first `limit` prompts of each content area; None keeps all. Raises: ConfigError if limit is below 1."""
    if limit is None:
        return list(prompts)
    if limit < 1:
        raise ConfigError(f"limit is {limit}; need 1 or more prompts of each content area")
    return [prompt for prompt in prompts if int(prompt.prompt_id.rsplit("-", 1)[1]) < limit]


def _expand(entry: Any, split: Split, where: str) -> list[dict[str, str]]:
    try:
        if "pairs" in entry:
            return [
                {**pair, "x": template.replace("{x}", pair["x"])}
                for pair in entry["pairs"][split]
                for template in entry["ask"]
            ]
        return [{"x": template.replace("{x}", value)} for value in entry[split] for template in entry["ask"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"{where}: needs `ask` and `train` and `test` (or `pairs`): {error}") from error


def refuse_shared_texts(train: Sequence[Prompt], test: Sequence[Prompt]) -> None:
    """Raises: ConfigError naming the first request that is in both splits."""
    known = {tuple(message.text for message in prompt.messages): prompt.prompt_id for prompt in train}
    for prompt in test:
        text = tuple(message.text for message in prompt.messages)
        if text in known:
            raise ConfigError(
                f"prompts {known[text]} (train) and {prompt.prompt_id} (test) are the same request; keep one"
            )
