"""The cache by position: growing, sliding and going back."""

import numpy as np

from vivavoce.omni.engine.cache import KVShape, SlotCache, Window, rope_tables, slide, turn_keys, undo_slide

SHAPE = KVShape(2, 1, 8, 10_000.0)


def make_block(steps: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(2, 2, 1, steps, 8)).astype(np.float32)


def test_what_is_written_is_seen_again_however_much_it_is() -> None:
    cache, block = SlotCache(SHAPE), make_block(700)
    cache.write(0, block[:, :, :, :10])
    cache.write(10, block[:, :, :, 10:])
    np.testing.assert_array_equal(cache.view(5, 700), block[:, :, :, 5:])
    cache.forget(600)
    np.testing.assert_array_equal(cache.view(600, 700), block[:, :, :, 600:])


def test_turning_keys_forward_is_as_if_they_had_been_written_later() -> None:
    block = make_block(3)
    keys = block[0, 0, 0]

    def rotate(first: int) -> np.ndarray:
        cos, sin = rope_tables(np.array([first]), 3, 8, SHAPE.rope_theta)
        return keys * cos[0] + np.concatenate([-keys[:, 4:], keys[:, :4]], axis=1) * sin[0]

    early = block.copy()
    early[0, 0, 0] = rotate(5)
    late = turn_keys(early, 100, SHAPE.rope_theta)
    np.testing.assert_allclose(late[0, 0, 0], rotate(105), atol=1e-5)
    np.testing.assert_array_equal(late[:, 1], block[:, 1])


def test_a_slide_keeps_opening_and_newest_and_undoing_it_restores_everything() -> None:
    cache, block = SlotCache(SHAPE), make_block(40)
    cache.write(0, block)
    slid = slide(cache, Window(0, 40, 4), room=3, context_steps=40)
    assert slid.after == Window(10, 40, 4)
    np.testing.assert_array_equal(cache.view(14, 40), block[:, :, :, 14:])
    np.testing.assert_array_equal(cache.view(10, 14)[:, 1], block[:, 1, :, :4])
    undo_slide(cache, slid)
    np.testing.assert_array_equal(cache.view(0, 40), block)
