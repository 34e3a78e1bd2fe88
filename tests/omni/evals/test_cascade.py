"""What a recogniser hears is typed as people type, and nothing else of a conversation changes."""

import numpy as np
import pytest

from vivavoce.content import Audio, Conversation, Image, Text, assistant, system, user
from vivavoce.omni.evals.cascade import type_what_is_heard

SOUND = Audio(np.zeros(160, np.float32), 16_000, "what is two plus three?")
GREY = Image(np.zeros((4, 4, 3), np.uint8))


@pytest.mark.parametrize(
    ("heard", "typed"),
    [
        (" What is 2 + 3?", "what is two plus three?"),
        ("Draw a red ball. ", "draw a red ball."),
        ("", ""),
        (" ... ", ""),
    ],
)
def test_what_is_heard_is_typed_and_not_what_was_said(heard: str, typed: str) -> None:
    talk = Conversation((system("be kind."), user(SOUND, GREY), assistant(SOUND), user(Text("and you?"))))
    found = type_what_is_heard(talk, lambda audio: heard if audio == SOUND else "")
    assert found.messages[1].parts == (Text(typed), GREY)
    assert [found.messages[idx] for idx in (0, 2, 3)] == [talk.messages[idx] for idx in (0, 2, 3)]
