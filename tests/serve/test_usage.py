"""Counts of steps, worked by hand."""

import base64

import numpy as np
import pytest

from vivavoce.content import Image, Message, Video
from vivavoce.omni.engine_protocol import AnswerDelta, SlotOutput
from vivavoce.serve.items import show_picture
from vivavoce.serve.usage import Usage, count_seen

from .conftest import tone_bytes, write

FRAME = np.zeros(1920, np.float32)
PICTURE = Image(np.zeros((8, 8, 3), np.uint8))


def test_an_answer_is_what_was_read_written_said_and_drawn():
    usage = Usage()
    for delta in (
        AnswerDelta(token_steps=64, prompt_steps=64),
        AnswerDelta(token_steps=10, prompt_steps=10),
        AnswerDelta("hel", token_steps=1),
        AnswerDelta(token_steps=1),
        AnswerDelta("lo", FRAME, token_steps=1),
        AnswerDelta(pcm=np.concatenate([FRAME, FRAME]), token_steps=2),
        AnswerDelta(image=PICTURE, token_steps=66),
    ):
        usage.note_answer(delta)
    assert (usage.num_in, usage.num_out) == (74, 2 + 1 + 3 + 66)
    assert usage.to_wire()["output_token_details"] == {"text_tokens": 69, "audio_tokens": 3}


def test_a_drawing_of_the_live_slot_is_output_and_what_it_read_is_input():
    usage = Usage()
    for output, is_heard in (
        (SlotOutput(0, token_steps=20), True),
        (SlotOutput(1, "speak", FRAME, "hello"), True),
        (SlotOutput(2, pcm=FRAME), False),
        (SlotOutput(3, "stop", images=(PICTURE,), token_steps=5 + 66), True),
    ):
        usage.note_read(output, is_heard=is_heard)
        usage.note_made(output)
    assert usage.to_wire()["input_token_details"]["text_tokens"] == 25
    assert usage.to_wire()["input_token_details"]["audio_tokens"] == 3
    assert usage.to_wire()["output_token_details"] == {"text_tokens": 67, "audio_tokens": 2}
    assert usage.to_wire()["total_tokens"] == 97


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


def test_a_picture_in_the_conversation_is_image_tokens_whether_it_is_read_live_or_turn_by_turn(talk):
    talk.configure()
    uri = show_picture(PICTURE)
    write(talk, "look")
    content = [{"type": "input_image", "image_url": uri}]
    talk.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
    talk.send("response.create")
    talk.run(8.0)
    details = talk.last("response.done")["response"]["usage"]["input_token_details"]
    assert (details["text_tokens"], details["image_tokens"]) == (2, 66)
    talk.send("session.update", session={"type": "realtime", "output_modalities": ["text"]})
    write(talk, "and now?")
    talk.send("response.create")
    details = talk.last("response.done")["response"]["usage"]["input_token_details"]
    # instructions, three messages of the user and the model's own: each is one step of text here
    assert (details["text_tokens"], details["image_tokens"]) == (5, 66)


def test_a_recording_in_a_message_is_audio_tokens_whether_it_is_heard_live_or_turn_by_turn(talk):
    talk.configure()
    sound = base64.b64encode(tone_bytes(0.8)).decode()
    item = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]}
    talk.send("conversation.item.create", item=item)
    talk.send("response.create")
    talk.run(6.0)
    details = talk.last("response.done")["response"]["usage"]["input_token_details"]
    assert (details["text_tokens"], details["audio_tokens"]) == (1, 10)
    talk.send("response.create", response={"conversation": "none", "input": [item]})
    details = talk.last("response.done")["response"]["usage"]["input_token_details"]
    assert (details["text_tokens"], details["audio_tokens"]) == (2, 10), "the instructions are read, too"


def test_pictures_and_films_are_counted_as_the_model_reads_them():
    pytest.importorskip("torch")
    from vivavoce.omni.configuration import make_tiny
    from vivavoce.omni.engine.answering import write_quiet
    from vivavoce.omni.layout import RowWriter
    from vivavoce.omni.vocabulary import train_vocabulary

    writer = RowWriter(train_vocabulary(["how many balls"] * 30, num_text_ids=320, num_image_codes=20), make_tiny())
    film = Video(np.zeros((3, 64, 64, 3), np.uint8), 2.0)
    for parts in ([PICTURE], [film], [PICTURE, film, PICTURE]):
        message = Message("user", tuple(parts))
        assert count_seen([message]) == len(write_quiet(writer, message)) - len(("<user>", "<end>"))
    assert (
        count_seen([Message("assistant", (PICTURE,))])
        == len(write_quiet(writer, Message("assistant", (PICTURE,))))
        == 0
    )
