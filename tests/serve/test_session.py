"""The realtime state machine, against the script and the SDK's types."""

import base64
import re

import numpy as np
import pytest

from vivavoce.content import Image
from vivavoce.serve.items import show_picture
from vivavoce.serve.limits import Limits
from vivavoce.serve.session_state import State

from .conftest import Talk, tone_bytes

SERVER_TURN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
    "response.created",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


def without_deltas(names):
    return [name for name in names if "delta" not in name and "transcription" not in name]


def write(talk, text, **more):
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}
    return talk.send("conversation.item.create", item=item)


def error_of(events):
    (event,) = events
    assert event["type"] == "error", event
    return event["error"]


def test_a_session_opens_with_its_settings(talk):
    assert talk.names == ["session.created", "conversation.created"]
    session = talk.events[0]["session"]
    assert session["output_modalities"] == ["audio"]
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert session["audio"]["output"]["voice"] == "tone"
    assert session["instructions"]


@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
def test_a_spoken_turn_has_exactly_the_protocols_order_of_events(talk, kind):
    talk.configure(type=kind)
    talk.forget()
    talk.silence(0.4)
    talk.speak(1.0)
    talk.silence(4.0)
    assert without_deltas(talk.names) == SERVER_TURN
    assert talk.last("response.done")["response"]["status"] == "completed"
    deltas = [
        name for name in talk.names if name in ("response.output_audio.delta", "response.output_audio_transcript.delta")
    ]
    assert deltas[:2] == ["response.output_audio_transcript.delta", "response.output_audio.delta"]
    first, last = talk.names.index(deltas[0]), len(talk.names) - 1 - talk.names[::-1].index(deltas[-1])
    assert talk.names.index("response.content_part.added") < first
    assert last < talk.names.index("response.output_audio.done")


def test_every_delta_is_one_clock_step_of_sound_and_together_they_are_the_engines_speech(talk):
    talk.configure(type="semantic_vad")
    talk.speak(1.0)
    talk.silence(3.0)
    sizes = {len(base64.b64decode(event["delta"])) for event in talk.of("response.output_audio.delta")}
    assert sizes == {3840}
    time_s = np.arange(len(talk.audio())) / 24_000
    np.testing.assert_allclose(talk.audio() / 32768, 0.3 * np.sin(2 * np.pi * 220 * time_s), atol=1e-4)


def test_speech_started_names_the_true_start_less_the_padding(talk):
    talk.configure(type="server_vad", prefix_padding_ms=160, silence_duration_ms=320)
    talk.silence(0.96)
    talk.speak(0.96)
    talk.silence(1.0)
    start, stop = talk.last("input_audio_buffer.speech_started"), talk.last("input_audio_buffer.speech_stopped")
    assert abs(start["audio_start_ms"] - (960 - 160)) <= 32
    assert abs(stop["audio_end_ms"] - (1920 + 320)) <= 64
    assert start["item_id"] == stop["item_id"] == talk.last("input_audio_buffer.committed")["item_id"]


def test_the_model_takes_the_turn_sooner_the_more_eager_it_is():
    waits = {}
    for eagerness in ("high", "medium", "low"):
        talk = Talk()
        talk.configure(type="semantic_vad", eagerness=eagerness)
        talk.speak(0.8)
        talk.forget()
        before = len(talk.inputs)
        while not talk.of("response.created"):
            talk.silence(0.08)
        waits[eagerness] = len(talk.inputs) - before
    assert waits["high"] < waits["medium"] < waits["low"]


def test_the_server_answers_after_the_longest_wait_when_the_model_does_not(talk):
    talk.configure(type="semantic_vad", eagerness="high")
    talk.speak(0.12)  # too short for the script to answer by itself
    talk.silence(1.5)
    assert not talk.of("response.created")
    talk.silence(1.0)
    assert talk.of("response.created")


def test_silence_alone_never_makes_the_model_speak(talk):
    talk.configure(type="semantic_vad")
    talk.forget()
    talk.silence(3.0)
    assert talk.names == []
    assert all(not given.may_speak for given in talk.inputs)


def test_the_model_is_kept_quiet_until_server_vad_has_heard_the_silence(talk):
    talk.configure(type="server_vad", silence_duration_ms=800)
    talk.speak(1.0)
    talk.silence(0.7)
    assert not talk.of("response.created")
    talk.silence(0.3)
    assert talk.of("response.created")
    assert [given.force for given in talk.inputs].count("speak") == 1


def test_create_response_false_leaves_the_answer_to_the_client(talk):
    for kind in ("server_vad", "semantic_vad"):
        talk.configure(type=kind, create_response=False)
        talk.forget()
        talk.speak(0.8)
        talk.silence(1.0)
        assert without_deltas(talk.names)[:5] == SERVER_TURN[:5]
        assert not talk.of("response.created")
        talk.send("response.create")
        talk.silence(2.0)
        assert talk.last("response.done")["response"]["status"] == "completed"


def test_push_to_talk_commits_and_asks(talk):
    talk.configure()
    talk.forget()
    talk.speak(1.28)
    talk.run(1.0)
    assert talk.names == []
    created = talk.send("input_audio_buffer.commit")
    assert [event["type"] for event in created][:3] == SERVER_TURN[2:5]
    talk.send("response.create")
    talk.run(4.0)
    assert without_deltas(talk.names)[3:] == SERVER_TURN[5:]
    assert talk.last("response.output_audio_transcript.done")["transcript"] == "I heard 4 words. "


def test_a_whole_recording_appended_at_once_is_heard_before_it_is_answered(talk):
    talk.configure()
    talk.send("input_audio_buffer.append", audio=base64.b64encode(tone_bytes(2.56)).decode())
    talk.send("input_audio_buffer.commit")
    talk.send("response.create")
    talk.run(5.0)
    assert talk.last("response.output_audio_transcript.done")["transcript"] == "I heard 8 words. "
    transcript = talk.last("conversation.item.input_audio_transcription.completed")
    assert transcript["transcript"] == "la la la la la la la la"
    assert transcript["usage"]["seconds"] == pytest.approx(2.56, abs=0.08)


def test_sound_that_was_cleared_was_never_heard(talk):
    talk.configure()
    talk.speak(1.28)
    assert [event["type"] for event in talk.send("input_audio_buffer.clear")] == ["input_audio_buffer.cleared"]
    write(talk, "hello")
    talk.send("response.create")
    talk.run(4.0)
    assert talk.last("response.output_audio_transcript.done")["transcript"] == "Hello. You wrote: hello "
    assert error_of(talk.send("input_audio_buffer.commit"))["code"] == "input_audio_buffer_commit_empty"


def test_uncommitted_sound_is_not_part_of_the_response_but_is_kept(talk):
    talk.configure()
    talk.speak(1.28)
    write(talk, "hello")
    talk.send("response.create")
    talk.run(4.0)
    assert talk.last("response.output_audio_transcript.done")["transcript"] == "Hello. You wrote: hello "
    talk.send("input_audio_buffer.commit")
    talk.send("response.create")
    talk.run(5.0)
    assert "heard 4 words" in talk.last("response.output_audio_transcript.done")["transcript"]


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


def test_a_text_session_writes_instead_of_speaking(talk):
    talk.configure(type="semantic_vad")
    talk.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
    talk.speak(0.9)
    talk.silence(3.0)
    assert talk.last("response.output_text.done")["text"] == "I heard 3 words. "
    assert not talk.of("response.output_audio.delta")
    assert talk.last("response.content_part.added")["part"]["type"] == "text"
    assert talk.last("response.done")["response"]["output"][0]["content"][0]["type"] == "output_text"


def test_typed_text_is_answered_in_text_turn_by_turn_and_remembered(talk):
    talk.configure()
    talk.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
    write(talk, "good day")
    talk.send("response.create")
    assert talk.last("response.output_text.done")["text"] == "Hello. You wrote: good day "
    talk.speak(0.64)
    talk.send("input_audio_buffer.commit")
    talk.send("response.create")
    talk.run(3.0)
    assert "user:good day" in talk.engine.heard(0)[1]
    assert "assistant:Hello. You wrote: good day " in talk.engine.heard(0)[1]


def test_an_answer_aside_joins_no_conversation(talk):
    talk.configure()
    write(talk, "remember this")
    talk.forget()
    given = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "aside"}]}
    talk.send(
        "response.create",
        response={"conversation": "none", "input": [given], "output_modalities": ["text"], "metadata": {"a": "b"}},
    )
    response = talk.last("response.done")["response"]
    assert response["conversation_id"] is None
    assert response["metadata"] == {"a": "b"}
    assert response["output"][0]["content"][0]["text"] == "Hello. You wrote: aside "
    assert "conversation.item.added" not in talk.names
    assert len(talk.session.items) == 1


def test_input_of_a_response_may_name_earlier_items(talk):
    talk.configure()
    write(talk, "first", id="one")
    write(talk, "second", id="two")
    reference = {"type": "item_reference", "id": "one"}
    talk.send("response.create", response={"conversation": "none", "input": [reference], "output_modalities": ["text"]})
    assert "first" in talk.last("response.output_text.done")["text"]
    reference["id"] = "three"
    error = error_of(talk.send("response.create", response={"conversation": "none", "input": [reference]}))
    assert (error["code"], error["param"]) == ("item_not_found", "response.input.0.id")


def test_a_drawn_picture_is_an_item_of_its_own(talk):
    talk.configure()
    write(talk, "draw a ball")
    talk.send("response.create")
    talk.run(4.0)
    done = talk.last("response.done")["response"]
    kinds = [item["content"][0]["type"] for item in done["output"]]
    assert kinds == ["output_audio", "output_image"]
    assert done["output"][1]["content"][0]["image_url"].startswith("data:image/png;base64,")
    part = next(e for e in talk.of("response.content_part.done") if e["part"]["type"] == "image")
    assert part["output_index"] == 1


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


def test_speech_over_the_model_stops_it_under_server_vad(talk):
    talk.configure(type="server_vad")
    talk.speak(3.0)
    talk.silence(0.9)
    assert talk.session.state is State.SPEAKING
    talk.forget()
    talk.speak(0.3)
    assert talk.names[0] == "input_audio_buffer.speech_started" or "delta" in talk.names[0]
    response = talk.last("response.done")["response"]
    assert (response["status"], response["status_details"]["reason"]) == ("cancelled", "turn_detected")
    after = talk.names[talk.names.index("response.done") :]
    assert "response.output_audio.delta" not in after
    talk.silence(3.0)
    assert talk.last("response.done")["response"]["status"] == "completed"


def test_interrupt_response_false_lets_the_model_finish_and_answers_afterwards(talk):
    talk.engine._frames_per_word = 6
    talk.engine.barge_in = False
    talk.configure(type="server_vad", interrupt_response=False, silence_duration_ms=200)
    talk.speak(0.9)
    talk.silence(0.5)
    talk.speak(0.16)
    talk.silence(6.0)
    statuses = [event["response"]["status"] for event in talk.of("response.done")]
    assert statuses == ["completed", "completed"]


def test_the_models_own_stop_ends_the_response_as_interrupted_under_semantic_vad(talk):
    talk.configure(type="semantic_vad")
    talk.speak(3.0)
    talk.silence(0.4)
    assert talk.session.state is State.SPEAKING
    talk.forget()
    talk.speak(0.5)
    response = talk.last("response.done")["response"]
    assert (response["status"], response["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert talk.names.index("input_audio_buffer.speech_started") < talk.names.index("response.done")
    talk.silence(3.0)
    assert talk.last("response.done")["response"]["status"] == "completed"


def test_a_back_channel_stops_nothing_under_semantic_vad(talk):
    talk.configure(type="semantic_vad")
    talk.speak(3.0)
    talk.silence(0.4)
    talk.forget()
    talk.speak(0.1)
    talk.silence(4.0)
    assert "input_audio_buffer.speech_started" not in talk.names
    assert [event["response"]["status"] for event in talk.of("response.done")] == ["completed"]


def test_a_model_that_does_not_give_way_is_stopped(talk):
    talk.engine.barge_in = False
    talk.configure(type="semantic_vad")
    talk.speak(4.0)
    talk.silence(0.4)
    talk.forget()
    talk.speak(1.1)
    assert talk.last("response.done")["response"]["status_details"]["reason"] == "turn_detected"


def test_cancel_ends_the_response_at_once(talk):
    talk.configure()
    write(talk, "hello")
    talk.send("response.create")
    talk.run(0.3)
    events = talk.send("response.cancel")
    assert events[-1]["response"]["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    talk.forget()
    talk.run(3.0)
    assert talk.names == []
    assert talk.inputs[-1].force == "stop"


def test_cancel_with_nothing_to_cancel_is_an_error_that_harms_nothing(talk):
    talk.configure()
    error = error_of(talk.send("response.cancel", event_id="mine"))
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "mine")
    assert "the session is listening" in error["message"]
    write(talk, "hello")
    talk.send("response.create")
    assert error_of(talk.send("response.cancel", response_id="other"))["param"] == "response_id"
    talk.run(4.0)
    assert talk.last("response.done")["response"]["status"] == "completed"


def test_a_second_response_has_to_wait_for_the_first(talk):
    talk.configure()
    write(talk, "hello")
    talk.send("response.create")
    assert error_of(talk.send("response.create"))["code"] == "conversation_already_has_active_response"


def test_a_response_ends_at_its_bound_of_tokens(talk):
    talk.configure()
    write(talk, "one two three four")
    talk.send("response.create", response={"max_output_tokens": 2})
    talk.run(3.0)
    response = talk.last("response.done")["response"]
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["usage"]["output_token_details"]["text_tokens"] == 2
    talk.run(1.0)
    assert talk.session.state is State.LISTENING


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


def test_the_idle_timeout_commits_the_silence_and_speaks(talk):
    talk.configure(type="server_vad", idle_timeout_ms=5000)
    talk.speak(0.9)
    talk.silence(3.0)
    talk.forget()
    talk.silence(6.0)
    assert "input_audio_buffer.timeout_triggered" in talk.names
    event = talk.last("input_audio_buffer.timeout_triggered")
    assert event["audio_end_ms"] - event["audio_start_ms"] == 5000
    assert talk.of("response.created")


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


def test_without_a_microphone_the_server_keeps_time_itself(talk):
    talk.configure()
    write(talk, "hello there you")
    talk.send("response.create")
    talk.run(0.0)
    start = len(talk.of("response.output_audio.delta"))
    assert 1 <= start <= 3  # a short lead, so that players never run dry
    for idx in range(1, 11):
        talk.run(0.08)
        assert abs(len(talk.of("response.output_audio.delta")) - start - idx) <= 1


def test_ids_are_unique_and_every_event_has_one(talk):
    talk.configure(type="server_vad")
    talk.speak(0.5)
    talk.silence(3.0)
    ids = [event["event_id"] for event in talk.events]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch(r"event_\d+", name) for name in ids)


def test_usage_counts_each_kind_of_step(talk):
    talk.configure()
    write(talk, "draw a ball")
    talk.send("response.create")
    talk.run(12.0)
    usage = talk.last("response.done")["response"]["usage"]
    # one message read; "Hello. You wrote: draw a ball" is six words of three clock steps each; a drawing is 66 steps
    assert usage["input_token_details"] == {"text_tokens": 1, "audio_tokens": 0, "image_tokens": 0, "cached_tokens": 0}
    assert usage["output_token_details"] == {"text_tokens": 6 + 66, "audio_tokens": 18}
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (1, 90, 91)


def test_usage_counts_what_was_heard_once_and_starts_anew_with_each_response(talk):
    talk.configure()
    for _ in range(2):
        talk.speak(0.8)
        talk.send("input_audio_buffer.commit")
        talk.send("response.create")
        talk.run(6.0)
        usage = talk.last("response.done")["response"]["usage"]
        assert usage["input_token_details"]["audio_tokens"] == 10
        assert usage["input_token_details"]["text_tokens"] == 0
        # "I heard 3 words.": four words of three clock steps
        assert usage["output_token_details"] == {"text_tokens": 4, "audio_tokens": 12}


def test_usage_of_a_text_answer_is_what_was_read_and_what_was_written(talk):
    talk.configure()
    talk.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
    write(talk, "good day")
    talk.send("response.create")
    talk.run(1.0)
    usage = talk.last("response.done")["response"]["usage"]
    # the instructions and the message; "Hello. You wrote: good day"
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (2, 5, 7)
    assert usage["output_token_details"] == {"text_tokens": 5, "audio_tokens": 0}
