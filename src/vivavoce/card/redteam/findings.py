"""Findings of red teaming: one JSON line each, appended; exported to the card and turned into evaluation items.

Phases and categories are the card's. A finding holds words, tags and the names of sound files, never raw sound.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vivavoce.card.evaluation import Item
from vivavoce.errors import DataError

CATEGORIES = (
    "disallowed content", "mis- and disinformation", "bias", "ungrounded inference", "sensitive trait attribution",
    "private information", "geolocation", "identifying people", "emotional perception and anthropomorphism",
    "fraud and impersonation", "copyright", "natural science", "languages", "unauthorized voice generation", "other",
)  # fmt: skip
PHASES = ("1 early checkpoints", "2 early mitigations", "3 candidates", "4 final, in real time")
SEVERITIES = ("none", "low", "medium", "high")

_MEASURES = {
    "disallowed content": ("disallowed_content", "not_unsafe"),
    "fraud and impersonation": ("disallowed_content", "not_unsafe"),
    "private information": ("disallowed_content", "not_unsafe"),
    "geolocation": ("disallowed_content", "not_unsafe"),
    "mis- and disinformation": ("misinformation", "did_not_repeat"),
    "ungrounded inference": ("ugi_refusal", "ugi_refusal"),
    "sensitive trait attribution": ("sta_hedge", "sta_hedge"),
    "identifying people": ("speaker_id", "should_refuse"),
    "copyright": ("copyright", "refused"),
    "emotional perception and anthropomorphism": ("emotional_reliance", "honest_about_being_ai"),
    "unauthorized voice generation": ("voice_authorization_model", "stayed_in_voice"),
}


class Turn(BaseModel):
    """One side's words; `sound` is a file name in the run's media folder."""

    model_config = ConfigDict(extra="forbid")

    role: Literal["user", "assistant"]
    text: str = Field(max_length=40_000)
    """chosen: an answer of some ten minutes of speech, as models may write."""
    sound: str = Field(default="", pattern=r"^[0-9a-f]{0,64}(\.flac)?$")


class Finding(BaseModel):
    """What a red teamer noted of a talk."""

    model_config = ConfigDict(extra="forbid")

    finding_id: str = Field(pattern=r"^[a-z0-9-]{1,40}$")
    model: str = Field(max_length=200)
    phase: str
    category: str
    severity: str
    violates: bool
    note: str = Field(default="", max_length=4000)
    by: str = Field(default="", max_length=80)
    at: str = ""
    turns: list[Turn] = Field(min_length=1, max_length=200)

    def check(self) -> Finding:
        """Itself, if its tags are known.

        Raises: DataError otherwise.
        """
        for value, allowed, name in (
            (self.phase, PHASES, "phase"),
            (self.category, CATEGORIES, "category"),
            (self.severity, SEVERITIES, "severity"),
        ):
            if value not in allowed:
                raise DataError(f"finding {self.finding_id} has {name} {value!r}; allowed: {', '.join(allowed)}")
        return self


def append_finding(folder: Path, finding: Finding) -> None:
    """Add a finding to a run folder's file, flushed before this returns."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "findings.jsonl").open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(finding.check().model_dump(mode="json"), ensure_ascii=False) + "\n")
        handle.flush()
        os.fsync(handle.fileno())


def read_findings(folder: Path) -> list[Finding]:
    """The findings of a run folder, in order.

    Raises: DataError naming the line that is none.
    """
    path = folder / "findings.jsonl"
    if not path.is_file():
        return []
    findings = []
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        if line.strip():
            try:
                findings.append(Finding.model_validate(json.loads(line)).check())
            except (json.JSONDecodeError, ValidationError) as error:
                raise DataError(f"{path}, line {number} is no finding ({str(error).splitlines()[0]})") from error
    return findings


def summarise_findings(findings: Sequence[Finding]) -> dict[str, Any]:
    """Counts by category, phase and severity, and the notes of what violates policy; words of the talk stay out."""
    violating = [finding for finding in findings if finding.violates]
    return {
        "num_findings": len(findings),
        "num_violating": len(violating),
        "people": len({finding.by for finding in findings if finding.by}),
        "by_category": _count(violating, "category"),
        "by_phase": _count(violating, "phase"),
        "by_severity": _count(violating, "severity"),
        "notes": [
            {key: getattr(finding, key) for key in ("finding_id", "category", "phase", "severity", "note")}
            for finding in violating
            if finding.note
        ],
    }


def _count(findings: Iterable[Finding], key: str) -> dict[str, int]:
    return dict(sorted(Counter(getattr(finding, key) for finding in findings).items()))


def make_items(findings: Sequence[Finding], hear: Callable[[str], str] | None = None) -> dict[str, list[Item]]:
    """Evaluation items of the findings that violate policy, by evaluation; categories without one are left out.

    hear: what a recogniser reads in a sound of the run folder, for turns that were spoken and not written; such an item
    says so (`heard`), and is to be read before it is believed.
    """
    items: dict[str, list[Item]] = {}
    for finding in findings:
        if not finding.violates or finding.category not in _MEASURES:
            continue
        evaluation_id, measure = _MEASURES[finding.category]
        turns = [turn for turn in finding.turns if turn.role == "user"]
        said = [word for turn in turns if (word := _read_turn(turn, hear))]
        if not said:
            continue
        facts: dict[str, Any] = {"finding": finding.finding_id, "severity": finding.severity}
        if hear and any(not turn.text.strip() for turn in turns):
            facts["heard"] = "words of what was spoken are a recogniser's"
        if evaluation_id == "misinformation":
            facts["claim"] = said[-1]
        items.setdefault(evaluation_id, []).append(
            Item(
                item_id=f"redteam-{finding.finding_id}",
                measure=measure,
                category=f"red team: {finding.category}",
                prompt=said[0],
                turns=tuple(said[1:]),
                attributes=facts,
            )
        )
    return items


def _read_turn(turn: Turn, hear: Callable[[str], str] | None) -> str:
    if turn.text.strip() or not turn.sound or hear is None:
        return turn.text.strip()
    return hear(turn.sound).strip()
