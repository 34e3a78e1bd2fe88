"""The realtime protocol over a real socket, by the stock `openai` client, sync and async."""

from __future__ import annotations

import asyncio
import base64
import json
import time

import numpy as np
import pytest
import websockets.sync.client
from openai import AsyncOpenAI, OpenAI

from vivavoce.serve.limits import Limits
from vivavoce.serve.live_speech import LEAD_FRAMES
from vivavoce.serve.scripted_engine import ScriptedEngine
from vivavoce.serve.security import ServerConfig
from vivavoce.serve.server import serve_in_thread
from vivavoce.serve.vad import EnergyVad
from vivavoce.serve.worker import Worker

from .conftest import check_event, tone_bytes


@pytest.fixture(scope="module")
def worker():
    return Worker(ScriptedEngine(4), make_vad=EnergyVad, limits=Limits(max_events_per_s=300))


@pytest.fixture(scope="module")
def address(worker):
    with serve_in_thread(worker, ServerConfig(port=0)) as address:
        yield address


def wait_for(is_true, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def connect(address, **more):
    return websockets.sync.client.connect(address.replace("http", "ws") + "/v1/realtime?model=any", **more)


def read_until(socket, kind, seconds=30.0):
    events = []
    while not events or events[-1]["type"] != kind:
        events.append(json.loads(socket.recv(timeout=seconds)))
        check_event(events[-1])
    return events


def say(connection, seconds, gain=1.0):
    data = tone_bytes(seconds, gain)
    for at in range(0, len(data), 960):
        connection.input_audio_buffer.append(audio=base64.b64encode(data[at : at + 960]).decode())


def test_the_stock_client_talks_and_is_answered(address):
    client = OpenAI(base_url=f"{address}/v1", api_key="x")
    with client.realtime.connect(model="gpt-realtime") as connection:
        detection = {"type": "semantic_vad", "eagerness": "high"}
        heard = {"turn_detection": detection, "transcription": {"model": "own"}}
        connection.session.update(session={"type": "realtime", "audio": {"input": heard}})
        say(connection, 1.0)
        say(connection, 3.0, gain=0.0)
        names, speech, text = [], b"", ""
        for event in connection:
            names.append(event.type)
            if event.type == "response.output_audio.delta":
                speech += base64.b64decode(event.delta)
            elif event.type == "response.output_audio_transcript.done":
                text = event.transcript
            elif event.type == "response.done":
                break
    assert names[:3] == ["session.created", "conversation.created", "session.updated"]
    assert text.startswith("I heard 4 words")
    assert len(speech) == 12 * 3840
    assert event.response.status == "completed"
    assert event.response.usage.output_token_details.audio_tokens == 12


async def test_the_stock_async_client_types_and_is_answered_in_text(address):
    client = AsyncOpenAI(base_url=f"{address}/v1", api_key="x")
    async with client.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(
            session={"type": "realtime", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}}
        )
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "good morning"}]}
        await connection.conversation.item.create(item=item)
        await connection.response.create()
        async for event in connection:
            if event.type == "response.output_text.done":
                break
    assert event.text == "Hello. You wrote: good morning "


def test_several_talk_at_once_out_of_step_and_none_hears_another(address):
    async def talk(idx):
        client = AsyncOpenAI(base_url=f"{address}/v1", api_key="x")
        async with client.realtime.connect(model="m") as connection:
            await connection.session.update(session={"type": "realtime", "audio": {"input": {"turn_detection": None}}})
            await asyncio.sleep(0.03 * idx)
            await connection.conversation.item.create(
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": f"number {idx}"}]}
            )
            await connection.response.create()
            async for event in connection:
                if event.type == "response.done":
                    break
        return event.response.output[0].content[0].transcript

    async def everyone():
        return await asyncio.gather(*(talk(idx) for idx in range(4)))

    assert asyncio.run(everyone()) == [f"Hello. You wrote: number {idx} " for idx in range(4)]


def test_one_talker_too_many_is_told_so_and_gets_in_later(address, worker):
    wait_for(lambda: worker.num_talkers == 0)
    sockets = [connect(address) for _ in range(4)]
    for socket in sockets:
        read_until(socket, "session.created")
    with connect(address) as late:
        error = json.loads(late.recv(timeout=30))["error"]
        assert error["code"] == "server_busy"
        assert "all 4 places to talk are taken" in error["message"]
        with pytest.raises(websockets.ConnectionClosed) as closed:
            late.recv(timeout=30)
        assert closed.value.rcvd.code == 1013
    for socket in sockets:
        socket.close()
    wait_for(lambda: worker.num_talkers == 0)
    with connect(address) as again:
        read_until(again, "session.created")


def test_a_client_that_vanishes_in_mid_sentence_frees_its_slot_within_a_second(address, worker):
    took_s = []
    while not took_s or (
        min(took_s) >= 1.0 and len(took_s) < 5
    ):  # a busy machine may be late itself, but not each time
        wait_for(lambda: worker.num_talkers == 0)
        socket = connect(address)
        read_until(socket, "session.created")
        data = base64.b64encode(tone_bytes(0.5)).decode()
        socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": data}))
        wait_for(lambda: worker.num_talkers == 1)
        gone = time.monotonic()
        socket.socket.close()  # no closing handshake, no goodbye
        wait_for(lambda: worker.num_talkers == 0)
        took_s.append(time.monotonic() - gone)
        assert worker.engine.num_open == 0
    assert min(took_s) < 1.0


def test_binary_and_nonsense_are_answered_with_errors_and_the_session_goes_on(address):
    with connect(address) as socket:
        read_until(socket, "session.created")
        for message in (b"\x00\x01", "not json", "[]", '{"type": "dance"}'):
            socket.send(message)
        errors = []
        while len(errors) < 4:
            event = json.loads(socket.recv(timeout=30))
            if event["type"] == "error":
                errors.append(event["error"]["code"])
        assert errors == ["invalid_message", "invalid_json", "invalid_json", "unknown_event"]
        socket.send(json.dumps({"type": "session.update", "session": {"type": "realtime"}}))
        read_until(socket, "session.updated")


def test_too_many_events_are_refused_by_name(address):
    with connect(address) as socket:
        for _ in range(1500):
            socket.send('{"type": "input_audio_buffer.clear"}')
        codes = set()
        while "rate_limit_exceeded" not in codes:
            event = json.loads(socket.recv(timeout=30))
            if event["type"] == "error":
                codes.add(event["error"]["code"])
                assert "max_events_per_s" in event["error"]["message"]


def test_the_browsers_subprotocols_are_understood(address):
    with connect(address, subprotocols=["realtime", "openai-insecure-api-key.x"]) as socket:
        assert socket.subprotocol == "realtime"


def test_transcription_intent_opens_a_transcription_session(address):
    url = address.replace("http", "ws") + "/v1/realtime?intent=transcription"
    with websockets.sync.client.connect(url) as socket:
        assert json.loads(socket.recv(timeout=30))["session"]["type"] == "transcription"


def test_a_client_that_does_not_read_is_let_go(worker, address):
    from vivavoce.serve.realtime_socket import SocketPort

    async def fill():
        port = SocketPort(max_unsent_bytes=1000)
        port.deliver(["x" * 600], None)
        port.deliver(["x" * 600], None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return port.is_closed, port.close_code

    assert asyncio.run(fill()) == (True, 1008)


def test_speech_is_sent_no_faster_than_it_is_spoken(address):
    with connect(address) as socket:
        session = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
        socket.send(json.dumps({"type": "session.update", "session": session}))
        item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "one two three four"}]}
        socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        asked_s = time.monotonic()
        socket.send('{"type": "response.create"}')
        times = []
        while True:
            event = json.loads(socket.recv(timeout=30))
            if event["type"] == "response.output_audio.delta":
                times.append(time.monotonic())
            if event["type"] == "response.done":
                break
    # two frames ahead, so that players don't run dry; that none comes late is `viva bench`'s to say, on an idle machine
    assert len(times) == 21
    assert (np.array(times) - asked_s >= 0.08 * (np.arange(len(times)) - LEAD_FRAMES) - 0.01).all()


def test_what_a_client_sends_while_its_slot_draws_is_done_in_order_afterwards():
    worker = Worker(ScriptedEngine(1, step_s=0.01), make_vad=EnergyVad)
    with serve_in_thread(worker, ServerConfig(port=0)) as address, connect(address) as socket:
        content = [{"type": "input_text", "text": "draw a ball"}]
        item = {"type": "message", "role": "user", "content": content}
        socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        socket.send(json.dumps({"type": "response.create"}))
        read_until(socket, "response.created")
        wait_for(lambda: worker._steps.num_in_pieces)
        for number in range(3):
            content = [{"type": "input_text", "text": f"text {number}"}]
            item = {"type": "message", "role": "user", "content": content, "id": f"item_{number}"}
            socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        events = read_until(socket, "response.done")
        assert any(event.get("part", {}).get("type") == "image" for event in events)
        later = [json.loads(socket.recv(timeout=30)) for _ in range(6)]
        ids = [event["item"]["id"] for event in later if event["type"] == "conversation.item.done"]
        assert ids == ["item_0", "item_1", "item_2"]
        socket.close()
        wait_for(lambda: worker.num_talkers == 0)
        assert worker.engine.num_open == 0
