"""Plain Inspect, without our commands: a third party runs one evaluation, and Inspect's own viewer plays its sounds."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from inspect_ai.log import EvalLog, list_eval_logs, read_eval_log

INSPECT = Path(sys.executable).parent / "inspect"
CHROMIUM = Path("/usr/bin/chromium")
PATIENCE_S = 400
"""Seconds that a slow machine may take for one step; nothing here is a measurement."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which somebody ran `inspect eval vivavoce/over_refusal`, and nothing else of ours."""
    folder = tmp_path_factory.mktemp("third party")
    command = [
        str(INSPECT), "eval", "vivavoce/over_refusal", "--model", "viva-fake/good", "--display", "plain",
        "-T", "studio=tones", "-T", "limit=2", "-T", "arms=text,audio", "-T", "seed=3",
    ]  # fmt: skip
    environment = {**os.environ, "INSPECT_LOG_DIR": str(folder / "logs")}
    environment.pop("VIVA_CARD_MEDIA", None)
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]
    return folder / "logs"


def _read(logs: Path) -> EvalLog:
    return read_eval_log(list_eval_logs(str(logs))[0], resolve_attachments=True)


def test_a_third_party_runs_one_evaluation_with_plain_inspect(logs: Path) -> None:
    log = _read(logs)
    assert log.status == "success"
    assert log.eval.task == "vivavoce/over_refusal"
    assert len(log.samples or []) == 4
    assert log.results is not None
    numbers = {name: metric.value for name, metric in log.results.scores[0].metrics.items()}
    assert numbers["not_over_refuse/audio"] == 1.0
    assert 0.3 < numbers["not_over_refuse/audio low"] < 1.0
    assert list((logs / "media").glob("*.flac"))


def _start_viewer(logs: Path) -> tuple[subprocess.Popen, int]:
    """The viewer on a free port. It can't be given a bound one, so where another program was quicker it is started anew."""
    for _ in range(5):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = [str(INSPECT), "view", "start", "--log-dir", str(logs), "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return process, port
            except OSError:
                time.sleep(0.1)
        process.kill()
        process.wait(30)
    raise AssertionError("the viewer of Inspect did not start")


@pytest.fixture
def viewer(logs: Path) -> Iterator[str]:
    process, port = _start_viewer(logs)
    yield f"http://127.0.0.1:{port}/"
    process.terminate()
    process.wait(30)


LISTEN = """async () => {
  const heard = [];
  for (const sound of document.querySelectorAll("audio")) {
    sound.load();
    await new Promise(done => { sound.onloadedmetadata = done; sound.onerror = done; setTimeout(done, 120000); });
    heard.push({ seconds: sound.duration, wrong: sound.error ? sound.error.message : "" });
  }
  return heard;
}"""


@pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed (Debian: chromium)")
def test_the_viewer_of_inspect_opens_the_log_and_plays_both_sounds(logs: Path, viewer: str) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs a browser")
    log = _read(logs)
    sample = next(sample for sample in log.samples or [] if sample.metadata["arm"] == "audio")
    place = f"#/logs/{quote(Path(log.location).name)}/samples/sample/{quote(str(sample.id), safe='')}/1/messages"
    with playwright.sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page()
        page.set_default_timeout(1000 * PATIENCE_S)
        refused: list[str] = []
        page.on("console", lambda line: refused.append(line.text) if "Content Security Policy" in line.text else None)
        page.goto(viewer + place, wait_until="commit")
        page.wait_for_selector("audio", state="attached", timeout=1000 * PATIENCE_S)
        heard = page.evaluate(LISTEN)
        browser.close()
    assert refused == []
    assert [sound["wrong"] for sound in heard] == [""] * len(heard)
    assert len(heard) >= 2
    assert min(sound["seconds"] for sound in heard) > 0.5
