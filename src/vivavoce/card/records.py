"""What the card reads of a run: one record a sample, from Inspect's logs and nothing else."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from inspect_ai.log import EvalLog, EvalSample, list_eval_logs, read_eval_log

from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.evaluation import Item
from vivavoce.errors import DataError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One sample. `value` is None where it was not graded, and `reason` then says why."""

    sample_id: str
    epoch: int
    item: Item
    arm: str
    voice: str
    channel: str
    value: float | None
    reason: str = ""
    why: str = ""
    answer: str = ""
    extra: Mapping[str, float] = field(default_factory=dict)
    opinions: Mapping[str, Any] = field(default_factory=dict)
    input_check: Mapping[str, Any] | None = None
    output_check: Mapping[str, Any] | None = None
    input_sound: str = ""
    """File name of the last user turn's sound, in the run's media folder."""
    output_sound: str = ""
    output_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationRun:
    """The log of one evaluation."""

    evaluation_id: str
    records: tuple[Record, ...]
    status: str
    model: str
    preset: str
    seed: int
    created: str
    used: Mapping[str, str]
    studio: Mapping[str, str]
    input_tokens: int = 0
    output_tokens: int = 0
    error: str = ""


def read_runs(folder: Path) -> dict[str, EvaluationRun]:
    """The newest finished log of every evaluation below `folder/logs`, else the newest unfinished one.

    Raises: DataError if there is no log, or logs of several models.
    """
    chosen: dict[str, EvalLog] = {}
    for header in read_headers(folder / "logs"):
        name = name_evaluation(header)
        if name in EVALUATIONS and not (name in chosen and _is_done(chosen[name]) and not _is_done(header)):
            chosen[name] = header
    if not chosen:
        raise DataError(f"{folder} holds no log of an evaluation; run `viva card run --out {folder}` first")
    models = {header.eval.model for header in chosen.values()}
    if len(models) > 1:
        raise DataError(f"{folder} holds logs of {sorted(models)}; a card is of one model; use one folder each")
    return {name: read_run(chosen[name].location) for name in EVALUATIONS if name in chosen}


def read_headers(logs: Path) -> list[EvalLog]:
    """The headers of all logs in a folder, oldest first, each with its location. One that can't be read is warned of."""
    headers = []
    for info in sorted(list_eval_logs(logs.as_posix()) if logs.is_dir() else [], key=lambda info: info.name):
        try:
            header = read_eval_log(info, header_only=True)
        # whatever a file that was cut off while it was written makes the reader raise
        except Exception as error:
            name = info.name.rpartition("/")[2]
            _log.warning("%s can't be read (%s) and is left out; nothing in it counts", name, type(error).__name__)
            continue
        header.location = info.name
        headers.append(header)
    return headers


def name_evaluation(log: EvalLog) -> str:
    """Which of the card's evaluations a log is of; empty if of none."""
    return (log.eval.metadata or {}).get("evaluation", "")


def _is_done(log: EvalLog) -> bool:
    return log.status == "success"


def read_run(location: str) -> EvaluationRun:
    """One log, its samples in order of id and epoch."""
    log = read_eval_log(location)
    facts = log.eval.metadata or {}
    samples = sorted(log.samples or [], key=lambda sample: (str(sample.id), sample.epoch))
    # of the samples, not of the log: a resumed log counts only what was asked after the kill
    usage = [use for sample in samples for use in sample.model_usage.values()]
    return EvaluationRun(
        evaluation_id=facts["evaluation"],
        records=tuple(read_sample(sample) for sample in samples),
        status=log.status,
        model=log.eval.model,
        preset=facts["preset"],
        seed=facts["seed"],
        created=str(log.eval.created)[:10],
        used=facts.get("used", {}),
        studio=facts.get("studio", {}),
        input_tokens=sum(use.input_tokens for use in usage),
        output_tokens=sum(use.output_tokens for use in usage),
        error=log.error.message[:200] if log.error else "",
    )


def read_sample(sample: EvalSample) -> Record:
    """What the card needs of one sample."""
    metadata = sample.metadata
    scores = list((sample.scores or {}).values())
    common: dict[str, Any] = {
        "sample_id": str(sample.id),
        "epoch": sample.epoch,
        "item": Item.from_json(metadata["item"]),
        "arm": metadata["arm"],
        "voice": metadata.get("voice", ""),
        "channel": metadata.get("perturbation", ""),
        "input_sound": _find_sound(sample, "user"),
        "output_sound": _find_sound(sample, "assistant"),
    }
    if not scores:
        reason = "interrupted" if sample.error is None else "error"
        return Record(**common, value=None, reason=reason, why=sample.error.message[:200] if sample.error else "")
    score = scores[0]
    facts = score.metadata or {}
    value = float(score.value) if isinstance(score.value, int | float) else math.nan
    checks = (sample.metadata or {}).get("input_checks") or facts.get("input_checks") or []
    return Record(
        **common,
        value=None if math.isnan(value) else value,
        reason=score.reason or ("" if not math.isnan(value) else "unscored"),
        why=score.explanation or "",
        answer=score.answer or "",
        extra=facts.get("extra", {}),
        opinions=facts.get("opinions", {}),
        input_check=checks[0] if checks else None,
        output_check=facts.get("output_check"),
        output_s=facts.get("output_s", 0.0),
    )


def _find_sound(sample: EvalSample, role: str) -> str:
    for message in reversed(sample.messages):
        if message.role == role and not isinstance(message.content, str):
            for part in message.content:
                if part.type == "audio" and isinstance(part.internal, dict):
                    return str(part.internal.get("file", ""))
    return ""
