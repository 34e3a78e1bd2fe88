"""Usage as the protocols report it: steps of the model, by kind. Pure.

A clock step of 80 ms in which the model hears the user is one audio token in, one in which it speaks one audio token out. A
token step is one text token, or in a picture or film that is read one image token: in if it was read, out if the model made
it, and a drawing is 66 text tokens, since no type of the protocols has images out. A word said along a clock step counts
as a text token beside that step's audio token. Recordings among what is read, a film's sound too, are clock steps, and so
audio tokens.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from vivavoce.content import Image, Message, Video
from vivavoce.omni.engine_protocol import OWN_FRAME_SAMPLES, AnswerDelta, SlotOutput

DRAWING_STEPS = 66
"""Token steps of a drawing: 64 codes between two marks. Source: `omni.engine.duplex`."""
MARKS = 2
"""Before and after a picture or film that is read. Source: `omni.layout`."""
PICTURE_STEPS = 64
FRAME_STEPS = 16
"""Patches of a picture, and of one frame of a film. Source: `omni.configuration`."""


def count_seen(messages: Iterable[Message]) -> int:
    """Token steps of the pictures and films in these; the model's own are not read again."""
    parts = [part for message in messages if message.role != "assistant" for part in message.parts]
    pictures = sum(MARKS + PICTURE_STEPS for part in parts if isinstance(part, Image))
    return pictures + sum(MARKS + FRAME_STEPS * len(part.frames) for part in parts if isinstance(part, Video))


@dataclass(slots=True)
class Usage:
    """Steps used, by kind; see the module's docstring."""

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    output_text: int = 0
    output_audio: int = 0
    to_see: int = 0
    """Steps of pictures and films in what is about to be read."""

    def to_wire(self) -> dict[str, Any]:
        """The `usage` field of `response.done`."""
        return {
            "total_tokens": self.num_in + self.num_out,
            "input_tokens": self.num_in,
            "output_tokens": self.num_out,
            "input_token_details": {
                "text_tokens": self.input_text,
                "audio_tokens": self.input_audio,
                "image_tokens": self.input_image,
                "cached_tokens": 0,
            },
            "output_token_details": {"text_tokens": self.output_text, "audio_tokens": self.output_audio},
        }

    @property
    def num_in(self) -> int:
        """All that was read."""
        return self.input_text + self.input_audio + self.input_image

    @property
    def num_out(self) -> int:
        """All that was made."""
        return self.output_text + self.output_audio

    def note_answer(self, delta: AnswerDelta) -> None:
        """A piece of an answer made turn by turn."""
        self.input_audio += delta.heard_steps
        self._note_tokens(delta.prompt_steps - delta.heard_steps)
        if delta.pcm is not None:
            self.output_audio += -(-len(delta.pcm) // OWN_FRAME_SAMPLES)
            self.output_text += bool(delta.text)
        else:
            self.output_text += delta.token_steps - delta.prompt_steps

    def note_read(self, output: SlotOutput, *, is_heard: bool, messages: Iterable[Message] = ()) -> None:
        """What the live slot read in a clock step, `messages` among it; is_heard: the microphone was open."""
        self.input_audio += is_heard + output.heard_steps
        self.to_see += count_seen(messages)
        self._note_tokens(output.token_steps - output.heard_steps - _count_drawn(output))
        self.to_see = 0

    def _note_tokens(self, num_read: int) -> None:
        seen = min(num_read, self.to_see)
        self.to_see -= seen
        self.input_image += seen
        self.input_text += num_read - seen

    def take_input(self, read: Usage) -> None:
        """`read` is what went in before this response."""
        self.input_text, self.input_audio, self.input_image = read.input_text, read.input_audio, read.input_image

    def note_made(self, output: SlotOutput) -> None:
        """What the live slot said and drew in a clock step."""
        self.output_audio += output.pcm is not None
        self.output_text += bool(output.own_text) + _count_drawn(output)


def _count_drawn(output: SlotOutput) -> int:
    return min(output.token_steps, DRAWING_STEPS * len(output.images))
