"""The live engine: alone or in company, stepped or not, taken back and gone on, it stays the same conversation."""

import numpy as np
import pytest

from tests.omni.engine.models import make_checkpoint
from vivavoce.content import Audio, Conversation, Image, Message, Text, Video, assistant, system, user
from vivavoce.errors import DataError
from vivavoce.omni.engine.backend import ClockScores
from vivavoce.omni.engine.duplex import OmniEngine
from vivavoce.omni.engine.loading import make_engine
from vivavoce.omni.engine.rules import IMGOUT, SpeechLimits
from vivavoce.omni.engine.sampling import Sampling
from vivavoce.omni.engine_protocol import AnswerRequest, SlotInput, SlotOutput

CHECKPOINT = make_checkpoint()
_GENERATOR = np.random.default_rng(0)
FRAMES = [_GENERATOR.normal(scale=0.1, size=1280).astype(np.float32) for _ in range(64)]
PICTURE = Image(_GENERATOR.integers(0, 255, size=(64, 64, 3)).astype(np.uint8))


@pytest.fixture
def engine() -> OmniEngine:
    return make_engine(CHECKPOINT, 3, backend="torch")


def given(idx: int, **changes) -> SlotInput:
    force = {4: "speak", 12: "stop"}.get(idx)
    return SlotInput(**{"user_pcm": FRAMES[idx], "may_speak": False, "force": force, **changes})


def talk(engine: OmniEngine, slot: int, frames: range) -> list[SlotOutput]:
    return [engine.step({slot: given(idx)})[slot] for idx in frames]


def assert_equal(left: list[SlotOutput], right: list[SlotOutput], atol: float = 0.0) -> None:
    assert [(o.frame_idx, o.event, o.own_text, o.user_text) for o in left] == [
        (o.frame_idx, o.event, o.own_text, o.user_text) for o in right
    ]
    for a, b in zip(left, right):
        assert (a.pcm is None) == (b.pcm is None)
        if a.pcm is not None and b.pcm is not None:
            np.testing.assert_allclose(a.pcm, b.pcm, atol=atol, rtol=0)


def test_equal_seeds_and_inputs_give_equal_outputs(engine: OmniEngine) -> None:
    engine.open_slot(0, "be kind", seed=5)
    engine.open_slot(1, "be kind", seed=5)
    assert_equal(talk(engine, 0, range(16)), talk(engine, 1, range(16)))


def test_slots_stepped_together_are_as_alone_and_a_masked_one_does_not_change(engine: OmniEngine) -> None:
    engine.open_slot(0, "be kind", seed=5)
    alone = talk(engine, 0, range(16))
    engine.close_slot(0)
    engine.open_slot(0, "be kind", seed=5)
    engine.open_slot(1, seed=7)
    engine.open_slot(2, seed=8)
    together = []
    for idx in range(16):
        if idx % 3 == 0:
            untouched = engine.generation.state(0)
            cached = engine.generation._slots[0].cache.view(0, untouched.window.length).copy()
            engine.step({1: given(idx), 2: given(idx + 20)})
            assert engine.generation.state(0) is untouched
            np.testing.assert_array_equal(engine.generation._slots[0].cache.view(0, untouched.window.length), cached)
        together.append(engine.step({0: given(idx), 2: given(idx + 30)})[0])
    assert_equal(alone, together, atol=1e-4)


def test_it_sounds_from_speak_until_stop(engine: OmniEngine) -> None:
    engine.open_slot(0)
    outputs = talk(engine, 0, range(16))
    events = {output.frame_idx: output.event for output in outputs if output.event}
    assert events[4] == "speak"
    stop = next(frame for frame, event in events.items() if event == "stop")
    for output in outputs[: stop + 1]:
        assert (output.pcm is not None) == (4 <= output.frame_idx < stop)
    assert all(output.pcm is None or output.pcm.shape == (1920,) for output in outputs)


def test_a_picture_asked_for_on_the_step_that_stops_is_drawn_and_can_be_taken_back(engine: OmniEngine) -> None:
    score = engine.generation.backend.score_clock

    def want_a_picture(hidden: np.ndarray) -> ClockScores:
        scores = score(hidden)
        scores.text[:, IMGOUT] = 1e6
        return scores

    engine.generation.backend.score_clock = want_a_picture  # type: ignore[method-assign]
    engine.open_slot(0, seed=3)
    opened = engine.generation.state(0).window.length
    first = talk(engine, 0, range(4))
    before = engine.generation.state(0).window.length
    first += talk(engine, 0, range(4, 5))
    num_noted = engine.generation.state(0).window.length - before - 1
    first += talk(engine, 0, range(5, 16))
    (drawn,) = [output for output in first if output.images]
    assert drawn.event == "stop"
    assert drawn.token_steps == 66
    # <live>, the clock steps, what was read of what was heard and the drawing are what the conversation holds
    assert engine.generation.state(0).window.length == opened + 1 + 16 + num_noted + 66
    engine.rewind(0, drawn.frame_idx)
    again = talk(engine, 0, range(drawn.frame_idx, 16))
    assert again[0].images == drawn.images
    assert_equal(first[drawn.frame_idx :], again)


def test_going_back_and_on_is_as_if_nothing_had_been(engine: OmniEngine) -> None:
    engine.open_slot(0, seed=3)
    first = talk(engine, 0, range(20))
    engine.rewind(0, 7)
    engine.step({0: SlotInput(None, (user("hello you"),), may_speak=False)})
    engine.rewind(0, 7)
    assert_equal(first[7:], talk(engine, 0, range(7, 20)))


def test_going_back_past_a_slide_of_the_window_is_exact() -> None:
    engine = make_engine(CHECKPOINT, 1, backend="torch", sampling=Sampling(max_tries=1))
    engine.generation.context_steps = 40
    engine.open_slot(0, "be kind", seed=3)
    first = talk(engine, 0, range(60))
    assert engine.generation.state(0).window.start > 0
    engine.rewind(0, 18)
    assert_equal(first[18:], talk(engine, 0, range(18, 60)))


def test_a_long_talk_forgets_the_oldest_but_keeps_the_opening_in_sight() -> None:
    engine = make_engine(CHECKPOINT, 1, backend="torch", sampling=Sampling(max_tries=1))
    engine.generation.context_steps = 40
    engine.open_slot(0, "be kind")
    for idx in range(200):
        engine.step({0: given(idx % 50)})
        window = engine.generation.state(0).window
        assert window.num_seen <= 40
        assert window.opening > 3
    assert engine.generation.state(0).window.length > 200


def test_a_frame_that_lies_ahead_or_was_forgotten_is_refused(engine: OmniEngine) -> None:
    engine.open_slot(0)
    talk(engine, 0, range(3))
    engine.rewind(0, 3)
    with pytest.raises(DataError, match="clock step 4 of slot 0 can't be returned to; allowed: 0 to 3"):
        engine.rewind(0, 4)


def test_a_muted_microphone_is_not_silence_and_hears_nothing(engine: OmniEngine) -> None:
    engine.open_slot(0)
    engine.open_slot(1)
    silence = np.zeros(1280, np.float32)
    for _ in range(4):
        out = engine.step({0: SlotInput(None), 1: SlotInput(silence)})
        assert out[0].user_text == ""
    muted, silent = engine.generation.state(0).hidden, engine.generation.state(1).hidden
    assert muted is not None
    assert silent is not None
    assert not np.allclose(muted, silent)


def test_inserts_are_read_before_the_clock_step(engine: OmniEngine) -> None:
    engine.open_slot(0)
    first = engine.step({0: SlotInput(FRAMES[0])})[0]
    assert first.token_steps == 1
    film = Video(np.stack([PICTURE.pixels] * 3), 2.0)
    out = engine.step({0: SlotInput(FRAMES[1], (user(PICTURE), user(film), assistant("hello"), system("be brief")))})[0]
    assert out.token_steps > 64 + 3 * 16
    sound = Audio(FRAMES[2], 16_000)
    heard = engine.step({0: SlotInput(FRAMES[2], (user(sound),))})[0]
    assert heard.token_steps >= 6
    pieces = list(engine.read(0, (user(sound),)))
    # the same in pieces
    assert sum(piece.heard_steps for piece in pieces) == heard.heard_steps > 0
    assert sum(piece.token_steps for piece in pieces) == heard.token_steps


def test_an_insert_longer_than_the_context_is_refused_and_changes_nothing(engine: OmniEngine) -> None:
    engine.open_slot(0, seed=1)
    talk(engine, 0, range(3))
    before = engine.generation.state(0)
    with pytest.raises(DataError, match=r"input is \d+ steps long; at most \d+ fit in the context of 512"):
        engine.step({0: given(3, inserts=(user("hello", "how " * 600),))})
    assert engine.generation.state(0) is before


def test_wrong_use_of_slots_is_named(engine: OmniEngine) -> None:
    with pytest.raises(DataError, match="slot 9 does not exist; there are 3"):
        engine.open_slot(9)
    with pytest.raises(DataError, match="slot 1 is closed"):
        engine.step({1: SlotInput()})
    engine.open_slot(1)
    with pytest.raises(DataError, match="slot 1 is open"):
        engine.open_slot(1)
    with pytest.raises(DataError, match=r"audio frame is float32 \[12\]; need float32 \[1280\]"):
        engine.step({1: SlotInput(np.zeros(12, np.float32))})


SPOKEN = Audio(np.sin(np.arange(16_000) / 5).astype(np.float32) * 0.3, 16_000)
FILM = Video(np.stack([PICTURE.pixels] * 4), 2.0, SPOKEN)
INPUTS = {
    "text": user("draw a red star"),
    "audio": user(SPOKEN),
    "image": user(PICTURE),
    "video": user(FILM),
    "audio+image": user(PICTURE, SPOKEN),
    "text+image": user(PICTURE, "what is it"),
}


@pytest.mark.parametrize("inputs", INPUTS)
@pytest.mark.parametrize("outputs", ["text", "audio", "image", "text+audio", "audio+image"])
def test_any_mix_is_answered_in_any_mix(engine: OmniEngine, inputs: str, outputs: str) -> None:
    wanted = frozenset(outputs.split("+"))
    engine.generation.limits = SpeechLimits(max_steps=6)
    request = AnswerRequest(conversation=Conversation((INPUTS[inputs],)), outputs=wanted, max_tokens=12)  # type: ignore[arg-type]
    deltas = list(engine.answer(request))
    sounded = sum(len(delta.pcm) for delta in deltas if delta.pcm is not None)
    assert sounded % 1920 == 0
    assert (sounded > 0) == ("audio" in wanted)
    drawn = [delta.image for delta in deltas if delta.image is not None]
    assert len(drawn) >= (wanted == {"image"})
    assert not drawn or "image" in wanted
    assert sum(delta.prompt_steps for delta in deltas) > 0
    assert all(delta.token_steps <= 64 for delta in deltas)
    assert not engine.generation._slots


def test_an_answer_that_is_dropped_leaves_nothing_behind(engine: OmniEngine) -> None:
    deltas = engine.answer(
        AnswerRequest(conversation=Conversation((user("hello"),)), outputs=frozenset({"text", "audio"}))
    )
    next(deltas)
    next(deltas)
    deltas.close()
    assert not engine.generation._slots


def test_answers_between_live_steps_leave_the_live_slot_as_it_was(engine: OmniEngine) -> None:
    engine.open_slot(0, seed=2)
    alone = talk(engine, 0, range(12))
    engine.rewind(0, 0)
    deltas = engine.answer(
        AnswerRequest(conversation=Conversation((user("hello"),)), outputs=frozenset({"text", "audio"}), max_tokens=4)
    )
    mixed = []
    for idx in range(12):
        next(deltas, None)
        mixed += talk(engine, 0, range(idx, idx + 1))
    assert_equal(alone, mixed)


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (AnswerRequest(conversation=Conversation()), "conversation must end with a user message"),
        (
            AnswerRequest(conversation=Conversation((user("hi"), assistant("hi")))),
            "conversation must end with a user message",
        ),
        (AnswerRequest(conversation=Conversation((user(),))), "the last message is empty"),
        (AnswerRequest(conversation=Conversation((user("hi"),)), task="transcribe"), "nothing to transcribe"),
        (
            AnswerRequest(conversation=Conversation((user(PICTURE),)), task="draw", outputs=frozenset({"image"})),
            "nothing to draw",
        ),
        (
            AnswerRequest(
                conversation=Conversation((user("hi"), Message("system", (Text("x"),)))),
            ),
            "system message stands after",
        ),
        (
            AnswerRequest(conversation=Conversation((user("hi"),)), outputs=frozenset()),
            "give one or more of text, audio, image",
        ),
    ],
)
def test_what_cannot_be_answered_is_refused_at_once(engine: OmniEngine, request_: AnswerRequest, message: str) -> None:
    with pytest.raises(DataError, match=message):
        engine.answer(request_)


def in_pieces(engine: OmniEngine, pieces, other: int, outputs: list[SlotOutput]) -> list:
    """Drive `pieces`, with a clock step of slot `other` after each."""
    made = []
    for delta in pieces:
        made.append(delta)
        outputs.append(engine.step({other: given(len(outputs) % 16, force=None)})[other])
    return made


def draw_on_stop(engine: OmniEngine) -> None:
    """Let every utterance be followed by a drawing."""
    score = engine.generation.backend.score_clock

    def want_a_picture(hidden: np.ndarray) -> ClockScores:
        scores = score(hidden)
        scores.text[:, IMGOUT] = 1e6
        return scores

    engine.generation.backend.score_clock = want_a_picture  # type: ignore[method-assign]


def test_a_drawing_in_pieces_is_the_drawing_and_others_hear_no_difference(engine: OmniEngine) -> None:
    draw_on_stop(engine)
    engine.open_slot(0, seed=5)
    at_once = talk(engine, 0, range(16))
    engine.open_slot(1, seed=7)
    alone = [engine.step({1: given(idx, force=None)})[1] for idx in range(12)]
    engine.close_slot(0)
    engine.close_slot(1)
    engine.open_slot(0, seed=5)
    engine.open_slot(1, seed=7)
    engine.draws_apart, apart, beside = True, [], []
    for idx in range(16):
        apart.append(engine.step({0: given(idx)})[0])
        if engine.is_drawing(0):
            pieces = in_pieces(engine, engine.draw(0), 1, beside)
            assert sum(delta.token_steps for delta in pieces) == 66
            assert max(delta.token_steps for delta in pieces) <= 4
            (image,) = [delta.image for delta in pieces if delta.image is not None]
            assert image == next(output.images[0] for output in at_once if output.images)
    assert_equal(apart, at_once)
    assert_equal(beside[:12], alone)


def test_a_drawing_that_is_dropped_was_never_begun(engine: OmniEngine) -> None:
    draw_on_stop(engine)
    engine.draws_apart = True
    engine.open_slot(0, seed=5)
    next(idx for idx in range(16) if talk(engine, 0, range(idx, idx + 1)) and engine.is_drawing(0))
    before = engine.generation.state(0)
    pieces = engine.draw(0)
    next(pieces)
    pieces.close()
    assert engine.generation.state(0).window == before.window
    assert not engine.is_drawing(0)
    talk(engine, 0, range(3))


def test_reading_in_pieces_is_reading_at_once_and_can_be_taken_back(engine: OmniEngine) -> None:
    messages = (
        Message("user", (PICTURE, Text("what is it?"))),
        Message("user", (Audio(np.concatenate(FRAMES[:5]), 16_000),)),
    )
    engine.open_slot(0, "be kind", seed=5)
    talk(engine, 0, range(2))
    at_once = [engine.step({0: given(2, inserts=messages)})[0], *talk(engine, 0, range(3, 16))]
    pieces = list(engine.open_in_pieces(1, "be kind", 5))
    assert pieces
    talk(engine, 1, range(2))
    for _ in range(2):
        count = sum(delta.token_steps for delta in engine.read(1, messages))
        first = engine.step({1: given(2)})[1]
        assert count + first.token_steps == at_once[0].token_steps
        assert_equal([first, *talk(engine, 1, range(3, 16))], at_once)
        engine.rewind(1, 2)
    reading = engine.read(1, messages)
    next(reading)
    reading.close()
    first = engine.step({1: given(2, inserts=messages)})[1]
    assert_equal([first, *talk(engine, 1, range(3, 16))], at_once)


def test_what_an_answer_read_is_counted_with_the_piece_that_read_it(engine: OmniEngine) -> None:
    request = AnswerRequest(conversation=Conversation((user("draw a red star"),)), max_tokens=4)
    for delta in engine.answer(request):
        assert 0 <= delta.prompt_steps <= delta.token_steps
