"""The real engine, untrained and tiny, behind the realtime state machine: what the script cannot show."""

from __future__ import annotations

import numpy as np
import pytest

from vivavoce.content import Image
from vivavoce.serve.items import show_picture
from vivavoce.serve.session_state import State

from .conftest import Talk, write

pytest.importorskip("torch")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def engine():
    from tests.omni.engine.models import make_checkpoint
    from vivavoce.omni.engine.loading import make_engine

    return make_engine(make_checkpoint(), num_slots=2, backend="torch")


@pytest.fixture
def talk(engine):
    engine.close_slot(0)
    return Talk(engine=engine)


def speak(talk, text="hello", tokens=12):
    write(talk, text)
    talk.send("response.create", response={"max_output_tokens": tokens})
    talk.run(12.0)
    return talk.last("response.done")["response"]


def test_it_speaks_when_asked_and_ends_at_its_bound(talk):
    talk.configure()
    response = speak(talk)
    assert response["status"] in ("completed", "incomplete")
    assert talk.session.state is State.LISTENING
    if talk.engine.voice is not None:
        assert len(talk.audio()) == 1920 * response["usage"]["output_token_details"]["audio_tokens"] > 0


def test_a_spoken_turn_is_committed_and_answered(talk):
    talk.configure(type="server_vad", silence_duration_ms=300)
    talk.speak(0.8)
    talk.silence(0.6)
    assert [name for name in talk.names if name.startswith("input_audio_buffer")] == [
        "input_audio_buffer.speech_started",
        "input_audio_buffer.speech_stopped",
        "input_audio_buffer.committed",
    ]
    assert talk.of("response.created")
    assert "speak" in [given.force for given in talk.inputs]


def test_truncating_goes_back_and_the_next_answer_comes(talk):
    talk.configure()
    item = speak(talk, tokens=30)["output"][0]
    frames = talk.session.items.get(item["id"]).num_frames
    if frames < 4:
        pytest.skip("the untrained model said too little to cut")
    first = talk.session.items.get(item["id"]).first_frame
    talk.send("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=160)
    talk.run(0.5)
    assert talk.engine._slots[0].now.frame_idx == first + 2 + 1
    assert speak(talk, "again")["status"] in ("completed", "incomplete")


def test_pictures_and_deleted_items_are_taken_in(talk):
    talk.configure()
    uri = show_picture(Image(np.zeros((64, 64, 3), np.uint8)))
    item = {"id": "seen", "type": "message", "role": "user", "content": [{"type": "input_image", "image_url": uri}]}
    talk.send("conversation.item.create", item=item)
    speak(talk)
    talk.send("conversation.item.delete", item_id="seen")
    assert speak(talk)["status"] in ("completed", "incomplete")
    assert not talk.of("error")


def test_a_text_answer_is_made_beside_the_live_slot(talk):
    talk.configure()
    talk.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
    response = speak(talk, tokens=6)
    assert response["status"] == "completed"
    assert not talk.of("response.output_audio.delta")
