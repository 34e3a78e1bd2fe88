"""The eye: patches are put back where they were cut, cells are pooled where they lie, and the middle sees everything."""

import numpy as np
import torch

from vivavoce.omni.configuration import FRAME_PATCH_PIXELS, PATCH_PIXELS, make_tiny
from vivavoce.omni.eye import Eye, join_patches, pool_cells, scale_pixels
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.steps import cut_patches

PIXELS = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), dtype=np.uint8)


def test_patches_are_joined_as_they_were_cut() -> None:
    for size in (PATCH_PIXELS, FRAME_PATCH_PIXELS):
        patches = torch.from_numpy(np.stack([cut_patches(one, size) for one in PIXELS]))
        torch.testing.assert_close(join_patches(patches, size), scale_pixels(torch.from_numpy(PIXELS)))


def test_cells_are_averaged_with_their_neighbours() -> None:
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    pooled = pool_cells(torch.stack([rows, columns], -1)[None], 4)
    assert pooled.shape == (1, 16, 2)
    assert pooled[0, 0].tolist() == [0.5, 0.5]
    assert pooled[0, 7].tolist() == [2.5, 6.5]


def test_a_cell_in_the_middle_sees_every_corner_and_a_corner_not_the_other() -> None:
    torch.manual_seed(0)
    eye = Eye(16, 8)
    pixels = scale_pixels(torch.from_numpy(PIXELS[:1])).requires_grad_()
    eye(pixels)[0, 3, 4, 0].backward()
    assert pixels.grad is not None
    assert (pixels.grad[0].abs().sum(0)[[0, 0, -1, -1], [0, -1, 0, -1]] > 0).all()
    pixels.grad = None
    eye(pixels)[0, 0, 0, 0].backward()
    assert pixels.grad is not None
    assert pixels.grad[0, :, -1, -1].abs().sum() == 0


def test_a_picture_and_a_frame_of_the_same_pixels_show_the_same_cells() -> None:
    torch.manual_seed(0)
    model = OmniForConversation(make_tiny()).eval()
    cut = {size: torch.from_numpy(cut_patches(PIXELS[0], size))[None] for size in (PATCH_PIXELS, FRAME_PATCH_PIXELS)}
    with torch.no_grad():
        whole = model.embed_patches(cut[PATCH_PIXELS]) - model.patch_position.weight
        frame = model.embed_frame(cut[FRAME_PATCH_PIXELS]) - model.frame_position.weight
    pooled = pool_cells(whole.reshape(1, 8, 8, -1), 4)
    torch.testing.assert_close(frame, pooled, atol=1e-5, rtol=1e-4)
