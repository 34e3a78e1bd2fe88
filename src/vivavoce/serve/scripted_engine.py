"""An engine that follows a script: no weights, the same every time. For tests, and for trying clients with no model.

It hears how long the user was loud and calls each 320 ms a word; it takes the turn after a pause, answers with what it
got, speaks in a tone, falls silent when talked over, and draws a filled square after it has spoken, when asked to draw. It
opens, reads and draws in pieces, too (`piecewise`).
"""

from __future__ import annotations

import math
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vivavoce.content import Audio, Image, Message, Video
from vivavoce.errors import DataError
from vivavoce.omni.engine_protocol import (
    FRAME_MS,
    OWN_FRAME_SAMPLES,
    OWN_RATE_HZ,
    AnswerDelta,
    AnswerRequest,
    Modality,
    SlotInput,
    SlotOutput,
    TurnEvent,
)
from vivavoce.serve.usage import DRAWING_STEPS, count_seen

LOUD = 10 ** (-45 / 20)
PRESET_HZ = 220.0
OTHER_HZ = 520.0
"""The voice it falls into when told to use another voice: what the voice guard is for."""
_FRAMES_PER_WORD = 4
_TRANSCRIPT_LAG = 5
_BARGE_IN_FRAMES = 3
_CHARS_PER_PIECE = 100


@dataclass(frozen=True, slots=True)
class _Slot:
    """All that a slot is; a new value each step, so that going back is taking an old one."""

    frame_idx: int = 0
    loud_frames: int = 0
    quiet_frames: int = 0
    loud_run: int = 0
    words_due: tuple[int, ...] = ()
    """Steps at which the transcript gets one more word."""
    told: tuple[str, ...] = ()
    to_say: tuple[str, ...] = ()
    said_frames: int = 0
    is_speaking: bool = False
    draws: bool = False
    is_drawing: bool = False
    """A drawing was begun and is to be drawn apart."""
    voice_hz: float = PRESET_HZ


class ScriptedEngine:
    """See the module's docstring. step_s: time each step pretends to take, for tests of being late."""

    def __init__(
        self, num_slots: int = 4, *, step_s: float = 0.0, frames_per_word: int = 3, context_steps: int = 2048
    ) -> None:
        self._num_slots = num_slots
        self._context_steps = context_steps
        self._step_s = step_s
        self._frames_per_word = frames_per_word
        self._slots: dict[int, list[_Slot]] = {}
        self._unstepped: dict[int, _Slot] = {}
        """Slots that have read something since their last step."""
        self.barge_in = True
        """Whether it falls silent when talked over."""
        self.draws_apart = False
        """See `PiecewiseEngine`."""

    model_name = "vivavoce-scripted"
    voices: tuple[str, ...] = ("tone",)
    modalities_out: frozenset[Modality] = frozenset({"text", "audio", "image"})

    @property
    def num_slots(self) -> int:
        """See `DuplexEngine`."""
        return self._num_slots

    @property
    def context_steps(self) -> int:
        """See `DuplexEngine`."""
        return self._context_steps

    @property
    def num_open(self) -> int:
        """Slots in use."""
        return len(self._slots)

    def open_slot(self, slot: int, system: str = "", seed: int = 0) -> None:
        """See `DuplexEngine`."""
        if slot in self._slots or not 0 <= slot < self._num_slots:
            raise DataError(f"slot {slot} is open or not there; slots are 0 to {self._num_slots - 1}")
        self._slots[slot] = [_Slot()]

    def close_slot(self, slot: int) -> None:
        """See `DuplexEngine`."""
        self._slots.pop(slot, None)
        self._unstepped.pop(slot, None)

    def step(self, inputs: Mapping[int, SlotInput]) -> dict[int, SlotOutput]:
        """See `DuplexEngine`."""
        if self._step_s:
            time.sleep(self._step_s)
        outputs = {}
        for slot, given in inputs.items():
            before = self._unstepped.pop(slot, self._slots[slot][-1])
            after, output = self._step_one(replace(before, is_drawing=False), given)
            if output.event == "stop" and after.draws:
                after = replace(after, is_drawing=True)
                if not self.draws_apart:
                    image, after = _finish_drawing(after)
                    output = replace(output, images=(image,), token_steps=output.token_steps + DRAWING_STEPS)
            outputs[slot] = output
            self._slots[slot].append(after)
        return outputs

    # ---- in pieces

    def open_in_pieces(self, slot: int, system: str, seed: int) -> Iterator[AnswerDelta]:
        """See `PiecewiseEngine`."""
        self.open_slot(slot, system, seed)
        for _ in range(len(system) // _CHARS_PER_PIECE):
            yield self._piece(0)

    def read(self, slot: int, messages: Sequence[Message]) -> Iterator[AnswerDelta]:
        """See `PiecewiseEngine`."""
        try:
            for message in messages:
                # read for the step to come: going back to before that step unreads it
                self._unstepped[slot] = _read(self._unstepped.get(slot, self._slots[slot][-1]), message)
                yield self._piece(_count_steps(message), _count_heard(message))
        except GeneratorExit:
            self._unstepped.pop(slot, None)
            raise

    def is_drawing(self, slot: int) -> bool:
        """See `PiecewiseEngine`."""
        return self._slots[slot][-1].is_drawing

    def draw(self, slot: int) -> Iterator[AnswerDelta]:
        """See `PiecewiseEngine`."""
        for steps in [4] * (DRAWING_STEPS // 4):
            yield self._piece(steps)
        image, self._slots[slot][-1] = _finish_drawing(self._slots[slot][-1])
        yield AnswerDelta(image=image, token_steps=DRAWING_STEPS % 4)

    def _piece(self, token_steps: int, heard_steps: int = 0) -> AnswerDelta:
        if self._step_s:
            time.sleep(self._step_s)
        return AnswerDelta(token_steps=token_steps, heard_steps=heard_steps)

    def rewind(self, slot: int, frame_idx: int) -> None:
        """See `DuplexEngine`."""
        history = self._slots[slot]
        if not 0 <= frame_idx < len(history):
            raise DataError(f"clock step {frame_idx} is not in slot {slot}, which has {len(history) - 1}")
        del history[frame_idx + 1 :]
        self._unstepped.pop(slot, None)

    def heard(self, slot: int) -> tuple[int, tuple[str, ...]]:
        """Loud frames and texts that the slot remembers, for tests of what was cut."""
        now = self._slots[slot][-1]
        return now.loud_frames, now.told

    def _step_one(self, now: _Slot, given: SlotInput) -> tuple[_Slot, SlotOutput]:
        for message in given.inserts:
            now = _read(now, message)
        now, user_text = _listen(now, given.user_pcm)
        event: TurnEvent | None = None
        if now.is_speaking:
            gives_way = self.barge_in and now.loud_run >= _BARGE_IN_FRAMES
            is_over = gives_way or now.said_frames >= self._frames_of(now.to_say)
            if given.force == "stop" or is_over:
                event = "stop"
                now = replace(now, is_speaking=False, to_say=(), quiet_frames=0)
        elif given.force == "speak" or (
            given.force is None and given.may_speak and _wants_to_speak(now, given.speak_bias)
        ):
            event = "speak"
            now = replace(now, is_speaking=True, said_frames=0, to_say=_reply(now), loud_frames=0, quiet_frames=0)
        output = SlotOutput(
            now.frame_idx,
            event,
            user_text=user_text,
            token_steps=sum(map(_count_steps, given.inserts)),
            heard_steps=sum(map(_count_heard, given.inserts)),
        )
        if now.is_speaking:
            now, output = self._speak(now, output)
        return replace(now, frame_idx=now.frame_idx + 1), output

    def _frames_of(self, words: tuple[str, ...]) -> int:
        return len(words) * self._frames_per_word

    def _speak(self, now: _Slot, output: SlotOutput) -> tuple[_Slot, SlotOutput]:
        idx = now.said_frames
        text = now.to_say[idx] + " " if idx < len(now.to_say) else ""
        pcm = make_tone(now.voice_hz, idx * OWN_FRAME_SAMPLES, OWN_FRAME_SAMPLES)
        return replace(now, said_frames=idx + 1), replace(output, pcm=pcm, own_text=text)

    def answer(self, request: AnswerRequest) -> Iterator[AnswerDelta]:
        """See `DuplexEngine`."""
        missing = request.outputs - self.modalities_out
        if missing:
            raise DataError(f"answer can't hold {sorted(missing)}; it can hold {sorted(self.modalities_out)}")
        now = _Slot()
        for message in request.conversation.messages:
            now = _read(now, message)
        last = request.conversation.messages[-1] if request.conversation.messages else Message("user")
        words = _reply(now)
        if request.task == "read":
            words = tuple(last.text.split())
        elif request.task == "transcribe":
            words = ("la",) * _count_words(last)
        num_read = sum(map(_count_steps, request.conversation.messages))
        num_heard = sum(map(_count_heard, request.conversation.messages))
        yield AnswerDelta(token_steps=num_read, prompt_steps=num_read, heard_steps=num_heard)
        if request.task == "draw" or ("image" in request.outputs and now.draws):
            yield AnswerDelta(image=_draw(last.text + str(request.seed)), token_steps=DRAWING_STEPS)
        if not request.outputs & {"text", "audio"}:
            return
        said = 0
        for word in words[: request.max_tokens]:
            if self._step_s:
                time.sleep(self._step_s)
            pcm = None
            if "audio" in request.outputs:
                count = self._frames_per_word * OWN_FRAME_SAMPLES
                pcm, said = make_tone(PRESET_HZ, said, count), said + count
            yield AnswerDelta(word + " ", pcm, token_steps=1)


def make_tone(hz: float, first_sample: int, num_samples: int, rate_hz: int = OWN_RATE_HZ) -> np.ndarray:
    """A stretch of an endless tone: [num_samples] float32."""
    time_s = (first_sample + np.arange(num_samples)) / rate_hz
    return (0.3 * np.sin(2 * np.pi * hz * time_s)).astype(np.float32)


def _read(now: _Slot, message: Message) -> _Slot:
    if message.role != "user":
        return replace(now, told=(*now.told, f"{message.role}:{message.text}"))
    seen = [
        f"{len(part.frames)} frames" if isinstance(part, Video) else "a picture"
        for part in message.parts
        if isinstance(part, Image | Video)
    ]
    text = " ".join([*([message.text] if message.text else []), *seen])
    words = _count_words(message)
    return replace(
        now,
        told=(*now.told, *([f"user:{text}"] if text else [])),
        loud_frames=now.loud_frames + words * _FRAMES_PER_WORD,
        draws=now.draws or "draw" in text,
        voice_hz=OTHER_HZ if "another voice" in text else now.voice_hz,
    )


def _count_steps(message: Message) -> int:
    """Steps of reading it: one for all its words, what its pictures and films take, and a clock step for each 80 ms of sound."""
    return 1 + count_seen([message]) + _count_heard(message)


def _count_heard(message: Message) -> int:
    return sum(math.ceil(part.duration_s * 1000 / FRAME_MS) for part in message.parts_of(Audio))


def _count_words(message: Message) -> int:
    loud_s = sum(float(np.mean(np.abs(part.samples) > LOUD)) * part.duration_s for part in message.parts_of(Audio))
    return max(round(loud_s / 0.32), 1) if message.parts_of(Audio) else 0


def _listen(now: _Slot, user_pcm: np.ndarray | None) -> tuple[_Slot, str]:
    is_loud = user_pcm is not None and float(np.sqrt(np.mean(np.square(user_pcm)))) > LOUD
    if is_loud:
        loud = now.loud_frames + 1
        due = now.words_due
        if loud % _FRAMES_PER_WORD == 1:
            due = (*due, now.frame_idx + _TRANSCRIPT_LAG)
        now = replace(now, loud_frames=loud, quiet_frames=0, loud_run=now.loud_run + 1, words_due=due)
    else:
        now = replace(now, quiet_frames=now.quiet_frames + 1, loud_run=0)
    text = "la " if now.frame_idx in now.words_due else ""
    return now, text


def _wants_to_speak(now: _Slot, bias: float) -> bool:
    wait = 1 if bias > 0.5 else 2 if bias >= 0 else 5
    return now.loud_frames >= 3 and now.quiet_frames >= wait


def _reply(now: _Slot) -> tuple[str, ...]:
    heard = -(-now.loud_frames // _FRAMES_PER_WORD)
    written = [text.removeprefix("user:") for text in now.told if text.startswith("user:")]
    words = ["I", "heard", str(heard), "words."] if heard else ["Hello."]
    if written:
        words += ["You", "wrote:", *written[-1].split()[:12]]
    return tuple(words)


def _finish_drawing(now: _Slot) -> tuple[Image, _Slot]:
    return _draw(" ".join(now.told)), replace(now, draws=False, is_drawing=False)


def _draw(text: str) -> Image:
    colour = np.frombuffer(zlib.crc32(text.encode()).to_bytes(4, "big")[:3], np.uint8)
    pixels = np.full((64, 64, 3), 255, np.uint8)
    pixels[16:48, 16:48] = colour
    return Image(pixels)
