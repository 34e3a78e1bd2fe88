"""The one generation loop: slots that take token steps and clock steps, alone or together. NumPy only.

A slot's state is a value (`SlotState`): every step makes a new one, so an old one kept aside is all that a rewind needs.
Only slots given work change. What is chosen obeys `rules`; what is random depends on the slot's seed and count of draws.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

import numpy as np

from vivavoce.errors import DataError
from vivavoce.omni.configuration import MEL_BINS, MEL_FRAMES_PER_STEP
from vivavoce.omni.engine.backend import Backend, ClockReading, Reading
from vivavoce.omni.engine.cache import Slide, SlotCache, slide, undo_slide
from vivavoce.omni.engine.rules import (
    PAD,
    Allowed,
    SpeechLimits,
    TurnState,
    allowed_text,
)
from vivavoce.omni.engine.sampling import Sampling, choose, choose_event, gumbel
from vivavoce.omni.engine.transcriber import HeardAgain, LanguageModel, LanguageWeights, Transcriber, score_again
from vivavoce.omni.engine.transcript import TextStream
from vivavoce.omni.engine.work import Alone, Clock, Feed, Listen, Look, Mark, Outcome, Return, SlotState, Token
from vivavoce.omni.steps import CLOCK, FRAME_PATCH, PATCH, SPEAK, TOKEN, StepRow
from vivavoce.omni.vocabulary import NUM_CONTROL_ROWS, Vocabulary

CONTEXT_STEPS = 512
"""Steps in sight. chosen: the longest row of training (`training.rows.MAX_STEPS`); farther apart, nothing was learned."""
CHUNK_STEPS = 64
"""Steps read at once of what takes no time: about one clock step's worth of work for nano."""
_FIRST_APART = -1_000_000_000
"""Slots in which rows are read apart start here, out of the way of all others."""


@dataclass(frozen=True, slots=True)
class _Written:
    """What a clock step writes of the transcript: a word, PAD for none, and its text; settled: the text of utterances that are over, as it
    is known in the end; vectors [1, D]: the step, as the trunk reads it."""

    idx: int = PAD
    text: str = ""
    settled: str = ""
    vectors: np.ndarray = field(default_factory=lambda: np.empty((0, 0), np.float32))


@dataclass(slots=True)
class _Slot:
    """What belongs to an open slot."""

    seed: int
    cache: SlotCache
    state: SlotState
    slides: list[Slide] = field(default_factory=list)


def embed_row(backend: Backend, row: StepRow) -> np.ndarray:
    """Vectors [T, D] of a row of token steps and patches; clock steps are not given but taken.

    Raises: DataError if there is a clock step in it.
    """
    if CLOCK in row.kinds:
        raise DataError("a row that is fed holds a clock step; clock steps are taken by `advance`")
    kinds, vectors = np.array(row.kinds), np.zeros((len(row), backend.shape.width), np.float32)
    vectors[kinds == TOKEN] = backend.embed_tokens([idx for idx, kind in zip(row.ids, row.kinds) if kind == TOKEN])
    if row.patches:
        vectors[kinds == PATCH] = np.concatenate([backend.embed_patches(item) for item in row.patches])
    if row.frame_patches:
        vectors[kinds == FRAME_PATCH] = np.concatenate([backend.embed_frame(item) for item in row.frame_patches])
    return vectors


def make_transcriber(
    language: LanguageWeights, vocabulary: Vocabulary, hear_again: Callable[[np.ndarray], HeardAgain] | None = None
) -> Transcriber:
    """The transcriber of a checkpoint; hear_again: see `Transcriber`."""
    rows = range(NUM_CONTROL_ROWS, vocabulary.num_text_ids)
    ends = [idx for idx in rows if vocabulary.decode([idx]).rstrip().endswith((".", "?"))]
    return Transcriber(LanguageModel(language, ends), NUM_CONTROL_ROWS, hear_again)


def finish(work: Generator[int, None, Outcome]) -> Outcome:
    """All pieces of `Generation.take_alone` at once."""
    while True:
        try:
            next(work)
        except StopIteration as done:
            return done.value


class Generation:
    """See the module docstring. Not thread-safe."""

    def __init__(
        self,
        backend: Backend,
        vocabulary: Vocabulary,
        *,
        sampling: Sampling | None = None,
        limits: SpeechLimits | None = None,
        context_steps: int = CONTEXT_STEPS,
    ) -> None:
        self.backend, self.vocabulary = backend, vocabulary
        self.sampling, self.limits = sampling or Sampling(), limits or SpeechLimits()
        self.context_steps = context_steps
        self.transcriber = make_transcriber(backend.language, vocabulary, backend.hear_again)
        self._slots: dict[int, _Slot] = {}

    def open(self, slot: int, seed: int = 0) -> None:
        """An empty conversation in `slot`, whatever was there."""
        codes = (self.backend.shape.num_codes_per_book,) * self.backend.shape.num_books
        state = SlotState(self.backend.make_ear(), codes, self.transcriber.begin())
        self._slots[slot] = _Slot(seed, SlotCache(self.backend.shape.kv), state)

    def close(self, slot: int) -> None:
        """Forget a conversation."""
        self._slots.pop(slot, None)

    def state(self, slot: int) -> SlotState:
        """The state of an open slot; keep it to come back by `rewind`."""
        return self._slots[slot].state

    def rewind(self, slot: int, state: SlotState) -> None:
        """Return to a state that this slot was in before, exactly.

        Raises: DataError if what it saw was given back by `forget`.
        """
        held = self._slots[slot]
        if state.window.start < held.cache.first:
            raise DataError(
                f"step {state.window.length} of slot {slot} was forgotten; at most the last steps can be undone"
            )
        while held.slides and state.window.start < held.slides[-1].after.start:
            undo_slide(held.cache, held.slides.pop())
        held.state = state

    def forget(self, slot: int, oldest: SlotState) -> None:
        """No state older than `oldest` will be returned to: give back room, if it is worth the copying."""
        held = self._slots[slot]
        if oldest.window.start > held.cache.first + self.context_steps:
            held.cache.forget(oldest.window.start)
            held.slides = [item for item in held.slides if item.before.start >= held.cache.first]

    def feed(self, slot: int, feed: Feed) -> int:
        """Read given steps. Returns how many.

        Raises: DataError if they are more than the context holds.
        """
        return sum(self.feed_chunks(slot, feed))

    def feed_chunks(self, slot: int, feed: Feed) -> Iterator[int]:
        """The same in chunks of at most 64 steps, so that other work can go between; yields each one's steps."""
        vectors = embed_row(self.backend, feed.row)
        self._check_fits(slot, len(vectors))
        for first in range(0, len(vectors), CHUNK_STEPS):
            chunk = vectors[first : first + CHUNK_STEPS]
            self._read({slot: chunk})
            if feed.is_opening and first + len(chunk) == len(vectors):
                held = self._slots[slot]
                window = held.state.window
                held.state = replace(held.state, window=window._replace(opening=window.length))
            yield len(chunk)

    def advance(self, works: Mapping[int, Token | Clock]) -> dict[int, Outcome]:
        """One step of each slot named, in one run of the trunk; no other slot changes."""
        if not works:
            return {}
        tokens = self._choose_tokens({slot: work for slot, work in works.items() if isinstance(work, Token)})
        clocks = {slot: work for slot, work in works.items() if isinstance(work, Clock)}
        vectors = {slot: self.backend.embed_tokens([idx]) for slot, idx in tokens.items()}
        written = self._hear(clocks) if clocks else {}
        vectors |= {slot: word.vectors for slot, word in written.items()}
        self._read({slot: vectors[slot] for slot in works})
        outcomes = {slot: Outcome(token=idx) for slot, idx in tokens.items()}
        return outcomes | (self._decide(clocks, written) if clocks else {})

    def put(self, slot: int, idx: int) -> None:
        """One token step whose id is given."""
        self._read({slot: self.backend.embed_tokens([idx])})

    def take_alone(self, slot: int, work: Alone) -> Generator[int, None, Outcome]:
        """Work of one slot in pieces: yields the steps of each, returns what it gave.

        Raises: DataError as `feed` and `rewind`.
        """
        if isinstance(work, Feed):
            yield from self.feed_chunks(slot, work)
        elif isinstance(work, Mark):
            return Outcome(state=self.state(slot))
        elif isinstance(work, Return):
            draws = self.state(slot).draws
            self.rewind(slot, work.state)
            self._slots[slot].state = replace(work.state, draws=draws)
        elif isinstance(work, Listen):
            return Outcome(log_prob=(yield from self._listen(work)))
        else:
            return Outcome(log_prob=(yield from self._look(slot, work)))
        return Outcome()

    def _look(self, slot: int, look: Look) -> Generator[int, None, float]:
        apart, total = _FIRST_APART - slot, 0.0
        self.open(apart)
        try:
            yield from self.feed_chunks(apart, Feed(look.row))
            for idx in look.ids:
                logits = self.backend.score_tokens(self._stack([apart], attrgetter("hidden")))[0].astype(np.float64)
                total += float(logits[idx] - np.logaddexp.reduce(logits))
                self.put(apart, idx)
                yield 1
        finally:
            self.close(apart)
        return total

    def _listen(self, work: Listen) -> Generator[int, None, float]:
        yield len(work.mel)
        return float(score_again(self.backend.hear_again(work.mel), [work.ids])[0])

    def _check_fits(self, slot: int, num_steps: int) -> None:
        room = self.context_steps - self._slots[slot].state.window.opening
        if num_steps > room:
            raise DataError(
                f"input is {num_steps} steps long; at most {room} fit in the context of {self.context_steps} "
                "(a text token is 1 step, a picture 66, a film 16 a frame); shorten it"
            )

    def _read(self, vectors: Mapping[int, np.ndarray]) -> None:
        readings = []
        for slot, steps in vectors.items():
            held = self._slots[slot]
            window = held.state.window
            if window.num_seen + len(steps) > self.context_steps:
                held.slides.append(slide(held.cache, window, room=len(steps), context_steps=self.context_steps))
                window = held.slides[-1].after
            readings.append(Reading(held.cache, window, steps))
        for slot, reading, hidden in zip(vectors, readings, self.backend.read(readings)):
            held, window = self._slots[slot], reading.window
            held.state = replace(
                held.state, hidden=hidden, window=window._replace(length=window.length + len(reading.embeds))
            )

    def _choose_tokens(self, works: Mapping[int, Token]) -> dict[int, int]:
        """The next ids, from what the last steps predict."""
        if not works:
            return {}
        is_open = [slot for slot, work in works.items() if work.allowed.only is None]
        logits = (
            dict(zip(is_open, self.backend.score_tokens(self._stack(is_open, attrgetter("hidden"))))) if is_open else {}
        )
        chosen = {}
        for slot, work in works.items():
            held = self._slots[slot]
            if slot not in logits:
                chosen[slot] = work.allowed.only or PAD
                continue
            chosen[slot] = choose(
                logits[slot],
                work.allowed,
                temperature=work.temperature,
                min_prob_share=self.sampling.min_prob_share,
                seed=held.seed,
                draw=held.state.draws,
            )
            held.state = replace(held.state, draws=held.state.draws + 1)
        return chosen

    def _stack(self, slots: Sequence[int], read: Callable[[SlotState], np.ndarray | None]) -> np.ndarray:
        """What `read` finds in each slot's state; every slot has read, and heard, by the time it is asked."""
        rows = []
        for slot in slots:
            found = read(self._slots[slot].state)
            assert found is not None, f"slot {slot} has read or heard nothing yet"
            rows.append(found)
        return np.stack(rows)

    def _hear(self, clocks: Mapping[int, Clock]) -> dict[int, _Written]:
        """The sound of clock steps, then the word of the transcript that each gives out, then what the trunk reads of both."""
        quiet = np.zeros((MEL_FRAMES_PER_STEP, MEL_BINS), np.float32)
        mel = np.stack([quiet if work.mel is None else work.mel for work in clocks.values()])
        heard = self.backend.hear(mel, [self._slots[slot].state.ear for slot in clocks])
        written = {}
        for (slot, work), ear, said in zip(clocks.items(), heard.ears, heard.said):
            held = self._slots[slot]
            said = None if work.mel is None else said
            hearing = self.transcriber.hear(held.state.hearing, said, work.far_nats, work.mel)
            held.state = replace(held.state, ear=ear, hearing=hearing)
            written[slot] = self._write_down(slot)
        states = [self._slots[slot].state for slot in clocks]
        vectors = self.backend.embed_clock(
            ClockReading(
                heard.sound,
                np.array([work.mel is None for work in clocks.values()]),
                np.array([state.turn.is_speaking for state in states]),
                np.array([state.text for state in states]),
                np.array([word.idx for word in written.values()]),
                np.array([state.codes for state in states]),
            )
        )
        return {slot: replace(word, vectors=vector[None]) for (slot, word), vector in zip(written.items(), vectors)}

    def _write_down(self, slot: int) -> _Written:
        """The next decided word of the user's, if there is one, given out, and what is known in the end."""
        held = self._slots[slot]
        word, told, hearing = held.state.hearing.give_out()
        state = held.state = replace(held.state, hearing=hearing)
        settled = " ".join(self.vocabulary.decode(list(ids)).strip() for ids in told)
        if word is None:
            return _Written(settled=settled)
        user, text = (TextStream() if word.is_first else state.user).push(word.idx, self.vocabulary)
        if word.is_first and state.has_user_text and text[:1].isalnum():
            text = " " + text
        held.state = replace(state, user=user, has_user_text=state.has_user_text or bool(text))
        return _Written(word.idx, text, settled)

    def _decide(self, clocks: Mapping[int, Clock], written: Mapping[int, _Written]) -> dict[int, Outcome]:
        """Turn and words of each clock step, then the codes of those who speak; who takes the turn reads its note in between."""
        slots = list(clocks)
        scores = self.backend.score_clock(self._stack(slots, attrgetter("hidden")))
        events = {slot: self._choose_event(slot, clocks[slot], scores.turn[row]) for row, slot in enumerate(slots)}
        words = dict(zip(slots, scores.text))
        noting = self._read_notes([slot for slot in slots if events[slot] == SPEAK], clocks)
        hidden = self._stack(slots, attrgetter("hidden"))
        if noting:
            words |= dict(zip(noting, self.backend.score_clock(self._stack(noting, attrgetter("hidden"))).text))
        outcomes = {
            slot: Outcome(event=events[slot], text_id=self._choose_text(slot, work, events[slot], words[slot]))
            for slot, work in clocks.items()
        }
        speaking = [
            (row, slot)
            for row, (slot, work) in enumerate(clocks.items())
            if work.may_sound and self.state(slot).turn.is_speaking_after(outcomes[slot].event)
        ]
        if speaking:
            temperatures = [self._find_code_temperature(clocks[slot]) for _, slot in speaking]
            # hardly ever more than one
            for temperature in sorted(set(temperatures)):
                chosen = [place for place, one in zip(speaking, temperatures) if one == temperature]
                rows, named = [row for row, _ in chosen], [slot for _, slot in chosen]
                for slot, frame in zip(named, self._choose_codes(named, hidden[rows], outcomes, temperature)):
                    outcomes[slot] = replace(outcomes[slot], codes=frame)
        for slot, work in clocks.items():
            outcomes[slot] = self._remember(slot, work, outcomes[slot], written[slot])
        return outcomes

    def _choose_event(self, slot: int, work: Clock, scores: np.ndarray) -> int:
        events = self.state(slot).turn.allowed_events(may_speak=work.may_speak, force=work.force, limits=self.limits)
        return choose_event(scores, events, {SPEAK: work.speak_bias})

    def _read_notes(self, slots: Sequence[int], clocks: Mapping[int, Clock]) -> list[int]:
        """These slots take their turn: what each has heard and not read yet is read. Returns those that had something to read."""
        notes: dict[int, np.ndarray] = {}
        for slot in slots:
            held = self._slots[slot]
            ids, hearing = self.transcriber.read(held.state.hearing)
            held.state = replace(held.state, hearing=hearing)
            if ids:
                note = self.vocabulary.frame_note(ids, is_spoken=clocks[slot].may_sound)
                notes[slot] = self.backend.embed_tokens(note)
        if notes:
            self._read(notes)
        return list(notes)

    def _choose_text(self, slot: int, work: Clock, event: int, scores: np.ndarray) -> int:
        held = self._slots[slot]
        words = allowed_text(
            held.state.turn, event, may_draw=work.may_draw, num_text_ids=self.backend.shape.num_text_ids
        )
        if not (work.may_sound and work.may_write):
            words = Allowed((PAD,))
        return choose(
            scores,
            words,
            temperature=self.sampling.text_temperature,
            min_prob_share=self.sampling.min_prob_share,
            seed=held.seed,
            draw=held.state.draws,
        )

    def _find_code_temperature(self, work: Clock) -> float:
        return self.sampling.code_temperature if work.code_temperature is None else work.code_temperature

    def _choose_codes(
        self, slots: list[int], hidden: np.ndarray, outcomes: Mapping[int, Outcome], temperature: float
    ) -> np.ndarray:
        shape, sampling = self.backend.shape, self.sampling
        size = (shape.num_books, shape.num_codes_per_book)
        noise = np.stack([gumbel(self._slots[slot].seed, self._slots[slot].state.draws + 1, size) for slot in slots])
        text = np.array([outcomes[slot].text_id for slot in slots])
        return self.backend.choose_codes(
            hidden, text, noise, temperature=temperature, min_prob_share=sampling.min_prob_share
        )

    def _remember(self, slot: int, work: Clock, outcome: Outcome, written: _Written) -> Outcome:
        """Write a clock step's outcome into the state; add what it says in words."""
        held = self._slots[slot]
        state, silent = held.state, self.backend.shape.num_codes_per_book
        turn = state.turn.advance(outcome.event, outcome.text_id) if work.may_sound else TurnState()
        own = TextStream() if outcome.event == SPEAK else state.own
        own_text = ""
        if outcome.text_id >= NUM_CONTROL_ROWS:
            own, own_text = own.push(outcome.text_id, self.vocabulary)
        held.state = replace(
            state,
            text=outcome.text_id,
            codes=(silent,) * self.backend.shape.num_books if outcome.codes is None else tuple(map(int, outcome.codes)),
            turn=turn,
            own=own,
            draws=state.draws + 2,
        )
        return replace(
            outcome,
            heard_id=written.idx,
            own_text=own_text,
            user_text=written.text,
            settled_text=written.settled,
            num_waiting=len(state.hearing.waiting),
        )
