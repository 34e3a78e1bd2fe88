"""A thousand malformed frames and a thousand schema-driven requests: no 500, no leak, no stuck slot, the next unaffected."""

from __future__ import annotations

import base64
import json
import random
import time

import httpx
import pytest
import websockets.sync.client
from websockets.exceptions import ConnectionClosed

from vivavoce.serve.limits import Limits
from vivavoce.serve.scripted_engine import ScriptedEngine
from vivavoce.serve.security import ServerConfig
from vivavoce.serve.server import serve_in_thread
from vivavoce.serve.vad import EnergyVad
from vivavoce.serve.wire import CLIENT_EVENTS
from vivavoce.serve.worker import Worker

from .conftest import check_event, tone_bytes
from .test_realtime_socket import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
NUM_FRAMES = 1000
NUM_REQUESTS = 1000
GOOD = {
    "session.update": {"session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}}},
    "input_audio_buffer.append": {"audio": base64.b64encode(tone_bytes(0.02)).decode()},
    "conversation.item.create": {
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}
    },
    "conversation.item.retrieve": {"item_id": "item_1"},
    "conversation.item.delete": {"item_id": "item_1"},
    "conversation.item.truncate": {"item_id": "item_1", "content_index": 0, "audio_end_ms": 10},
}
JUNK = [
    None,
    True,
    -1,
    10**40,
    1.5,
    "",
    "x",
    "\u0000",
    "é" * 300,
    [],
    {},
    [[]],
    {"type": "x"},
    "AAA",
    "data:image/png;base64,AAAA",
]


@pytest.fixture(scope="module")
def worker():
    limits = Limits(max_events_per_s=5000, max_message_bytes=256 * 1024, max_answer_s=5.0, max_body_bytes=2**20)
    return Worker(ScriptedEngine(3, frames_per_word=1), make_vad=EnergyVad, limits=limits)


@pytest.fixture(scope="module")
def address(worker):
    with serve_in_thread(worker, ServerConfig(port=0)) as address:
        yield address


def read_all(socket) -> None:
    while True:
        socket.recv(timeout=60)


def spoil(rng: random.Random, value):
    """`value` with something in it replaced, dropped or added."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key = rng.choice(list(value))
        changed = dict(value)
        if rng.random() < 0.15:
            del changed[key]
        elif rng.random() < 0.1:
            changed[rng.choice(["extra", "type", "id"])] = rng.choice(JUNK)
        else:
            changed[key] = spoil(rng, value[key])
        return changed
    if isinstance(value, list) and value and rng.random() < 0.8:
        idx = rng.randrange(len(value))
        return [*value[:idx], spoil(rng, value[idx]), *value[idx + 1 :]]
    return rng.choice(JUNK)


def make_frame(rng: random.Random) -> str | bytes:
    """Wrong JSON, wrong base64, unknown events, events out of state, oversized, binary: one of them."""
    kind = rng.choice(sorted(CLIENT_EVENTS))
    event = {"type": kind, **GOOD.get(kind, {})}
    way = rng.randrange(8)
    if way == 0:
        text = json.dumps(event)
        return text[: rng.randrange(len(text))]
    if way == 1:
        return rng.randbytes(rng.randrange(200))
    if way == 2:
        return json.dumps({**event, "type": rng.choice(["", "session", "response.done", kind + "x", 7, None])})
    if way == 3:
        return json.dumps(
            {"type": "input_audio_buffer.append", "audio": rng.choice(["!", "AAA", "A=A=", "AAAA", "\u00ff", "QQ=="])}
        )
    if way == 4:
        return json.dumps(event)  # well formed, at a moment that makes no sense
    if way == 5:
        return "[" * rng.randrange(1, 100_000)
    return json.dumps(spoil(rng, event))


def test_a_thousand_malformed_frames_harm_nobody(address, worker):
    rng = random.Random(0)
    url = address.replace("http", "ws") + "/v1/realtime"
    sent, answered, connections = 0, 0, 0
    while sent < NUM_FRAMES:
        connections += 1
        with websockets.sync.client.connect(url, max_size=None) as socket:
            for _ in range(100):
                socket.send(make_frame(rng))
                sent += 1
            socket.send(
                json.dumps(
                    {
                        "type": "session.update",
                        "event_id": "last",
                        "session": {"type": "realtime", "tools": [{"type": "function", "name": "f"}]},
                    }
                )
            )
            while True:
                event = json.loads(socket.recv(timeout=60))
                check_event(event)
                answered += 1
                if event["type"] == "error" and event["error"]["event_id"] == "last":
                    break  # the session took a hundred of them and still answers
    assert worker.metrics.engine_failures._value.get() == 0
    assert answered > NUM_FRAMES / 2
    wait_for(lambda: worker.num_talkers == 0)
    assert worker.engine.num_open == 0
    assert_next_talker_is_unaffected(url)


def test_an_oversized_message_closes_that_connection_with_its_code(address, worker):
    url = address.replace("http", "ws") + "/v1/realtime"
    with websockets.sync.client.connect(url) as socket:
        socket.recv(timeout=30)
        socket.send("x" * 300 * 1024)
        with pytest.raises(ConnectionClosed) as closed:
            read_all(socket)
        assert closed.value.rcvd.code == 1009
    wait_for(lambda: worker.num_talkers == 0)
    assert_next_talker_is_unaffected(url)


def assert_next_talker_is_unaffected(url: str) -> None:
    with websockets.sync.client.connect(url) as socket:
        session = {"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}}
        socket.send(json.dumps({"type": "session.update", "session": session}))
        socket.send(json.dumps({"type": "conversation.item.create", **GOOD["conversation.item.create"]}))
        socket.send('{"type": "response.create"}')
        while True:
            event = json.loads(socket.recv(timeout=30))
            assert event["type"] != "error", event
            if event["type"] == "response.output_text.done":
                assert event["text"] == "Hello. You wrote: hi "
                return


def test_a_thousand_requests_drawn_from_the_schema_get_what_the_schema_says(address, worker):
    schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
    from hypothesis import HealthCheck, Phase, given, settings

    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    operations = [result.ok() for result in schema.get_all_operations()]
    assert len(operations) >= 8
    # an operation without parameters has one case only
    each = -(-NUM_REQUESTS // sum(operation.method.upper() == "POST" for operation in operations)) + 10
    statuses: dict[int, int] = {}
    client = httpx.Client(base_url=address, timeout=60)
    checks = [
        schemathesis.checks.not_a_server_error,
        schemathesis.specs.openapi.checks.status_code_conformance,
        schemathesis.specs.openapi.checks.content_type_conformance,
        schemathesis.specs.openapi.checks.response_schema_conformance,
    ]

    def run(operation) -> None:
        positive = operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE)
        negative = operation.as_strategy(generation_mode=schemathesis.GenerationMode.NEGATIVE)

        @settings(
            max_examples=each,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=positive | negative)
        def send(case) -> None:
            response = case.call(base_url=address)
            statuses[response.status_code] = statuses.get(response.status_code, 0) + 1
            case.validate_response(response, checks=checks)

        send()

    for operation in operations:
        run(operation)
    assert sum(statuses.values()) >= NUM_REQUESTS, statuses
    assert not [status for status in statuses if status >= 500], statuses
    assert statuses.get(200, 0) > 50, statuses
    assert client.get("/healthz").json()["status"] == "ok"
    deadline = time.monotonic() + 60
    while "vivavoce_answers 0.0" not in client.get("/metrics").text:
        assert time.monotonic() < deadline, "an answer is stuck"
        time.sleep(0.1)
    assert_next_talker_is_unaffected(address.replace("http", "ws") + "/v1/realtime")
