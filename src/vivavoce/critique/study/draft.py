"""The state of an unfinished assignment: what the page saves, how two versions merge, what keeps it from being handed in.

Pure. pydantic reads it because it comes from a browser; a flaw is named by a `uid` that the page draws, which makes
saving it twice the same as saving it once.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vivavoce.critique.spans import Extent, check_span, spans_from_json
from vivavoce.critique.study.plan import StudyPlan
from vivavoce.critique.study.refusals import Refusal
from vivavoce.errors import DataError

# chosen: far above what people write, and small enough that no request can fill the disk
MAX_BODY_BYTES = 400_000
Uid = Field(pattern=r"^[A-Za-z0-9-]{8,40}$")


class FlawDraft(BaseModel):
    """One flaw as it is being written."""

    model_config = ConfigDict(extra="forbid")

    uid: str = Uid
    text: str = Field(default="", max_length=4000)
    category: str | None = Field(default=None, max_length=40)
    category_text: str = Field(default="", max_length=200)
    severity: int | None = Field(default=None, ge=1, le=4)
    passage_spans: list[dict[str, Any]] = Field(default_factory=list, max_length=50)
    answer_spans: list[dict[str, Any]] = Field(default_factory=list, max_length=50)
    shown: int | None = Field(default=None, ge=0, le=1000)
    """Place of the suggestion that it was started from."""
    refinement: str = Field(default="", max_length=8000)

    @property
    def is_blank(self) -> bool:
        """True if nothing was entered."""
        return not (self.text.strip() or self.passage_spans or self.answer_spans)


class Body(BaseModel):
    """Everything that a labeller has entered for one answer."""

    model_config = ConfigDict(extra="forbid")

    flaws: list[FlawDraft] = Field(default_factory=list, max_length=100)
    deleted: list[str] = Field(default_factory=list, max_length=1000)
    editor: FlawDraft | None = None
    verdicts: dict[int, Literal["used", "rejected"]] = Field(default_factory=dict, max_length=100)
    rating: int | None = Field(default=None, ge=1, le=7)
    has_no_flaws: bool = False


class Problem(NamedTuple):
    """Something that must be put right before handing in; `uid` is the flaw, or empty."""

    uid: str
    message: str


def parse_body(value: Any) -> Body:
    """A draft from the page.

    Raises: Refusal `bad_draft` naming the field.
    """
    try:
        return Body.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "draft"
        raise Refusal(
            "bad_draft",
            f"What the page sent cannot be read: {where}: {first['msg']}. Reload the page and try again.",
            422,
        ) from error


def merge(current: Body, late: Body) -> Body:
    """`current` with what only `late` has: flaws that current neither holds nor deleted, and answers it left open.

    For two tabs, or a page that comes back after its session ended. Merging the same draft again changes nothing. Both
    editors cannot stay, so the late one's unfinished flaw becomes a flaw, to be completed before handing in.
    """
    known = {flaw.uid for flaw in current.flaws} | set(current.deleted)
    if current.editor is not None:
        known.add(current.editor.uid)
    kept = [flaw for flaw in late.flaws if flaw.uid not in known]
    editor = current.editor
    if late.editor is not None and not late.editor.is_blank and late.editor.uid not in known:
        if editor is None or editor.is_blank:
            editor = late.editor
        elif late.editor.uid not in {flaw.uid for flaw in kept}:
            kept.append(late.editor)
    flaws = [*current.flaws, *kept]
    return Body(
        flaws=flaws,
        deleted=current.deleted,
        editor=editor,
        verdicts={**late.verdicts, **current.verdicts},
        rating=current.rating if current.rating is not None else late.rating,
        has_no_flaws=current.has_no_flaws and not flaws,
    )


def find_problems(body: Body, plan: StudyPlan, *, passage: Extent, answer: Extent, num_shown: int) -> list[Problem]:
    """What must be put right before `body` can be handed in, in the order of the page."""
    problems = [problem for flaw in body.flaws for problem in _flaw_problems(flaw, plan, passage, answer, num_shown)]
    if len({flaw.uid for flaw in body.flaws}) < len(body.flaws):
        problems.append(Problem("", "A flaw is listed twice. Reload the page."))
    if body.editor is not None and not body.editor.is_blank:
        problems.append(Problem(body.editor.uid, "A flaw is still being written: add it to the list, or clear it."))
    if not body.flaws and not body.has_no_flaws:
        problems.append(Problem("", "List at least one flaw, or tick that you found none."))
    if body.flaws and body.has_no_flaws:
        problems.append(Problem("", "You listed flaws and also ticked that you found none: untick one of the two."))
    if body.rating is None:
        problems.append(Problem("", "Rate the answer from 1 to 7."))
    return problems


def _flaw_problems(flaw: FlawDraft, plan: StudyPlan, passage: Extent, answer: Extent, num_shown: int) -> list[Problem]:
    found: list[str] = []
    if not flaw.text.strip():
        found.append("say what is wrong")
    if flaw.category not in plan.categories:
        found.append("choose a category")
    if flaw.severity not in plan.severities:
        found.append("choose how serious it is")
    if flaw.shown is not None and flaw.shown >= num_shown:
        found.append("it names a suggestion that is not there; reload the page")
    if plan.ask_refinement and not flaw.refinement.strip():
        found.append("write how the answer should read")
    for spans, extent, name in ((flaw.passage_spans, passage, "text"), (flaw.answer_spans, answer, "answer")):
        try:
            for span in spans_from_json(spans):
                check_span(span, extent, f"mark in the {name}")
        except DataError:
            found.append(f"a mark lies outside the {name}; remove it and mark again")
    label = f"\u201c{flaw.text.strip()[:40]}\u201d" if flaw.text.strip() else "A flaw without words"
    return [Problem(flaw.uid, f"{label}: {message}.") for message in found]


def body_to_json(body: Body) -> Mapping[str, Any]:
    """Plain values for the database and the page."""
    return body.model_dump(mode="json")
