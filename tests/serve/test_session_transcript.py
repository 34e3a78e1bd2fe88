"""The running transcript of the user: what it belongs to, when it is whole, and sessions that only transcribe."""

import base64

from .conftest import Talk, error_of


def test_the_transcript_completes_after_the_turn_and_joins_the_item(talk):
    talk.configure(type="server_vad")
    talk.speak(0.9)
    talk.silence(4.0)
    done = talk.last("conversation.item.input_audio_transcription.completed")
    deltas = "".join(e["delta"] for e in talk.of("conversation.item.input_audio_transcription.delta"))
    assert done["transcript"] == deltas.strip() == "la la la"
    assert talk.names.index("conversation.item.done") < talk.names.index(
        "conversation.item.input_audio_transcription.delta"
    )
    item = talk.send("conversation.item.retrieve", item_id=done["item_id"])[0]["item"]
    assert item["content"][0]["transcript"] == "la la la"
    assert len(base64.b64decode(item["content"][0]["audio"])) / 48_000 > 0.9


def test_minimal_delay_streams_the_transcript_while_the_user_speaks(talk):
    heard = {"turn_detection": {"type": "server_vad"}, "transcription": {"model": "own", "delay": "minimal"}}
    talk.send("session.update", session={"type": "realtime", "audio": {"input": heard}})
    talk.speak(1.6)
    deltas = talk.of("conversation.item.input_audio_transcription.delta")
    assert deltas
    assert {event["item_id"] for event in deltas} == {talk.last("input_audio_buffer.speech_started")["item_id"]}
    talk.silence(3.0)
    text = "".join(e["delta"] for e in talk.of("conversation.item.input_audio_transcription.delta")).strip()
    assert text == talk.last("conversation.item.input_audio_transcription.completed")["transcript"]


def test_without_transcription_no_transcript_is_sent(talk):
    talk.speak(0.9)
    talk.silence(4.0)
    assert not [name for name in talk.names if "transcription" in name]


def test_a_transcription_session_only_transcribes():
    talk = Talk(kind="transcription")
    heard = {"transcription": {"model": "own"}, "turn_detection": {"type": "server_vad"}}
    talk.send("session.update", session={"type": "transcription", "audio": {"input": heard}})
    assert talk.last("session.updated")["session"]["type"] == "transcription"
    talk.speak(0.9)
    talk.silence(3.0)
    assert talk.last("conversation.item.input_audio_transcription.completed")["transcript"] == "la la la"
    assert not talk.of("response.created")
    assert error_of(talk.send("response.create"))["code"] == "invalid_state"
