"""The transcript of what is heard, step by step: a beam over what the ear says and what people say. Torch-free.

Prefix search of connectionist temporal classification (Hannun et al. 2014, arXiv 1408.2873, algorithm 1) with the scribe's
language model: each hypothesis is a row of words and how likely it is that the ear said them, with or without a blank after them. An
utterance lasts until nothing more is heard; until then its words may change, and they are told twice.
Soon: a word is decided once all hypotheses that are not far behind have it in its place, once it has been the likeliest for half a
second, or at the utterance's end; decided words are given out one a step and are never taken back.
In the end: whoever answers reads what the ear and the second pass together find likeliest of the whole utterance (`Transcriber.read`),
whatever was given out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vivavoce.omni.configuration import MEL_BINS, MEL_FRAMES_PER_STEP
from vivavoce.omni.layout import MAX_NOTE_TOKENS, MEL_FLOOR
from vivavoce.omni.vocabulary import BLANK, START_ROW

BEAM = 16
"""Hypotheses kept. chosen on training voices: of the words of Kokoro's 0.025 are wrong in the end, 0.035 with 8 and 0.024 with 24; a
step takes half a millisecond."""
PRIOR_WEIGHT = 0.6
"""Of the language model's log-probabilities against the ear's."""
WORD_BONUS = 1.0
"""Of each word, since a language model alone would rather have none."""
_HEARD_AT_LEAST = float(np.log(1e-3))
"""A word less likely than this on a step was not said on it."""
AT_ONCE_NATS, SOON_NATS, SURE_NATS = 0.0, 1.0, math.inf
"""A hypothesis so far behind the best has no say in what is decided: where nothing more will come, so that the utterance is over; in
live time; and where the transcript is the answer, of which nothing is decided before the utterance is over."""
_OPEN_STEPS = 6
"""Clock steps that a word may be undecided; then the likeliest is taken. chosen: half a second."""
_QUIET_STEPS = 4
"""Clock steps without anything like a word, after which what was said is over."""
_LONGEST_WORDS = 64
"""An utterance that goes on for longer is cut: in noise there may be no quiet."""
_LEAD_STEPS = 12
"""Clock steps before the first word that belong to an utterance: the ear says a word when it is over."""
_LONGEST_STEPS = 80
"""Clock steps of an utterance, the second before it included, that are heard again; of a longer one the ear's words stay, since whoever
talks at the same time waits. chosen: 6.4 s, which take less than a clock step of nano's."""
_SURELY_QUIET = float(np.log(0.99))
"""A frame that is so surely blank to the second pass tells words apart and says none."""
FIRST_WEIGHT = 0.5
"""Of the ear's log-probability of a transcript against the second pass's. measured: of 160 questions that no recording says, in training
voices, 0.035 of the words are wrong by the ear alone, 0.015 by the second pass, 0.017 with either weighed by 0.3 or 0.5; in
voices that neither knows 0.135, 0.132, 0.118 and 0.111 (160 recordings). With less than a half, questions of fact are heard better there and
sentences worse (experiments/LOG.md)."""
_SECOND_BEAM = 8
"""Hypotheses that the second pass keeps, and that each of the two has weighed by both."""
_NEVER = -1e9
_SILENCE = np.full((MEL_FRAMES_PER_STEP, MEL_BINS), MEL_FLOOR, np.float32)


class Word(NamedTuple):
    """A decided word; is_first: whoever said it was quiet before."""

    idx: int
    is_first: bool


class Settled(NamedTuple):
    """The words of an utterance that is over, as they are known in the end; num_before: words that are given out before this is told."""

    ids: tuple[int, ...]
    num_before: int


class Memory(NamedTuple):
    """What the language model knows after some words: state [W], and log-probabilities of the next [V]."""

    state: np.ndarray
    expected: np.ndarray


class LanguageWeights(NamedTuple):
    """The scribe's recurrent layer: rows [V, W]; of its inputs and of its state, weights [3 W, W] and biases [3 W] in PyTorch's order
    of gates (reset, update, new); bias [V]."""

    rows: np.ndarray
    input_weights: np.ndarray
    state_weights: np.ndarray
    input_biases: np.ndarray
    state_biases: np.ndarray
    bias: np.ndarray


class LanguageModel:
    """`omni.scribe.Scribe.expect`, one word at a time. ends: rows after which somebody begins anew."""

    def __init__(self, weights: LanguageWeights, ends: Iterable[int] = ()) -> None:
        self._weights = weights
        self._inputs = weights.rows @ weights.input_weights.T + weights.input_biases
        self._ends = frozenset(ends)
        self.start = self._advance(np.zeros(weights.rows.shape[1], np.float32), START_ROW)

    def push(self, memory: Memory, idx: int) -> Memory:
        """What it knows after one word more."""
        return self.start if idx in self._ends else self._advance(memory.state, idx)

    def _advance(self, state: np.ndarray, idx: int) -> Memory:
        width = len(state)
        told, kept = self._inputs[idx], self._weights.state_weights @ state + self._weights.state_biases
        gates = 1 / (1 + np.exp(-(told[: 2 * width] + kept[: 2 * width])))
        reset, update = gates[:width], gates[width:]
        new = np.tanh(told[2 * width :] + reset * kept[2 * width :])
        state = (1 - update) * new + update * state
        logits = self._weights.rows @ state + self._weights.bias
        logits -= logits.max()
        return Memory(state, logits - np.log(np.exp(logits).sum()))


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """ids: the words of this utterance; last: the last of them, or blank; blank, word: log-probability that the ear said all this and then
    a blank, or the last word just now; prior: of the words, weighted, with their bonus; memory: after the last word."""

    ids: tuple[int, ...]
    last: int
    blank: float
    word: float
    prior: float
    memory: Memory

    @property
    def heard(self) -> float:
        """Log-probability of its sound."""
        return _add_logs(self.blank, self.word)

    @property
    def score(self) -> float:
        """What hypotheses are ranked by."""
        return self.heard + self.prior


@dataclass(frozen=True, slots=True)
class Hearing:
    """One transcript between two steps; the likeliest hypothesis first. num_decided, num_read: of this utterance's words; waiting: decided
    words that were not given out; settled: utterances that are over and have not been told in the end; unread: the words of utterances
    that are over, as far as they were not read; open_steps: steps since the first undecided word; quiet_steps: steps without anything like a word; sound: mel [8, 80] of each clock step of this utterance
    and of the second before it."""

    hypotheses: tuple[Hypothesis, ...]
    num_decided: int = 0
    num_read: int = 0
    waiting: tuple[Word, ...] = ()
    settled: tuple[Settled, ...] = ()
    unread: tuple[int, ...] = ()
    open_steps: int = 0
    quiet_steps: int = 0
    sound: tuple[np.ndarray, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """The words of this utterance, as far as can be told."""
        return self.hypotheses[0].ids

    def decide(self, ids: Sequence[int]) -> Hearing:
        """With `ids`, which go on from those decided before, decided."""
        words = tuple(Word(ids[place], not place) for place in range(self.num_decided, len(ids)))
        return replace(self, num_decided=max(len(ids), self.num_decided), waiting=(*self.waiting, *words), open_steps=0)

    def give_out(self) -> tuple[Word | None, list[tuple[int, ...]], Hearing]:
        """One step's telling: the next decided word, if there is one, and the utterances whose words have all been given out by then,
        as they are known in the end."""
        word = self.waiting[0] if self.waiting else None
        left = [one._replace(num_before=max(0, one.num_before - 1)) for one in self.settled]
        told = [one.ids for one in left if not one.num_before]
        kept = tuple(one for one in left if one.num_before)
        return word, told, replace(self, waiting=self.waiting[1:], settled=kept)


class _Grown(NamedTuple):
    """Each of H hypotheses with each of L words more: word, prior [H, L], as in `Hypothesis`."""

    word: np.ndarray
    prior: np.ndarray


class HeardAgain(NamedTuple):
    """A whole utterance's log-probabilities of words: of the ear [T, V], and of the second pass [2 T, V]."""

    first: np.ndarray
    second: np.ndarray


def score_again(heard: HeardAgain, transcripts: Sequence[Sequence[int]]) -> np.ndarray:
    """Log-probability [N] that a recording says just each of `transcripts`, to both ears: the mean of both, weighted."""
    first, second = (score_transcripts(said, transcripts) for said in heard)
    return FIRST_WEIGHT * first + (1 - FIRST_WEIGHT) * second


def score_transcripts(said: np.ndarray, transcripts: Sequence[Sequence[int]]) -> np.ndarray:
    """Log-probability [N] that a whole recording says just each of `transcripts`, by all its paths: said [T, V] as in
    `Transcriber.hear`.

    Source: Graves et al. 2006, section 4.1 (forward variables).
    """
    lengths = np.array([len(ids) for ids in transcripts])
    states = np.full((len(transcripts), 2 * int(lengths.max(initial=0)) + 1), BLANK)
    for row, ids in zip(states, transcripts):
        row[1 : 2 * len(ids) : 2] = ids
    can_skip = np.zeros(states.shape, bool)
    can_skip[:, 2:] = (states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2])
    score = np.full(states.shape, _NEVER)
    score[:, :2] = said[0][states[:, :2]]
    once, twice = np.full(states.shape, _NEVER), np.full(states.shape, _NEVER)
    for row in said[1:]:
        once[:, 1:] = score[:, :-1]
        twice[:, 2:] = np.where(can_skip[:, 2:], score[:, :-2], _NEVER)
        score = np.logaddexp(np.logaddexp(score, once), twice) + row[states]
    places = np.arange(len(transcripts))
    end = score[places, 2 * lengths]
    return np.where(lengths > 0, np.logaddexp(end, score[places, np.maximum(2 * lengths - 1, 0)]), end)


class Transcriber:
    """Holds the language model and no conversation; every call makes a new `Hearing`.

    hear_again: the mel [T, 8, 80] of an utterance, heard by both; None: there is no second pass.
    """

    def __init__(
        self, language: LanguageModel, first_word: int, hear_again: Callable[[np.ndarray], HeardAgain] | None = None
    ) -> None:
        self.language, self.first_word, self.hear_again = language, first_word, hear_again

    def begin(self) -> Hearing:
        """Nothing heard."""
        return Hearing((Hypothesis((), BLANK, 0.0, _NEVER, 0.0, self.language.start),))

    def hear(
        self,
        hearing: Hearing,
        said: np.ndarray | None,
        far_nats: float = SOON_NATS,
        mel: np.ndarray | None = None,
    ) -> Hearing:
        """One clock step more: said [V], the log-probabilities of `Scribe.forward`, None while muted; mel [8, 80], of which they were
        made. far_nats: see `SOON_NATS`."""
        # one more than is heard again tells that there were more
        kept = hearing.sound[-_LONGEST_STEPS:] if hearing.ids else hearing.sound[1 - _LEAD_STEPS :]
        hearing = replace(hearing, sound=(*kept, _SILENCE if said is None or mel is None else mel))
        if far_nats == AT_ONCE_NATS:
            return self.end(self._hear(hearing, said, SURE_NATS))
        return self._hear(hearing, said, far_nats)

    def _hear(self, hearing: Hearing, said: np.ndarray | None, far_nats: float) -> Hearing:
        if said is None:
            return self._hear_nothing(hearing, 0.0, far_nats)
        likely = self._find_likely(said)
        if not likely:
            return self._hear_nothing(hearing, float(said[BLANK]), far_nats)
        hypotheses = self._advance(hearing.hypotheses, said, likely, BEAM)
        return self._decide_some(replace(hearing, hypotheses=hypotheses, quiet_steps=0), far_nats)

    def search(self, said: np.ndarray, num_kept: int = BEAM) -> tuple[Hypothesis, ...]:
        """The likeliest words of a whole utterance, the best first: said [F, V]."""
        hypotheses = self.begin().hypotheses
        for row in said:
            likely = [] if row[BLANK] > _SURELY_QUIET else self._find_likely(row)
            if likely:
                hypotheses = self._advance(hypotheses, row, likely, num_kept)
            else:
                hypotheses = _let_pass(hypotheses, float(row[BLANK]))
        return hypotheses

    def end(self, hearing: Hearing) -> Hearing:
        """The utterance is over: all its words are decided, and what comes is somebody's next."""
        words = self._write_again(hearing)
        # what is given out goes on from what was given out before
        done = hearing.decide(hearing.ids if hearing.num_decided else words)
        unread = (*done.unread, *words[done.num_read :])[-MAX_NOTE_TOKENS:]
        settled = (*done.settled, Settled(words, len(done.waiting))) if words else done.settled
        return replace(self.begin(), waiting=done.waiting, settled=settled, unread=unread, sound=done.sound)

    def read(self, hearing: Hearing) -> tuple[tuple[int, ...], Hearing]:
        """The last words that were heard and not read before, as they are known by now."""
        words = self._write_again(hearing)
        ids = (*hearing.unread, *words[hearing.num_read :])[-MAX_NOTE_TOKENS:]
        return ids, replace(hearing, unread=(), num_read=max(hearing.num_read, len(words)))

    def _write_again(self, hearing: Hearing) -> tuple[int, ...]:
        """The words of this utterance in the end: of what the ear and the second pass find likeliest, what both together find likeliest."""
        if not hearing.ids or self.hear_again is None or len(hearing.sound) > _LONGEST_STEPS:
            return hearing.ids
        return self._choose(self.hear_again(np.stack(hearing.sound)), hearing.hypotheses) or hearing.ids

    def write(self, heard: HeardAgain) -> tuple[int, ...]:
        """The words of a whole utterance, of which nothing was told before."""
        return self._choose(heard, self.search(heard.first))

    def _choose(self, heard: HeardAgain, of_ear: Sequence[Hypothesis]) -> tuple[int, ...]:
        found = (*self.search(heard.second, _SECOND_BEAM), *of_ear[:_SECOND_BEAM])
        priors = {one.ids: one.prior for one in found if one.ids}
        if not priors:
            return ()
        scores = score_again(heard, list(priors)) + np.array(list(priors.values()))
        return list(priors)[int(scores.argmax())]

    def _find_likely(self, said: np.ndarray) -> list[int]:
        return (np.flatnonzero(said[self.first_word :] > _HEARD_AT_LEAST) + self.first_word).tolist()

    def _advance(
        self, hypotheses: tuple[Hypothesis, ...], said: np.ndarray, likely: list[int], num_kept: int
    ) -> tuple[Hypothesis, ...]:
        """Each hypothesis as it is and with each likely word, the likeliest of them, relative to the best."""
        kept, grown = self._stay(hypotheses, said), self._grow(hypotheses, said, likely)
        places = {one.ids: place for place, one in enumerate(hypotheses)}
        columns = {idx: place for place, idx in enumerate(likely)}
        # the same words by both ways are one
        for place, one in enumerate(kept):
            before, column = places.get(one.ids[:-1]), columns.get(one.last)
            if one.ids and before is not None and column is not None:
                word = _add_logs(one.word, float(grown.word[before, column]))
                kept[place] = Hypothesis(one.ids, one.last, one.blank, word, one.prior, one.memory)
                grown.word[before, column] = -math.inf
        scores = np.concatenate([[one.score for one in kept], (grown.word + grown.prior).ravel()])
        best = np.argsort(-scores, kind="stable")[:num_kept].tolist()
        top = float(scores[best[0]])
        found = []
        for place in best:
            if place < len(kept):
                one = kept[place]
                found.append(Hypothesis(one.ids, one.last, one.blank - top, one.word - top, one.prior, one.memory))
            elif scores[place] > -math.inf:
                before, column = divmod(place - len(kept), len(likely))
                one, idx = hypotheses[before], likely[column]
                word, prior = float(grown.word[before, column]) - top, float(grown.prior[before, column])
                found.append(Hypothesis((*one.ids, idx), idx, _NEVER, word, prior, self.language.push(one.memory, idx)))
        return tuple(found)

    def _stay(self, hypotheses: tuple[Hypothesis, ...], said: np.ndarray) -> list[Hypothesis]:
        blank = float(said[BLANK])
        again = [one.word + float(said[one.last]) if one.last != BLANK else _NEVER for one in hypotheses]
        return [
            Hypothesis(one.ids, one.last, one.heard + blank, word, one.prior, one.memory)
            for one, word in zip(hypotheses, again)
        ]

    def _grow(self, hypotheses: tuple[Hypothesis, ...], said: np.ndarray, likely: list[int]) -> _Grown:
        # the same word twice has a blank between
        before = [
            [one.blank if idx == one.last else heard for idx in likely] for one in hypotheses for heard in (one.heard,)
        ]
        expected = np.array([one.memory.expected[likely] for one in hypotheses], np.float64)
        priors = np.array([one.prior for one in hypotheses])[:, None]
        return _Grown(np.array(before) + said[likely], priors + PRIOR_WEIGHT * expected + WORD_BONUS)

    def _hear_nothing(self, hearing: Hearing, blank: float, far_nats: float) -> Hearing:
        quiet = hearing.quiet_steps + 1
        if quiet == _QUIET_STEPS:
            return replace(self.end(hearing), quiet_steps=quiet)
        if len(hearing.hypotheses) == 1 and not hearing.ids:
            kept = (replace(hearing.hypotheses[0], blank=0.0, word=_NEVER),)
        else:
            kept = _let_pass(hearing.hypotheses, blank)
        return self._decide_some(replace(hearing, hypotheses=kept, quiet_steps=quiet), far_nats)

    def _decide_some(self, hearing: Hearing, far_nats: float) -> Hearing:
        best, first = hearing.hypotheses[0], hearing.num_decided
        if len(best.ids) >= _LONGEST_WORDS:
            return self.end(hearing)
        if len(best.ids) <= first or far_nats == SURE_NATS:
            return replace(hearing, open_steps=0)
        near = [one.ids for one in hearing.hypotheses if one.score > best.score - far_nats]
        count = first
        while count < len(best.ids) and all(ids[first : count + 1] == best.ids[first : count + 1] for ids in near):
            count += 1
        open_steps = hearing.open_steps + 1
        if count == first and open_steps > _OPEN_STEPS:
            count += 1
        return hearing.decide(best.ids[:count]) if count > first else replace(hearing, open_steps=open_steps)


def _let_pass(hypotheses: tuple[Hypothesis, ...], blank: float) -> tuple[Hypothesis, ...]:
    """After a step that says nothing with log-probability `blank`."""
    return tuple(Hypothesis(one.ids, one.last, one.heard + blank, _NEVER, one.prior, one.memory) for one in hypotheses)


def _add_logs(first: float, second: float) -> float:
    """Logarithm of the sum of what both are the logarithms of; `np.logaddexp` takes five times as long for two numbers."""
    if first < second:
        first, second = second, first
    return first + math.log1p(math.exp(second - first))
