"""Counts of steps, worked by hand."""

import numpy as np

from vivavoce.content import Image
from vivavoce.omni.engine_protocol import AnswerDelta, SlotOutput
from vivavoce.serve.usage import Usage

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
