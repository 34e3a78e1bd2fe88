"""Each joint task as text, and text as each joint task: rendering, parsing, and what counts as a parse failure.

Parsing returns the value or `Ungraded(reason)`; a failure is counted apart and never scored. Torch-free.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import yaml

from vivavoce.critique.spans import RegionSpan, Span, TextSpan, TimeSpan
from vivavoce.errors import DataError
from vivavoce.grading import Ungraded

TaskName = Literal[
    "answer", "critiqueability", "critique", "helpfulness", "corroboration", "severity_category",
    "conditional_refinement", "direct_refinement",
]  # fmt: skip
EMPTY = "(no answer)"
_SLOT = re.compile(r"\{\{(\w+)\}\}")
_HEADING = re.compile(r"^(\\*###)", re.MULTILINE)
_ESCAPED = re.compile(r"^\\(\\*###)", re.MULTILINE)


class Template(NamedTuple):
    """A task's prompt below the passage, its completion, or its two labels."""

    prompt: str
    completion: str | None
    labels: tuple[str, str] | None


class Rendered(NamedTuple):
    """A prompt in two parts, of which only `passage` may be cut; `completion` is None when there is no target."""

    passage: str
    rest: str
    completion: str | None
    task: str

    @property
    def prompt(self) -> str:
        """The whole prompt."""
        return self.passage + self.rest


@dataclass(frozen=True, slots=True, kw_only=True)
class Quotes:
    """Where the passage supports a critique, and what of the answer it is about."""

    passage: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()


@cache
def load_templates() -> tuple[str, dict[str, Template]]:
    """The passage's template and every task's."""
    raw = yaml.safe_load((Path(__file__).parent / "templates.yaml").read_text(encoding="utf-8"))
    tasks = {
        name: Template(task["prompt"], task.get("completion"), tuple(task["labels"]) if "labels" in task else None)  # type: ignore[arg-type]
        for name, task in raw["tasks"].items()
    }
    return raw["passage"], tasks


def task_names() -> tuple[str, ...]:
    """Every joint task, in the order of the template file."""
    return tuple(load_templates()[1])


def escape(value: str) -> str:
    """`value` with a backslash before each line-leading ###, so that it cannot look like a heading of ours."""
    return _HEADING.sub(r"\\\1", value)


def unescape(value: str) -> str:
    """The inverse of `escape`."""
    return _ESCAPED.sub(r"\1", value)


def render(task: str, *, passage: str, target: bool | str | None = None, **fields: str) -> Rendered:
    """A task as text. `target` is a bool for the yes/no tasks, else the completion; None when it is to be generated.

    An empty answer is written as `(no answer)`.
    Raises: DataError if the task is unknown, or fields are missing or left over.
    """
    passage_template, tasks = load_templates()
    if task not in tasks:
        raise DataError(f"task {task!r} is not one of {', '.join(tasks)}")
    template = tasks[task]
    if "answer" in fields and not fields["answer"].strip():
        fields["answer"] = EMPTY
    slots = set(_SLOT.findall(template.prompt))
    if slots != set(fields):
        raise DataError(f"task {task} needs the fields {sorted(slots)}; got {sorted(fields)}")
    rest = _SLOT.sub(lambda slot: escape(fields[slot[1]]), template.prompt)
    completion: str | None = None
    if target is not None:
        if (template.labels is not None) != isinstance(target, bool):
            raise DataError(
                f"target of {task} is {type(target).__name__}; need {'bool' if template.labels else 'text'}"
            )
        if template.labels is not None:
            completion = template.labels[0] if target else template.labels[1]
        else:
            completion = escape(str(target)) if str(target).strip() else EMPTY
    before = passage_template.replace("{{passage}}", escape(passage)) if passage else ""
    return Rendered(before, rest, completion, task)


def parse_text(completion: str, *, is_cut: bool) -> str | Ungraded:
    """An answer, critique or refinement. `(no answer)` reads as empty.

    Ungraded: `cut` if generation hit its bound, `looped` if it repeats itself, `empty` if there is nothing.
    """
    if find_loop(completion):
        return Ungraded("looped", completion[-80:])
    if is_cut:
        return Ungraded("cut", completion[-80:])
    text = unescape(completion.split("\n### ")[0]).strip()
    if not text:
        return Ungraded("empty")
    return "" if text == EMPTY else text


def find_loop(text: str, *, min_repeats: int = 4, min_chars: int = 24) -> str | None:
    """The unit that the end of `text` repeats `min_repeats` times or more, over `min_chars` or more; else None."""
    for size in range(1, len(text) // min_repeats + 1):
        unit = text[-size:]
        repeats = 1
        while text.endswith(unit * (repeats + 1)):
            repeats += 1
        if repeats >= min_repeats and repeats * size >= min_chars and unit.strip():
            return unit
    return None


def write_quotes(quotes: Quotes) -> str:
    """`passage: "..."` and `answer: "..."` lines; `none` where there is none."""
    lines = [f'passage: "{quote}"' for quote in quotes.passage] + [f'answer: "{quote}"' for quote in quotes.answer]
    return "\n".join(lines) or "none"


_QUOTE = re.compile(r'(passage|answer): "(.*)"', re.DOTALL)


def parse_quotes(completion: str, *, is_cut: bool = False) -> Quotes | Ungraded:
    """The inverse of `write_quotes`; a quote may span lines up to the next line that opens one."""
    text = parse_text(completion, is_cut=is_cut)
    if isinstance(text, Ungraded) or text == "none":
        return text if isinstance(text, Ungraded) else Quotes()
    found: dict[str, list[str]] = {"passage": [], "answer": []}
    for part in re.split(r'\n(?=(?:passage|answer): ")', text):
        quote = _QUOTE.fullmatch(part)
        if quote is None:
            return Ungraded("unparsed", part[:200])
        found[quote[1]].append(quote[2])
    return Quotes(passage=tuple(found["passage"]), answer=tuple(found["answer"]))


def write_severity(severity: int | None, category: str | None) -> str:
    """`3 accuracy`; `-` for what is unknown."""
    return f"{severity if severity is not None else '-'} {category or '-'}"


def parse_severity(completion: str, *, is_cut: bool = False) -> tuple[int | None, str | None] | Ungraded:
    """(severity 1 to 4, category), each None if `-`."""
    text = parse_text(completion, is_cut=is_cut)
    if isinstance(text, Ungraded):
        return text
    said = re.fullmatch(r"([1-4]|-) (\S.*)", text)
    if said is None:
        return Ungraded("unparsed", text[:200])
    return (None if said[1] == "-" else int(said[1])), (None if said[2] == "-" else said[2])


def quote_span(span: Span, text: str) -> str:
    """A span in words: the characters it covers, or `region x y width height` in pixels, or `time begin-end s`."""
    match span:
        case TextSpan(begin, end):
            return text[begin:end]
        case RegionSpan(x, y, width, height):
            return f"region {x} {y} {width} {height}"
        case TimeSpan(begin_s, end_s):
            return f"time {begin_s:.2f}-{end_s:.2f} s"


_REGION = re.compile(r"region (\d+) (\d+) (\d+) (\d+)")
_TIME = re.compile(r"time (\d+(?:\.\d+)?)-(\d+(?:\.\d+)?) s")


def locate_quote(quote: str, text: str) -> Span | None:
    """The inverse of `quote_span`: the first place of a text quote; None if it is not there."""
    if region := _REGION.fullmatch(quote):
        return RegionSpan(*(int(number) for number in region.groups()))
    if moment := _TIME.fullmatch(quote):
        return TimeSpan(float(moment[1]), float(moment[2]))
    begin = text.find(quote) if quote else -1
    return TextSpan(begin, begin + len(quote)) if begin >= 0 else None


def describe_medium(row: Mapping[str, Any] | Any) -> str:
    """An answer that is no text, in words: kind, size, and its transcript or caption.

    This is how a model that reads text alone sees a picture or utterance; one that hears and sees gets the medium too.
    """
    get = row.get if isinstance(row, Mapping) else lambda name: getattr(row, name)
    text = get("text") or ""
    match get("modality"):
        case "text":
            return text
        case "image":
            return f"[image, {get('width')} x {get('height')} pixels] {text}".strip()
        case other:
            return f"[{other}, {get('duration_s'):.2f} s] {text}".strip()


def list_fields(task: str) -> Sequence[str]:
    """The fields that a task's prompt needs besides the passage."""
    return _SLOT.findall(load_templates()[1][task].prompt)
