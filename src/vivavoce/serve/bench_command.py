"""`viva bench latency` and `viva bench load`: flags and tables."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from vivavoce.errors import ConfigError
from vivavoce.files import write_json

if TYPE_CHECKING:
    from vivavoce.serve.bench.conversation import Turn


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is measured."""

    base_url: str | None = None
    """A running server (http://HOST:PORT); without it one is started on a free port."""
    model: str = "checkpoints/nano"
    """Checkpoint to start a server with; `scripted` measures the server alone."""
    backend: str = "auto"
    """What computes in a server started here: auto, torch, onnx-fp32, onnx-int8 or onnx-int4."""
    turn_detection: Literal["semantic_vad", "server_vad"] = "semantic_vad"
    """Who ends the turn."""
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    """Eagerness of semantic_vad."""
    questions: Path | None = None
    """Folder of recordings to ask instead of the package's own."""
    json: Path | None = None
    """Write the report here."""


def bench_latency(target: Annotated[Target, tyro.conf.arg(name="")], turns: int = 50, barge_ins: int = 10) -> int:
    """Measure the wait for an answer.

    Args:
        target: What is measured.
        turns: Questions to ask.
        barge_ins: Answers to interrupt.
    """
    _check_count("turns", turns)
    _check_count("barge-ins", barge_ins, 0)
    from vivavoce.serve.bench.latency import measure_latency
    from vivavoce.serve.bench.running import describe_hardware, read_metrics

    hardware = describe_hardware()
    with _address(target, slots=2) as address:
        print(f"{turns} questions and {barge_ins} interruptions at 1x, one talker, {target.turn_detection}", flush=True)
        questions, interruptions = _questions(target)
        report = asyncio.run(
            measure_latency(
                address,
                questions=questions,
                interruptions=interruptions,
                turns=turns,
                barge_ins=barge_ins,
                turn_detection=_detection(target),
                key=os.environ.get("VIVA_KEY"),
                on_turn=lambda turn, is_interrupted: print(f"  {_line(turn, is_interrupted)}", flush=True),
            )
        )
        counted = read_metrics(address, os.environ.get("VIVA_KEY"))
    result: dict[str, Any] = report.to_json()
    result |= {"settings": _settings(target), "hardware": hardware, "real_time_factor": _real_time_factor(counted)}
    result["server"] = _server_means(counted)
    print()
    for name, estimate in report.estimate().items():
        print(f"{name:28} {estimate}")
    low = "n/a" if result["min_ms"] is None else f"{result['min_ms']:.0f}"
    print(f"{'wait_min_ms':28} {low}")
    print(f"{'underruns':28} {result['underruns']}")
    print(f"{'real_time_factor':28} {result['real_time_factor']:.3f}" if result["real_time_factor"] else "")
    for name, value in result["server"].items():
        print(f"server: {name:20} {'n/a' if value is None else f'{value:.1f}'}")
    _print_conditions(hardware, result["settings"])
    if target.json is not None:
        write_json(target.json, result)
    return 0


def bench_load(target: Annotated[Target, tyro.conf.arg(name="")], talkers: int = 8, turns: int = 3) -> int:
    """Find how many can talk at once before anyone hears a gap.

    Args:
        target: What is measured.
        talkers: Most talkers to try.
        turns: Questions each one asks.
    """
    _check_count("talkers", talkers)
    _check_count("turns", turns)
    from vivavoce.serve.bench.load import Level, measure_level
    from vivavoce.serve.bench.running import describe_hardware

    hardware = describe_hardware()
    levels: list[Level] = []
    with _address(target, slots=talkers) as address:
        questions, _ = _questions(target)
        print("talkers  turns  unanswered  underruns   p50 ms   p95 ms", flush=True)
        for count in range(1, talkers + 1):
            level = asyncio.run(
                measure_level(
                    address,
                    count,
                    questions=questions,
                    turns=turns,
                    turn_detection=_detection(target),
                    key=os.environ.get("VIVA_KEY"),
                )
            )
            levels.append(level)
            row = level.to_json()
            waits = [f"{row[name]:8.0f}" if row[name] is not None else "     n/a" for name in ("p50_ms", "p95_ms")]
            print(
                f"{count:7}  {row['turns']:5}  {row['unanswered']:10}  {row['underruns']:9} {waits[0]} {waits[1]}",
                flush=True,
            )
            for error in sorted({turn.error for turn in level.turns if turn.error}):
                print(f"         {error}", flush=True)
            if not level.passes:
                break
    passed = max((level.talkers for level in levels if level.passes), default=0)
    last = next((level.to_json() for level in levels if level.talkers == max(passed, 1)), {})
    result = {
        "talkers_without_gap": passed,
        "is_bound_reached": passed == talkers,
        "n": last.get("n", 0),
        "p50_ms": last.get("p50_ms"),
        "p95_ms": last.get("p95_ms"),
        "levels": [level.to_json() for level in levels],
        "settings": _settings(target),
        "hardware": hardware,
    }
    print(f"\n{passed} can talk at once without a gap" + (" (more were not tried)" if passed == talkers else ""))
    _print_conditions(hardware, result["settings"])
    if target.json is not None:
        write_json(target.json, result)
    return 0


def _check_count(name: str, count: int, least: int = 1) -> None:
    if count < least:
        raise ConfigError(f"{name} is {count}; need {least} or more")


@contextlib.contextmanager
def _address(target: Target, slots: int) -> Iterator[str]:
    from vivavoce.serve.bench.running import find_server, run_server

    if target.base_url is not None:
        yield find_server(target.base_url, os.environ.get("VIVA_KEY"))
        return
    with run_server(target.model, slots=slots, extra=("--backend", target.backend)) as address:
        yield address


def _questions(target: Target):
    from vivavoce.serve.bench.questions import load_questions, make_tones, read_questions

    if target.questions is not None:
        own = read_questions(target.questions)
        return own, own
    if target.model == "scripted":
        return make_tones(), make_tones()
    return load_questions("question"), load_questions("interruption")


def _detection(target: Target) -> dict[str, Any]:
    if target.turn_detection == "server_vad":
        return {"type": "server_vad"}
    return {"type": "semantic_vad", "eagerness": target.eagerness}


def _settings(target: Target) -> dict[str, Any]:
    from vivavoce.serve.bench.conversation import CHUNK_S
    from vivavoce.serve.bench.listening import PLAYOUT_LEAD_S

    return {
        "model": target.base_url or target.model,
        "backend": None if target.base_url else target.backend,
        "turn_detection": _detection(target),
        "chunk_ms": CHUNK_S * 1000,
        "playout_lead_ms": PLAYOUT_LEAD_S * 1000,
    }


def _real_time_factor(counted: dict[str, float]) -> float | None:
    """Compute time of the clock steps over the time they stand for."""
    steps = counted.get("vivavoce_clock_steps_total", 0.0)
    return counted["vivavoce_step_seconds_sum"] / (steps * 0.08) if steps else None


def _server_means(counted: dict[str, float]) -> dict[str, float | None]:
    """What the server counted itself, as `docs/formats.md` names it; means over all that it did."""

    def mean_ms(name: str) -> float | None:
        count = counted.get(f"vivavoce_{name}_seconds_count", 0.0)
        return 1000 * counted[f"vivavoce_{name}_seconds_sum"] / count if count else None

    return {
        "step_ms": mean_ms("step"),
        "first_sound_step_ms": mean_ms("first_sound_step"),
        "lateness_ms": mean_ms("lateness"),
        "early_tries": counted.get("vivavoce_early_tries_total"),
        "early_starts": counted.get("vivavoce_early_starts_total"),
    }


def _line(turn: Turn, is_interrupted: bool) -> str:
    wait = "no answer" if turn.wait_s is None else f"{turn.wait_s * 1000:.0f} ms"
    soon = ", spoke too soon" if turn.false_start else ""
    stop = ""
    if turn.stop_s is not None:
        stop = f", stopped after {turn.stop_s * 1000:.0f} ms"
    elif is_interrupted:
        stop = ", did not stop" if turn.met_speech else ", nothing to interrupt"
    return f"{turn.question:40} {wait}{soon}{stop}  {turn.answer.strip()[:60]}"


def _print_conditions(hardware: dict[str, Any], settings: dict[str, Any]) -> None:
    load = "" if hardware["load_before"] is None else f", load average {hardware['load_before']:.1f} before"
    print(f"\non {hardware['processor']}, {hardware['cores']} cores{load}")
    print(
        f"settings: {settings['model']}, {settings['turn_detection']}, chunks of {settings['chunk_ms']:.0f} ms, "
        f"player holds back {settings['playout_lead_ms']:.0f} ms; the wait for the end of the turn is included"
    )
