"""Whose turn it is: each way of turn detection, interruption, back-channels, the client's own commit."""

import base64

import numpy as np
import pytest

from vivavoce.serve.session_state import State

from .conftest import Talk, error_of, tone_bytes, without_deltas, write

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


@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
def test_what_was_committed_before_it_was_heard_opens_no_other_turn(talk, kind):
    talk.configure(type=kind)
    talk.speak(0.6)
    talk.send("input_audio_buffer.append", audio=base64.b64encode(tone_bytes(0.4)).decode())
    talk.send("input_audio_buffer.commit")
    talk.send("response.create")
    talk.run(6.0)  # the microphone is closed: nothing would ever end another turn
    assert len(talk.of("input_audio_buffer.speech_started")) == 1
    assert talk.last("response.done")["response"]["status"] == "completed"


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
