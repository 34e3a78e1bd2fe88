"""Cutting a spoken item to what was heard: the record, the model's context, and that the session goes on."""

import pytest

from vivavoce.serve.responses import cut_text
from vivavoce.serve.rewinding import Fed, StepLog
from vivavoce.serve.session_state import State
from vivavoce.serve.slot_context import SlotContext

from .conftest import Talk, error_of, write


def say_something(talk: Talk, text: str = "one two three four five six") -> str:
    """A finished spoken item; returns its id."""
    talk.configure()
    write(talk, text)
    talk.send("response.create")
    talk.run(10.0)
    return talk.last("response.done")["response"]["output"][0]["id"]


def truncate(talk, item_id, ms, index=0):
    return talk.send("conversation.item.truncate", item_id=item_id, content_index=index, audio_end_ms=ms)


def test_the_record_loses_what_was_not_heard(talk):
    item_id = say_something(talk)
    events = truncate(talk, item_id, 800)
    assert [event["type"] for event in events] == ["conversation.item.truncated"]
    assert events[0]["audio_end_ms"] == 800
    part = talk.send("conversation.item.retrieve", item_id=item_id)[0]["item"]["content"][0]
    assert len(part["audio"]) * 3 // 4 // 48 == pytest.approx(800, abs=1)
    # 9 words in 2.16 s; after 0.8 s three were heard whole
    assert part["transcript"] == "Hello. You wrote:"


def test_the_models_context_goes_back_to_the_last_step_that_was_heard(talk):
    item_id = say_something(talk)
    first = talk.session.items.get(item_id).first_frame
    truncate(talk, item_id, 800)
    talk.run(1.0)
    history = talk.engine._slots[0]
    # ten steps of speech are left, and the step that stops it
    assert history[first + 10].said_frames == 10
    assert len(history) == first + 10 + 1 + 1
    assert not history[-1].is_speaking


def test_what_the_user_said_meanwhile_is_heard_again(talk):
    talk.configure(type="semantic_vad")
    talk.speak(3.0)
    talk.silence(0.6)
    talk.speak(0.5)  # barges in; the model stops
    item_id = talk.last("response.done")["response"]["output"][0]["id"]
    loud = talk.engine.heard(0)[0]
    assert loud >= 6
    truncate(talk, item_id, 160)
    talk.silence(0.04)
    assert talk.engine.heard(0)[0] == loud
    talk.silence(3.0)
    assert talk.last("response.done")["response"]["status"] == "completed"
    assert "heard 2 words" in talk.last("response.output_audio_transcript.done")["transcript"]


def test_a_transcript_is_not_sent_twice_when_speech_is_heard_again(talk):
    talk.configure(type="semantic_vad")
    talk.speak(3.0)
    talk.silence(0.6)
    talk.speak(0.5)
    talk.silence(0.04)
    truncate(talk, talk.last("response.done")["response"]["output"][0]["id"], 80)
    talk.silence(4.0)
    for done in talk.of("conversation.item.input_audio_transcription.completed"):
        deltas = [
            e["delta"]
            for e in talk.of("conversation.item.input_audio_transcription.delta")
            if e["item_id"] == done["item_id"]
        ]
        assert "".join(deltas).strip() == done["transcript"]


def test_truncating_while_the_model_speaks_ends_the_response_first(talk):
    talk.configure()
    write(talk, "one two three four five six")
    talk.send("response.create")
    talk.run(0.8)
    item_id = talk.last("response.output_item.added")["item"]["id"]
    names = [event["type"] for event in truncate(talk, item_id, 300)]
    assert names[-2:] == ["response.done", "conversation.item.truncated"]
    assert talk.session.state is State.LISTENING
    write(talk, "again")
    talk.send("response.create")
    talk.run(5.0)
    assert "again" in talk.last("response.output_audio_transcript.done")["transcript"]


@pytest.mark.parametrize("ms", [0, 1, 79, 80, 81, 2160, 2245])
def test_any_moment_up_to_a_little_over_the_end_is_accepted_and_talk_goes_on(talk, ms):
    item_id = say_something(talk)
    assert [event["type"] for event in truncate(talk, item_id, ms)] == ["conversation.item.truncated"]
    talk.forget()
    write(talk, "more")
    talk.send("response.create")
    talk.run(5.0)
    assert talk.last("response.done")["response"]["status"] == "completed"


def test_truncating_before_the_first_delta_was_played(talk):
    talk.configure()
    write(talk, "hello")
    talk.send("response.create")
    talk.run(0.0)
    item_id = talk.last("response.output_item.added")["item"]["id"]
    assert truncate(talk, item_id, 0)[-1]["type"] == "conversation.item.truncated"
    talk.run(1.0)
    assert talk.session.items.get(item_id).content[0].text == ""


def test_an_item_that_is_shorter_already_is_a_harmless_error(talk):
    item_id = say_something(talk)
    truncate(talk, item_id, 400)
    error = error_of(truncate(talk, item_id, 2000))
    assert "audio content of 400 ms is already shorter" in error["message"]
    write(talk, "still there?")
    talk.send("response.create")
    talk.run(5.0)
    assert talk.last("response.done")["response"]["status"] == "completed"


def test_only_the_models_speech_can_be_truncated(talk):
    item_id = say_something(talk)
    user_id = next(item.id for item in talk.session.items if item.role == "user")
    assert "only model output audio messages can be truncated" in error_of(truncate(talk, user_id, 0))["message"]
    assert error_of(truncate(talk, "nobody", 0))["code"] == "item_not_found"
    assert error_of(truncate(talk, item_id, 0, index=1))["param"] == "content_index"
    assert error_of(truncate(talk, item_id, -1))["param"] == "audio_end_ms"


def test_an_older_item_is_cut_by_making_the_context_anew(talk):
    old = say_something(talk, "one two three")
    write(talk, "next")
    talk.send("response.create")
    talk.run(6.0)
    truncate(talk, old, 320)
    write(talk, "last")
    talk.send("response.create")
    talk.run(6.0)
    told = talk.engine.heard(0)[1]
    assert told[:2] == ("user:one two three", "assistant:Hello.")
    assert told[-1] == "user:last"


def test_text_is_cut_at_whole_words_in_proportion_to_what_was_heard():
    assert cut_text("one two three four", 1.0, 2.0, is_whole=True) == "one two"
    assert cut_text("one two three four", 2.0, 2.0, is_whole=True) == "one two three four"
    assert cut_text("one two three four", 0.0, 2.0, is_whole=True) == ""
    # of an utterance cut short only what the usual pace allows
    assert cut_text("one two three four", 0.6, 0.6, is_whole=False) == "one two"


def test_the_log_gives_back_only_the_steps_in_which_the_user_gave_something():
    log = StepLog()
    for idx in range(6):
        log.note(Fed(idx, None if idx % 2 else idx, ()))
    assert [step.frame_idx for step in log.take_from(1)] == [2, 4]
    assert log.take_from(1) == []
    assert log.take_from(-1) is None


def test_a_step_that_was_under_way_when_the_context_was_made_anew_is_none_of_the_new_one():
    context = SlotContext("")
    for operations in (1, 0):
        assert len(context.take_operations()) == operations
        context.take(None)
        context.note(6)
    context.take(None)
    context.restart("anew")
    context.note(7)
    context.take(None)
    assert len(context.take_operations()) == 1
    context.note(0)
    assert context.go_back(0)
