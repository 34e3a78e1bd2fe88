"""The model's own style of drawing: one picture for one request."""

import numpy as np
import pytest

from vivavoce.data.drawing import OWN_STYLE, draw_scene, sample_style
from vivavoce.data.scene import Scene
from vivavoce.data.scenes import SCENE_KINDS, SceneKind, sample_scene
from vivavoce.omni.judges.drawing import DrawingJudge

KINDS: tuple[SceneKind, ...] = ("single", "many", "placed", "pair")


def draw_scenes(kind: SceneKind, count: int) -> list[Scene]:
    generator = np.random.default_rng(5)
    return [sample_scene(kind, "train", generator) for _ in range(count)]


@pytest.mark.parametrize("kind", SCENE_KINDS)
def test_a_request_has_one_picture(kind: SceneKind) -> None:
    (scene,) = draw_scenes(kind, 1)
    first, second = draw_scene(scene, OWN_STYLE), draw_scene(scene, OWN_STYLE)
    np.testing.assert_array_equal(first.pixels, second.pixels)
    # where a style is drawn, chance has a part in it
    assert not np.array_equal(draw_scene(scene, sample_style(1)).pixels, draw_scene(scene, sample_style(2)).pixels)


@pytest.mark.parametrize("kind", KINDS)
def test_the_judge_sees_in_it_what_was_asked(kind: SceneKind) -> None:
    judge = DrawingJudge.load()
    scenes = draw_scenes(kind, 12)
    judged = [judge.judge(draw_scene(scene, OWN_STYLE), scene) for scene in scenes]
    assert all(one.is_thing_and_colour for one in judged)
