"""Contrast data: for each prompt completions of known rank, written to order, graded, and resampled until they verify.

Writes `completions.jsonl` as it goes (so nothing made or graded is lost), then `comparisons.jsonl` for the fit and
`sft.jsonl` with the ideal ones. A completion that never verifies is kept, marked, and left out of both.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vivavoce.content import Message, Text
from vivavoce.errors import ConfigError, DataError
from vivavoce.files import write_bytes
from vivavoce.grading import Grade, Graded
from vivavoce.rbr.features import FeatureMaker, Features
from vivavoce.rbr.graders.interface import Grader, GradeRequest, Item, grade_all_now
from vivavoce.rbr.prompts import Prompt
from vivavoce.rbr.rules import Rules, find_policy, read_strict_yaml
from vivavoce.rbr.writers import Writer


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A completion to make: its label, and the truth value of every proposition its response type grades."""

    label: str
    wanted: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A completion that was made. grades: probability, or null where ungraded."""

    prompt_id: str
    prompt: tuple[Message, ...]
    response_type: str
    area: str
    label: str
    completion: str
    wanted: Mapping[str, bool]
    is_verified: bool
    num_attempts: int
    grades: Mapping[str, float | None] = field(default_factory=dict)
    target_idx: int = 0

    @property
    def is_ungraded(self) -> bool:
        """Whether a grade is missing, such as after a time-out: it did not verify, and may yet."""
        return any(value is None for value in self.grades.values())

    def to_json(self) -> dict[str, Any]:
        """One line of completions.jsonl."""
        row = {key: value for key, value in asdict(self).items() if key != "prompt"}
        return row | {"prompt": [{"role": message.role, "content": message.text} for message in self.prompt]}


@dataclass(frozen=True, slots=True)
class Contrast:
    """The data file of plans: what to make for each response type, the order of labels, phrases."""

    plans: Mapping[str, Sequence[Mapping[str, Any]]]
    orders: Mapping[str, str]
    implies: Mapping[str, Sequence[str]]
    phrases: Mapping[str, Sequence[str]]


def load_contrast(rules: Rules, name_or_path: str | Path = "contrast") -> Contrast:
    """Plans for the policy's response types. Raises: ConfigError if one is missing or names an unknown proposition."""
    path = find_policy(name_or_path)
    document = read_strict_yaml(path)
    contrast = Contrast(
        document["plans"], document["orders"], document.get("implies") or {}, document.get("phrases") or {}
    )
    for kind in rules.response_types:
        if kind not in contrast.plans or kind not in contrast.orders:
            raise ConfigError(f"{path}: no plan or no order for response type {kind}")
        for entry in contrast.plans[kind]:
            for name in (*entry.get("wanted", ()), *entry.get("traits", ())):
                if name not in rules.propositions:
                    raise ConfigError(f"{path}: plan of {kind} names {name}, which is no proposition of {rules.name}")
    return contrast


def plan_targets(rules: Rules, contrast: Contrast, prompt: Prompt, seed: int) -> list[Target]:
    """The completions to make for a prompt; bad traits are drawn from `seed` and the prompt."""
    generator = random.Random(f"{seed}:{prompt.prompt_id}")
    names = rules.list_graded(prompt.response_type)
    targets = []
    for entry in contrast.plans[prompt.response_type]:
        for _ in range(entry["count"]):
            true = set(entry["wanted"])
            if entry.get("traits"):
                low, high = entry.get("num_traits", (1, 1))
                true ^= set(generator.sample(list(entry["traits"]), generator.randint(low, high)))
            for name in list(true):
                true |= set(contrast.implies.get(name, ()))
            targets.append(Target(label=entry["label"], wanted={name: name in true for name in names}))
    return targets


def verify(grades: Mapping[str, Grade], target: Target, thresholds: Mapping[str, float], tolerance: int) -> bool:
    """Whether at most `tolerance` propositions come out otherwise than wanted, none of those wanted true among them."""
    wrong = 0
    for name, value in target.wanted.items():
        grade = grades.get(name)
        if not isinstance(grade, Graded):
            return False
        if (grade.value >= thresholds.get(name, 0.5)) != value:
            if value:
                return False
            wrong += 1
    return wrong <= tolerance


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthConfig:
    """How to make contrast data."""

    max_attempts: int = 4
    """Samples per completion before it is given up."""
    tolerance: int = 2
    """Unwanted propositions that may hold all the same: graders are not perfect."""
    is_trusting: bool = False
    """Take the writer at its word instead of grading (for a scripted one)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_attempts < 1 or self.tolerance < 0:
            raise ConfigError(f"attempts is {self.max_attempts} and tolerance {self.tolerance}; need 1 and 0 or more")


def make_completions(
    prompts: Sequence[Prompt],
    rules: Rules,
    contrast: Contrast,
    writer: Writer,
    grader: Grader,
    thresholds: Mapping[str, float],
    config: SynthConfig,
    path: Path,
) -> list[Made]:
    """Every target of every prompt, appended to `path`; what the file holds already is not made again, unless it is ungraded."""
    done: dict[tuple[str, int], Made] = {}
    if path.exists():
        done = {(row.prompt_id, row.target_idx): row for row in read_completions(path) if not row.is_ungraded}
        # without the line that a kill cut short, and what is to be made again
        write_bytes(path, "".join(json.dumps(row.to_json()) + "\n" for row in done.values()).encode())
    made = []
    with path.open("a", encoding="utf-8") as handle:
        for prompt in prompts:
            for idx, target in enumerate(plan_targets(rules, contrast, prompt, config.seed)):
                row = done.get((prompt.prompt_id, idx))
                if row is None:
                    row = _make_one(prompt, idx, target, writer, grader, thresholds, config)
                    handle.write(json.dumps(row.to_json()) + "\n")
                    handle.flush()
                made.append(row)
    return made


def _make_one(
    prompt: Prompt,
    idx: int,
    target: Target,
    writer: Writer,
    grader: Grader,
    thresholds: Mapping[str, float],
    config: SynthConfig,
) -> Made:
    """Write and grade until it verifies; the last attempt is kept when none does."""
    text, is_verified, attempt = "", False, 0
    grades: Mapping[str, Grade] = {}
    for attempt in range(1, config.max_attempts + 1):
        text = writer.write(prompt, target.wanted, seed=config.seed + 1000 * idx + attempt)
        item = Item(prompt=prompt.messages, completion=text)
        if config.is_trusting:
            grades, is_verified = {name: Graded(float(value)) for name, value in target.wanted.items()}, True
            break
        grades = grade_all_now(grader, [GradeRequest(item=item, propositions=tuple(target.wanted))])[0]
        is_verified = verify(grades, target, thresholds, config.tolerance)
        if is_verified:
            break
    return Made(
        prompt_id=prompt.prompt_id, prompt=prompt.messages, response_type=prompt.response_type, area=prompt.area,
        label=target.label, completion=text, wanted=target.wanted, is_verified=is_verified, num_attempts=attempt,
        grades={name: grade.value if isinstance(grade, Graded) else None for name, grade in grades.items()},
        target_idx=idx,
    )  # fmt: skip


def read_completions(path: Path) -> list[Made]:
    """The rows of completions.jsonl. A last line cut short by a kill is left out; others raise DataError by line."""
    if not path.is_file():
        raise DataError(f"no completions {path}; `viva rbr synth` writes them (completions.jsonl)")
    lines = path.read_text(encoding="utf-8").split("\n")
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            prompt = tuple(Message(m["role"], (Text(m["content"]),)) for m in row.pop("prompt"))
            rows.append(Made(prompt=prompt, **row))
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise DataError(f"{path}, line {number}: not a made completion ({error})") from error
    return rows


def export(
    made: Sequence[Made],
    maker: FeatureMaker,
    scores: Sequence[float | None],
    contrast: Contrast,
    folder: Path,
    made_with: Mapping[str, Any],
) -> tuple[int, int]:
    """Write comparisons.jsonl and sft.jsonl from the verified completions; returns how many lines each has.

    scores: the reward model's score of each completion, null where there is none.
    """
    by_prompt: dict[str, list[tuple[Made, float | None]]] = {}
    for row, score in zip(made, scores):
        if row.is_verified:
            by_prompt.setdefault(row.prompt_id, []).append((row, score))
    comparisons, sft = [], []
    for prompt_id, rows in by_prompt.items():
        kind = rows[0][0].response_type
        completions = []
        for row, score in rows:
            grades = {name: Graded(value) for name, value in row.grades.items() if value is not None}
            features = maker.make(kind, grades)
            if isinstance(features, Features):
                completions.append({"label": row.label, "features": dict(features.values), "rm_score": score})
        if len({item["label"] for item in completions}) >= 2:
            comparisons.append(
                {
                    "prompt_id": prompt_id,
                    "response_type": kind,
                    "completions": completions,
                    "made_with": dict(made_with),
                }
            )
        best = contrast.orders[kind].split(">")[0]
        for row, _ in rows:
            if row.label in best.split("="):
                messages = [{"role": m.role, "content": m.text} for m in row.prompt]
                messages.append({"role": "assistant", "content": row.completion})
                sft.append({"messages": messages, "prompt_id": prompt_id, "response_type": kind})
    for name, lines in (("comparisons.jsonl", comparisons), ("sft.jsonl", sft)):
        write_bytes(folder / name, "".join(json.dumps(line) + "\n" for line in lines).encode())
    return len(comparisons), len(sft)
