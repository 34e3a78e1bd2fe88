"""What `make talk` does: a server that says where it is, asks itself one question aloud, and says what came of it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from vivavoce.serve.bench.questions import find_question
from vivavoce.serve.bench.self_check import _ASKED

NANO = Path(__file__).parents[2] / "checkpoints" / "nano"


def serve_and_check(*flags: str, patience_s: float) -> tuple[str, int]:
    """All that `viva serve --self-check` says until its check is done and it is told to stop; its exit code."""
    command = [sys.executable, "-m", "vivavoce.cli", "serve", "--port", "0", "--self-check", *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said, deadline_s = "", time.monotonic() + patience_s
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            assert time.monotonic() < deadline_s, said
            if line.strip().startswith("wait") or "self-check failed" in line:
                address = re.search(r"in a browser: +(http://127\.0\.0\.1:\d+)/", said)
                assert address, said
                assert "microphone" in httpx.get(address[1], timeout=30).text, "the server goes on after its check"
                process.send_signal(signal.SIGTERM)
        return said, process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()


def read_check(said: str) -> dict[str, str]:
    return dict(re.findall(r"^(?:self-check:|\s{8,})\s*(asked|heard|said|wait) +(.*)$", said, re.M))


@pytest.mark.timeout(120)
def test_a_started_server_asks_itself_a_question_and_prints_transcript_answer_and_wait():
    said, code = serve_and_check("--model", "scripted", patience_s=60)
    found = read_check(said)
    assert re.search(r"base_url=http://127\.0\.0\.1:\d+/v1", said)
    assert found["asked"] == "tone of 0.6 s"
    assert set(found["heard"].split()) == {"la"}
    assert re.fullmatch(r"I heard \d words\.", found["said"])
    wait = re.match(r"(\d+) ms from the end of the question", found["wait"])
    assert wait, said
    # the script waits for two silent clock steps
    assert int(wait[1]) >= 80
    assert said.strip().endswith("stopped")
    assert code == 0


def test_the_question_that_it_asks_ships_with_the_package() -> None:
    assert find_question(_ASKED).text == _ASKED
    with pytest.raises(KeyError):
        find_question("what was never recorded?")


@pytest.mark.timeout(120)
def test_a_check_that_fails_is_said_and_is_the_exit_code():
    command = [sys.executable, "-c", FAILING, "serve", "--model", "scripted", "--port", "0", "--self-check"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    said = ""
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said += line
            if "self-check failed" in line:
                process.send_signal(signal.SIGTERM)
        assert "self-check failed: got no spoken answer" in said
        assert process.wait(timeout=60) == 1
    finally:
        process.kill()
        process.wait()


FAILING = """
import sys
import time
import httpx
from vivavoce.errors import EndpointError
from vivavoce.serve.bench import self_check
def fail(address, key):
    for _ in range(300):  # as the real check, it fails once the server answers (and so minds its signals)
        try:
            httpx.get(address + "/healthz", timeout=30)
            break
        except httpx.TransportError:
            time.sleep(0.1)
    raise EndpointError("got no spoken answer")
self_check.check_server = fail
from vivavoce.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not (NANO / "config.json").is_file(), reason="the checkpoint checkpoints/nano is not here")
def test_the_checkpoint_that_ships_is_asked_a_recorded_question():
    said, code = serve_and_check("--model", str(NANO), "--voice-guard", "off", patience_s=240)
    if "no spoken answer" in said:
        # an early checkpoint may not take its turn: then this is said, and is the exit code
        assert code == 1
        return
    found = read_check(said)
    assert found["asked"]
    assert found["said"]
    assert re.match(r"(\d+ ms|none)", found["wait"])
    assert code == 0
