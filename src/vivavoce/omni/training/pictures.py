"""The image tokenizer as rows need it: codes of one picture at a time, remembered."""

from __future__ import annotations

import numpy as np
import torch

from vivavoce.content import Image
from vivavoce.omni.images.network import ImageTokenizer
from vivavoce.omni.layout import fit_image


class PictureCodes:
    """Satisfies `layout.ImageEncoder`."""

    def __init__(self, tokenizer: ImageTokenizer) -> None:
        self.tokenizer = tokenizer

    def encode(self, image: Image) -> np.ndarray:
        """Codes [64] of a picture, fitted to 64 x 64."""
        pixels = torch.from_numpy(fit_image(image).pixels)
        return self.tokenizer.encode(pixels[None])[0].numpy()
