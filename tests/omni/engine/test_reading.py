"""Speaking with care: how likely a sound says a text, and saying again what is not heard."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, product

import numpy as np
import pytest
import torch

from tests.omni.engine.models import make_checkpoint
from vivavoce.content import Audio, Conversation, user
from vivavoce.omni.answer import OmniModel, answer_requests
from vivavoce.omni.engine.answering import Answering
from vivavoce.omni.engine.duplex import OmniEngine
from vivavoce.omni.engine.generation import finish
from vivavoce.omni.engine.loading import make_engine
from vivavoce.omni.engine.reading import ACCEPTED_LOG_PROB, MAX_WORDS
from vivavoce.omni.engine.sampling import Sampling
from vivavoce.omni.engine.transcriber import FIRST_WEIGHT, Hearing, score_transcripts
from vivavoce.omni.engine.work import Clock, Feed, Listen, Mark, Outcome, Return, SlotState
from vivavoce.omni.engine_protocol import AnswerRequest
from vivavoce.omni.steps import SPEAK, STOP
from vivavoce.omni.vocabulary import BLANK

CHECKPOINT = make_checkpoint()
SAMPLING = Sampling(code_temperature=0.2, reread_temperature=0.9, max_readings=3)
SURE, UNSURE = ACCEPTED_LOG_PROB + 0.01, ACCEPTED_LOG_PROB - 0.01
TEXT = "how many"
READ = AnswerRequest(conversation=Conversation((user(TEXT),)), outputs=frozenset({"audio"}), task="read")


@pytest.fixture(scope="module")
def engine() -> OmniEngine:
    return make_engine(CHECKPOINT, backend="torch")


def drive(
    engine: OmniEngine,
    verdicts: Sequence[float],
    request: AnswerRequest = READ,
    sampling: Sampling = SAMPLING,
    words: str = "one two",
):
    """Speak on a stand-in for the network: try n says `words` in four frames of code n, and is found as likely as `verdicts` say."""
    marked = SlotState(engine.generation.backend.make_ear(), (0, 0, 0, 0), Hearing(()))
    answering = Answering(request, engine.writer, sampling, engine.painter, engine.voice)
    script, works, outcome, num_spoken = answering.run(), [], None, 0
    left = list(verdicts)
    while True:
        try:
            work = script.send(outcome)
        except StopIteration:
            return works, [piece.codes[0] for piece in answering.pieces if piece.codes is not None]
        works.append(work)
        listens = sum(isinstance(one, Listen) for one in works)
        if isinstance(work, Listen):
            outcome = Outcome(log_prob=left.pop(0) * len(work.ids))
        elif isinstance(work, Clock):
            num_spoken = 1 if work.force == "speak" else num_spoken + 1 if num_spoken else 0
            event = SPEAK if num_spoken == 1 else STOP if num_spoken == 5 else 0
            is_voiced = 0 < num_spoken < 5
            codes = np.full(4, listens) if is_voiced else None
            outcome = Outcome(event=event, codes=codes, own_text=words if num_spoken == 1 else "")
        else:
            outcome = Outcome(state=marked)


def test_a_reading_that_is_heard_as_the_text_stays(engine: OmniEngine) -> None:
    works, codes = drive(engine, [SURE])
    assert codes == [0] * 4
    assert sum(isinstance(work, Listen) for work in works) == 1
    assert not any(isinstance(work, Return) for work in works)


def test_one_that_is_not_is_read_again_from_where_it_began_with_more_chance(engine: OmniEngine) -> None:
    works, codes = drive(engine, [UNSURE, SURE])
    assert codes == [1] * 4
    kinds = [kind for kind, _ in groupby(map(type, works))]
    # once for each step before the turn is taken
    assert kinds == [Feed, *[Mark, Clock] * 4, Listen, Return, Clock, Listen]
    back = next(place for place, work in enumerate(works) if isinstance(work, Return))
    spoken = [work for work in works if isinstance(work, Clock)]
    assert isinstance(works[back + 1], Clock)
    assert works[back + 1].force == "speak"
    assert {work.code_temperature for work in spoken[:-5]} == {None}
    assert [work.code_temperature for work in spoken[-5:]] == [0.9] * 5


def test_of_readings_that_all_fail_the_likeliest_is_given(engine: OmniEngine) -> None:
    assert drive(engine, [-3.0, -1.0, -2.0])[1] == [1] * 4
    assert drive(engine, [-1.0, -2.0, -3.0])[1] == [0] * 4


def test_an_answer_is_listened_to_as_the_words_it_says(engine: OmniEngine) -> None:
    answer = replace(READ, task="answer")
    works, codes = drive(engine, [UNSURE, SURE], answer, words=" Two Three ")
    assert codes == [1] * 4
    expected = tuple(engine.writer.vocabulary.encode("two three"))
    assert [work.ids for work in works if isinstance(work, Listen)] == [expected] * 2
    for words in ("", "one " * (MAX_WORDS + 1)):
        works, codes = drive(engine, [], answer, words=words)
        assert codes == [0] * 4
        assert not any(isinstance(work, Listen | Return) for work in works)


@pytest.mark.parametrize(
    ("request_", "sampling"),
    [
        (replace(READ, is_streamed=True), SAMPLING),
        (replace(READ, task="answer", outputs=frozenset({"audio", "image"})), SAMPLING),
        (replace(READ, conversation=Conversation((user("one " * (MAX_WORDS + 1)),))), SAMPLING),
        (READ, replace(SAMPLING, max_readings=1)),
    ],
)
def test_what_is_streamed_or_long_or_comes_with_a_picture_is_said_once(
    engine: OmniEngine, request_: AnswerRequest, sampling: Sampling
) -> None:
    works, codes = drive(engine, [], request_, sampling)
    assert codes == [0] * 4
    assert {type(work) for work in works} == {Feed, Clock}


def test_what_is_listened_to_is_the_sound_and_the_text_in_small_letters(engine: OmniEngine) -> None:
    works, _ = drive(engine, [SURE], replace(READ, conversation=Conversation((user(" How Many "),))))
    listen = next(work for work in works if isinstance(work, Listen))
    assert list(listen.ids) == engine.writer.vocabulary.encode("how many")
    assert listen.mel.shape == (4 + 5, 8, 80)


def test_a_sound_says_a_text_by_all_its_paths() -> None:
    said = np.log(np.random.default_rng(0).dirichlet(np.ones(4), size=5))
    transcripts = ((1, 2), (3, 3), (2,), (), (1, 2, 3, 1, 2, 3))
    for ids, found in zip(transcripts, score_transcripts(said, transcripts)):
        paths = [
            sum(said[step, row] for step, row in enumerate(path))
            for path in product(range(4), repeat=5)
            if tuple(row for row, _ in groupby(path) if row != BLANK) == ids
        ]
        expected = np.logaddexp.reduce(paths) if paths else -np.inf
        assert found == pytest.approx(expected, abs=1e-9) or (not paths and found < -1e6)


def test_an_ear_apart_hears_what_the_network_hears_and_changes_nothing(engine: OmniEngine) -> None:
    generation, model = engine.generation, CHECKPOINT.model
    generation.open(0)
    generation.feed(0, Feed(engine.writer.begin(outputs=frozenset({"audio"}))))
    before = generation.state(0)
    mel = np.random.default_rng(1).normal(size=(40, 8, 80)).astype(np.float32)
    ids = tuple(engine.writer.vocabulary.encode(TEXT))
    heard = finish(generation.take_alone(0, Listen(mel, ids)))
    assert generation.state(0) is before
    with torch.no_grad():
        both = model.hear_again(torch.from_numpy(mel).flatten(0, 1)[None])
        first, second = (
            torch.nn.functional.ctc_loss(
                said.transpose(0, 1),
                torch.tensor([ids]),
                torch.tensor([said.shape[1]]),
                torch.tensor([len(ids)]),
                reduction="sum",
            )
            for said in both
        )
        loss = FIRST_WEIGHT * first + (1 - FIRST_WEIGHT) * second
    assert heard.log_prob == pytest.approx(-float(loss), rel=1e-4)


def test_a_text_is_read_by_the_whole_engine_with_and_without_an_ear(engine: OmniEngine) -> None:
    model = OmniModel(engine, "tiny")
    engine.generation.limits = type(engine.generation.limits)(max_steps=6)
    once, checked = (
        answer_requests(model, [replace(READ, is_streamed=is_streamed)])[0].parts_of(Audio)[0]
        for is_streamed in (True, False)
    )
    for sound in (once, checked):
        assert len(sound.samples) > 0
        assert len(sound.samples) % 1920 == 0
