"""The curriculum: exact answers, splits that share nothing, one seed one world, every cell of the matrix."""

import re
from itertools import islice, pairwise

import numpy as np
import pytest

from vivavoce.content import Audio, Image, Text, Video
from vivavoce.data.curriculum import (
    DEFAULT_MIX,
    GROUPS,
    INPUTS,
    OUTPUTS,
    iterate_cell,
    iterate_examples,
    iterate_task,
    make_example,
)
from vivavoce.data.drawing import COLOURS, draw_film, draw_scene, load_glyphs, sample_style
from vivavoce.data.example import MUMBLED_VOICE, PRESET_VOICE, find_modalities, is_unrendered, list_texts
from vivavoce.data.live import LIVE_KINDS, make_live
from vivavoce.data.pools import (
    TASKS,
    iterate_spoken_texts,
    iterate_text_corpus,
    list_items,
    list_reworded,
    list_typed_aloud,
)
from vivavoce.data.reading import MAX_WORDS, iterate_sentences, list_vocabulary
from vivavoce.data.scene import Group, Scene
from vivavoce.data.scenes import FILM_KINDS, SCENE_KINDS, is_held_out, list_written, sample_film, sample_scene
from vivavoce.data.shapes import THINGS, find_pieces
from vivavoce.data.sounds import NOISE_NAMES, SOUND_NAMES, Sound, render_sound
from vivavoce.data.styles import SEED_RANGES
from vivavoce.errors import DataError

SPLITS = ("train", "test")
CELLS = [(given, wanted) for given in INPUTS for wanted in OUTPUTS]


@pytest.fixture(scope="module", params=SPLITS)
def examples(request) -> list:
    return list(islice(iterate_examples(request.param, seed=3), 150))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("task", TASKS)
def test_every_reply_is_right_by_its_own_check(task: str, split: str):
    items = list_items(task, split)
    # every tenth of the large pools is enough: they are made by the same few lines
    wrong = [item for item in items[:: max(1, len(items) // 150)] if not item.answer.check(item.say)]
    assert not wrong


@pytest.mark.parametrize("task", ["name", "count", "colour", "place", "size", "exists", "film_direction", "sound_name"])
def test_another_items_reply_is_wrong_unless_it_says_the_same(task: str):
    items = list_items(task, "train")[:80]
    for item, other in pairwise(items):
        is_same = set(item.answer.keys) == set(other.answer.keys)
        if item.ask == other.ask and not is_same:
            assert not item.answer.check(other.say), (item, other)


@pytest.mark.parametrize("task", ["fact", "talk", "decline", "allow", "draw", "read_aloud", "write_down"])
def test_questions_without_a_picture_are_never_in_both_splits(task: str):
    train, test = ({item.ask or item.say for item in list_items(task, split)} for split in SPLITS)
    assert not train & test


def test_pictures_and_films_never_show_a_pair_of_the_other_split():
    generator = np.random.default_rng(0)
    for split in SPLITS:
        scenes = [sample_scene(kind, split, generator) for kind in SCENE_KINDS for _ in range(60)]
        films = [sample_film(kind, split, generator) for kind in FILM_KINDS for _ in range(30)]
        groups = [group for scene in scenes for group in scene.groups] + [film.group for film in films]
        assert all(is_held_out(group.name, group.colour) == (split == "test") for group in groups)
        assert {group.name for group in groups} == set(THINGS)
        assert {group.colour for group in groups} == set(COLOURS)


def test_what_is_to_be_drawn_in_a_test_is_never_drawn_in_training():
    targets = {split: set() for split in SPLITS}
    for task in ("draw", "copy", "recolour", "recount", "film_last", "film_thing"):
        for split in SPLITS:
            targets[split] |= {item.target for item in list_items(task, split)}
    assert not targets["train"] & targets["test"]


def test_typed_requests_to_draw_are_new_in_training_and_from_the_pool_in_tests():
    for split in SPLITS:
        made = list(islice(iterate_examples(split, 4, {"text -> image": 1.0}), 150))
        scenes = [example.answer.scene for example in made]
        pool = {item.target for item in list_items("draw", split)}
        groups = [group for scene in scenes for group in scene.groups]
        assert all(is_held_out(group.name, group.colour) == (split == "test") for group in groups)
        assert (set(scenes) <= pool) == (split == "test")
        assert len({scene for scene in scenes if len(scene.groups) > 1}) > (30 if split == "train" else 5)


def test_a_mix_may_name_one_kind_of_live_talk():
    assert "live_pause" in GROUPS
    made = list(islice(iterate_examples("train", 4, {"live_pause": 1.0}), 20))
    assert {example.task for example in made} == {"live_pause"}
    with pytest.raises(KeyError, match="shouting"):
        make_example("train", 4, 0, {"live_shouting": 1.0})


def test_style_seeds_of_training_testing_and_judging_do_not_overlap():
    ranges = sorted(SEED_RANGES.values())
    assert all(low_end <= next_start for (_, low_end), (next_start, _) in pairwise(ranges))


def test_one_seed_makes_one_example_wherever_it_is_asked_for():
    walked = list(islice(iterate_examples("train", 5, start=7), 20))
    for offset, example in enumerate(walked):
        again = make_example("train", 5, 7 + offset)
        assert again.example_id == example.example_id
        assert again.messages == example.messages
        assert again.timeline == example.timeline


def test_parts_are_the_modalities_that_an_example_claims(examples):
    for example in examples:
        asked, replied = example.messages.messages[-2:] if example.timeline is None else (None, None)
        if asked is not None:
            assert find_modalities(asked) == example.inputs, example.example_id
            assert find_modalities(replied) == example.outputs, example.example_id


def test_a_picture_that_comes_alone_is_captioned_as_it_would_be_said(examples):
    drawn = [example for example in examples if "image" in example.outputs]
    assert len(drawn) > 20
    for example in drawn:
        said = [getattr(part, "transcript", None) for part in example.messages.messages[-1].parts]
        if example.outputs == {"image"}:
            assert example.caption.startswith(("here is ", "here are "))
            assert example.answer.keys
            assert all(any(form in example.caption for form in forms) for forms in example.answer.keys)
        else:
            assert example.caption == ""
            assert any(text and text.startswith(("here is ", "here are ")) for text in said)


def test_every_unrendered_part_has_its_speech_in_order(examples):
    for example in examples:
        parts = [part for message in example.messages.messages for part in message.parts]
        places = [part.transcript for part in parts if is_unrendered(part)]
        assert places == [speech.text for speech in example.speeches], example.example_id


def test_the_model_speaks_in_its_preset_voice_only(examples):
    for example in examples:
        for message in example.messages.messages:
            said = {part.transcript for part in message.parts if isinstance(part, Audio)}
            voices = {speech.voice for speech in example.speeches if speech.text in said}
            if message.role == "assistant" and said:
                assert PRESET_VOICE in voices


def test_all_speech_of_the_curriculum_is_listed_for_rendering(examples):
    listed = {(spoken.role, spoken.text) for spoken in iterate_spoken_texts(examples[0].split)}
    for example in examples:
        for speech in example.speeches:
            role = "preset" if speech.voice == PRESET_VOICE else "user"
            assert (role, speech.text) in listed, (example.example_id, speech)


@pytest.mark.parametrize(("given", "wanted"), CELLS)
def test_every_cell_of_the_matrix_has_examples_with_a_checkable_answer(given: str, wanted: str):
    for example in islice(iterate_cell(given, wanted, "test", 0), 6):
        assert example.cell == f"{given} -> {wanted}"
        if "image" in example.outputs:
            assert example.answer.scene is not None
            image = example.messages.messages[-1].parts_of(Image)[0]
            assert image.pixels.shape == (64, 64, 3)
        if example.outputs != {"image"}:
            reply = example.messages.messages[-1].text
            words = reply if "text" not in example.outputs else example.messages.messages[-1].parts_of(Text)[0].text
            assert example.answer.check(words)


def test_the_mix_reaches_every_cell_and_live_talk():
    names = {f"{given} -> {wanted}" for given, wanted in CELLS}
    assert names <= set(DEFAULT_MIX)
    assert {"reading", "writing", "live"} <= set(DEFAULT_MIX)


def test_a_task_can_be_walked_once_through():
    examples = list(iterate_task("decline", "audio", "audio", "test", 0))
    assert len(examples) == len(list_items("decline", "test"))
    assert len({list_texts(example)[0] for example in examples}) == len(examples)


def test_what_is_mumbled_has_the_wordings_of_typed_questions_and_no_voice():
    asked = {"audio": set(), "text": set(), "image": set()}
    for outputs, words in asked.items():
        for example in islice(iterate_examples("train", 6, {f"mumbled -> {outputs}": 1.0}), 120):
            assert example.outputs == frozenset(outputs.split("+"))
            said = [speech for speech in example.speeches if speech.voice != PRESET_VOICE]
            assert {speech.voice for speech in said} <= {MUMBLED_VOICE}
            words |= {speech.text for speech in said}
    pool = {item.ask for task in ("fact", "talk", "decline", "allow") for item in list_items(task, "train")}
    pool |= {item.ask for item in list_reworded("fact")}
    # a hundred questions, of which most were never recorded
    assert len(asked["audio"] - pool) > len(asked["audio"]) / 2
    assert len(asked["image"]) > 110
    assert not any(
        MUMBLED_VOICE in (one.voice for one in example.speeches)
        for example in islice(iterate_examples("train", 6), 300)
    )


def test_questions_of_fact_are_spoken_in_the_wordings_of_typed_ones():
    typed = {item.ask: item for item in list_typed_aloud("fact")}
    assert all(ask.endswith((".", "?")) for ask in typed)
    for example in islice(iterate_examples("train", 3, {"wordings -> audio": 1.0}), 60):
        said, answer = example.speeches
        assert answer.voice == PRESET_VOICE
        assert said.voice.startswith("any-train-")
        assert typed[said.text].answer.check(answer.text)
    held_out = {item.ask.rstrip(".?") for item in list_items("fact", "test")}
    asked = {
        one.speeches[0].text.rstrip(".?") for one in islice(iterate_examples("test", 3, {"wordings -> text": 1.0}), 60)
    }
    assert asked <= held_out
    assert not held_out & {ask.rstrip(".?") for ask in typed}


@pytest.mark.parametrize("kind", LIVE_KINDS)
def test_live_talk_keeps_its_promises(kind: str):
    for seed in range(12):
        example = make_live("train", np.random.default_rng(seed), "x", kind)
        scheduled = example.timeline.schedule(lambda what: getattr(what, "duration_s", 0) or 2.0)
        own = [item for item in scheduled if type(item.event).__name__ == "OwnSpan"]
        if kind == "nobody":
            assert not own
            assert example.answer.check("")
        elif kind == "barge_in":
            assert own[0].is_cut
        elif kind == "too_soon":
            assert [item.event.is_mistake for item in own] == [True, False]
            assert own[0].is_cut
        elif kind == "backchannel":
            assert not own[0].is_cut
        elif kind == "typed":
            is_asked = [type(item.event).__name__ != "OwnSpan" for item in scheduled]
            assert is_asked == [True, False] * (len(scheduled) // 2)
            assert all(message.text or message.parts for message in example.messages.messages)
        if kind in ("pause", "hesitation"):
            last = max(item.end_s for item in scheduled if getattr(item.event, "is_held", None) is False)
            assert own[0].start_s > last
        starts = [item.start_s for item in scheduled]
        assert starts == sorted(starts)


def test_sentences_are_short_distinct_and_from_a_broad_vocabulary():
    sentences = list(islice(iterate_sentences("train", 0), 3000))
    assert len(set(sentences)) == 3000
    assert max(len(sentence.split()) for sentence in sentences) <= MAX_WORDS
    words = {word for sentence in sentences for word in re.findall(r"[a-z']+", sentence)}
    assert len(words) > 1500
    assert words <= list_vocabulary()


def test_text_corpus_holds_training_texts_only():
    corpus = set(iterate_text_corpus())
    assert not corpus & {item.ask for item in list_items("draw", "test")}


def test_drawing_is_the_same_for_the_same_seed_and_differs_between_seeds():
    scene = Scene((Group("cat", "red", 3),))
    assert draw_scene(scene, 5) == draw_scene(scene, 5)
    assert draw_scene(scene, 5) != draw_scene(scene, 6)


@pytest.mark.parametrize("name", THINGS)
def test_a_thing_is_drawn_in_its_colour_where_it_should_be(name: str):
    for place, (rows, columns) in {"left": (slice(None), slice(0, 32)), "bottom": (slice(32, 64), slice(None))}.items():
        scene = Scene((Group(name, "blue", place=place),))
        pixels = draw_scene(scene, sample_style(1, "clean")).pixels.astype(int)
        is_thing = np.abs(pixels - 255).sum(2) > 60
        is_blue = (pixels[..., 2] > pixels[..., 0] + 60) & is_thing
        assert is_blue.sum() > 40
        assert is_thing[rows, columns].sum() > 0.9 * is_thing.sum()
    assert all(np.abs(piece.points).max() < 1.35 for piece in find_pieces(name))


def test_a_film_changes_only_in_what_it_is_about():
    generator = np.random.default_rng(2)
    still = sample_film("still", "train", generator)
    frames = draw_film(list(still.frames), 9).frames
    assert all(np.array_equal(frames[0], frame) for frame in frames)
    moving = sample_film("move", "train", generator)
    frames = draw_film(list(moving.frames), 9).frames
    assert not np.array_equal(frames[0], frames[-1])


def test_everything_that_is_written_has_letters_of_our_own():
    assert set("".join(list_written())) <= set(load_glyphs())


@pytest.mark.parametrize("name", SOUND_NAMES)
def test_sounds_are_counted_as_often_as_they_sound(name: str):
    for count in (1, 3, 5):
        samples = render_sound(Sound(name, count, seed=4)).samples
        # loudness over 10 ms; a pause of 100 ms or more parts two sounds
        loud = np.abs(samples[: len(samples) // 160 * 160].reshape(-1, 160)).max(1) > 0.1 * np.abs(samples).max()
        edges = np.flatnonzero(np.diff(np.flatnonzero(loud)) > 10)
        assert len(edges) + 1 == count


@pytest.mark.parametrize("name", NOISE_NAMES)
def test_noise_lasts_as_long_as_it_should_and_stays_in_range(name: str):
    audio = render_sound(Sound(name, seed=1, duration_s=1.5))
    assert audio.duration_s == 1.5
    assert np.abs(audio.samples).max() <= 1.0


def test_an_unknown_sound_is_refused():
    with pytest.raises(DataError, match="unknown"):
        render_sound(Sound("gong"))


def test_films_in_examples_are_films():
    example = next(iterate_cell("video", "text", "train", 0))
    assert isinstance(example.messages.messages[0].parts[0], Video)
