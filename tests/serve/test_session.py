"""The realtime state machine, against the script and the SDK's types: settings, formats, items, the session's end."""

import base64
import re

import numpy as np
import pytest

from vivavoce.content import Image
from vivavoce.serve.items import show_picture
from vivavoce.serve.limits import Limits
from vivavoce.serve.session_state import State

from .conftest import Talk, error_of, tone_bytes, write


def test_a_session_opens_with_its_settings(talk):
    assert talk.names == ["session.created", "conversation.created"]
    session = talk.events[0]["session"]
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert session["audio"]["output"]["voice"] == "tone"
    assert session["instructions"]


def test_a_picture_goes_in_as_it_came(talk):
    uri = show_picture(Image(np.zeros((8, 8, 3), np.uint8)))
    item = {"type": "message", "role": "user", "content": [{"type": "input_image", "image_url": uri}]}
    talk.configure()
    talk.forget()
    talk.send("conversation.item.create", item=item)
    assert talk.names == ["conversation.item.added", "conversation.item.done"]
    talk.send("response.create")
    talk.run(3.0)
    assert talk.engine.heard(0)[1][-1] == "user:a picture"


def test_g711_both_ways(talk):
    for wire_format in ("audio/pcmu", "audio/pcma"):
        audio = {
            "input": {"format": {"type": wire_format}, "turn_detection": None},
            "output": {"format": {"type": wire_format}},
        }
        talk.send("session.update", session={"type": "realtime", "audio": audio})
        talk.forget()
        data = tone_bytes(1.28, rate_hz=8000, wire_format=wire_format)
        talk.send("input_audio_buffer.append", audio=base64.b64encode(data).decode())
        talk.send("input_audio_buffer.commit")
        talk.send("response.create")
        talk.run(5.0)
        sizes = {len(base64.b64decode(e["delta"])) for e in talk.of("response.output_audio.delta")}
        assert sizes == {640}
        assert "heard 4 words" in talk.last("response.output_audio_transcript.done")["transcript"]


def test_the_beta_protocols_session_is_understood(talk):
    session = {
        "modalities": ["text", "audio"],
        "voice": "alloy",
        "input_audio_format": "g711_ulaw",
        "turn_detection": None,
    }
    talk.send("session.update", session=session)
    shown = talk.last("session.updated")["session"]
    assert shown["audio"]["input"]["format"] == {"type": "audio/pcmu"}
    assert shown["audio"]["input"]["turn_detection"] is None
    assert shown["output_modalities"] == ["audio"]
    assert shown["audio"]["output"]["voice"] == "tone"


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"audio": {"output": {"voice": "my-clone"}}}, "session.audio.output.voice"),
        ({"audio": {"output": {"voice": {"id": "voice_123"}}}}, "session.audio.output.voice"),
        ({"audio": {"output": {"speed": 1.2}}}, "session.audio.output.speed"),
        (
            {"audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2}}}},
            "session.audio.input.turn_detection.threshold",
        ),
        ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
        ({"tools": [{"type": "function", "name": "f"}]}, "session.tools"),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
        ({"instructions": "x" * 30_000}, "session.instructions"),
    ],
)
def test_what_a_session_cannot_be_set_to_is_refused_by_name_and_changes_nothing(talk, session, param):
    before = talk.session.settings
    error = error_of(talk.send("session.update", session={"type": "realtime", **session}))
    assert error["param"] == param
    assert talk.session.settings == before


def test_the_voice_is_fixed_once_the_model_has_spoken():
    talk = Talk()
    talk.engine.voices = ("tone", "bell")
    talk.session.settings = talk.session.settings.__class__(model="m", voices=("tone", "bell"))
    talk.configure()
    write(talk, "hi")
    talk.send("response.create")
    talk.run(3.0)
    error = error_of(talk.send("session.update", session={"type": "realtime", "audio": {"output": {"voice": "bell"}}}))
    assert error["code"] == "cannot_update_voice"


def test_items_go_where_they_are_put_and_a_taken_place_is_an_error(talk):
    write(talk, "b", id="b")
    write(talk, "c", id="c")
    events = talk.send(
        "conversation.item.create",
        previous_item_id="root",
        item={"id": "a", "type": "message", "role": "system", "content": [{"type": "input_text", "text": "a"}]},
    )
    assert events[0]["previous_item_id"] is None
    assert [item.id for item in talk.session.items] == ["a", "b", "c"]
    error = error_of(
        talk.send(
            "conversation.item.create",
            previous_item_id="zzz",
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "x"}]},
        )
    )
    assert (error["code"], error["param"]) == ("item_not_found", "previous_item_id")
    assert error_of(write(talk, "again", id="a"))["code"] == "item_exists"
    assert [e["type"] for e in talk.send("conversation.item.delete", item_id="b")] == ["conversation.item.deleted"]
    talk.send("response.create")
    talk.run(3.0)
    assert talk.engine.heard(0)[1] == ("system:a", "user:c")


def test_the_session_ends_when_its_time_is_over():
    talk = Talk(limits=Limits(max_session_s=10.0))
    talk.run(11.0)
    assert talk.last("error")["error"]["code"] == "session_expired"
    assert talk.session.close_code == 1000


def test_draining_lets_the_model_finish_and_starts_nothing(talk):
    talk.configure(type="semantic_vad")
    talk.speak(1.5)
    talk.silence(0.4)
    assert talk.session.state is State.SPEAKING
    talk.session.is_draining = True
    talk.silence(0.2)
    assert talk.session.close_code is None
    talk.silence(3.0)
    assert talk.last("response.done")["response"]["status"] == "completed"
    assert talk.session.close_code == 1001


def test_ids_are_unique_and_every_event_has_one(talk):
    talk.configure(type="server_vad")
    talk.speak(0.5)
    talk.silence(3.0)
    ids = [event["event_id"] for event in talk.events]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"event_\d+", name) for name in ids)
