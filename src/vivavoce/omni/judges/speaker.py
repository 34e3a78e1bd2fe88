"""Whose voice it is: the GE2E speaker encoder of Resemblyzer, with a loader of our own.

A voice is 256 numbers of unit length; two are compared by their cosine. Near 0.85 lies the threshold between same and
different over many voices; for a decision, calibrate it on the preset voices in use.
Source: Wan et al., arXiv 1710.10467; weights and front end of Resemblyzer 0.1.4.
"""

from __future__ import annotations

import functools

import numpy as np
import soxr
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vivavoce.assets import resolve
from vivavoce.content import Audio
from vivavoce.errors import AssetError, DataError
from vivavoce.files import digest_file, write_whole
from vivavoce.omni.judges.power_mel import power_mel

_RATE_HZ = 16_000
_WINDOW_FRAMES, _STEP_FRAMES = 160, 80
_LEVEL_DB = -30.0
CONVERTED_SHA256 = "a5d4776b403b69593e4a10212aeacf7d35b56e9d0a2022058c6d4f888202e069"
"""Of the tensors as safetensors, written by safetensors 0.8."""


class SpeakerEncoder(nn.Module):
    """Three LSTM layers over 40 power mel bands; the last state through a linear layer, ReLU, unit length."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mel: Tensor) -> Tensor:
        """mel [B, 160, 40] to [B, 256]."""
        _, (hidden, _) = self.lstm(mel)
        return nn.functional.normalize(torch.relu(self.linear(hidden[-1])), dim=1)


@torch.inference_mode()
def embed_voice(audio: Audio) -> np.ndarray:
    """The voice of `audio` [256] float32, unit length: mean over windows of 1.6 s that overlap by half.

    Raises: DataError if the audio is silent or shorter than 0.4 s; AssetError if the weights can't be had.
    """
    samples = audio.samples if audio.rate_hz == _RATE_HZ else soxr.resample(audio.samples, audio.rate_hz, _RATE_HZ)
    level = float(np.sqrt(np.mean(samples**2))) if len(samples) else 0.0
    if len(samples) < 0.4 * _RATE_HZ or level < 1e-5:
        raise DataError(f"a voice needs 0.4 s of sound; got {len(samples) / _RATE_HZ:.2f} s at level {level:.1g}")
    # quiet recordings are raised; loud ones stay
    gain = max(1.0, 10 ** (_LEVEL_DB / 20) / level)
    mel = power_mel((samples * gain).astype(np.float32), 400, 160, 40)
    starts = range(0, max(1, len(mel) - _WINDOW_FRAMES + _STEP_FRAMES), _STEP_FRAMES)
    windows = [mel[start : start + _WINDOW_FRAMES] for start in starts]
    # a last window that is mostly past the end says little
    windows = [window for window in windows if len(window) >= 0.75 * _WINDOW_FRAMES] or windows[:1]
    padded = [np.pad(window, ((0, _WINDOW_FRAMES - len(window)), (0, 0))) for window in windows]
    mean = load_encoder()(torch.from_numpy(np.stack(padded))).mean(0)
    return nn.functional.normalize(mean, dim=0).numpy()


def voice_similarity(left: Audio, right: Audio) -> float:
    """Cosine between two voices, 0 to 1."""
    return float(embed_voice(left) @ embed_voice(right))


@functools.cache
def load_encoder() -> SpeakerEncoder:
    """The encoder with the packaged weights, converted to safetensors once."""
    folder = resolve("resemblyzer")
    path = folder / "pretrained.safetensors"
    if not path.exists():
        state = torch.load(folder / "pretrained.pt", weights_only=True, map_location="cpu")["model_state"]
        kept = {name: value for name, value in state.items() if name.startswith(("lstm.", "linear."))}
        with write_whole(path) as temporary:
            save_file({name: kept[name].contiguous() for name in sorted(kept)}, temporary)
    if (digest := digest_file(path)) != CONVERTED_SHA256:
        raise AssetError(f"{path} has sha256 {digest}, pinned is {CONVERTED_SHA256}; remove it to convert again")
    encoder = SpeakerEncoder()
    encoder.load_state_dict(load_file(path))
    return encoder.eval()
