"""Responses: spoken, written, drawn, aside; how they are asked for, cancelled and bounded."""

from vivavoce.serve.session_state import State

from .conftest import error_of, write


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


def test_who_types_is_answered_at_the_models_own_pace_for_three_steps_and_then_for_certain(talk):
    write(talk, "hello")
    talk.send("response.create")
    talk.silence(1.0)
    read = next(idx for idx, given in enumerate(talk.inputs) if given.inserts and given.inserts[-1].role == "user")
    asked = talk.inputs[read : read + 4]
    assert [given.force for given in asked] == [None, None, None, "speak"]
    assert all(given.may_speak for given in asked)
