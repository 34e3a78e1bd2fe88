"""The codec's network: encoder, quantiser, decoder. One path: offline is streaming with one long piece."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vivavoce.omni.codec.blocks import State, Tower
from vivavoce.omni.codec.config import CODEC_MEL, HOPS_PER_FRAME, CodecConfig
from vivavoce.omni.codec.quantizer import ScalarQuantizer
from vivavoce.omni.codec.synthesis import Synthesis

_FAST = 4
"""Steps of 20 ms in a frame."""
_HOPS_PER_STEP = HOPS_PER_FRAME // _FAST
_LOG_HZ_MEAN, _LOG_HZ_SCALE = 5.0, 0.5
"""Pitch is predicted as (ln hz - mean) / scale."""
_BAND_MEAN = -5.0
"""Log gains start here: quiet."""


class Encoder(nn.Module):
    """Log-mel [B, 8 T, 100] to numbers before rounding [B, T, latent]."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        width = config.encoder_width
        self.enter = nn.Linear(_HOPS_PER_STEP * CODEC_MEL.num_bins, width)
        self.fast = Tower(config.encoder_fast_blocks, width, config.kernel, config.expansion)
        self.fold = nn.Linear(_FAST * width, width)
        self.slow = Tower(config.encoder_slow_blocks, width, config.kernel, config.expansion)
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, config.latent_width)

    def make_state(self, batch_size: int) -> State:
        """Silence before time 0."""
        return [*self.fast.make_state(batch_size), *self.slow.make_state(batch_size)]

    def step(self, mel: Tensor, state: State) -> tuple[Tensor, State]:
        """mel [B, 8 T, bins]."""
        cut = len(self.fast.blocks)
        x = self.enter(mel.unflatten(1, (-1, _HOPS_PER_STEP)).flatten(2))
        x, fast = self.fast(x, state[:cut])
        x, slow = self.slow(self.fold(x.unflatten(1, (-1, _FAST)).flatten(2)), state[cut:])
        return self.leave(self.norm(x)), [*fast, *slow]

    def forward(self, mel: Tensor) -> Tensor:
        """The whole of `mel` from silence."""
        return self.step(mel, self.make_state(len(mel)))[0]


class Decoded(NamedTuple):
    """What the decoder says of each hop of 10 ms. pitch: scaled logarithm [B, N]; bands [B, N, 3, num_bands]; mel
    [B, N, 100] is an aid in training and None elsewhere."""

    pitch: Tensor
    bands: Tensor
    mel: Tensor | None


class Decoder(nn.Module):
    """Rounded numbers [B, T, latent] to samples [B, 1920 T]."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        slow, fast = config.decoder_slow_width, config.decoder_fast_width
        self.num_bands = config.num_bands
        self.enter = nn.Linear(config.latent_width, slow)
        self.slow = Tower(config.decoder_slow_blocks, slow, config.kernel, config.expansion)
        self.unfold = nn.Linear(slow, _FAST * fast)
        self.fast = Tower(config.decoder_fast_blocks, fast, config.kernel, config.expansion + 1)
        self.norm = nn.LayerNorm(fast)
        self.head = nn.Linear(fast, _HOPS_PER_STEP * (1 + 3 * config.num_bands))
        self.synthesis = Synthesis(config.num_bands, config.synthesis_samples)
        with torch.no_grad():
            self.head.weight.mul_(0.1)
            self.head.bias.zero_()

    def make_state(self, batch_size: int) -> State:
        """Silence before time 0."""
        slow, fast = self.slow.make_state(batch_size), self.fast.make_state(batch_size)
        return [*slow, *fast, *self.synthesis.make_state(batch_size)]

    def features(self, latent: Tensor, state: State) -> tuple[Tensor, State]:
        """latent [B, T, latent] to [B, 4 T, width]; `state` is that of both towers."""
        cut = len(self.slow.blocks)
        x, slow = self.slow(self.enter(latent), state[:cut])
        x, fast = self.fast(self.unfold(x).unflatten(-1, (_FAST, -1)).flatten(1, 2), state[cut:])
        return self.norm(x), [*slow, *fast]

    def describe(self, features: Tensor) -> Decoded:
        """Pitch and filters of each hop."""
        out = self.head(features).float().unflatten(-1, (_HOPS_PER_STEP, -1)).flatten(1, 2)
        bands = out[..., 1:].unflatten(-1, (3, self.num_bands))
        offset = bands.new_tensor([_BAND_MEAN, 0.0, _BAND_MEAN])[:, None]
        return Decoded(out[..., 0], bands * 2 + offset, None)

    def step(self, latent: Tensor, state: State) -> tuple[Tensor, State]:
        """Samples of the next frames, and the new state."""
        cut = len(self.slow.blocks) + len(self.fast.blocks)
        features, towers = self.features(latent, state[:cut])
        said = self.describe(features)
        samples, synthesis = self.synthesis(pitch_to_hz(said.pitch), said.bands, state[cut:])
        return samples, [*towers, *synthesis]

    def forward(self, latent: Tensor) -> Tensor:
        """The whole of `latent` from silence."""
        return self.step(latent, self.make_state(len(latent)))[0]


class Codec(nn.Module):
    """Encoder, quantiser and decoder together."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.quantizer = ScalarQuantizer(config.levels, config.num_books)
        self.decoder = Decoder(config)

    def encode(self, mel: Tensor) -> Tensor:
        """Codes [B, T, books] of log-mel [B, 8 T, 100]."""
        return self.quantizer.encode(self.encoder(mel))

    def decode(self, codes: Tensor) -> Tensor:
        """Samples [B, 1920 T] of codes [B, T, books]."""
        return self.decoder(self.quantizer.decode(codes))


class TrainingHeads(nn.Module):
    """Aids that train the encoder and are then left out: log-mel from the decoder, phones from the numbers."""

    def __init__(self, config: CodecConfig) -> None:
        super().__init__()
        self.mel = nn.Linear(config.decoder_fast_width, _HOPS_PER_STEP * CODEC_MEL.num_bins)
        self.phones = PhoneHead(config.latent_width, config.num_phones) if config.num_phones else None


class PhoneHead(nn.Module):
    """Phones, 50 times a second, from a few frames of numbers around; for a CTC loss. Not causal."""

    def __init__(self, latent_width: int, num_phones: int, width: int = 192) -> None:
        super().__init__()
        self.enter = nn.Conv1d(latent_width, width, 3, padding=1)
        self.leave = nn.Linear(width, _FAST * (num_phones + 1))

    def forward(self, latent: Tensor) -> Tensor:
        """[B, T, latent] to logits [B, 4 T, 1 + phones]; 0 is CTC's blank."""
        x = F.silu(self.enter(latent.transpose(1, 2)).transpose(1, 2))
        return self.leave(x).unflatten(-1, (_FAST, -1)).flatten(1, 2)


def pitch_to_hz(pitch: Tensor) -> Tensor:
    """Scaled logarithm to Hz, held to 50-600."""
    return torch.exp(pitch * _LOG_HZ_SCALE + _LOG_HZ_MEAN).clamp(50.0, 600.0)


def hz_to_pitch(hz: Tensor) -> Tensor:
    """Hz to the scaled logarithm that the decoder predicts."""
    return (torch.log(hz) - _LOG_HZ_MEAN) / _LOG_HZ_SCALE
