"""How one answer is made turn by turn: a script that asks for steps and learns what they gave. No network in it.

The script writes the conversation as training does (`layout`), so the clock runs where there is sound in or out: what
takes no time is read first, then the user's sound is heard step by step, then the model takes its turn. It is held back
until the user's sound is over, and asked to begin if it does not within a second.

A driver runs one script, or many side by side (`duplex`, `answer`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from vivavoce.content import Audio, Image, Message, Part, Text, Video
from vivavoce.errors import DataError
from vivavoce.media import resample
from vivavoce.omni.configuration import MEL_BINS, MEL_FRAMES_PER_STEP
from vivavoce.omni.engine.drawing import Drawer
from vivavoce.omni.engine.reading import ACCEPTED_LOG_PROB, ProofListener, find_text
from vivavoce.omni.engine.rules import END, IMGOUT, PAD, Allowed, MessageRules, MessageState
from vivavoce.omni.engine.sampling import Sampling
from vivavoce.omni.engine.transcriber import AT_ONCE_NATS, SURE_NATS
from vivavoce.omni.engine.voice import Painter, Voice
from vivavoce.omni.engine.work import Clock, Feed, Mark, Outcome, Return, Token, Work
from vivavoce.omni.engine_protocol import USER_FRAME_SAMPLES, USER_RATE_HZ, AnswerRequest
from vivavoce.omni.layout import RowWriter, has_sound
from vivavoce.omni.mel import log_mel
from vivavoce.omni.steps import SPEAK, STOP, StepRow

LEAD_STEPS = 6
"""Quiet before the user's sound. In training it is 0.3 to 0.7 s."""
GAP_STEPS = 4
"""Quiet between two sounds of the user (training: 0.3 s)."""
TEXT_ANSWER_STEPS = 4
"""Clock steps after the last sound at which most of its words are written; in training, answers in text begin at the fifth
(`training.rows`)."""
HEARD_OUT_STEPS = 7
"""The same for the very last words: the ear says them up to three steps late, and four of quiet decide."""
PATIENCE_STEPS = 12
"""Clock steps after the user's end (about 1 s) before the model is made to take its turn."""
MAX_LIVE_STEPS = 400
"""Clock steps of an answer, in all: a little over the longest utterance."""
MAX_TEXT_TOKENS = 256
MAX_CAPTION_TOKENS = 32
"""Words to itself before a picture that is answered alone."""
MIN_SIDE_PIXELS = 8
"""Smaller pictures show nothing that could be asked about. chosen: one patch."""
TRIM_DB = 40.0
"""Ends of a recording this far below its loudest 20 ms count as silence."""
TRIM_MARGIN_S = 0.05
"""Quiet that trimming leaves, as the renderings of training have it."""


class Piece(NamedTuple):
    """A piece of an answer. codes [K] are one frame of speech, drawing [64] a picture; prompt_steps:
    clock steps of the user's sound. What is fed the driver counts."""

    text: str = ""
    codes: np.ndarray | None = None
    drawing: np.ndarray | None = None
    prompt_steps: int = 0


Script = Generator[Work, Outcome | None, None]


@dataclass
class Answering:
    """One answer in the making. `pieces` fill while `run` is driven; a driver takes them out."""

    request: AnswerRequest
    writer: RowWriter
    sampling: Sampling
    painter: Painter | None = None
    voice: Voice | None = None
    pieces: list[Piece] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_request(self.request)
        config = self.writer.config
        wants = self.request.outputs
        self._rules = MessageRules(
            num_text_ids=config.num_text_ids,
            num_image_codes=config.num_image_codes,
            may_draw="image" in wants,
            must_draw=self.request.task == "draw" or wants == {"image"},
            max_tokens=(self.request.max_tokens or MAX_TEXT_TOKENS) if "text" in wants else MAX_CAPTION_TOKENS,
        )
        self._drawer = Drawer(self.writer, self.painter, self.sampling)
        self._listener = ProofListener(self.writer.vocabulary, self.voice, self.sampling)
        self._is_live = False

    def run(self) -> Script:
        """Work to be done, in order; send back what each step gave."""
        sounding = "audio" in self.request.outputs
        opening, messages = self._open()
        yield Feed(opening, is_opening=True)
        for message in messages[:-1]:
            yield from self._read_quiet(message)
            if message.role != "assistant":
                yield from self._hear(list_sounds(message))
        yield from self._read_quiet(messages[-1])
        sounds = list_sounds(messages[-1])
        if self.request.task == "transcribe":
            yield from self._transcribe(sounds)
        elif sounding or sounds:
            yield from self._take_turn(sounding, sounds)
        else:
            yield from self._write()

    def _open(self) -> tuple[StepRow, tuple[Message, ...]]:
        messages = self.request.conversation.messages
        system = ""
        if messages[0].role == "system":
            system, messages = messages[0].text, messages[1:]
        outputs = frozenset() if self.request.task == "transcribe" else frozenset(self.request.outputs)
        return self.writer.begin(outputs=outputs, system=system, is_read=self.request.task == "read"), messages

    def _read_quiet(self, message: Message) -> Script:
        """What takes no time. The model's own earlier turns are read as their text."""
        quiet = write_quiet(self.writer, message)
        if len(quiet):
            self._is_live = False
            yield Feed(quiet)

    def _enter_live(self) -> Script:
        if not self._is_live:
            row = self.writer.empty()
            row.token(self.writer.vocabulary.id_of("<live>"))
            yield Feed(row)
            self._is_live = True

    def _hear(self, sounds: Sequence[Audio]) -> Script:
        """Sound of an earlier turn."""
        if sounds:
            yield from self._enter_live()
        for step in place_sounds(sounds):
            yield Clock(step, may_speak=False)
            self.pieces.append(Piece(prompt_steps=1))

    def _transcribe(self, sounds: Sequence[Audio]) -> Script:
        yield from self._enter_live()
        track = place_sounds(sounds)
        for idx in itertools.count():
            mel = track[idx] if idx < len(track) else _SILENCE
            is_over = idx >= len(track) + HEARD_OUT_STEPS
            outcome = yield Clock(mel, may_speak=False, far_nats=AT_ONCE_NATS if is_over else SURE_NATS)
            assert outcome is not None
            self.pieces.append(Piece(text=outcome.user_text, prompt_steps=1))
            if is_over and not outcome.num_waiting:
                return

    def _take_turn(self, sounding: bool, sounds: Sequence[Audio]) -> Script:
        """The user's sound, if there is any, then the model's turn."""
        yield from self._enter_live()
        track = place_sounds(sounds)
        # the last step of a recording may lie after the true end already; in text it is answered once it is written down
        first = len(track) + (-1 if sounding or not sounds else TEXT_ANSWER_STEPS)
        limit = len(track) + (PATIENCE_STEPS if sounding else HEARD_OUT_STEPS) if sounds else 3
        clock = Clock(_SILENCE if sounds else None, may_sound=sounding, may_draw=self._rules.may_draw)
        num_readings = self._listener.count_tries(self.request)
        marked: Outcome | None = None
        for idx in itertools.count():
            if num_readings > 1:
                marked = yield Mark()
            mel = track[idx] if idx < len(track) else clock.mel
            outcome = yield replace(clock, mel=mel, may_speak=idx >= first, force="speak" if idx == limit else None)
            assert outcome is not None
            if outcome.event == SPEAK:
                break
            self.pieces.append(Piece(prompt_steps=int(idx < len(track))))
        begun = Piece(outcome.own_text, outcome.codes, prompt_steps=int(idx < len(track)))
        if not sounding:
            self.pieces.append(begun)
            yield from self._write()
            return
        if marked is not None:
            yield from self._say_with_care(clock, marked, outcome, begun, num_readings)
            return
        said, outcome = yield from self._say(clock, outcome, begun, self._give)
        if outcome.text_id == IMGOUT or self._rules.must_draw:
            yield Token(Allowed((IMGOUT,)))
            drawing = yield from self._drawer.draw(said)
            self.pieces.append(Piece(drawing=drawing))

    def _give(self, piece: Piece) -> None:
        # drivers take the list away
        self.pieces.append(piece)

    def _say(
        self, clock: Clock, outcome: Outcome, begun: Piece, give: Callable[[Piece], None]
    ) -> Generator[Work, Outcome | None, tuple[str, Outcome]]:
        """An utterance whose first step gave `outcome`, to its end, each piece given as it comes; what it says, and its last step."""
        num_words, said = 0, ""
        give(begun)
        for left in range(MAX_LIVE_STEPS, 0, -1):
            num_words += outcome.text_id != PAD
            said += outcome.own_text
            may_write = num_words < self._rules.max_tokens
            step = yield replace(clock, force="stop" if left == 1 else None, may_write=may_write)
            assert step is not None
            outcome = step
            give(Piece(outcome.own_text, outcome.codes))
            if outcome.event == STOP:
                break
        return said + outcome.own_text, outcome

    def _say_with_care(self, clock: Clock, marked: Outcome, outcome: Outcome, begun: Piece, num_tries: int) -> Script:
        """An utterance; again, if it is not heard as its text. marked: before the step that gave `outcome`."""
        assert marked.state is not None
        tries: list[tuple[float, list[Piece]]] = []
        while True:
            pieces: list[Piece] = []
            said, _ = yield from self._say(clock, outcome, begun, pieces.append)
            text = find_text(self.request) if self.request.task == "read" else said
            codes = [piece.codes for piece in pieces if piece.codes is not None]
            if not (codes and self._listener.is_short(text)):
                tries = tries or [(0.0, pieces)]
                break
            listen = self._listener.listen(codes, text)
            heard = yield listen
            assert heard is not None
            tries.append((heard.log_prob / len(listen.ids), pieces))
            if tries[-1][0] >= ACCEPTED_LOG_PROB or len(tries) == num_tries:
                break
            yield Return(marked.state)
            clock = replace(clock, code_temperature=self.sampling.reread_temperature)
            again = yield replace(clock, force="speak")
            assert again is not None
            outcome, begun = again, begun._replace(text=again.own_text, codes=again.codes)
        self.pieces += max(tries, key=lambda one: one[0])[1]

    def _write(self) -> Script:
        """An `<assistant>` message, token by token."""
        row = self.writer.empty()
        row.token(self.writer.vocabulary.id_of("<assistant>"))
        yield Feed(row)
        state, given = MessageState(), ""
        ids: list[int] = []
        is_shown = "text" in self.request.outputs
        temperature = self.sampling.text_temperature if self.request.temperature is None else self.request.temperature
        while True:
            outcome = yield Token(state.allowed(self._rules), temperature)
            assert outcome is not None
            assert outcome.token is not None
            state = state.advance(outcome.token)
            if outcome.token == END:
                return
            if outcome.token == IMGOUT:
                drawing = yield from self._drawer.draw(given)
                self.pieces.append(Piece(drawing=drawing))
                state = state.close_drawing()
                continue
            ids.append(outcome.token)
            text = self.writer.vocabulary.decode(ids).rstrip("\ufffd")
            if is_shown:
                self.pieces.append(Piece(text=text[len(given) :]))
            given = text


def check_request(request: AnswerRequest) -> None:
    """Refuse what can't be answered.

    Raises: DataError for an empty conversation, a last message that is the model's own, no outputs, or a task whose
        material is missing.
    """
    messages = [message for message in request.conversation.messages if message.role != "system"]
    if not messages or messages[-1].role == "assistant":
        raise DataError("conversation must end with a user message; add one")
    if any(message.role == "system" for message in request.conversation.messages[1:]):
        raise DataError("a system message stands after the first place; put it first")
    unknown = set(request.outputs) - {"text", "audio", "image"}
    if unknown or not request.outputs:
        raise DataError(f"outputs are {sorted(request.outputs)}; give one or more of text, audio, image")
    if not messages[-1].parts:
        raise DataError("the last message is empty; give text, sound, a picture or a film")
    for part in (part for message in messages for part in message.parts):
        shape = (
            part.pixels.shape if isinstance(part, Image) else part.frames.shape[1:] if isinstance(part, Video) else None
        )
        if shape is not None and min(shape[:2]) < MIN_SIDE_PIXELS:
            raise DataError(
                f"picture is {shape[1]} x {shape[0]} pixels; need at least {MIN_SIDE_PIXELS} a side; give a larger one"
            )
    if request.task == "transcribe" and not has_sound(messages[-1]):
        raise DataError("nothing to transcribe: the last message holds no sound; add some")
    if request.task in ("read", "draw") and not messages[-1].text:
        raise DataError(f"nothing to {request.task}: the last message holds no text; add some")


def write_quiet(writer: RowWriter, message: Message) -> StepRow:
    """The parts of a message that take no time, as a row; empty if there are none. A film is seen, its sound heard apart."""
    row = writer.empty()
    if message.role == "assistant":
        if message.text:
            writer.write_answer(row, message.text)
        return row
    parts: list[Part] = []
    for part in message.parts:
        if isinstance(part, Video) and part.audio is not None:
            parts.append(Video(part.frames, part.fps))
        elif not isinstance(part, Audio):
            parts.append(part)
    parts = [part for part in parts if not isinstance(part, Text) or part.text]
    if parts:
        writer.write_message(row, Message(message.role, tuple(parts)))
    return row


def list_sounds(message: Message) -> list[Audio]:
    """All sound of a message, films' included, in order."""
    sounds = (part.audio if isinstance(part, Video) else part for part in message.parts)
    return [sound for sound in sounds if isinstance(sound, Audio)]


def place_sounds(sounds: Sequence[Audio]) -> np.ndarray:
    """Sounds one after another on the clock, trimmed: log-mel [T, 8, 80]; the last one ends in the last step."""
    if not sounds:
        return np.zeros((0, MEL_FRAMES_PER_STEP, MEL_BINS), np.float32)
    pieces = [np.zeros(LEAD_STEPS * USER_FRAME_SAMPLES, np.float32)]
    for idx, sound in enumerate(sounds):
        if idx:
            pieces.append(np.zeros(GAP_STEPS * USER_FRAME_SAMPLES, np.float32))
        pieces.append(trim(resample(sound, USER_RATE_HZ)).samples)
    return log_mel(np.concatenate(pieces)).reshape(-1, MEL_FRAMES_PER_STEP, MEL_BINS)


def trim(audio: Audio) -> Audio:
    """Without the silence at either end, but for 50 ms. A recording that is silent throughout stays as it is."""
    hop = audio.rate_hz // 50
    count = len(audio.samples) // hop
    if not count:
        return audio
    loudness = np.sqrt((audio.samples[: count * hop].reshape(count, hop) ** 2).mean(1))
    loud = np.flatnonzero(loudness > loudness.max() * 10 ** (-TRIM_DB / 20))
    if not len(loud):
        return audio
    margin = int(TRIM_MARGIN_S * audio.rate_hz)
    samples = audio.samples[max(0, loud[0] * hop - margin) : (loud[-1] + 1) * hop + margin]
    return Audio(samples, audio.rate_hz, audio.transcript)


_SILENCE = log_mel(np.zeros(USER_FRAME_SAMPLES, np.float32))


def to_message(outputs: frozenset[str], text: str, audio: Audio | None, images: Sequence[Image]) -> Message:
    """The finished answer: text (or the transcript beside sound), sound, pictures."""
    parts: list[Part] = [Text(text)] if "text" in outputs and (text or audio is None) else []
    if audio is not None:
        parts.append(audio)
    return Message("assistant", (*parts, *images))
