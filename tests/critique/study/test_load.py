"""Many labellers at once, and a server that is killed; the recipe does the work and exits 1 if anything is lost."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


def run(store: str, tmp_path: Path, *more: str) -> dict[str, object]:
    out = tmp_path / "load.json"
    command = [
        sys.executable,
        str(ROOT / "recipes" / "study_load.py"),
        "--store",
        store,
        "--json",
        str(out),
        "--limit-s",
        "700",
        *more,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=840, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(out.read_text())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_labellers_on_postgresql_with_a_kill_lose_and_double_nothing(postgres_url: str, tmp_path: Path) -> None:
    result = run(postgres_url, tmp_path, "--labellers", "50", "--items", "2", "--kills", "1")
    assert result["submitted"] == 100
    assert (result["lost_drafts"], result["lost_answers"], result["doubled"]) == (0, 0, 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_killed_server_on_sqlite_loses_no_saved_answer(tmp_path: Path) -> None:
    store = str(tmp_path / "s.db")
    result = run(store, tmp_path, "--labellers", "6", "--items", "2", "--kills", "2", "--think-s", "0.3")
    assert (result["submitted"], result["lost_drafts"], result["lost_answers"], result["doubled"]) == (12, 0, 0, 0)
