"""The rules alone: whatever is chosen, a row is well-formed. No network."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.errors import DataError
from vivavoce.omni.engine.rules import (
    CLOSE_IMGOUT,
    END,
    IMGOUT,
    PAD,
    Allowed,
    MessageRules,
    MessageState,
    SpeechLimits,
    TurnState,
    allowed_text,
    check_message,
)
from vivavoce.omni.engine.sampling import choose, choose_event, gumbel
from vivavoce.omni.engine.transcript import TextStream
from vivavoce.omni.steps import SPEAK, STAY, STOP

RULES = MessageRules(num_text_ids=64, num_image_codes=8, may_draw=True)
DRAWING = [IMGOUT, *([64] * 64), CLOSE_IMGOUT]


def test_silent_it_may_stay_or_speak_and_speaking_stay_or_stop() -> None:
    assert TurnState().allowed_events() == (STAY, SPEAK)
    assert TurnState(True, 1, 1).allowed_events() == (STAY, STOP)


def test_the_gate_masks_speak_and_force_beats_the_gate() -> None:
    assert TurnState().allowed_events(may_speak=False) == (STAY,)
    assert TurnState().allowed_events(may_speak=False, force="speak") == (SPEAK,)
    assert TurnState(True, 1, 1).allowed_events(force="stop") == (STOP,)


def test_forcing_what_is_so_already_does_nothing() -> None:
    assert TurnState(True, 1, 1).allowed_events(force="speak") == (STAY, STOP)
    assert TurnState().allowed_events(force="stop") == (STAY, SPEAK)


def test_a_gate_that_closes_while_it_speaks_does_not_stop_it() -> None:
    assert STAY in TurnState(True, 3, 1).allowed_events(may_speak=False)


def test_speech_that_has_said_its_words_and_goes_on_too_long_must_stop() -> None:
    limits = SpeechLimits(steps_per_word_token=2, slack_steps=3, max_steps=100)
    assert TurnState(True, 6, 2).allowed_events(limits=limits) == (STAY, STOP)
    assert TurnState(True, 7, 2).allowed_events(limits=limits) == (STOP,)
    assert TurnState(True, 100, 90).allowed_events(limits=limits) == (STOP,)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.sampled_from([None, "speak", "stop"])), max_size=80))
def test_any_talk_alternates_speak_and_stop_within_the_limits(choices) -> None:
    limits = SpeechLimits(steps_per_word_token=1, slack_steps=4, max_steps=20)
    state, events, run = TurnState(), [], 0
    for number, may_speak, force in choices:
        allowed = state.allowed_events(may_speak=may_speak, force=force, limits=limits)
        event = allowed[number % len(allowed)]
        words = allowed_text(state, event, may_draw=True, num_text_ids=64)
        state = state.advance(event, (*words.ids, words.last - 1)[number % (len(words.ids) + (words.last > 0))])
        events += [event] if event != STAY else []
        run = run + 1 if state.is_speaking else 0
        assert run <= 20
    assert events == [SPEAK, STOP] * (len(events) // 2) + [SPEAK] * (len(events) % 2)


def test_impossible_events_are_refused() -> None:
    with pytest.raises(DataError, match="<stop> while silent"):
        TurnState().advance(STOP, PAD)
    with pytest.raises(DataError, match="<speak> while speaking"):
        TurnState(True, 1, 0).advance(SPEAK, PAD)


def test_words_come_only_while_speaking_and_imgout_only_on_the_step_that_stops() -> None:
    silent, speaking = TurnState(), TurnState(True, 1, 1)
    assert allowed_text(silent, STAY, may_draw=True, num_text_ids=64) == Allowed((PAD,))
    assert 40 in allowed_text(silent, SPEAK, may_draw=True, num_text_ids=64)
    assert PAD not in allowed_text(silent, SPEAK, may_draw=True, num_text_ids=64)
    assert IMGOUT not in allowed_text(speaking, STAY, may_draw=True, num_text_ids=64)
    assert allowed_text(speaking, STOP, may_draw=True, num_text_ids=64) == Allowed((PAD, IMGOUT))
    assert allowed_text(speaking, STOP, may_draw=False, num_text_ids=64) == Allowed((PAD,))


def test_control_tokens_can_not_be_written_or_heard() -> None:
    words = MessageState().allowed(RULES)
    assert [idx for idx in range(32) if idx in words] == [END, IMGOUT]


def test_a_message_of_words_and_drawings_is_well_formed() -> None:
    state = check_message([40, 41, *DRAWING, *DRAWING, END], RULES)
    assert (state.place, state.word_tokens, state.drawings) == ("done", 2, 2)


@pytest.mark.parametrize(
    ("ids", "place"),
    [([40, CLOSE_IMGOUT], 1), ([IMGOUT, 40], 1), ([*DRAWING[:-2], CLOSE_IMGOUT], 64), ([*DRAWING, 40], 66), ([64], 0)],
)
def test_a_message_that_is_not_well_formed_is_named_by_place(ids: list[int], place: int) -> None:
    with pytest.raises(DataError, match=f"at place {place} may not follow"):
        check_message(ids, RULES)


@given(st.lists(st.integers(0, 10_000), min_size=600, max_size=600), st.booleans(), st.booleans())
def test_any_choices_end_in_a_well_formed_message(choices, may_draw, must_draw) -> None:
    rules = MessageRules(num_text_ids=64, num_image_codes=8, may_draw=may_draw, must_draw=must_draw, max_tokens=20)
    state, ids = MessageState(), []
    for number in choices:
        allowed = state.allowed(rules)
        options = [*allowed.ids, *range(allowed.first, allowed.last)]
        ids.append(options[number % len(options)])
        state = state.advance(ids[-1])
        if state.place == "done":
            break
    assert state.place == "done"
    assert check_message(ids, rules).word_tokens <= 20
    assert state.drawings >= must_draw


def test_a_choice_is_the_likeliest_of_those_allowed() -> None:
    logits = np.arange(100, dtype=np.float32)
    assert choose(logits, Allowed((3, 7))) == 7
    assert choose(logits, Allowed((3, 7), 40, 50)) == 49
    assert choose(logits, Allowed((99,), 40, 50)) == 99
    assert choose_event(np.array([0.0, 1.0, 5.0]), (STAY, SPEAK), {}) == SPEAK
    assert choose_event(np.array([0.0, 1.0, 5.0]), (STAY, SPEAK), {SPEAK: -2.0}) == STAY


def test_sampling_is_seeded_by_draw_and_leaves_out_the_unlikely() -> None:
    logits = np.array([0.0, 0.1, -8.0, 0.05], np.float32)
    allowed = Allowed((), 0, 4)
    drawn = [choose(logits, allowed, temperature=1.0, min_prob_share=0.05, seed=4, draw=n) for n in range(300)]
    again = [choose(logits, allowed, temperature=1.0, min_prob_share=0.05, seed=4, draw=n) for n in range(300)]
    assert drawn == again
    assert set(drawn) == {0, 1, 3}
    assert not np.array_equal(gumbel(4, 0, (8,)), gumbel(4, 1, (8,)))
    assert not np.array_equal(gumbel(4, 0, (8,)), gumbel(5, 0, (8,)))


class Bytes:
    def decode(self, ids: list[int]) -> str:
        return bytes(ids).decode(errors="replace")


def test_characters_come_whole_and_once() -> None:
    text = "blåbær 🐟 — " * 12
    stream, out = TextStream(), []
    for byte in text.encode():
        stream, delta = stream.push(byte, Bytes())
        assert "\ufffd" not in delta
        out.append(delta)
    assert "".join(out) == text
    assert len(stream.ids) <= 50
