"""What an example says is what its row teaches, at the right step."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vivavoce.content import Audio, Conversation, Image, assistant, user
from vivavoce.data.answers import Answer
from vivavoce.data.curriculum import iterate_examples
from vivavoce.data.example import (
    PRESET_VOICE,
    Example,
    Insert,
    OwnSpan,
    Sound,
    Speech,
    Timeline,
    Typed,
    UserSpan,
    unrendered,
)
from vivavoce.errors import DataError
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.layout import (
    TEXT_WEIGHT,
    TURN_EVENT_WEIGHT,
    TURN_WAITING_WEIGHT,
    RowWriter,
    place_transcript,
    weigh_spoken,
)
from vivavoce.omni.steps import CLOCK, SPEAK, STOP, TOKEN, Steps
from vivavoce.omni.training.noise import change_length, draw_voice_change
from vivavoce.omni.training.rows import MAX_LATE_STEPS, TRIM_MARGIN_S, WRITTEN_STEPS, Misheard, RowMaker
from vivavoce.omni.vocabulary import Vocabulary, train_vocabulary

ASKED = Speech("how many balls", "any-train-0")
SAID = Speech("three", PRESET_VOICE)
PICTURE = Image(np.full((64, 64, 3), 90, np.uint8))


class ToneSounds:
    """Half a second for each word of the user, five frames a word for the model; no noise."""

    def user_mel(self, what) -> np.ndarray:
        num_words = len(what.text.split()) if isinstance(what, Speech) else 2
        return np.ones((50 * num_words, 80), np.float32)

    def token_ends(self, what) -> np.ndarray | None:
        return None

    def misheard(self, what) -> Misheard | None:
        return None

    def own_codes(self, speech: Speech) -> np.ndarray:
        num_frames = 5 * len(speech.text.split())
        return np.arange(num_frames * 4).reshape(num_frames, 4) % 12

    def own_word_starts(self, speech: Speech) -> None:
        return None


class GreyPictures:
    def encode(self, image: Image) -> np.ndarray:
        return np.arange(64) % 20


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return train_vocabulary(["how many balls", "three", "stop"] * 30, num_text_ids=320, num_image_codes=20)


@pytest.fixture(scope="module")
def maker(vocabulary: Vocabulary) -> RowMaker:
    return RowMaker(RowWriter(vocabulary, make_tiny()), ToneSounds(), GreyPictures())


def make_example(inputs: str, outputs: str, *parts, answer, speeches=(), timeline=None) -> Example:
    messages = Conversation((user(*parts), assistant(*answer)))
    given, wanted = frozenset(inputs.split("+")), frozenset(outputs.split("+"))
    right = Answer("words", "three")
    return Example("e", "count", "train", given, wanted, messages, right, tuple(speeches), timeline)


def make(maker: RowMaker, example: Example) -> Steps:
    return maker.make(example, np.random.default_rng(0))


def words_of(steps: Steps, vocabulary: Vocabulary) -> list[str]:
    from vivavoce.omni.vocabulary import CONTROL_TOKENS

    ids = steps.ids[steps.kinds == TOKEN]
    return [CONTROL_TOKENS[idx] if idx < len(CONTROL_TOKENS) else "*" for idx in ids]


def test_a_typed_question_is_answered_by_a_message_that_is_learned(maker: RowMaker, vocabulary: Vocabulary) -> None:
    steps = make(maker, make_example("text", "text", "how many balls", answer=["three"]))
    assert words_of(steps, vocabulary)[:3] == ["<bos>", "<out_text>", "<user>"]
    start = words_of(steps, vocabulary).index("<assistant>")
    wanted = [*vocabulary.encode("three"), vocabulary.id_of("<end>")]
    assert steps.targets[start : start + len(wanted)].tolist() == wanted
    assert (steps.target_weights[start : start + len(wanted)] == 1).all()


def test_a_recording_is_heard_with_its_words_and_never_answered_in(maker: RowMaker, vocabulary: Vocabulary) -> None:
    recording = Audio(np.zeros(8000, np.float32), 16_000, "how many balls")
    steps = make(maker, make_example("audio", "text", recording, answer=["three"]))
    assert steps.heard[steps.heard > 0].tolist() == vocabulary.encode("how many balls")
    assert steps.ids[steps.noted].tolist() == vocabulary.frame_note(
        vocabulary.encode("how many balls"), is_spoken=False
    )
    # without a transcript it is a sound like any other
    unknown = make(maker, make_example("audio", "text", replace(recording, transcript=None), answer=["three"]))
    assert not (unknown.heard > 0).any()
    with pytest.raises(DataError, match="e answers in a recording; the model speaks in its own voice only"):
        make(maker, make_example("audio", "audio", recording, answer=[recording]))


class EarlySounds(ToneSounds):
    """An ear that says all words at once."""

    def token_ends(self, what) -> np.ndarray | None:
        return np.full(len(what.text.split()) + what.text.endswith("?"), 8)


@pytest.mark.parametrize("sounds", [ToneSounds(), EarlySounds()])
def test_a_spoken_answer_starts_with_the_first_whole_frame_after_the_users_end_that_has_his_words(
    maker: RowMaker, vocabulary: Vocabulary, sounds: ToneSounds
) -> None:
    maker = replace(maker, sounds=sounds)
    asked = Speech("how many balls?", "any-train-0")
    timeline = Timeline((UserSpan("speech", asked, gap_s=0.0), OwnSpan(SAID, onset_frames=1)))
    example = make_example("audio", "audio", unrendered(asked), answer=[unrendered(SAID)], timeline=timeline)
    for seed in range(5):
        steps = maker.make(example, np.random.default_rng(seed))
        generator = np.random.default_rng(seed)
        generator.random()  # whether it may draw
        said_s = change_length(150, draw_voice_change(generator)) / 100
        lead_s = float(generator.uniform(0.0, 0.4))
        end_frame = int((lead_s + said_s - TRIM_MARGIN_S) / 0.08)
        last_word, mark = np.flatnonzero(steps.heard)[-2:].tolist()
        assert mark > last_word
        assert (last_word > end_frame + 1) == (not isinstance(sounds, EarlySounds))
        start = max(end_frame + 1, last_word)
        assert np.flatnonzero(steps.turn == SPEAK).tolist() == [start]
        assert np.flatnonzero(steps.turn == STOP).tolist() == [start + 5]
        assert (steps.turn_weights > 0).all()
        codes = steps.codes[start : start + 5]
        assert (codes == ToneSounds().own_codes(SAID)).all()
        assert (steps.code_weights > 0).sum() == 5
        said = vocabulary.encode("three")
        assert steps.text[start : start + len(said)].tolist() == said
        assert (steps.text > 0).sum() == len(said)
        assert steps.heard[steps.heard > 0].tolist() == vocabulary.encode("how many balls?")


class MishearingSounds(ToneSounds):
    """An ear that makes two other tokens of whatever is said, over after 80 and 160 ms."""

    def misheard(self, what) -> Misheard | None:
        return Misheard(np.array([50, 51]), np.array([7, 15]))


def test_what_was_misheard_is_read_in_place_of_what_was_said_and_answered_as_that(
    maker: RowMaker, vocabulary: Vocabulary
) -> None:
    asked = Speech("how many balls?", "any-train-0")
    timeline = Timeline((UserSpan("speech", asked, gap_s=0.0), OwnSpan(SAID, onset_frames=1)))
    example = make_example("audio", "audio", unrendered(asked), answer=[unrendered(SAID)], timeline=timeline)
    maker = replace(maker, sounds=MishearingSounds())
    told, misheard = (
        replace(maker, misheard_share=share).make(example, np.random.default_rng(3)) for share in (0.0, 1.0)
    )
    assert told.heard[told.heard > 0].tolist() == vocabulary.encode("how many balls?")
    assert misheard.heard[misheard.heard > 0].tolist() == [50, 51]
    assert np.diff(np.flatnonzero(misheard.heard)).tolist() == [1]
    assert misheard.ids[misheard.noted].tolist() == vocabulary.frame_note([50, 51], is_spoken=True)
    assert misheard.text[misheard.text > 0].tolist() == vocabulary.encode("three")


def test_who_takes_the_turn_reads_first_what_was_heard_since_the_last(maker: RowMaker, vocabulary: Vocabulary) -> None:
    timeline = Timeline(
        (
            UserSpan("speech", ASKED, gap_s=0.0),
            OwnSpan(SAID),
            UserSpan("speech", Speech("stop", "any-train-0"), gap_s=0.8),
            OwnSpan(SAID),
            OwnSpan(SAID),
        )
    )
    example = make_example("audio", "audio", unrendered(ASKED), answer=[unrendered(SAID)], timeline=timeline)
    steps = make(maker, example)
    clocks = np.flatnonzero(steps.kinds == CLOCK)
    first, second, third = np.flatnonzero(steps.turn == SPEAK)
    for step, words in ((first, "how many balls"), (second, "stop")):
        note = [vocabulary.id_of("<user>"), *vocabulary.encode(words), *map(vocabulary.id_of, ("<end>", "<live>"))]
        place = clocks[step] + 1
        assert steps.ids[place : place + len(note)].tolist() == note
        assert (steps.kinds[place : place + len(note)] == TOKEN).all()
        assert np.isin(np.arange(place, place + len(note)), steps.noted).all()
        # its own first word and codes are said from the note's end, those of all other steps from the step
        assert steps.said_from[step] == place + len(note) - 1
        assert not steps.target_weights[place : place + len(note)].any()
    others = np.setdiff1d(np.arange(len(clocks)), (first, second))
    assert (steps.said_from[others] == clocks[others]).all()
    assert third in others


def test_a_turn_that_comes_late_is_learned_and_the_wait_before_it_is_not(maker: RowMaker) -> None:
    timeline = Timeline((UserSpan("speech", ASKED, gap_s=0.0), OwnSpan(SAID)))
    example = make_example("audio", "audio", unrendered(ASKED), answer=[unrendered(SAID)], timeline=timeline)
    maker = replace(maker, sounds=EarlySounds())
    late = replace(maker, late_share=1.0)
    waits = []
    for seed in range(20):
        steps = late.make(example, np.random.default_rng(seed))
        (start,) = np.flatnonzero(steps.turn == SPEAK)
        assert steps.turn_weights[start] == TURN_EVENT_WEIGHT
        excused = np.flatnonzero(steps.turn_weights == 0)
        waits.append(len(excused))
        np.testing.assert_array_equal(excused, np.arange(start - len(excused), start))
        assert (steps.turn_weights[: start - len(excused)] == TURN_WAITING_WEIGHT).all()
    assert 1 <= min(waits) < max(waits) <= MAX_LATE_STEPS
    assert (make(maker, example).turn_weights > 0).all()


def test_the_model_falls_silent_when_it_is_interrupted(maker: RowMaker) -> None:
    long = Speech("three three three three three", PRESET_VOICE)
    timeline = Timeline(
        (
            UserSpan("speech", ASKED, gap_s=0.0),
            OwnSpan(long, stop_frames=3),
            UserSpan("speech", Speech("stop", "any-train-0"), gap_s=0.6, anchor="own_start"),
        )
    )
    example = make_example("audio", "audio", unrendered(ASKED), answer=[unrendered(long)], timeline=timeline)
    steps = make(maker, example)
    (start,), (stop,) = np.flatnonzero(steps.turn == SPEAK), np.flatnonzero(steps.turn == STOP)
    # 0.6 s into the reply and three frames later: 10.5 frames after its start, in whole steps
    assert stop - start in (10, 11, 12)
    assert (steps.code_weights[stop:] == 0).all()


def test_a_turn_taken_by_mistake_is_not_learned_but_its_end_is(maker: RowMaker) -> None:
    long = Speech("three three three three three", PRESET_VOICE)
    timeline = Timeline(
        (
            UserSpan("speech", Speech("stop", "any-train-0"), gap_s=0.0),
            OwnSpan(long, is_mistake=True),
            UserSpan("speech", ASKED, gap_s=0.4, anchor="own_start"),
            OwnSpan(SAID),
        )
    )
    example = make_example("audio", "audio", unrendered(ASKED), answer=[unrendered(SAID)], timeline=timeline)
    steps = make(maker, example)
    (wrong, right), (stop, _) = np.flatnonzero(steps.turn == SPEAK), np.flatnonzero(steps.turn == STOP)
    assert steps.turn_weights[[wrong, stop, right]].tolist() == [0.0, TURN_EVENT_WEIGHT, TURN_EVENT_WEIGHT]
    assert not steps.text_weights[wrong:stop].any()
    assert not steps.code_weights[wrong:stop].any()
    assert (steps.codes[wrong:stop] < maker.writer.config.num_codes_per_book).all()
    assert steps.code_weights[right] == 1.0


@pytest.mark.parametrize("asked", [("text", "how many balls", ()), ("audio", unrendered(ASKED), (ASKED,))])
def test_a_picture_that_comes_alone_is_captioned_first(maker: RowMaker, vocabulary: Vocabulary, asked) -> None:
    inputs, part, speeches = asked
    example = make_example(inputs, "image", part, answer=[PICTURE], speeches=speeches)
    steps = make(maker, replace(example, caption="three"))
    (begin,) = np.flatnonzero(steps.ids == vocabulary.id_of("<assistant>"))
    words = vocabulary.encode("three")
    opened = [*words, vocabulary.id_of("<imgout>")]
    assert steps.ids[begin + 1 :][: len(opened)].tolist() == opened
    assert steps.targets[begin:][: len(opened)].tolist() == opened
    assert (steps.target_weights[begin:][: len(opened)] == TEXT_WEIGHT).all()


def test_a_drawing_follows_the_step_that_ends_the_speech(maker: RowMaker, vocabulary: Vocabulary) -> None:
    example = make_example(
        "audio", "audio+image", unrendered(ASKED), answer=[unrendered(SAID), PICTURE], speeches=[ASKED, SAID]
    )
    steps = make(maker, example)
    (stop,) = np.flatnonzero(steps.turn == STOP)
    assert steps.text[stop] == vocabulary.id_of("<imgout>")
    place = np.flatnonzero(steps.kinds == CLOCK)[stop]
    drawn = steps.ids[place + 1 : place + 67].tolist()
    codes = [320 + idx % 20 for idx in range(64)]
    assert drawn == [vocabulary.id_of("<imgout>"), *codes, vocabulary.id_of("</imgout>")]
    assert steps.targets[place + 1 : place + 65].tolist() == codes


def test_what_was_heard_and_shown_is_answered_in_text_after_the_transcript(
    maker: RowMaker, vocabulary: Vocabulary
) -> None:
    example = make_example("audio+image", "text", PICTURE, unrendered(ASKED), answer=["three"], speeches=[ASKED])
    steps = make(maker, example)
    words = words_of(steps, vocabulary)
    assert words[:6] == ["<bos>", "<out_text>", "<user>", "<img>", "</img>", "<end>"]
    assert len(steps.patches) == 1
    assert steps.turn[-1] == SPEAK
    written = np.flatnonzero(steps.heard)
    assert len(written) == len(vocabulary.encode("how many balls"))
    # words may come late, and the answer waits for them
    assert len(steps.heard) - 1 - written[-1] >= WRITTEN_STEPS
    assert words[-1] == "<end>"


def test_a_picture_that_arrives_while_the_clock_runs_stands_between_its_steps(maker: RowMaker) -> None:
    timeline = Timeline(
        (Insert(PICTURE, 0.4, "start"), UserSpan("speech", ASKED, gap_s=0.2), OwnSpan(SAID)),
    )
    example = make_example(
        "audio+image", "audio", PICTURE, unrendered(ASKED), answer=[unrendered(SAID)], timeline=timeline
    )
    steps = make(maker, example)
    first = int(np.flatnonzero(steps.kinds == 1)[0])
    clocks_before = int((steps.kinds[:first] == CLOCK).sum())
    assert 5 <= clocks_before <= 10


def test_a_typed_message_stands_between_the_steps_and_the_clock_goes_on(
    maker: RowMaker, vocabulary: Vocabulary
) -> None:
    typed = user(PICTURE, "how many balls")
    timeline = Timeline((Typed(typed, 0.2), OwnSpan(SAID), Typed(user("stop"), 0.3), OwnSpan(SAID)))
    example = make_example("text", "audio", PICTURE, "how many balls", answer=[unrendered(SAID)], timeline=timeline)
    steps = make(maker, example)
    words = words_of(steps, vocabulary)
    assert words[:3] == ["<bos>", "<out_audio>", "<live>"]
    assert words[3:6] == ["<user>", "<img>", "</img>"]
    assert words.count("<live>") == 3
    assert len(steps.patches) == 1
    assert steps.is_muted.all()
    # both are answered in the step or two after the message
    speaks = np.flatnonzero(steps.turn == SPEAK)
    ends = np.flatnonzero((steps.ids == vocabulary.id_of("<live>")) & (steps.kinds == TOKEN))[1:]
    clocks_before = [int((steps.kinds[:place] == CLOCK).sum()) for place in ends]
    assert [0 <= speak - before <= 2 for speak, before in zip(speaks, clocks_before)] == [True, True]


def test_a_talk_goes_on_after_a_drawing(maker: RowMaker, vocabulary: Vocabulary) -> None:
    timeline = Timeline(
        (Typed(user("how"), 0.2), OwnSpan(SAID, drawn=(PICTURE,)), Typed(user("stop"), 0.3), OwnSpan(SAID))
    )
    example = make_example("text", "audio+image", "how", answer=[unrendered(SAID), PICTURE], timeline=timeline)
    steps = make(maker, example)
    stops = np.flatnonzero(steps.turn == STOP)
    assert steps.text[stops].tolist() == [vocabulary.id_of("<imgout>"), 0]
    clocks = np.flatnonzero(steps.kinds == CLOCK)
    place = clocks[stops[0]] + 1
    assert steps.ids[place] == vocabulary.id_of("<imgout>")
    assert (steps.ids == vocabulary.id_of("<imgout>")).sum() == 1
    assert clocks[stops[0] + 1] == place + 66


def test_where_nobody_speaks_a_talk_that_may_be_answered_aloud_stays_silent(
    maker: RowMaker, vocabulary: Vocabulary
) -> None:
    noise = UserSpan("noise", Sound("hiss", duration_s=2.0), gap_s=0.1, is_held=True)
    example = Example(
        "e", "live_nobody", "train", frozenset({"audio"}), frozenset(), Conversation((user("x"),)), Answer("words"),
        timeline=Timeline((noise,)),
    )  # fmt: skip
    steps = make(maker, replace(example, messages=Conversation((user(unrendered(ASKED)),))))
    assert words_of(steps, vocabulary)[:2] == ["<bos>", "<out_audio>"]
    assert not steps.turn.any()
    assert (steps.turn_weights > 0).all()
    assert vocabulary.id_of("<assistant>") not in steps.ids[steps.kinds == TOKEN]


def test_transcript_tokens_spread_over_what_is_voiced() -> None:
    loudness = np.array([0.0] * 40 + [1.0] * 40 + [0.0] * 80 + [1.0] * 40)
    assert place_transcript(loudness, [1.0] * 4, first_frame=0, delay_steps=4) == [
        59 // 8 + 4,
        79 // 8 + 4,
        179 // 8 + 4,
        199 // 8 + 4,
    ]


def test_a_token_takes_its_share_of_the_sound() -> None:
    loudness = np.array([1.0] * 80)
    weights = [weigh_spoken(piece) for piece in ("three", " r", "ed", ",", " 7")]
    assert weights == [5.1, 1.1, 2.1, 0.1, 3.6]
    assert place_transcript(loudness, weights, first_frame=8, delay_steps=0) == [
        (8 + end - 1) // 8 for end in (34, 42, 56, 56, 80)
    ]


def test_what_does_not_fit_is_refused(maker: RowMaker, tmp_path: Path) -> None:
    crowded = Speech("x" * 80, PRESET_VOICE)
    example = make_example("text", "audio", "hm", answer=[unrendered(crowded)], speeches=[crowded])
    with pytest.raises(DataError, match="80 text tokens in 5 steps"):
        make(maker, example)
    endless = Speech("how " * 100, "any-train-0")
    with pytest.raises(DataError, match="at most 512 are trained on"):
        make(maker, make_example("audio", "text", unrendered(endless), answer=["three"], speeches=[endless]))


def test_all_answers_about_one_picture_are_learned(maker: RowMaker, vocabulary: Vocabulary) -> None:
    examples = iterate_examples("train", 5, {"looking": 1.0})
    example = next(one for one in examples if len(one.messages.messages) == 8)
    steps = make(maker, example)
    replies = [turn.text for turn in example.messages.messages[1::2]]
    learned = [*map(int, steps.targets[steps.target_weights == TEXT_WEIGHT])]
    end = vocabulary.id_of("<end>")
    assert learned == [idx for reply in replies for idx in (*vocabulary.encode(reply), end)]
