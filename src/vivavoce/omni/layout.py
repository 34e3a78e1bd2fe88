"""From what is said, shown and heard to a row of steps. Training and inference write rows with the same functions.

    <bos> [<system> text <end>] [<out_audio>] [<out_image>] [<read>]        how the conversation opens
    <user> text | <img> patches </img> | <vid> frames </vid> ... <end>      what takes no time
    <live> clock clock clock ...                                            what takes time; the model takes its turn
    clock <user> words <end> <live> clock ...                               a note: what it heard, read as it takes its turn
    <assistant> text | <imgout> codes </imgout> ... <end>                   an answer without sound

On the clock the turn stream says when the model speaks. If words were heard since it last began to, they follow the step that
takes the turn, written as a message that was typed, and that step's own first word and codes are said from the note's end. Where
it may not sound (`<out_audio>` absent), `<speak>` opens an `<assistant>` message instead. A picture drawn beside speech follows the
clock step whose own text is `<imgout>`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from vivavoce.content import Audio, Image, Message, Text, Video
from vivavoce.errors import DataError
from vivavoce.omni.configuration import (
    CLOCK_HZ,
    FRAME_PATCH_PIXELS,
    IMAGE_PIXELS,
    MEL_BINS,
    MEL_FRAMES_PER_STEP,
    NUM_IMAGE_OUT_TOKENS,
    PATCH_PIXELS,
    OmniConfig,
)
from vivavoce.omni.mel import USER_MEL
from vivavoce.omni.steps import SPEAK, STAY, STOP, ClockStep, StepRow, cut_patches
from vivavoce.omni.vocabulary import Vocabulary

MEL_FLOOR = float((np.log(USER_MEL.floor) - USER_MEL.mean) / USER_MEL.scale)
MEL_HZ = float(USER_MEL.rate_hz / USER_MEL.hop_samples)
LOG_POWER = 2 * USER_MEL.scale
"""Log-power per unit of scaled log-magnitude."""
_DIGIT_LETTERS = 3.5
"""A digit is written with one character and said with about so many letters."""

TEXT_WEIGHT = 1.0
PROMPT_WEIGHT = 0.1
"""Of the user's own words: a little, so that the model also knows how people ask. chosen."""
IMAGE_WEIGHT = 0.3
PAD_SPEAKING_WEIGHT = 0.2
PAD_SILENT_WEIGHT = 0.02
TURN_EVENT_WEIGHT = 2.0
TURN_SPEAKING_WEIGHT = 0.3
TURN_WAITING_WEIGHT = 1.0


class ImageEncoder(Protocol):
    """The image tokenizer, as far as rows need it."""

    def encode(self, image: Image) -> np.ndarray:
        """Codes [64] of a picture."""
        ...


@dataclass(frozen=True, slots=True)
class RowWriter:
    """Writes the parts of a row; holds what all rows share."""

    vocabulary: Vocabulary
    config: OmniConfig

    def begin(self, *, outputs: frozenset[str], system: str = "", is_read: bool = False) -> StepRow:
        """A row that opens a conversation. outputs: subset of text, audio, image; text is always understood."""
        row = self.empty()
        row.token(self._id("<bos>"))
        if system:
            self.write_message(row, Message("system", (Text(system),)))
        self.write_mode(row, outputs, is_read=is_read)
        return row

    def empty(self) -> StepRow:
        """A row with nothing in it, for what goes on with a conversation."""
        return StepRow(self.config.num_books, self.config.num_codes_per_book)

    def write_mode(self, row: StepRow, outputs: frozenset[str], *, is_read: bool = False) -> None:
        """What the answers that follow may hold."""
        names = [f"<out_{name}>" for name in ("audio", "image") if name in outputs]
        if not names:
            names = ["<out_text>"]
        row.tokens([self._id(name) for name in (*names, *(["<read>"] if is_read else []))])

    def write_message(self, row: StepRow, message: Message) -> None:
        """A message that takes no time. Sound in it is left out here: it takes time (`write_live`).

        An assistant's text and pictures are learned; everybody else's text a little.
        """
        weight = {"assistant": TEXT_WEIGHT, "user": PROMPT_WEIGHT}.get(message.role, 0.0)
        row.token(self._id(f"<{message.role}>"))
        for part in message.parts:
            if isinstance(part, Text):
                row.tokens(self.vocabulary.encode(part.text), weight=weight)
            elif isinstance(part, Image):
                self.write_image(row, part)
            elif isinstance(part, Video):
                self.write_film(row, part)
        row.token(self._id("<end>"), weight=weight)

    def write_image(self, row: StepRow, image: Image) -> None:
        """A picture that comes in."""
        row.token(self._id("<img>"))
        row.image(cut_patches(fit_image(image).pixels, PATCH_PIXELS))
        row.token(self._id("</img>"))

    def write_film(self, row: StepRow, video: Video) -> None:
        """A film without its sound: one frame after another."""
        row.token(self._id("<vid>"))
        for frame in video.frames:
            self.write_frame(row, Image(frame))
        row.token(self._id("</vid>"))

    def write_frame(self, row: StepRow, image: Image) -> None:
        """One frame of a film."""
        row.frame(cut_patches(fit_image(image).pixels, FRAME_PATCH_PIXELS))

    def write_answer(self, row: StepRow, text: str, codes: Sequence[np.ndarray] = ()) -> None:
        """An answer without sound: text, then pictures by their codes [64]."""
        row.token(self._id("<assistant>"))
        row.tokens(self.vocabulary.encode(text), weight=TEXT_WEIGHT)
        for drawn in codes:
            row.token(self._id("<imgout>"), weight=TEXT_WEIGHT)
            self.write_drawing(row, drawn)
        row.token(self._id("<end>"), weight=TEXT_WEIGHT)

    def write_drawing(self, row: StepRow, codes: np.ndarray) -> None:
        """Image codes [64] and </imgout>; the caller wrote <imgout>."""
        if len(codes) != NUM_IMAGE_OUT_TOKENS:
            raise DataError(f"drawing has {len(codes)} codes; need {NUM_IMAGE_OUT_TOKENS}")
        row.tokens([self.vocabulary.image_id(int(code)) for code in codes], weight=IMAGE_WEIGHT)
        row.token(self._id("</imgout>"))

    def write_live(self, row: StepRow, track: LiveTrack) -> None:
        """`<live>`, then the track's clock steps with what falls between them."""
        row.token(self._id("<live>"))
        notes = track.list_notes()
        for idx in range(track.num_steps):
            for what in track.inserts.get(idx, ()):
                self._write_insert(row, what)
            row.clock(track.make_step(idx))
            if idx in notes:
                self.write_note(row, notes[idx], is_spoken=idx not in track.answers)
            if idx in track.answers:
                self.write_answer(row, *track.answers[idx])
            for codes in track.drawings.get(idx, ()):
                row.token(self._id("<imgout>"))
                self.write_drawing(row, codes)

    def write_note(self, row: StepRow, ids: Sequence[int], *, is_spoken: bool) -> None:
        """What was heard, right after the clock step that takes the turn. is_spoken: that step has words and codes of its own."""
        row.note(self.vocabulary.frame_note(ids, is_spoken=is_spoken))
        if is_spoken:
            row.say_from_here()

    def _write_insert(self, row: StepRow, what: Message | tuple[Image, bool]) -> None:
        if isinstance(what, Message):
            self.write_message(row, what)
            row.token(self._id("<live>"))
        else:
            image, is_frame = what
            (self.write_frame if is_frame else self.write_image)(row, image)

    def _id(self, token: str) -> int:
        return self.vocabulary.id_of(token)


@dataclass
class LiveTrack:
    """Live time under construction, step by step of 80 ms.

    mel [8 N, 80] is what the microphone hears (None: muted throughout). turn, text, heard [N]; codes [N, K], -1 while
    silent. inserts: messages, and pictures alone (or film frames: True), that arrive before a step; answers: (text, drawings)
    given without sound right after the step that takes the turn; drawings: pictures that follow a step. excused: steps whose turn is not
    learned; mistaken: steps whose words and codes are not.
    """

    mel: np.ndarray | None
    num_steps: int
    num_books: int
    turn: np.ndarray = field(init=False)
    text: np.ndarray = field(init=False)
    heard: np.ndarray = field(init=False)
    codes: np.ndarray = field(init=False)
    inserts: dict[int, list[Message | tuple[Image, bool]]] = field(default_factory=dict)
    answers: dict[int, tuple[str, Sequence[np.ndarray]]] = field(default_factory=dict)
    drawings: dict[int, list[np.ndarray]] = field(default_factory=dict)
    excused: set[int] = field(default_factory=set)
    mistaken: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.turn = np.zeros(self.num_steps, np.int64)
        self.text = np.zeros(self.num_steps, np.int64)
        self.heard = np.zeros(self.num_steps, np.int64)
        self.codes = np.full((self.num_steps, self.num_books), -1, np.int64)

    def speak(
        self,
        start: int,
        ids: Sequence[int],
        codes: np.ndarray,
        steps: Sequence[int] | None = None,
        *,
        stop: int | None = None,
    ) -> int:
        """The model speaks from step `start`: words `ids` at `steps` after it (`place_words`; without them one a step),
        codes [T, K]; silent from `stop` (or their end), which is returned.

        Raises: DataError if there are more words than steps, since words ahead of their sound would be lost.
        """
        end = start + len(codes) if stop is None else min(stop, start + len(codes))
        if stop is None and len(ids) > len(codes):
            raise DataError(f"speech has {len(ids)} text tokens in {len(codes)} steps; need at most one a step")
        end = min(end, self.num_steps - 1)
        for idx, step in zip(ids, range(len(ids)) if steps is None else steps):
            if start + step < end:
                self.text[start + step] = idx
        self.codes[start:end] = codes[: end - start]
        self.turn[start], self.turn[end] = SPEAK, STOP
        return end

    def draw(self, step: int, drawn: list[np.ndarray], vocabulary: Vocabulary) -> None:
        """Pictures, by their codes [64], follow the step at which an utterance ends; its own text is <imgout>."""
        self.text[step] = vocabulary.id_of("<imgout>")
        self.drawings[step] = drawn

    def hear(self, steps: Iterable[int], ids: Iterable[int]) -> None:
        """Transcript tokens at these steps; one that finds its step taken goes to the next free one."""
        for step, idx in zip(steps, ids):
            place = step
            while place < self.num_steps and self.heard[place]:
                place += 1
            if place < self.num_steps:
                self.heard[place] = idx

    def list_notes(self) -> dict[int, list[int]]:
        """By the step of each turn that the model takes: the words that were heard by then and since it last took one, if any."""
        notes, first = {}, 0
        for start in np.flatnonzero(self.turn == SPEAK).tolist():
            heard = self.heard[first : start + 1]
            if heard.any():
                notes[start] = heard[heard != 0].tolist()[-MAX_NOTE_TOKENS:]
            first = start + 1
        return notes

    def make_step(self, idx: int) -> ClockStep:
        """The clock step at `idx`, with its weights."""
        is_voiced = self.codes[idx, 0] >= 0
        if self.turn[idx] != STAY:
            turn_weight = TURN_EVENT_WEIGHT
        else:
            turn_weight = TURN_SPEAKING_WEIGHT if is_voiced else TURN_WAITING_WEIGHT
        if idx in self.excused:
            turn_weight = 0.0
        pad_weight = PAD_SPEAKING_WEIGHT if is_voiced else PAD_SILENT_WEIGHT
        text_weight = TEXT_WEIGHT if self.text[idx] else pad_weight
        is_mistaken = idx in self.mistaken
        mel = None
        if self.mel is not None:
            mel = self.mel[idx * MEL_FRAMES_PER_STEP : (idx + 1) * MEL_FRAMES_PER_STEP]
        return ClockStep(
            mel=mel,
            turn=int(self.turn[idx]),
            text=int(self.text[idx]),
            heard=int(self.heard[idx]),
            codes=self.codes[idx] if is_voiced else None,
            turn_weight=turn_weight,
            text_weight=0.0 if is_mistaken else text_weight,
            code_weight=0.0 if is_mistaken else 1.0,
        )


def place_transcript(
    loudness: np.ndarray, weights: Sequence[float], *, first_frame: int, delay_steps: int
) -> list[int]:
    """Steps at which a transcript's tokens are due, from where the sound is.

    Tokens are spread over the *voiced* frames in proportion to their weights (how much there is to say) and fall
    `delay_steps` after their end. No aligner is needed: with synthetic voices the guess is a few frames off, which the
    delay covers.

    Shapes: loudness [F] per 10 ms, in any log unit; weights, one per token. first_frame: where the utterance starts, in
    10 ms frames.
    """
    floor = loudness.min() + 0.35 * (loudness.max() - loudness.min())
    voiced = np.flatnonzero(loudness >= floor)
    shares = np.cumsum(weights) / np.sum(weights)
    ends = voiced[np.clip(np.ceil(shares * len(voiced) - 1e-6).astype(int) - 1, 0, None)]
    return [int((first_frame + end) // MEL_FRAMES_PER_STEP + delay_steps) for end in ends]


MAX_NOTE_TOKENS = 96
"""The last words of longer ones are read. chosen: half a minute of talk, a fifth of the context."""
WORD_LEAD_STEPS = 2
"""A word is written so long before its sound begins: the sound of one word leans on the next. chosen."""


def place_words(tokens_by_word: Sequence[int], starts_s: np.ndarray | None, num_steps: int) -> list[int]:
    """Steps from the start of an utterance at which its own words are written: each a little before its sound, the
    first at once, one token a step.

    So the sound of a step is that of the word just written or the one before, and where in the text it stands need not be
    counted. Words whose beginnings are not known (None, or not one for each) are written one token a step.

    tokens_by_word: how many text tokens each word has. starts_s [words]: when each word begins.
    """
    num_tokens = sum(tokens_by_word)
    if starts_s is None or len(starts_s) != len(tokens_by_word):
        return list(range(num_tokens))
    steps: list[int] = []
    for count, start_s in zip(tokens_by_word, starts_s):
        first = max(int(start_s * CLOCK_HZ) - WORD_LEAD_STEPS, steps[-1] + 1 if steps else 0)
        steps += range(first, first + count)
    # what the end leaves no room for moves forward
    for back, idx in enumerate(range(num_tokens - 1, -1, -1)):
        steps[idx] = max(idx, min(steps[idx], num_steps - 1 - back))
    return steps


def weigh_spoken(piece: str) -> float:
    """About how long a piece of text is in the mouth, in letters; marks between words are nearly nothing."""
    return 0.1 + sum(_DIGIT_LETTERS if char.isdigit() else 1.0 for char in piece if char.isalnum())


def mix_mel(track: np.ndarray, mel: np.ndarray, first_frame: int) -> None:
    """Add a sound's scaled log-mel [F, 80] into a track, in place, as powers add; what sticks out is cut off."""
    end = min(len(track), first_frame + len(mel))
    if first_frame < end:
        here, there = track[first_frame:end], mel[: end - first_frame]
        # logaddexp, of functions that are quick in single precision
        more = np.log(1 + np.exp(-LOG_POWER * np.abs(here - there))) / LOG_POWER
        track[first_frame:end] = np.maximum(here, there) + more


def make_quiet(num_frames: int, level: np.ndarray | None, generator: np.random.Generator) -> np.ndarray:
    """Scaled log-mel [F, 80] of a room: digital silence, or steady noise whose mean by band is `level` [80].

    Bands of a short-time spectrum of noise fluctuate like a gamma variable; eight degrees of freedom fit our windows. One of
    integer shape is minus the logarithm of as many uniform ones multiplied.
    """
    quiet = np.full((num_frames, MEL_BINS), MEL_FLOOR, np.float32)
    if level is not None:
        uniform = 1 - generator.random((4, num_frames, MEL_BINS), np.float32)
        power = -np.log(uniform.prod(axis=0)) / 4
        quiet = np.maximum(quiet, level + np.log(power + 1e-6) / LOG_POWER)
    return quiet.astype(np.float32)


def fit_image(image: Image) -> Image:
    """The picture at 64 x 64: scaled to fit, centred on the colour of its own border's median."""
    height, width = image.pixels.shape[:2]
    if (height, width) == (IMAGE_PIXELS, IMAGE_PIXELS):
        return image
    from PIL import Image as Pillow

    scale = IMAGE_PIXELS / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = Pillow.fromarray(image.pixels).resize(
        size, Pillow.Resampling.LANCZOS if scale < 1 else Pillow.Resampling.BICUBIC
    )
    edge = np.concatenate([image.pixels[0], image.pixels[-1], image.pixels[:, 0], image.pixels[:, -1]])
    canvas = Pillow.new("RGB", (IMAGE_PIXELS, IMAGE_PIXELS), tuple(int(c) for c in np.median(edge, axis=0)))
    canvas.paste(small, ((IMAGE_PIXELS - size[0]) // 2, (IMAGE_PIXELS - size[1]) // 2))
    return Image(np.asarray(canvas).copy())


def has_sound(message: Message) -> bool:
    """Whether a message takes time: it holds sound, or a film with sound."""
    return any(
        isinstance(part, Audio) or (isinstance(part, Video) and part.audio is not None) for part in message.parts
    )


def without_sound(message: Message) -> Message:
    """The parts of a message that take no time; a film with sound is heard and seen on the clock, and left out here."""
    quiet = (part for part in message.parts if not isinstance(part, Audio))
    return Message(message.role, tuple(p for p in quiet if not (isinstance(p, Video) and p.audio is not None)))
