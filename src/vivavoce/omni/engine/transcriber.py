"""The transcript of what is heard, step by step: a beam over what the ear says and what people say. Torch-free.

Prefix search of connectionist temporal classification (Hannun et al. 2014, arXiv 1408.2873, algorithm 1) with the scribe's
language model: each hypothesis is a row of words and how likely it is that the ear said them, with or without a blank after them. An
utterance lasts until nothing more is heard; until then its words may change, and they are told twice.
Soon: a word is decided once all hypotheses that are not far behind have it in its place, once it has been the likeliest for half a
second, or at the utterance's end; decided words are given out one a step and are never taken back.
In the end: whoever answers reads all of the likeliest hypothesis (`Transcriber.read`), whatever was given out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vivavoce.omni.layout import MAX_NOTE_TOKENS
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
"""A hypothesis so far behind the best has no say in what is decided: where nothing more will come, in live time, and where the
transcript is the answer. Of the words decided in live time 0.046 are wrong (Kokoro's voices), of those that are known in the end
0.025."""
_OPEN_STEPS = 6
"""Clock steps that a word may be undecided; then the likeliest is taken. chosen: half a second."""
_QUIET_STEPS = 4
"""Clock steps without anything like a word, after which what was said is over."""
_LONGEST_WORDS = 64
"""An utterance that goes on for longer is cut: in noise there may be no quiet."""
_NEVER = -1e9


class Word(NamedTuple):
    """A decided word; is_first: whoever said it was quiet before."""

    idx: int
    is_first: bool


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
        reset, update = np.split(1 / (1 + np.exp(-(told[: 2 * width] + kept[: 2 * width]))), 2)
        new = np.tanh(told[2 * width :] + reset * kept[2 * width :])
        state = (1 - update) * new + update * state
        logits = self._weights.rows @ state + self._weights.bias
        top = logits.max()
        return Memory(state, logits - top - np.log(np.exp(logits - top).sum()))


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """ids: the words of this utterance; last: the last of them, or blank; -1 less the word while `memory` is still that before it. blank,
    word: log-probability that the ear said all this and then a blank, or the last word just now; prior: of the words, weighted, with
    their bonus."""

    ids: tuple[int, ...]
    last: int
    blank: float
    word: float
    prior: float
    memory: Memory

    @property
    def heard(self) -> float:
        """Log-probability of its sound."""
        return float(np.logaddexp(self.blank, self.word))

    @property
    def score(self) -> float:
        """What hypotheses are ranked by."""
        return self.heard + self.prior


@dataclass(frozen=True, slots=True)
class Hearing:
    """One transcript between two steps; the likeliest hypothesis first. num_decided, num_read: of this utterance's words; waiting: decided
    words that were not given out; unread: the words of utterances that are over, as far as they were not read; open_steps: steps since
    the first undecided word; quiet_steps: steps without anything like a word."""

    hypotheses: tuple[Hypothesis, ...]
    num_decided: int = 0
    num_read: int = 0
    waiting: tuple[Word, ...] = ()
    unread: tuple[int, ...] = ()
    open_steps: int = 0
    quiet_steps: int = 0

    @property
    def ids(self) -> tuple[int, ...]:
        """The words of this utterance, as far as can be told."""
        return self.hypotheses[0].ids

    def decide(self, count: int) -> Hearing:
        """With the first `count` words of this utterance decided."""
        words = tuple(Word(self.ids[place], not place) for place in range(self.num_decided, count))
        return replace(self, num_decided=max(count, self.num_decided), waiting=(*self.waiting, *words), open_steps=0)


def score_transcript(said: np.ndarray, ids: Sequence[int]) -> float:
    """Log-probability that a whole recording says just `ids`, by all its paths: said [T, V] as in `Transcriber.hear`.

    Source: Graves et al. 2006, section 4.1 (forward variables).
    """
    states = np.full(2 * len(ids) + 1, BLANK)
    states[1::2] = ids
    can_skip = np.zeros(len(states), bool)
    can_skip[2:] = (states[2:] != BLANK) & (states[2:] != states[:-2])
    ways = np.full((3, len(states)), _NEVER)
    score = np.full(len(states), _NEVER)
    score[:2] = said[0, states[:2]]
    for row in said[1:]:
        ways[0], ways[1, 1:] = score, score[:-1]
        ways[2, 2:] = np.where(can_skip[2:], score[:-2], _NEVER)
        score = np.logaddexp.reduce(ways) + row[states]
    return float(np.logaddexp.reduce(score[-2:]))


class Transcriber:
    """Holds the language model and no conversation; every call makes a new `Hearing`."""

    def __init__(self, language: LanguageModel, first_word: int) -> None:
        self.language, self.first_word = language, first_word

    def begin(self) -> Hearing:
        """Nothing heard."""
        return Hearing((Hypothesis((), BLANK, 0.0, _NEVER, 0.0, self.language.start),))

    def hear(self, hearing: Hearing, said: np.ndarray | None, far_nats: float = SOON_NATS) -> Hearing:
        """One clock step more: said [V], the log-probabilities of `Scribe.forward`; None while muted. far_nats: see `SOON_NATS`."""
        if said is None:
            return self._hear_nothing(hearing, 0.0, far_nats)
        likely = np.flatnonzero(said[self.first_word :] > _HEARD_AT_LEAST) + self.first_word
        if not len(likely):
            return self._hear_nothing(hearing, float(said[BLANK]), far_nats)
        grown = self._grow(hearing.hypotheses, said, likely.tolist())
        best = sorted(grown, key=lambda one: -one.score)[:BEAM]
        top = best[0].score
        kept = tuple(self._settle(one, top) for one in best)
        return self._decide_some(replace(hearing, hypotheses=kept, quiet_steps=0), far_nats)

    def end(self, hearing: Hearing) -> Hearing:
        """The utterance is over: all its words are decided, and what comes is somebody's next."""
        done = hearing.decide(len(hearing.ids))
        unread = (*done.unread, *done.ids[done.num_read :])
        return replace(self.begin(), waiting=done.waiting, unread=unread[-MAX_NOTE_TOKENS:])

    def read(self, hearing: Hearing) -> tuple[tuple[int, ...], Hearing]:
        """The last words that were heard and not read before, as they are known by now."""
        ids = (*hearing.unread, *hearing.ids[hearing.num_read :])[-MAX_NOTE_TOKENS:]
        return ids, replace(hearing, unread=(), num_read=max(hearing.num_read, len(hearing.ids)))

    def _hear_nothing(self, hearing: Hearing, blank: float, far_nats: float) -> Hearing:
        quiet = hearing.quiet_steps + 1
        if quiet == _QUIET_STEPS:
            return replace(self.end(hearing), quiet_steps=quiet)
        if len(hearing.hypotheses) == 1 and not hearing.ids:
            kept = (replace(hearing.hypotheses[0], blank=0.0, word=_NEVER),)
        else:
            kept = tuple(replace(one, blank=one.heard + blank, word=_NEVER) for one in hearing.hypotheses)
        return self._decide_some(replace(hearing, hypotheses=kept, quiet_steps=quiet), far_nats)

    def _grow(self, hypotheses: tuple[Hypothesis, ...], said: np.ndarray, likely: list[int]) -> Iterable[Hypothesis]:
        """Each hypothesis as it is and with each likely word; the same words by different ways are one."""
        grown: dict[tuple[int, ...], Hypothesis] = {}

        def add(one: Hypothesis) -> None:
            other = grown.get(one.ids)
            if other is not None:
                blank, word = np.logaddexp(one.blank, other.blank), np.logaddexp(one.word, other.word)
                one = replace(other, blank=float(blank), word=float(word))
            grown[one.ids] = one

        for one in hypotheses:
            heard = one.heard
            again = one.word + float(said[one.last]) if one.last != BLANK else _NEVER
            add(replace(one, blank=heard + float(said[BLANK]), word=again))
            for idx in likely:
                # the same word twice has a blank between
                before = one.blank if idx == one.last else heard
                prior = one.prior + PRIOR_WEIGHT * float(one.memory.expected[idx]) + WORD_BONUS
                # the memory is still that before the word; `_settle` tells it if the hypothesis is kept
                add(Hypothesis((*one.ids, idx), -1 - idx, _NEVER, before + float(said[idx]), prior, one.memory))
        return grown.values()

    def _settle(self, one: Hypothesis, top: float) -> Hypothesis:
        """With probabilities relative to the best, and a memory of its last word."""
        memory, last = one.memory, one.last
        if last < 0:
            last = -1 - last
            memory = self.language.push(memory, last)
        return replace(one, last=last, blank=one.blank - top, word=one.word - top, memory=memory)

    def _decide_some(self, hearing: Hearing, far_nats: float) -> Hearing:
        best, first = hearing.hypotheses[0], hearing.num_decided
        if len(best.ids) >= _LONGEST_WORDS:
            return self.end(hearing)
        if len(best.ids) <= first:
            return replace(hearing, open_steps=0)
        near = [one.ids for one in hearing.hypotheses if one.score > best.score - far_nats]
        count = first
        while count < len(best.ids) and all(ids[first : count + 1] == best.ids[first : count + 1] for ids in near):
            count += 1
        open_steps = hearing.open_steps + 1
        if count == first and open_steps > _OPEN_STEPS and far_nats < math.inf:
            count += 1
        return hearing.decide(count) if count > first else replace(hearing, open_steps=open_steps)
