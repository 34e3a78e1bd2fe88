"""The image tokenizer as rows need it: codes of one picture at a time, remembered."""

from __future__ import annotations

import numpy as np
import torch

from vivavoce.content import Image
from vivavoce.errors import DataError
from vivavoce.omni.images.network import ImageTokenizer
from vivavoce.omni.layout import fit_image


class PictureCodes:
    """Satisfies `layout.ImageEncoder`. Without a tokenizer, rows with drawings can't be made."""

    def __init__(self, tokenizer: ImageTokenizer | None) -> None:
        self.tokenizer = tokenizer

    def encode(self, image: Image) -> np.ndarray:
        """Codes [64] of a picture, fitted to 64 x 64.

        Raises: DataError if there is no tokenizer.
        """
        if self.tokenizer is None:
            raise DataError("there is no image tokenizer, so drawings can't be learned; train one: viva train image")
        pixels = torch.from_numpy(fit_image(image).pixels)
        return self.tokenizer.encode(pixels[None])[0].numpy()
