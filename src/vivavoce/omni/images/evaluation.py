"""Measures the image tokenizer on drawings of the test split: how close, how many codes it uses, what survives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from vivavoce.content import Image
from vivavoce.data.scenes import SCENE_KINDS
from vivavoce.omni.images.losses import measure_ssim
from vivavoce.omni.images.network import ImageTokenizer, measure_psnr, to_signal
from vivavoce.omni.images.training import draw_pool_picture
from vivavoce.omni.judges.drawing import DrawingJudge
from vivavoce.omni.judges.judge_training import draw_true, tally_judged
from vivavoce.stats import Estimate, estimate_mean

_POOL_SEED = 9
_BATCH = 50


@dataclass(frozen=True, slots=True)
class ImageReport:
    """Measures of an image tokenizer. Attributes: what the judge of drawings finds, before and after."""

    psnr_db: Estimate
    ssim: Estimate
    psnr_clean_db: Estimate
    code_use: float
    num_codes_seen: int
    perplexity: float
    attributes_original: dict[str, Estimate] | None
    attributes_made: dict[str, Estimate] | None
    seed: int

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, each with n and interval where it is an estimate."""

        def plain(table: dict[str, Estimate] | None) -> dict[str, Any] | None:
            return None if table is None else {name: estimate.to_json() for name, estimate in table.items()}

        return {
            "psnr_db": self.psnr_db.to_json(),
            "psnr_clean_db": self.psnr_clean_db.to_json(),
            "ssim": self.ssim.to_json(),
            "code_use": self.code_use,
            "num_codes_seen": self.num_codes_seen,
            "code_perplexity": self.perplexity,
            "attributes_original": plain(self.attributes_original),
            "attributes_made": plain(self.attributes_made),
            "seed": self.seed,
        }


def measure_tokenizer(
    tokenizer: ImageTokenizer, judge: DrawingJudge | None, *, num_pictures: int = 700, seed: int = 0
) -> ImageReport:
    """Measures on `num_pictures` plain and as many clean drawings of the test split.

    Plain drawings carry patterns and noise, clean ones are what the model draws. Without a judge, attributes are None.
    """
    plain = [draw_pool_picture(_POOL_SEED + seed, idx, "test", 0.0) for idx in range(num_pictures)]
    psnr, ssim, codes = _measure_closeness(tokenizer, plain)
    generator = np.random.default_rng((seed, 74))
    pairs = [draw_true(SCENE_KINDS[idx % len(SCENE_KINDS)], generator) for idx in range(num_pictures)]
    scenes, drawings = [scene for scene, _ in pairs], [image for _, image in pairs]
    psnr_clean, _, clean_codes = _measure_closeness(tokenizer, drawings)
    made = rebuild(tokenizer, drawings)
    counts = np.bincount(np.concatenate([codes, clean_codes]).ravel(), minlength=tokenizer.config.num_codes)
    shares = counts[counts > 0] / counts.sum()
    return ImageReport(
        psnr_db=estimate_mean(psnr),
        ssim=estimate_mean(ssim),
        psnr_clean_db=estimate_mean(psnr_clean),
        code_use=float((counts > 0).mean()),
        num_codes_seen=int(counts.sum()),
        perplexity=float(np.exp(-(shares * np.log(shares)).sum())),
        attributes_original=judge and tally_judged([judge.judge(*pair) for pair in zip(drawings, scenes)], scenes),
        attributes_made=judge and tally_judged([judge.judge(*pair) for pair in zip(made, scenes)], scenes),
        seed=seed,
    )


def rebuild(tokenizer: ImageTokenizer, images: list[Image]) -> list[Image]:
    """Pictures through codes and back."""
    made: list[Image] = []
    for start in range(0, len(images), _BATCH):
        pixels = torch.from_numpy(np.stack([image.pixels for image in images[start : start + _BATCH]]))
        made.extend(Image(picture) for picture in tokenizer.decode(tokenizer.encode(pixels)).numpy())
    return made


def _measure_closeness(tokenizer: ImageTokenizer, images: list[Image]) -> tuple[list[float], list[float], np.ndarray]:
    psnr: list[float] = []
    ssim: list[float] = []
    codes: list[np.ndarray] = []
    for start in range(0, len(images), _BATCH):
        pixels = torch.from_numpy(np.stack([image.pixels for image in images[start : start + _BATCH]]))
        found = tokenizer.encode(pixels)
        made = tokenizer.decode(found)
        codes.append(found.numpy())
        psnr.extend(measure_psnr(made, pixels).tolist())
        pairs = zip(to_signal(made).split(1), to_signal(pixels).split(1))
        ssim.extend(float(measure_ssim(one, other)) for one, other in pairs)
    return psnr, ssim, np.concatenate(codes)
