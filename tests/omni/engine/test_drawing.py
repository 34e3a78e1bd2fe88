"""Drawing, looking at it, and drawing again."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.omni.engine.models import make_checkpoint
from vivavoce.content import Conversation, Image, Message, Text, user
from vivavoce.data.items import load_table
from vivavoce.omni.answer import OmniModel, answer
from vivavoce.omni.engine.drawing import ACCEPTED_LOG_PROB, QUESTION, Drawer
from vivavoce.omni.engine.duplex import OmniEngine
from vivavoce.omni.engine.generation import finish
from vivavoce.omni.engine.loading import make_engine
from vivavoce.omni.engine.sampling import Sampling
from vivavoce.omni.engine.transcriber import Hearing
from vivavoce.omni.engine.work import Feed, Look, Mark, Outcome, Return, SlotState, Token
from vivavoce.omni.steps import TOKEN

CHECKPOINT = make_checkpoint()
SURE, UNSURE = ACCEPTED_LOG_PROB + 0.01, ACCEPTED_LOG_PROB - 0.01
SAMPLING = Sampling(image_temperature=0.0, redraw_temperature=0.7, max_tries=3)


@pytest.fixture
def engine() -> OmniEngine:
    return make_engine(CHECKPOINT, backend="torch")


def drive(engine: OmniEngine, words: str, verdicts: Sequence[float], sampling: Sampling = SAMPLING, *, painter=True):
    """Draw on a stand-in for the network: try n is all code n, and is found as likely as `verdicts` say."""
    first = engine.writer.config.num_text_ids
    marked = SlotState(engine.generation.backend.make_ear(), (0, 0), Hearing(()))
    script = Drawer(engine.writer, engine.painter if painter else None, sampling).draw(words)
    works, outcome, left = [], None, list(verdicts)
    while True:
        try:
            work = script.send(outcome)
        except StopIteration as done:
            return works, done.value
        works.append(work)
        looks = sum(isinstance(one, Look) for one in works)
        if isinstance(work, Token):
            only = work.allowed.only
            outcome = Outcome(token=first + looks if only is None else only)
        elif isinstance(work, Look):
            outcome = Outcome(log_prob=left.pop(0))
        else:
            outcome = Outcome(state=marked)


def test_a_drawing_that_is_recognised_stays(engine: OmniEngine) -> None:
    works, codes = drive(engine, "here is a red star.", [SURE])
    assert codes.tolist() == [0] * 64
    assert [type(work) for work in works] == [Mark, *[Token] * 65, Look]


def test_one_that_is_not_is_drawn_again_with_chance(engine: OmniEngine) -> None:
    works, codes = drive(engine, "here is a red star.", [UNSURE, SURE])
    assert codes.tolist() == [1] * 64
    assert [type(work) for work in works] == [Mark, *[Token] * 65, Look, Return, *[Token] * 65, Look]
    assert [work.temperature for work in works if isinstance(work, Token)] == [0.0] * 65 + [0.7] * 65


def test_of_tries_that_all_fail_the_likeliest_is_what_the_conversation_holds(engine: OmniEngine) -> None:
    works, codes = drive(engine, "here is a red star.", [-5.0, -2.0, -9.0])
    assert codes.tolist() == [1] * 64
    *_, back, given = works
    assert isinstance(back, Return)
    assert isinstance(given, Feed)
    vocabulary = engine.writer.vocabulary
    assert list(given.row.ids) == [vocabulary.image_id(1)] * 64 + [vocabulary.id_of("</imgout>")]
    works, codes = drive(engine, "here is a red star.", [-5.0, -4.0, -3.0])
    assert codes.tolist() == [2] * 64
    assert isinstance(works[-1], Look)


@pytest.mark.parametrize(
    ("words", "painter", "sampling"), [("", True, SAMPLING), ("a star", False, SAMPLING), ("a star", True, replace(SAMPLING, max_tries=1))]
)  # fmt: skip
def test_without_words_eyes_or_tries_the_first_stays(
    engine: OmniEngine, words: str, painter: bool, sampling: Sampling
) -> None:
    works, _ = drive(engine, words, [], sampling, painter=painter)
    assert [type(work) for work in works] == [Mark, *[Token] * 65]


def test_what_is_looked_at_is_the_drawing_and_what_is_asked_what_it_is(engine: OmniEngine) -> None:
    assert QUESTION in load_table("phrasings")["drawn"]["ask"]
    works, codes = drive(engine, " hello you", [SURE])
    writer, vocabulary = engine.writer, engine.writer.vocabulary
    row = writer.begin(outputs=frozenset({"text"}))
    assert engine.painter is not None
    writer.write_message(row, Message("user", (engine.painter.paint(codes), Text(QUESTION))))
    row.token(vocabulary.id_of("<assistant>"))
    assert isinstance(works[-1], Look)
    assert works[-1].row.ids == row.ids
    np.testing.assert_array_equal(works[-1].row.patches[0], row.patches[0])
    assert list(works[-1].ids) == [*vocabulary.encode("hello you"), vocabulary.id_of("<end>")]


def make_row(engine: OmniEngine, text: str):
    row = engine.writer.begin(outputs=frozenset({"text"}))
    engine.writer.write_message(row, user(text))
    return row


def test_a_look_is_as_likely_as_the_network_says_and_changes_nothing(engine: OmniEngine) -> None:
    generation = engine.generation
    generation.open(0)
    generation.feed(0, Feed(make_row(engine, "draw a red star")))
    before = generation.state(0)
    row, ids = make_row(engine, "how many"), tuple(engine.writer.vocabulary.encode("one two"))
    seen = finish(generation.take_alone(0, Look(row, ids)))
    assert generation.state(0) is before
    assert list(generation._slots) == [0]
    whole = make_row(engine, "how many")
    whole.tokens(ids)
    assert set(whole.kinds) == {TOKEN}
    with torch.no_grad():
        logits = CHECKPOINT.model(input_ids=torch.tensor([whole.ids])).logits
    likely = logits[0].float().log_softmax(-1)
    places = range(len(row) - 1, len(whole) - 1)
    expected = sum(float(likely[place, idx]) for place, idx in zip(places, ids))
    assert seen.log_prob == pytest.approx(expected, abs=2e-3)


def test_after_a_return_all_is_as_it_was_but_chance(engine: OmniEngine) -> None:
    generation = engine.generation
    generation.open(0, seed=1)
    generation.feed(0, Feed(make_row(engine, "draw a red star")))
    marked = finish(generation.take_alone(0, Mark())).state
    assert marked is not None
    rules_work = Drawer(engine.writer, None, SAMPLING)
    first = [generation.advance({0: Token(next_token(rules_work), 1.0)})[0].token for _ in range(8)]
    finish(generation.take_alone(0, Return(marked)))
    state = generation.state(0)
    assert (state.window, state.draws) == (marked.window, 8)
    np.testing.assert_array_equal(state.hidden, marked.hidden)
    second = [generation.advance({0: Token(next_token(rules_work), 1.0)})[0].token for _ in range(8)]
    assert first != second


def next_token(drawer: Drawer):
    script = drawer.draw("")
    script.send(None)
    work = script.send(Outcome(state=SlotState((), (0, 0), Hearing(()))))
    assert isinstance(work, Token)
    return work.allowed


def test_words_before_a_picture_that_was_asked_for_alone_are_not_shown(engine: OmniEngine) -> None:
    said = answer(OmniModel(engine, "tiny"), Conversation((user("draw a red star"),)), outputs={"image"})
    assert [type(part) for part in said.parts] == [Image]
