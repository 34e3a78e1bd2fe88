"""Where in a passage or answer something is: characters of a text, a region of a picture, a stretch of time.

Pure values with a JSON form; the store, the tasks and the study pages share them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from vivavoce.errors import DataError


@dataclass(frozen=True, slots=True)
class TextSpan:
    """Characters `begin` to `end` (exclusive) of a text."""

    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class RegionSpan:
    """A rectangle of a picture, in pixels from the top left."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Seconds `begin_s` to `end_s` of a sound or film."""

    begin_s: float
    end_s: float


Span = TextSpan | RegionSpan | TimeSpan


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How large a passage or answer is; a span outside it, or of a kind it has not, is refused."""

    num_chars: int | None = None
    width: int | None = None
    height: int | None = None
    duration_s: float | None = None


def span_to_json(span: Span) -> dict[str, Any]:
    """`{"kind": "text", "begin", "end"}`, `{"kind": "region", "x", "y", "width", "height"}` or
    `{"kind": "time", "begin_s", "end_s"}`."""
    match span:
        case TextSpan(begin, end):
            return {"kind": "text", "begin": begin, "end": end}
        case RegionSpan(x, y, width, height):
            return {"kind": "region", "x": x, "y": y, "width": width, "height": height}
        case TimeSpan(begin_s, end_s):
            return {"kind": "time", "begin_s": begin_s, "end_s": end_s}


def span_from_json(value: Any) -> Span:
    """The inverse of `span_to_json`; a missing `kind` is text, as in the OpenAI release.

    Raises: DataError if the value is not a span.
    """
    if not isinstance(value, dict):
        raise DataError(f"span is {value!r}; need an object with begin and end")
    try:
        match value.get("kind", "text"):
            case "text":
                return TextSpan(_whole(value["begin"]), _whole(value["end"]))
            case "region":
                return RegionSpan(*(_whole(value[name]) for name in ("x", "y", "width", "height")))
            case "time":
                return TimeSpan(float(value["begin_s"]), float(value["end_s"]))
            case other:
                raise DataError(f"span kind is {other!r}; need text, region or time")
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"span {value!r} lacks a number ({error!r}); give begin and end as whole numbers") from error


def _whole(value: Any) -> int:
    if isinstance(value, bool) or int(value) != value:
        raise TypeError(f"{value!r} is not a whole number")
    return int(value)


def spans_to_json(spans: Iterable[Span]) -> list[dict[str, Any]]:
    """The JSON form of several spans."""
    return [span_to_json(span) for span in spans]


def spans_from_json(values: Sequence[Any] | None) -> tuple[Span, ...]:
    """Several spans; None is none."""
    return tuple(span_from_json(value) for value in values or ())


def check_span(span: Span, extent: Extent, name: str = "span") -> None:
    """Refuse a span that is empty, reversed, outside `extent`, or of a kind that the thing has not.

    Raises: DataError.
    """
    match span:
        case TextSpan(begin, end):
            _refuse_unless(extent.num_chars is not None, name, span, "the thing has no text")
            is_inside = 0 <= begin < end <= (extent.num_chars or 0)
            _refuse_unless(is_inside, name, span, f"need 0 <= begin < end <= {extent.num_chars}")
        case RegionSpan(x, y, width, height):
            _refuse_unless(extent.width is not None and extent.height is not None, name, span, "it is no picture")
            is_inside = x >= 0 and y >= 0 and width > 0 and height > 0
            is_inside &= x + width <= (extent.width or 0) and y + height <= (extent.height or 0)
            _refuse_unless(is_inside, name, span, f"need a region inside {extent.width} x {extent.height} pixels")
        case TimeSpan(begin_s, end_s):
            _refuse_unless(extent.duration_s is not None, name, span, "it has no duration")
            is_inside = math.isfinite(begin_s + end_s) and 0 <= begin_s < end_s <= (extent.duration_s or 0)
            _refuse_unless(is_inside, name, span, f"need 0 <= begin_s < end_s <= {extent.duration_s}")


def _refuse_unless(is_good: bool, name: str, span: Span, need: str) -> None:
    if not is_good:
        raise DataError(f"{name} {span} is out of range; {need}; correct or drop it")


def has_overlap(left: Span, right: Span) -> bool:
    """True if two spans of one kind share a character, a pixel or a moment."""
    match left, right:
        case TextSpan(), TextSpan():
            return left.begin < right.end and right.begin < left.end
        case TimeSpan(), TimeSpan():
            return left.begin_s < right.end_s and right.begin_s < left.end_s
        case RegionSpan(), RegionSpan():
            is_across = left.x < right.x + right.width and right.x < left.x + left.width
            return is_across and left.y < right.y + right.height and right.y < left.y + left.height
    return False


def find_text_span(needle: str, text: str) -> TextSpan | None:
    """The only place of `needle` in `text`; None if it is absent, empty or occurs more than once."""
    begin = text.find(needle) if needle else -1
    if begin < 0 or text.find(needle, begin + 1) >= 0:
        return None
    return TextSpan(begin, begin + len(needle))
