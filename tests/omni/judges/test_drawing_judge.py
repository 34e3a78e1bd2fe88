"""The judge of drawings: what counts as right, its own pictures, its files."""

import json

import numpy as np
import pytest
import torch

from vivavoce.content import Image
from vivavoce.data.scene import Group, Scene
from vivavoce.data.styles import SEED_RANGES
from vivavoce.errors import CheckpointError
from vivavoce.omni.judges.drawing import (
    PEAK_PROBABILITY,
    SHIPPED,
    WEIGHTS_NAME,
    DrawingJudge,
    JudgeNetwork,
    Seen,
    SeenThing,
    compare,
)
from vivavoce.omni.judges.judge_pictures import draw_labelled
from vivavoce.omni.judges.judge_training import make_judge_config, make_targets, measure_judge, spoil, train_judge

FIRST_SEED = SEED_RANGES["judge"][0]


def thing(name: str, colour: str, x: float = 0.0, y: float = 0.0) -> SeenThing:
    return SeenThing(name, colour, x, y, 0.9)


def verdict(wanted: Scene, *things: SeenThing, written: str = "") -> tuple[bool, bool, bool, bool]:
    judged = compare(Seen(things, written), wanted)
    return judged.is_thing, judged.is_colour, judged.is_count, judged.is_place


RED_BALL = Scene((Group("ball", "red"),))


@pytest.mark.parametrize(
    ("things", "expected"),
    [
        ((thing("ball", "red"),), (True, True, True, True)),
        ((thing("ball", "blue"),), (True, False, True, True)),
        ((thing("cat", "red"),), (False, False, False, False)),
        ((thing("ball", "red"), thing("cat", "red")), (False, False, False, False)),
        ((thing("ball", "red"), thing("ball", "red", 0.5)), (True, True, False, True)),
        ((thing("ball", "red"), thing("ball", "blue", 0.5)), (True, False, False, True)),
        ((), (False, False, False, False)),
    ],
)
def test_one_thing_needs_its_name_its_colour_and_no_company(things, expected):
    assert verdict(RED_BALL, *things) == expected


def test_colours_of_two_groups_may_not_be_swapped():
    wanted = Scene((Group("ball", "red", place="left"), Group("cat", "blue", place="right")))
    assert verdict(wanted, thing("ball", "red", -0.5), thing("cat", "blue", 0.5)) == (True, True, True, True)
    assert verdict(wanted, thing("ball", "blue", -0.5), thing("cat", "red", 0.5))[:2] == (True, False)
    assert verdict(wanted, thing("ball", "red", 0.5), thing("cat", "blue", -0.5)) == (True, True, True, False)


def test_a_side_that_was_wanted_must_be_met():
    wanted = Scene((Group("key", "green", place="top"),))
    assert verdict(wanted, thing("key", "green", 0.0, -0.5))[3]
    assert not verdict(wanted, thing("key", "green", 0.0, 0.5))[3]


def test_writing_must_be_the_same_and_alone():
    wanted = Scene(written="42", written_colour="red")
    assert all(verdict(wanted, written="42"))
    assert not any(verdict(wanted, written="24"))
    assert not any(verdict(wanted, thing("ball", "red"), written="42"))


def test_pictures_of_the_judge_are_the_same_for_a_seed_and_need_one_of_its_own():
    first, again = draw_labelled(FIRST_SEED + 3), draw_labelled(FIRST_SEED + 3)
    assert np.array_equal(first.pixels, again.pixels)
    assert first.things == again.things
    with pytest.raises(ValueError, match="the judge's are"):
        draw_labelled(5)


def test_targets_mark_the_centre_of_every_thing_where_the_picture_was_shifted_to():
    pictures = [draw_labelled(FIRST_SEED + idx) for idx in range(12)]
    presence, names, _, writing = make_targets(pictures, (2, -3))
    for idx, picture in enumerate(pictures):
        assert int((presence[idx] == 1).sum()) == len(picture.things)
        assert bool(writing[idx] > 0) == bool(picture.written)
        for _, _, x, y in picture.things:
            assert names[idx, int((y + 2) // 4), int((x - 3) // 4)] >= 0


def test_spoiling_shifts_the_picture_by_what_it_says():
    picture = torch.full((1, 64, 64, 3), 255, dtype=torch.uint8)
    picture[0, 30:34, 20:24] = 0
    spoiled, (down, right) = spoil(picture, torch.Generator().manual_seed(3))
    dark = (spoiled[0].float().mean(-1) < 128).nonzero().float().mean(0)
    assert dark.tolist() == pytest.approx([31.5 + down, 21.5 + right], abs=0.6)


def test_training_writes_a_judge_that_loads_and_sees_the_same(tmp_path):
    folder = train_judge(make_judge_config("tiny"), tmp_path / "run")
    image = Image(draw_labelled(FIRST_SEED).pixels)
    assert DrawingJudge.load(folder).see([image]) == DrawingJudge.load(folder).see([image])


def test_a_judge_of_other_words_is_refused(tmp_path):
    DrawingJudge(JudgeNetwork(8)).save(tmp_path)
    about = json.loads((tmp_path / "drawing_judge.json").read_text())
    about["labels"]["things"][0] = "blob"
    (tmp_path / "drawing_judge.json").write_text(json.dumps(about))
    with pytest.raises(CheckpointError, match="other things or words"):
        DrawingJudge.load(tmp_path)


def test_a_missing_judge_says_how_to_get_one(tmp_path):
    with pytest.raises(CheckpointError, match="viva train judge"):
        DrawingJudge.load(tmp_path)


@pytest.mark.skipif(not (SHIPPED / WEIGHTS_NAME).exists(), reason="the judge is not shipped with this checkout")
def test_the_shipped_judge_is_right_about_nearly_all_true_drawings():
    table = measure_judge(DrawingJudge.load(), 140, seed=5)
    assert table["thing_and_colour"].value > 0.93
    assert 0 < PEAK_PROBABILITY < 1
