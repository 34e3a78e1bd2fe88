"""SIGTERM in mid-sentence: the sentence is finished, the connection is closed with a code, the process ends well."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


SLOW_SPEAKER = """
import sys
from vivavoce.serve import engines
from vivavoce.serve.scripted_engine import ScriptedEngine
engines.load = lambda model, num_slots, backend: ScriptedEngine(num_slots, frames_per_word=int(sys.argv[1]))
from vivavoce.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def server(request):
    """A server process and its realtime address; its speaker takes `param` clock steps for a word."""
    flags = ["serve", "--model", "scripted", "--port", "0", "--slots", "2"]
    command = [sys.executable, "-c", SLOW_SPEAKER, str(request.param), *flags]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"base_url=http(://\S+)/v1", line):
            break
    else:
        pytest.fail(f"the server did not start: {said} {process.stderr.read()}")
    yield process, "ws" + found[1] + "/v1/realtime"
    if process.poll() is None:
        process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()


def read_all(socket, events):
    while True:
        events.append(json.loads(socket.recv(timeout=30)))


def start_speaking(socket):
    session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
    socket.send(json.dumps({"type": "session.update", "session": session}))
    text = "one two three four five six seven eight nine ten eleven twelve"
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
    socket.send('{"type": "response.create"}')
    while json.loads(socket.recv(timeout=30))["type"] != "response.output_audio.delta":
        pass


@pytest.mark.parametrize("server", [3], indirect=True)
def test_sigterm_finishes_what_is_being_said_and_closes_with_a_code(server):
    process, url = server
    with websockets.sync.client.connect(url) as socket:
        start_speaking(socket)
        process.send_signal(signal.SIGTERM)
        names = []
        with pytest.raises(ConnectionClosed) as closed:
            read_all(socket, names)
    assert names[-1]["type"] == "response.done"
    assert names[-1]["response"]["status"] == "completed"
    assert names[-1]["response"]["usage"]["output_token_details"]["audio_tokens"] == 3 * 15
    assert closed.value.rcvd.code == 1001
    assert process.wait(timeout=60) == 0
    assert "stopped" in process.stdout.read()
    assert "Traceback" not in process.stderr.read()


@pytest.mark.parametrize("server", [20], indirect=True)  # 24 s of speech: time to knock, on a busy machine too
def test_nobody_new_is_let_in_while_the_last_sentence_is_said(server):
    process, url = server
    with websockets.sync.client.connect(url) as socket:
        start_speaking(socket)
        process.send_signal(signal.SIGTERM)
        with websockets.sync.client.connect(url) as late:
            error = json.loads(late.recv(timeout=30))["error"]
            assert error["code"] in ("server_draining",)
            with pytest.raises(ConnectionClosed) as closed:
                late.recv(timeout=30)
            assert closed.value.rcvd.code == 1001
