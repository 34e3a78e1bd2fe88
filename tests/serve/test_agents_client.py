"""The `@openai/agents` realtime client from npm, unchanged, against a running server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from vivavoce.files import digest_file
from vivavoce.serve.scripted_engine import ScriptedEngine
from vivavoce.serve.security import ServerConfig
from vivavoce.serve.server import serve_in_thread
from vivavoce.serve.vad import EnergyVad
from vivavoce.serve.worker import Worker

HERE = Path(__file__).parent / "agents_client"
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def installed() -> Path:
    """The client with the locked packages, in a cache beside other caches; installed once."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "vivavoce" / "agents-client"
    folder = cache / digest_file(HERE / "package-lock.json")[:16]
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=400)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not install the client within 400 s")
        if done.returncode != 0:
            pytest.skip(f"npm could not install the client: {done.stderr.strip().splitlines()[-1:]}")
        (folder / "done").touch()
    shutil.copy(HERE / "talk.mjs", folder / "talk.mjs")
    return folder


def test_the_agents_client_types_listens_interrupts_and_speaks(installed):
    # slow enough a speaker that there is something to interrupt, on a busy machine too
    worker = Worker(ScriptedEngine(2, frames_per_word=10), make_vad=EnergyVad)
    with serve_in_thread(worker, ServerConfig(port=0)) as address:
        url = address.replace("http", "ws") + "/v1/realtime"
        done = subprocess.run(
            ["node", "talk.mjs", url], cwd=installed, capture_output=True, text=True, timeout=400, check=False
        )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout.strip().splitlines()[-1])
    assert seen["errors"] == []
    assert seen["first"] == "Hello. You wrote: good morning "
    assert seen["interrupted"] >= 1
    assert seen["truncatedMs"] >= 0
    assert "heard" in seen["third"]
    spoken = [item for item in seen["history"] if item["role"] == "user" and "la" in item["text"]]
    assert spoken
    assert all(total > 0 for total in seen["turns"])
