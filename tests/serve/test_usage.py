"""Counts of steps, worked by hand."""

import numpy as np

from vivavoce.content import Image
from vivavoce.omni.engine_protocol import AnswerDelta, SlotOutput
from vivavoce.serve.usage import Usage

from .conftest import write

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
