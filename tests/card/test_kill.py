"""A run killed outright in the middle of an evaluation and resumed makes the card of an unbroken one, byte for byte."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log_sample_summaries

from vivavoce.card.report.document import build_document
from vivavoce.card.report.exports import export_every_eval_ever, export_hugging_face
from vivavoce.card.report.html import render_html
from vivavoce.card.report.markdown import render_markdown
from vivavoce.card.running import CardConfig, make_plan, run_card
from vivavoce.files import write_json

TIMEOUT_S = 240


ARGUMENTS = (
    "--model", "viva-fake/early", "--studio", "tones", "--only", "over_refusal", "--model-args", "delay_s=0.4",
)  # fmt: skip
CONFIG = CardConfig(model="viva-fake/early", studio="tones", only=("over_refusal",), model_args={"delay_s": 0.4})


def _start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "vivavoce.cli", "card", "run", "--out", str(folder), *ARGUMENTS]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _count_finished(folder: Path) -> int:
    logs = list_eval_logs(str(folder / "logs")) if (folder / "logs").is_dir() else []
    counts = [0]
    for info in logs:
        try:
            counts.append(len(read_eval_log_sample_summaries(info.name)))
        # the log is being written at this very moment: look again
        except Exception:
            continue
    return max(counts)


def _render(folder: Path) -> dict[str, bytes]:
    document = build_document(folder)
    write_json(folder / "card.json", document)
    return {
        "card.json": (folder / "card.json").read_bytes(),
        "index.html": render_html(document, folder).encode(),
        "card.md": render_markdown(document).encode(),
        "vivavoce.yaml": export_hugging_face(document).encode(),
        "every_eval_ever": repr(export_every_eval_ever(document)).encode(),
    }


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_killed_in_the_middle_of_an_evaluation_resumes_to_the_same_card(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    process = _start(cut)
    deadline = time.monotonic() + TIMEOUT_S
    while _count_finished(cut) < 4 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait(10) == -signal.SIGKILL
    kept = _count_finished(cut)
    assert [step.status for step in run_card(CONFIG, cut, make_plan(CONFIG), resume=True)] == ["success"]
    list(run_card(CONFIG, whole, make_plan(CONFIG)))
    assert 0 < kept < _count_finished(whole)
    # where and when it ran is not what it found: other people's commits and midnight must not decide this test
    shutil.copy(whole / "about.json", cut / "about.json")
    first, second = _render(whole), _render(cut)
    dates = [build_document(folder)["card"]["date"].encode() for folder in (whole, cut)]
    for name, data in first.items():
        assert second[name].replace(dates[1], dates[0]) == data, name
