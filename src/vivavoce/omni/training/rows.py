"""Examples to rows of steps: the one place where what was said, drawn and heard becomes what is learned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np

from vivavoce.content import Audio, Conversation, Image, Message, Text, Video
from vivavoce.data.example import (
    PRESET_VOICE,
    Example,
    Insert,
    OwnSpan,
    Scheduled,
    Sound,
    Speech,
    Timeline,
    Typed,
    UserSpan,
    is_unrendered,
)
from vivavoce.errors import DataError
from vivavoce.omni.configuration import CLOCK_HZ, MEL_BINS, MEL_FRAMES_PER_STEP
from vivavoce.omni.layout import (
    MEL_FLOOR,
    MEL_HZ,
    ImageEncoder,
    LiveTrack,
    RowWriter,
    has_sound,
    mix_mel,
    place_transcript,
    place_words,
    weigh_spoken,
    without_sound,
)
from vivavoce.omni.steps import SPEAK, StepRow, Steps
from vivavoce.omni.training.mumbling import muffle
from vivavoce.omni.training.noise import (
    VoiceChange,
    change_length,
    change_voice,
    draw_gain,
    draw_room,
    draw_voice_change,
    put_in_room,
)

TRIM_MARGIN_S = 0.05
"""Quiet that trimming leaves after a speech (`data.voices.trim`): the user's true end lies that much before."""
BARE_READING_SHARE = 0.5
"""Of reading aloud, how much is asked by the <read> token (`/v1/audio/speech`) and not in words. chosen."""
LATE_SHARE = 0.15
"""Of the model's turns in training that come late. Without any, a model that has let the moment pass has never seen what
to do then, and its wish to speak falls; the steps between are not learned, so nothing teaches it to wait. chosen."""
MAX_LATE_STEPS = 12
MUFFLED_SHARE = 0.15
"""Of recordings that are muffled in training (`mumbling.muffle`). A voice that was never heard misleads a trunk that goes by the sound
where it has the words as well. chosen."""
MISHEARD_SHARE = 0.5
"""Of recordings whose transcript is, in training, what is written of that recording in another voice and in noise (`mishearing`): what was
meant has to be found behind it, as with voices never heard. chosen: two thirds of those are right nevertheless."""
MAX_WAIT_STEPS = 3
"""The model's turn waits so long for the last words of a transcript at most: the ear says nearly all of them by then."""
MAY_DRAW_SHARE = 0.3
"""Of spoken answers, how many may also draw and need not: what is allowed is no order. chosen."""
WRITTEN_STEPS = 3
"""An answer in text, which nobody waits for by the step, begins so much later than the transcript's last word is due: it may come
late (`slips`)."""
MAX_STEPS = 512
"""Longer rows are left out. chosen: 30 s of talk with a picture; attention stays cheap."""


EAR_LATENESS_STEPS = 2
"""The ear says a token about so much after its end (it sees nothing of the future): the delay counts from the end."""

Heard = Speech | Sound | Audio


def find_said(what: Heard) -> str:
    """The words of a speech, or of a recording with a transcript; empty for any other sound."""
    if isinstance(what, Speech):
        return what.text
    return (what.transcript or "") if isinstance(what, Audio) else ""


class Misheard(NamedTuple):
    """A transcript with mistakes: ids [tokens], and the frame at which each was over, [tokens]."""

    ids: np.ndarray
    ends: np.ndarray


class Sounds(Protocol):
    """Sounds of the curriculum, ready to be put on the clock. Mels and codes raise KeyError for what was not rendered."""

    def user_mel(self, what: Heard) -> np.ndarray:
        """Scaled log-mel [F, 80] at 100 Hz (`mel`), without silence at either end."""
        ...

    def token_ends(self, what: Heard) -> np.ndarray | None:
        """Frame at which the ear has heard each token of the transcript, [tokens] (`ear.align`); None: not aligned."""
        ...

    def misheard(self, what: Heard) -> Misheard | None:
        """The transcript with an ear's mistakes; None: not known."""
        ...

    def own_codes(self, speech: Speech) -> np.ndarray:
        """Codec codes [T, K] of the preset voice, without silence at the start."""
        ...

    def own_word_starts(self, speech: Speech) -> np.ndarray | None:
        """Seconds at which each word of it begins, [words]; None: not known."""
        ...


@dataclass(frozen=True, slots=True)
class RowMaker:
    """Makes the row of an example. `generator` draws voice, gain and room, so that a sound is never heard twice alike.

    late_share: of the model's turns that come late, for training (`LATE_SHARE`); muffled_share: of what users say that cannot be
    understood by its sound (`MUFFLED_SHARE`); misheard_share: of it that is written down with mistakes (`MISHEARD_SHARE`).
    """

    writer: RowWriter
    sounds: Sounds
    images: ImageEncoder
    late_share: float = 0.0
    muffled_share: float = 0.0
    misheard_share: float = 0.0

    def make(self, example: Example, generator: np.random.Generator) -> Steps:
        """The row of `example`.

        Raises: DataError if it is longer than 512 steps or its words don't fit their sound; KeyError if a sound was
            not rendered.
        """
        timeline = example.timeline or self._imply_timeline(example)
        is_read = example.task == "read_aloud" and bool(generator.random() < BARE_READING_SHARE)
        if is_read:
            example = _strip_request(example)
        first = example.messages.messages[0]
        system = first.text if first.role == "system" else ""
        # a live talk is answered aloud, even where nothing is to be answered
        allowed = example.outputs if example.timeline is None else example.outputs | {"audio"}
        if "audio" in allowed and generator.random() < MAY_DRAW_SHARE:
            allowed = allowed | {"image"}
        row = self.writer.begin(outputs=allowed, system=system, is_read=is_read)
        if timeline is None:
            self._write_turns(row, example)
        else:
            self._write_live(row, example, timeline, generator)
        if len(row) > MAX_STEPS:
            raise DataError(f"{example.example_id} has {len(row)} steps; at most {MAX_STEPS} are trained on")
        return row.finish()

    def _imply_timeline(self, example: Example) -> Timeline | None:
        """The live form of an exchange given as messages, where sound is in it; None where there is none."""
        messages = [message for message in example.messages.messages if message.role != "system"]
        if "audio" not in example.outputs and not any(map(has_sound, messages)):
            return None
        speeches = list(example.speeches)
        events: list[UserSpan | OwnSpan | Insert] = []
        for message in messages:
            drawn = tuple(message.parts_of(Image)) if message.role == "assistant" else ()
            for part in message.parts:
                sound = part.audio if isinstance(part, Video) else part
                if not isinstance(sound, Audio):
                    continue
                what = speeches.pop(0) if is_unrendered(sound) else sound
                if message.role != "assistant":
                    events.append(UserSpan("speech" if find_said(what) else "sound", what))
                elif isinstance(what, Speech):
                    events.append(OwnSpan(what, drawn=drawn))
                else:
                    raise DataError(
                        f"{example.example_id} answers in a recording; the model speaks in its own voice only"
                    )
        return Timeline(tuple(events))

    def _write_turns(self, row: StepRow, example: Example) -> None:
        for message in example.messages.messages:
            if message.role == "assistant":
                drawn = [self.images.encode(image) for image in message.parts_of(Image)]
                self.writer.write_answer(row, _find_words(message) or example.caption, drawn)
            elif message.role != "system":
                self.writer.write_message(row, message)

    def _write_live(self, row: StepRow, example: Example, timeline: Timeline, generator: np.random.Generator) -> None:
        if example.timeline is None:
            for message in example.messages.messages:
                if message.role == "user" and (quiet := without_sound(message)).parts:
                    self.writer.write_message(row, quiet)
        timeline = self._come_late(timeline, generator)
        heard = ChangedSounds(self.sounds, draw_voice_change(generator))
        schedule = timeline.schedule(heard.duration_s)
        lead_s = float(generator.uniform(0.0, 0.4)) if any(isinstance(s.event, UserSpan) for s in schedule) else 0.0
        track = self._make_track(schedule, heard, lead_s, timeline.tail_s, generator)
        answer = example.messages.messages[-1]
        if "audio" not in example.outputs and example.timeline is None:
            drawn = [self.images.encode(image) for image in answer.parts_of(Image)]
            self._answer_in_text(track, schedule, lead_s, _find_words(answer) or example.caption, drawn)
        self.writer.write_live(row, track)

    def _come_late(self, timeline: Timeline, generator: np.random.Generator) -> Timeline:
        """Some of the model's turns, a little later than they were due."""
        if not self.late_share:
            return timeline
        events = [
            replace(event, onset_frames=event.onset_frames + int(generator.integers(1, MAX_LATE_STEPS + 1)))
            if isinstance(event, OwnSpan) and generator.random() < self.late_share
            else event
            for event in timeline.events
        ]
        return replace(timeline, events=tuple(events))

    def _answer_in_text(
        self, track: LiveTrack, schedule: Sequence[Scheduled], lead_s: float, words: str, drawn: list[np.ndarray]
    ) -> None:
        """The turn is taken once the transcript of what was said is whole, and the answer is a message."""
        end_s = max((item.end_s for item in schedule), default=0.0) + lead_s
        step = int(np.ceil(end_s * CLOCK_HZ)) + self.writer.config.transcript_delay_steps + WRITTEN_STEPS
        step = min(step, track.num_steps - 1)
        track.turn[step] = SPEAK
        track.answers[step] = (words, drawn)
        track.num_steps = step + 1

    def _make_track(
        self,
        schedule: Sequence[Scheduled],
        heard: ChangedSounds,
        lead_s: float,
        tail_s: float,
        generator: np.random.Generator,
    ) -> LiveTrack:
        end_s = max((item.end_s for item in schedule), default=0.0) + lead_s + tail_s
        delay = self.writer.config.transcript_delay_steps
        num_steps = int(np.ceil(end_s * CLOCK_HZ)) + delay + WRITTEN_STEPS + 2
        is_heard = any(isinstance(item.event, UserSpan) for item in schedule)
        shape = (num_steps * MEL_FRAMES_PER_STEP, MEL_BINS)
        sound = np.full(shape, MEL_FLOOR, np.float32) if is_heard else None
        track = LiveTrack(sound, num_steps, self.writer.config.num_books)
        gain = draw_gain(generator)
        for item in schedule:
            start_s = item.start_s + lead_s
            if isinstance(item.event, Insert | Typed):
                step = min(int(start_s * CLOCK_HZ), num_steps - 1)
                what = item.event.message if isinstance(item.event, Typed) else (item.event.image, item.event.is_frame)
                track.inserts.setdefault(step, []).append(what)
            elif isinstance(item.event, OwnSpan):
                self._place_own(track, item, lead_s)
            else:
                self._place_user(track, item.event, heard, start_s, gain, generator)
        if track.mel is not None:
            track.mel = put_in_room(track.mel, draw_room(generator), generator)
        return track

    def _place_own(self, track: LiveTrack, item: Scheduled, lead_s: float) -> None:
        assert isinstance(item.event, OwnSpan)
        # what step s hears lies in [s, s + 1) frames; with an onset of 1, the step that hears the first whole frame after
        # the user's end is the one that answers
        due = int((item.start_s + lead_s) * CLOCK_HZ)
        stop = int(np.ceil((item.end_s + lead_s) * CLOCK_HZ)) if item.is_cut else None
        # it hears the user out, and is taught to: an answer to half of a question is guessed
        start = due if item.event.is_mistake else max(due, min(self._find_last_word(track), due + MAX_WAIT_STEPS))
        speech = item.event.speech
        codes, starts = self.sounds.own_codes(speech), self.sounds.own_word_starts(speech)
        ids = self.writer.vocabulary.encode(speech.text)
        steps = place_words(self.writer.vocabulary.count_by_word(speech.text), starts, len(codes))
        end = track.speak(start, ids, codes, steps, stop=stop)
        if item.event.drawn and not item.is_cut:
            track.draw(end, [self.images.encode(image) for image in item.event.drawn], self.writer.vocabulary)
        track.excused.update(range(due - (item.event.onset_frames - 1), due))
        if item.event.is_mistake:
            end = start + len(codes) if stop is None else min(stop, start + len(codes))
            track.excused.add(start)
            track.mistaken.update(range(start, end))

    def _find_last_word(self, track: LiveTrack) -> int:
        """The step of the transcript's last word so far, -1 without any; a mark after it, which takes quiet to hear, is no word."""
        for step in np.flatnonzero(track.heard)[::-1].tolist():
            if any(map(str.isalnum, self.writer.vocabulary.decode([int(track.heard[step])]))):
                return step
        return -1

    def _place_user(
        self,
        track: LiveTrack,
        span: UserSpan,
        heard: ChangedSounds,
        start_s: float,
        gain: float,
        generator: np.random.Generator,
    ) -> None:
        mel = heard.user_mel(span.what)
        first_frame = round(start_s * MEL_HZ)
        assert track.mel is not None
        sound = mel + gain
        said = find_said(span.what)
        if said and generator.random() < self.muffled_share:
            sound = muffle(sound, generator)
        mix_mel(track.mel, sound, first_frame)
        if not said:
            return
        misheard = heard.misheard(span.what) if generator.random() < self.misheard_share else None
        if misheard is None:
            ids, ends = self.writer.vocabulary.encode(said), heard.token_ends(span.what)
        else:
            ids, ends = misheard.ids.tolist(), misheard.ends
        track.hear(self._place_transcript(ends, ids, mel, first_frame), ids)

    def _place_transcript(
        self, ends: np.ndarray | None, ids: list[int], mel: np.ndarray, first_frame: int
    ) -> list[int]:
        """Steps at which the transcript is written: by alignment where there is one, else guessed from loudness."""
        delay = self.writer.config.transcript_delay_steps
        if ends is not None and len(ends) == len(ids):
            return [int((first_frame + end) // MEL_FRAMES_PER_STEP) + delay - EAR_LATENESS_STEPS for end in ends]
        weights = [weigh_spoken(self.writer.vocabulary.decode([idx])) for idx in ids]
        return place_transcript(mel.max(axis=1), weights, first_frame=first_frame, delay_steps=delay)


@dataclass(frozen=True, slots=True)
class ChangedSounds:
    """Sounds as one user makes them in one conversation: speech in a changed voice, all else as it is."""

    sounds: Sounds
    voice: VoiceChange

    def user_mel(self, what: Heard) -> np.ndarray:
        """As `Sounds.user_mel`."""
        mel = self.sounds.user_mel(what)
        return change_voice(mel, self.voice) if find_said(what) else mel

    def token_ends(self, what: Heard) -> np.ndarray | None:
        """As `Sounds.token_ends`."""
        ends = self.sounds.token_ends(what)
        return None if ends is None else self._pass_frames(ends)

    def misheard(self, what: Heard) -> Misheard | None:
        """As `Sounds.misheard`."""
        found = self.sounds.misheard(what)
        return None if found is None else Misheard(found.ids, self._pass_frames(found.ends))

    def _pass_frames(self, frames: np.ndarray) -> np.ndarray:
        """Where frames of the recording stand in this voice's pace."""
        return np.round(frames / self.voice.pace).astype(int)

    def duration_s(self, what: Heard) -> float:
        """How long it sounds, without the quiet that trimming leaves."""
        if isinstance(what, Speech) and what.voice == PRESET_VOICE:
            return len(self.sounds.own_codes(what)) / CLOCK_HZ
        num_frames = len(self.sounds.user_mel(what))
        if not find_said(what):
            return max(0.02, num_frames / MEL_HZ)
        return max(0.02, change_length(num_frames, self.voice) / MEL_HZ - TRIM_MARGIN_S)


def _find_words(message: Message) -> str:
    return "".join(part.text for part in message.parts_of(Text))


def _strip_request(example: Example) -> Example:
    """Reading aloud without being asked in words: the user's text is just what is to be read, and <read> says so."""
    *before, _, answer = example.messages.messages
    bare = Message("user", (Text(example.answer.text),))
    return replace(example, messages=Conversation((*before, bare, answer)))
