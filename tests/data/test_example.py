"""The data contract: schedules of live talk, places of speech, checked answers."""

import numpy as np
import pytest

from vivavoce.content import Audio, Conversation, Image, Text, assistant, user
from vivavoce.data.answers import Answer, normalise_words
from vivavoce.data.example import (
    PRESET_VOICE,
    Example,
    Insert,
    OwnSpan,
    Speech,
    Timeline,
    UserSpan,
    any_voice,
    fill_speech,
    list_texts,
    unrendered,
)
from vivavoce.spoken import say_number

ASK = Speech("what colour is it?", any_voice("train"), seed=1)
REPLY = Speech("it is red.", PRESET_VOICE)


def make_example() -> Example:
    return Example(
        "x",
        "qa",
        "train",
        frozenset({"audio"}),
        frozenset({"audio"}),
        Conversation((user(unrendered(ASK)), assistant(unrendered(REPLY)))),
        Answer("keys", "it is red.", keys=(("red",),), rivals=("blue",)),
        (ASK, REPLY),
    )


def test_reply_starts_on_the_stated_frame_after_the_true_end_of_the_users_speech():
    timeline = Timeline((UserSpan("speech", ASK, gap_s=0.4), OwnSpan(REPLY, onset_frames=2)))
    said, reply = timeline.schedule(lambda speech: 1.0)
    assert (said.start_s, said.end_s) == (0.4, 1.4)
    assert reply.start_s == pytest.approx(1.4 + 0.16)
    assert not reply.is_cut


def test_barge_in_cuts_the_own_span_and_a_backchannel_does_not():
    for kind, is_cut in (("speech", True), ("backchannel", False)):
        over = UserSpan(kind, ASK, gap_s=0.5, anchor="own_start")
        timeline = Timeline((UserSpan("speech", ASK, gap_s=0.0), OwnSpan(REPLY, onset_frames=1), over))
        _, reply, second = timeline.schedule(lambda speech: 2.0)
        assert second.start_s == pytest.approx(reply.start_s + 0.5)
        assert reply.is_cut == is_cut
        assert reply.end_s == pytest.approx(second.start_s + 0.24 if is_cut else reply.start_s + 2.0)


def test_reply_after_a_backchannel_waits_for_the_longer_of_both():
    over = UserSpan("speech", ASK, gap_s=0.5, anchor="own_start")
    timeline = Timeline((UserSpan("speech", ASK, gap_s=0.0), OwnSpan(REPLY), over, OwnSpan(REPLY, onset_frames=1)))
    *_, second, last = timeline.schedule(lambda speech: 2.0)
    assert last.start_s == pytest.approx(second.end_s + 0.08)


def test_reply_to_a_film_without_words_waits_for_its_last_frame():
    frame = Image(np.zeros((4, 4, 3), np.uint8))
    frames = tuple(Insert(frame, 0.5 * order, is_frame=True) for order in range(4))
    *_, reply = Timeline((*frames, OwnSpan(REPLY, onset_frames=1))).schedule(lambda speech: 1.0)
    assert reply.start_s == pytest.approx(1.5 + 0.08)


def test_rendered_speech_goes_to_its_place_in_order():
    example = make_example()
    sounds = [Audio(np.full(4, value, np.float32), rate) for value, rate in ((0.1, 16_000), (0.2, 24_000))]
    filled = fill_speech(example, sounds)
    parts = [message.parts[0] for message in filled.messages]
    assert [part.transcript for part in parts] == ["what colour is it?", "it is red."]
    assert [float(part.samples[0]) for part in parts] == pytest.approx([0.1, 0.2])


def test_renderings_and_places_must_match_in_number():
    with pytest.raises(ValueError, match="0 renderings for 2 speeches"):
        fill_speech(make_example(), [])


def test_texts_hold_transcripts_of_what_is_yet_to_be_rendered():
    assert list_texts(make_example()) == ["what colour is it?", "it is red."]
    plain = Example(
        "y", "qa", "train", frozenset({"text"}), frozenset({"text"}), Conversation((user(Text("hi")),)), Answer("words")
    )
    assert list_texts(plain) == ["hi"]


@pytest.mark.parametrize(
    ("said", "is_right"),
    [
        ("It's red!", True),
        ("red", True),
        ("It is blue.", False),
        ("it is red and blue", False),
        ("a coloured thing", False),
        ("i can't say red", False),
    ],
)
def test_key_answers_need_every_key_and_no_rival(said: str, is_right: bool):
    assert make_example().answer.check(said) == is_right


def test_numbers_count_in_digits_and_in_words():
    answer = Answer("keys", "three balls", keys=(("three",), ("ball", "balls")))
    assert answer.check("There are 3 balls.")
    assert not answer.check("There are 13 balls.")


def test_wording_is_compared_without_case_punctuation_and_spelling():
    assert Answer("words", "the grey cat, number 42.").check("The gray cat number forty two")
    assert not Answer("words", "the grey cat").check("the grey cats")


def test_declining_is_found_and_must_not_name_anyone():
    answer = Answer("decline", "i can't name people.", rivals=("it is anna",))
    assert answer.check("Sorry, I can't tell who that is.")
    assert not answer.check("I can't be sure, but it is Anna.")
    assert not answer.check("That is a dog.")


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "zero"), (13, "thirteen"), (42, "forty two"), (105, "one hundred five"), (2000, "two thousand")],
)
def test_numbers_in_words(value: int, words: str):
    assert say_number(value) == words
    assert normalise_words(str(value)) == words.split()


def test_a_picture_answer_has_no_text_to_check():
    with pytest.raises(ValueError, match="no text to check"):
        Answer("picture").check("a ball")
