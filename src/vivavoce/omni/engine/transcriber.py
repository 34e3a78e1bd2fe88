"""The transcript of what is heard, step by step: a beam over what the ear says and what people say. Torch-free.

Prefix search of connectionist temporal classification (Hannun et al. 2014, arXiv 1408.2873, algorithm 1) with the scribe's
language model: each hypothesis is a row of words and how likely it is that the ear said them, with or without a blank after them.
A word is decided once all hypotheses that are not far behind begin with it, once it has been the likeliest for half a second, or
once nothing more is heard; decided words never change, and they are given out one a step, as the trunk reads them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from vivavoce.omni.vocabulary import BLANK, START_ROW

BEAM = 8
"""Hypotheses kept. chosen: with 24 a step takes twice as long, and 0.045 of the words of Kokoro's voices are wrong instead of 0.049."""
PRIOR_WEIGHT = 0.6
"""Of the language model's log-probabilities against the ear's."""
WORD_BONUS = 1.0
"""Of each word, since a language model alone would rather have none."""
_HEARD_AT_LEAST = float(np.log(1e-3))
"""A word less likely than this on a step was not said on it."""
SOON_NATS, SURE_NATS = 1.0, 3.0
"""A hypothesis so far behind the best has no say in what is decided: while somebody waits for an answer, and where the transcript is
the answer. chosen on training voices: 0.049 and 0.047 of the words of Kokoro's are wrong, and the latest word in thirty comes one step
late and six. A trunk that is told the last words late answers as if it had not heard them (experiments/LOG.md)."""
_OPEN_STEPS = 6
"""Clock steps that a word may be undecided; then the likeliest is taken. chosen: half a second."""
_QUIET_STEPS = 4
"""Clock steps without anything like a word, after which what was said is over."""
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
    """ids: words that are not decided; last: the last word, decided or not, or blank; -1 less the word while `memory` is still that
    before it. blank, word: log-probability that the ear said
    all this and then a blank, or the last word just now; prior: of the words, weighted, with their bonus."""

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
    """One transcript between two steps; the likeliest hypothesis first. waiting: decided words that were not given out; open_steps:
    steps since the first undecided word; quiet_steps: steps without anything like a word; is_new: nothing was decided yet since
    it was quiet."""

    hypotheses: tuple[Hypothesis, ...]
    waiting: tuple[Word, ...] = ()
    open_steps: int = 0
    quiet_steps: int = 0
    is_new: bool = True

    def decide(self, ids: tuple[int, ...]) -> Hearing:
        """With these words decided."""
        words = tuple(Word(idx, self.is_new and not place) for place, idx in enumerate(ids))
        return replace(self, waiting=(*self.waiting, *words), open_steps=0, is_new=self.is_new and not ids)


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
        """All that the likeliest hypothesis holds is decided; what comes is somebody's next words."""
        return replace(self.begin(), waiting=hearing.decide(hearing.hypotheses[0].ids).waiting)

    def _hear_nothing(self, hearing: Hearing, blank: float, far_nats: float) -> Hearing:
        quiet = hearing.quiet_steps + 1
        if quiet == _QUIET_STEPS:
            return replace(self.end(hearing), quiet_steps=quiet)
        if len(hearing.hypotheses) == 1 and not hearing.hypotheses[0].ids:
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
        best = hearing.hypotheses[0]
        if not best.ids:
            return replace(hearing, open_steps=0)
        open_steps = hearing.open_steps + 1
        near = [one.ids for one in hearing.hypotheses if one.score > best.score - far_nats]
        count = 0
        while count < len(best.ids) and all(ids[: count + 1] == best.ids[: count + 1] for ids in near):
            count += 1
        if not count and open_steps > _OPEN_STEPS:
            count = 1
        if not count:
            return replace(hearing, open_steps=open_steps)
        decided = best.ids[:count]
        kept = tuple(replace(one, ids=one.ids[count:]) for one in hearing.hypotheses if one.ids[:count] == decided)
        return replace(hearing, hypotheses=kept).decide(decided)
