"""From filters and pitch to samples: pulses and noise, each shaped in frequency, overlapped and added.

For every hop the decoder gives a pitch and three curves over bands: how loud the pulses are, their phase, how loud the
noise is. The windows of a hop start with the hop itself, so a sample is final once its own hop is decoded: the decoder
looks ahead by nothing. State: the running phase, the tail of past windows, the place in the noise.
Source: the harmonic-plus-noise split follows DDSP (arXiv 2001.04643) and inverse-STFT decoders Vocos (arXiv 2306.00814).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vivavoce.omni.codec.blocks import State
from vivavoce.omni.codec.config import HOP_SAMPLES, RATE_HZ
from vivavoce.omni.mel import mel_filters

NOISE_HOPS = 512
"""The noise repeats after 5.12 s."""
MAX_LOG_GAIN = 6.0


class Synthesis(nn.Module):
    """Inverse STFT of shaped pulses and noise. Has no parameters; its tables are made anew, not stored."""

    window: Tensor
    pulse_window: Tensor
    spread: Tensor
    noise: Tensor

    def __init__(self, num_bands: int, window_samples: int) -> None:
        super().__init__()
        self.window_samples, self.num_bands = window_samples, num_bands
        hann = torch.hann_window(window_samples)
        self.register_buffer("window", hann / (window_samples / HOP_SAMPLES / 2), persistent=False)
        self.register_buffer("pulse_window", hann, persistent=False)
        self.register_buffer("spread", _band_spread(window_samples, num_bands), persistent=False)
        self.register_buffer("noise", _noise(window_samples // 2 + 1), persistent=False)

    def make_state(self, batch_size: int) -> State:
        """Phase 0, no tail, the start of the noise."""
        tail = self.window.new_zeros(batch_size, self.window_samples - HOP_SAMPLES)
        return [tail.new_zeros(batch_size, 1), tail.new_zeros(batch_size, 1), tail, tail.new_zeros(1, dtype=torch.long)]

    def forward(self, pitch_hz: Tensor, bands: Tensor, state: State) -> tuple[Tensor, State]:
        """Samples of the next hops.

        Shapes: pitch_hz [B, N] at the middle of each hop's window; bands [B, N, 3, num_bands]: log gain of the pulses,
        their phase in radians, log gain of the noise; result [B, N * 240].
        """
        phase, last_hz, tail, place = state
        curves = bands @ self.spread
        pulse_gain = curves[:, :, 0].clamp(max=MAX_LOG_GAIN).exp()
        turn = torch.polar(pulse_gain, curves[:, :, 1])
        noise_gain = curves[:, :, 2].clamp(max=MAX_LOG_GAIN).exp()
        # the phase at the middle of a window goes on from that of the one before by the mean of the two pitches
        before_hz = torch.cat([torch.where(last_hz > 0, last_hz, pitch_hz[:, :1]), pitch_hz[:, :-1]], dim=1)
        advance = (before_hz + pitch_hz).double() * (0.5 * HOP_SAMPLES / RATE_HZ)
        phases = torch.remainder(phase.double() + torch.cumsum(advance, dim=1), 1.0)
        pulses = torch.fft.rfft(self.make_pulses(phases.float(), pitch_hz) * self.pulse_window)
        count = pitch_hz.shape[1]
        rows = (place + torch.arange(count, device=place.device)) % NOISE_HOPS
        spectrum = pulses * turn + torch.view_as_complex(self.noise[rows]) * noise_gain
        windows = torch.fft.irfft(spectrum, self.window_samples) * self.window
        samples, tail = self.overlap_add(windows, tail)
        return samples, [phases[:, -1:].float(), pitch_hz[:, -1:], tail, (place + count) % NOISE_HOPS]

    def make_pulses(self, phases: Tensor, pitch_hz: Tensor) -> Tensor:
        """All harmonics below 11 kHz at equal strength: the Dirichlet kernel. phases in turns [B, N]; [B, N, window]."""
        offsets = torch.arange(self.window_samples, device=phases.device) - self.window_samples / 2
        turns = phases[..., None] + offsets * (pitch_hz / RATE_HZ)[..., None]
        turns = turns - torch.round(turns)
        harmonics = torch.floor(11_000 / pitch_hz)[..., None]
        half = torch.sin(math.pi * turns)
        is_peak = half.abs() < 1e-3
        kernel = torch.sin((2 * harmonics + 1) * math.pi * turns) / torch.where(is_peak, torch.ones_like(half), half)
        full = torch.where(is_peak, 2 * harmonics + 1, kernel)
        # normalised to about unit power in each window, whatever the pitch
        return 0.5 * (full - 1) / harmonics.sqrt()

    @staticmethod
    def overlap_add(windows: Tensor, tail: Tensor) -> tuple[Tensor, Tensor]:
        """windows [B, N, W], tail [B, W - 240]: samples [B, N * 240] and the new tail."""
        batch, count, length = windows.shape
        hops = length // HOP_SAMPLES
        blocks = windows.reshape(batch, count, hops, HOP_SAMPLES)
        total = windows.new_zeros(batch, count + hops - 1, HOP_SAMPLES)
        total = total + torch.nn.functional.pad(tail.reshape(batch, hops - 1, HOP_SAMPLES), (0, 0, 0, count))
        for hop in range(hops):
            total = total + torch.nn.functional.pad(blocks[:, :, hop], (0, 0, hop, hops - 1 - hop))
        return total[:, :count].flatten(1), total[:, count:].flatten(1)


def _band_spread(window_samples: int, num_bands: int) -> Tensor:
    """Interpolation from bands to Fourier bins: [num_bands, window / 2 + 1], each bin's weights sum to 1."""
    triangles = torch.from_numpy(mel_filters(RATE_HZ, window_samples, num_bands).T.copy())
    peaks = triangles / triangles.amax(1, keepdim=True)
    total = peaks.sum(0, keepdim=True)
    # bins outside every band follow the nearest one
    first, last = (total[0] > 0).nonzero()[[0, -1], 0].tolist()
    peaks[0, :first], peaks[-1, last + 1 :] = 1.0, 1.0
    return peaks / peaks.sum(0, keepdim=True)


def _noise(num_bins: int) -> Tensor:
    """Complex noise of unit magnitude and even phases from a fixed integer recurrence: [NOISE_HOPS, bins, 2]."""
    value = torch.arange(NOISE_HOPS * num_bins, dtype=torch.int64) * 2654435761 % 2**32
    for _ in range(3):
        value = ((value ^ (value >> 15)) * 2246822519) % 2**32
        value = ((value ^ (value >> 13)) * 3266489917) % 2**32
    angle = value.double() / 2**32 * (2 * math.pi)
    return torch.stack([angle.cos(), angle.sin()], dim=-1).float().reshape(NOISE_HOPS, num_bins, 2)
