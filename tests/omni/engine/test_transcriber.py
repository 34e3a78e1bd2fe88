"""The transcript's beam search: the exact best where it can be counted, decided words that never change, and the scribe's own
numbers."""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import log_softmax

from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.engine.torch_backend import find_language
from vivavoce.omni.engine.transcriber import (
    _LONGEST_STEPS,
    _LONGEST_WORDS,
    AT_ONCE_NATS,
    BLANK,
    PRIOR_WEIGHT,
    SOON_NATS,
    SURE_NATS,
    WORD_BONUS,
    HeardAgain,
    Hearing,
    LanguageModel,
    LanguageWeights,
    Transcriber,
)
from vivavoce.omni.layout import MAX_NOTE_TOKENS
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.scribe import Scribe, expectation_loss
from vivavoce.omni.vocabulary import START_ROW

NUM_ROWS, FIRST_WORD = 6, 3


def make_language(seed: int, *, ends: tuple[int, ...] = ()) -> LanguageModel:
    generator = np.random.default_rng(seed)
    width = 4
    shapes = ((NUM_ROWS, width), (3 * width, width), (3 * width, width), (3 * width,), (3 * width,), (NUM_ROWS,))
    return LanguageModel(LanguageWeights(*(generator.normal(0, 1, shape) for shape in shapes)), ends)


def write(
    transcriber: Transcriber, said: np.ndarray, hearing: Hearing | None = None, far_nats: float = SOON_NATS
) -> list[int]:
    """All that is decided over steps [T, V], the end included."""
    hearing = transcriber.begin() if hearing is None else hearing
    for step in said:
        hearing = transcriber.hear(hearing, step, far_nats)
    return [word.idx for word in transcriber.end(hearing).waiting]


def find_best(language: LanguageModel, said: np.ndarray) -> tuple[int, ...]:
    """The best words by trying every path of the ear."""
    totals: dict[tuple[int, ...], float] = {}
    for path in itertools.product((BLANK, *range(FIRST_WORD, NUM_ROWS)), repeat=len(said)):
        words = tuple(idx for idx, _ in itertools.groupby(path) if idx != BLANK)
        score = float(sum(said[step, idx] for step, idx in enumerate(path)))
        totals[words] = np.logaddexp(totals.get(words, -np.inf), score)

    def rank(words: tuple[int, ...]) -> float:
        memory, prior = language.start, 0.0
        for idx in words:
            prior += PRIOR_WEIGHT * memory.expected[idx] + WORD_BONUS
            memory = language.push(memory, idx)
        return totals[words] + prior

    return max(totals, key=rank)


@pytest.mark.parametrize("seed", range(12))
def test_what_is_written_is_the_best_of_all_words_by_ear_and_language(seed: int, monkeypatch) -> None:
    # wide and undecided to the end, the search leaves nothing out
    for name, value in (("BEAM", 10_000), ("_OPEN_STEPS", 99), ("_HEARD_AT_LEAST", -1e9)):
        monkeypatch.setattr(f"vivavoce.omni.engine.transcriber.{name}", value)
    language = make_language(seed)
    said = log_softmax(np.random.default_rng((seed, 1)).normal(0, 1.5, (6, NUM_ROWS)), axis=1)
    # what lies between blank and the first word is never said
    said[:, 1:FIRST_WORD] = -1e6
    assert tuple(write(Transcriber(language, FIRST_WORD), said, far_nats=1e9)) == find_best(language, said)


def spell(ids: list[int], *, sure: float = 9.0) -> np.ndarray:
    """An ear that says these, one a step."""
    logits = np.zeros((len(ids), NUM_ROWS))
    logits[np.arange(len(ids)), ids] = sure
    return log_softmax(logits, axis=1)


def test_a_word_twice_needs_quiet_between_and_a_long_one_is_once() -> None:
    transcriber = Transcriber(make_language(0), FIRST_WORD)
    assert write(transcriber, spell([3, 3, 3, 4])) == [3, 4]
    assert write(transcriber, spell([3, 0, 3, 4])) == [3, 3, 4]


def test_decided_words_never_change_and_come_one_after_another() -> None:
    transcriber = Transcriber(make_language(3), FIRST_WORD)
    for seed in range(20):
        hearing, before = transcriber.begin(), ()
        said = log_softmax(np.random.default_rng(seed).normal(0, 2, (30, NUM_ROWS)), axis=1)
        for step in said:
            hearing = transcriber.hear(hearing, step)
            assert hearing.waiting[: len(before)] == before
            before = hearing.waiting
            assert hearing.hypotheses[0].score == max(one.score for one in hearing.hypotheses)


def test_four_quiet_steps_decide_and_the_next_words_are_anothers() -> None:
    transcriber = Transcriber(make_language(1), FIRST_WORD)
    # 3 or 4, the ear can't tell: nothing is decided while it may yet be told
    unsure = log_softmax(np.array([[0, -99, -99, 6.0, 6.0, -99]]), axis=1)
    hearing = transcriber.hear(transcriber.begin(), unsure[0])
    quiet = spell([0], sure=30.0)[0]
    for _ in range(3):
        hearing = transcriber.hear(hearing, quiet)
        assert not hearing.waiting
    hearing = transcriber.hear(hearing, quiet)
    assert [word.is_first for word in hearing.waiting] == [True]
    for step in spell([4, 5, 0, 0, 0, 0, 0], sure=30.0):
        hearing = transcriber.hear(hearing, step)
    assert [word.is_first for word in hearing.waiting] == [True, True, False]


def test_who_reads_gets_each_word_once_and_as_it_is_known_by_then() -> None:
    transcriber = Transcriber(make_language(1), FIRST_WORD)
    hearing, read = transcriber.begin(), []
    # the pause of five ends an utterance, that of two does not
    for said in ([3, 4], [5], [], [0, 0, 4], [3, 0, 0, 0, 0, 0, 5]):
        for step in spell(said, sure=30.0):
            hearing = transcriber.hear(hearing, step)
        ids, hearing = transcriber.read(hearing)
        read.append(ids)
    assert read == [(3, 4), (5,), (), (4,), (3, 5)]


def test_what_was_given_out_may_be_read_otherwise(monkeypatch) -> None:
    # so that one word is likelier than two
    monkeypatch.setattr("vivavoce.omni.engine.transcriber.WORD_BONUS", -5.0)
    transcriber = Transcriber(make_language(1), FIRST_WORD)
    # one step may be 3 or 4; the next is surely the one that was not given out, which then was one long word
    first = log_softmax(np.array([-9.0, -99, -99, 6.0, 5.9, -99]))
    hearing = transcriber.hear(transcriber.begin(), first, 1e-9)
    assert [word.idx for word in hearing.waiting] == list(hearing.ids)
    (given,) = hearing.ids
    other = 7 - given
    surely = np.full(NUM_ROWS, -30.0)
    surely[other] = 0.0
    hearing = transcriber.hear(hearing, surely, 1e-9)
    assert hearing.waiting[0].idx == given
    assert transcriber.read(hearing)[0] == (other,)


def test_where_nothing_more_will_come_all_is_decided() -> None:
    transcriber = Transcriber(make_language(1), FIRST_WORD)
    hearing = transcriber.begin()
    unsure = log_softmax(np.array([0, -99, -99, 6.0, 6.0, -99]))
    for _ in range(5):
        hearing = transcriber.hear(hearing, unsure, SURE_NATS)
    assert not hearing.waiting
    expected = transcriber.hear(hearing, unsure, SURE_NATS).ids
    assert expected
    hearing = transcriber.hear(hearing, unsure, AT_ONCE_NATS)
    assert tuple(word.idx for word in hearing.waiting) == expected == hearing.unread
    assert not hearing.ids


def test_an_utterance_without_end_is_cut() -> None:
    transcriber = Transcriber(make_language(1), FIRST_WORD)
    hearing = transcriber.begin()
    for step in spell([3, 4] * 100, sure=30.0):
        hearing = transcriber.hear(hearing, step)
        assert len(hearing.ids) < _LONGEST_WORDS
    assert [word.idx for word in hearing.waiting[: 3 * _LONGEST_WORDS]] == [3, 4] * (3 * _LONGEST_WORDS // 2)


def test_a_muted_microphone_ends_what_was_said() -> None:
    transcriber = Transcriber(make_language(1), FIRST_WORD)
    hearing = transcriber.hear(transcriber.begin(), spell([4])[0])
    for _ in range(4):
        hearing = transcriber.hear(hearing, None)
    assert [word.idx for word in hearing.waiting] == [4]
    assert hearing.hypotheses == transcriber.begin().hypotheses


def test_a_step_makes_a_new_value_and_leaves_the_old_one() -> None:
    transcriber = Transcriber(make_language(2), FIRST_WORD)
    said = log_softmax(np.random.default_rng(7).normal(0, 2, (12, NUM_ROWS)), axis=1)
    middle = transcriber.begin()
    for step in said[:6]:
        middle = transcriber.hear(middle, step)
    assert write(transcriber, said[6:], middle) == write(transcriber, said[6:], middle)
    assert write(transcriber, said[6:], middle) == write(transcriber, said)


def test_the_language_model_word_by_word_is_the_scribes_whole() -> None:
    torch.manual_seed(0)
    model = OmniForConversation(make_tiny())
    torch.nn.init.normal_(model.scribe.bias)
    language, ids = LanguageModel(find_language(model), ends=(60,)), [33, 50, 41, 41, 60]
    memory = language.start
    with torch.no_grad():
        whole = model.scribe.expect(torch.tensor([[START_ROW, *ids]]))[0].numpy()
    for idx, expected in zip(ids, whole):
        np.testing.assert_allclose(memory.expected, expected, atol=1e-5)
        memory = language.push(memory, idx)
    assert memory is language.start


def test_expectations_learn_a_language_whose_entropy_is_known() -> None:
    torch.manual_seed(0)
    scribe, generator = Scribe(40, 8, 16), np.random.default_rng(0)
    optimizer = torch.optim.Adam(scribe.parameters(), 0.01)
    # after 35 comes 36 or 37, as likely; after either, 35
    made = [[35, int(generator.integers(36, 38)), 35] for _ in range(64)]
    for _ in range(150):
        loss = expectation_loss(scribe, made)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    share = np.mean([one[1] == 36 for one in made])
    entropy = -(share * np.log(share) + (1 - share) * np.log(1 - share)) / 3
    assert loss.item() == pytest.approx(entropy, abs=0.01)
    assert expectation_loss(scribe, []).item() == 0


@pytest.mark.parametrize("seed", range(6))
def test_a_whole_utterance_is_searched_for_the_best_of_all_words(seed: int, monkeypatch) -> None:
    monkeypatch.setattr("vivavoce.omni.engine.transcriber._HEARD_AT_LEAST", -1e9)
    transcriber = Transcriber(make_language(seed), FIRST_WORD)
    said = log_softmax(np.random.default_rng(seed).normal(0, 2, (5, NUM_ROWS)), axis=1)
    assert transcriber.search(said, 10_000)[0].ids == find_best(transcriber.language, said)


class SecondPass:
    """Hears one word, 5, in any utterance, and remembers their sounds."""

    def __init__(self) -> None:
        self.sounds: list[np.ndarray] = []

    def __call__(self, mel: np.ndarray) -> HeardAgain:
        self.sounds.append(mel)
        return HeardAgain(spell([5], sure=1.0), spell([0, 5, 0], sure=30.0))


def hear(
    transcriber: Transcriber, words: list[int], first: int, hearing: Hearing, far_nats: float = SOON_NATS
) -> Hearing:
    """Steps that say `words`, surely; the mel of step n is n all over."""
    for number, step in enumerate(spell(words, sure=30.0), first):
        hearing = transcriber.hear(hearing, step, far_nats, np.full((8, 80), number, np.float32))
    return hearing


def test_what_is_read_is_what_the_second_pass_makes_of_the_whole_utterance() -> None:
    again = SecondPass()
    transcriber = Transcriber(make_language(1), FIRST_WORD, again)
    hearing = hear(transcriber, [0] * 20 + [3, 4], 0, transcriber.begin())
    ids, hearing = transcriber.read(hearing)
    assert ids == (5,)
    # the second before the first word, and what was said
    assert again.sounds[0][:, 0, 0].tolist() == list(range(9, 22))
    # what is given out is the ear's, and goes on
    hearing = hear(transcriber, [0] * 4, 22, hearing)
    assert [word.idx for word in hearing.waiting] == [3, 4]
    # the end of it was heard once more, and holds nothing new
    assert len(again.sounds) == 2
    assert transcriber.read(hearing)[0] == ()
    # the next utterance is another
    ids, _ = transcriber.read(hear(transcriber, [4], 26, hearing))
    assert ids == (5,)
    assert again.sounds[2][-1, 0, 0] == 26


def test_a_transcript_that_was_not_given_out_is_the_second_passs() -> None:
    transcriber = Transcriber(make_language(1), FIRST_WORD, SecondPass())
    hearing = hear(transcriber, [3, 4], 0, transcriber.begin(), SURE_NATS)
    assert not hearing.waiting
    hearing = hear(transcriber, [0], 2, hearing, AT_ONCE_NATS)
    assert [word.idx for word in hearing.waiting] == [5]


def test_who_was_not_heard_is_not_heard_again() -> None:
    again = SecondPass()
    transcriber = Transcriber(make_language(1), FIRST_WORD, again)
    hearing = hear(transcriber, [0] * 30, 0, transcriber.begin())
    assert transcriber.read(hearing)[0] == ()
    assert not again.sounds


def test_of_a_long_utterance_the_ears_words_stay() -> None:
    again = SecondPass()
    transcriber = Transcriber(make_language(1), FIRST_WORD, again)
    said = [3, 0] * ((_LONGEST_STEPS - 11) // 2)
    # eleven steps of quiet before the first word belong to it
    hearing = hear(transcriber, [0] * 20 + said + [0], 0, transcriber.begin())
    assert len(hearing.sound) == _LONGEST_STEPS
    assert transcriber.read(hearing)[0] == (5,)
    hearing = hear(transcriber, [4], 90, hearing)
    ids, _ = transcriber.read(hearing)
    assert ids == hearing.ids[-MAX_NOTE_TOKENS:]
    assert set(ids) == {3, 4}
    assert len(again.sounds) == 1


def test_an_utterance_is_told_in_the_end_once_its_words_are_given_out() -> None:
    transcriber = Transcriber(make_language(1), FIRST_WORD, SecondPass())
    hearing = hear(transcriber, [3, 4, 0, 0, 0], 0, transcriber.begin())
    given, told = [], []
    for _ in range(4):
        word, ended, hearing = hearing.give_out()
        given.append(word and word.idx)
        told.append(ended)
        # the utterance ends while its first word is out and its second is not
        hearing = hear(transcriber, [0], 5, hearing)
    assert given == [3, 4, None, None]
    assert told == [[], [(5,)], [], []]
    # of words that were given out before the utterance was over, once it is
    hearing = hear(transcriber, [4, 4, 4], 9, hearing, 1e-9)
    while hearing.waiting:
        _, ended, hearing = hearing.give_out()
        assert not ended
    hearing = hear(transcriber, [0, 0, 0], 12, hearing)
    assert hearing.give_out()[1] == []
    hearing = hear(transcriber, [0], 15, hearing)
    assert hearing.give_out()[:2] == (None, [(5,)])
