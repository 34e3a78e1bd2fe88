"""Sound on the wire: PCM16 and G.711 to float samples and back, and a resampler without delay to speak of.

The resampler is ours because soxr's streams hold back 14 to 112 ms at these rates (measured: experiments/LOG.md,
2026-11-22), which a conversation would hear; this one holds back 2 ms or less.
"""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np

WireFormat = Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
RATE_HZ: dict[WireFormat, int] = {"audio/pcm": 24_000, "audio/pcmu": 8_000, "audio/pcma": 8_000}
BYTES_PER_SAMPLE: dict[WireFormat, int] = {"audio/pcm": 2, "audio/pcmu": 1, "audio/pcma": 1}


def decode_sound(data: bytes, wire_format: WireFormat) -> np.ndarray:
    """Samples [S] float32 in [-1, 1] at the format's rate.

    Raises: ValueError for half a sample of PCM16.
    """
    if wire_format == "audio/pcm":
        if len(data) % 2:
            raise ValueError(f"{len(data)} bytes of 16-bit PCM end in half a sample; need an even number")
        return np.frombuffer(data, "<i2").astype(np.float32) / 32768.0
    table = _ulaw_table() if wire_format == "audio/pcmu" else _alaw_table()
    return (table[np.frombuffer(data, np.uint8)] / 32768.0).astype(np.float32)


def encode_sound(samples: np.ndarray, wire_format: WireFormat) -> bytes:
    """Bytes of samples [S] float32 at the format's rate; what is over full scale is clipped."""
    linear = np.round(np.clip(samples, -1.0, 32767 / 32768) * 32768.0).astype(np.int32)
    if wire_format == "audio/pcm":
        return linear.astype("<i2").tobytes()
    return (_encode_ulaw(linear) if wire_format == "audio/pcmu" else _encode_alaw(linear)).tobytes()


@cache
def _ulaw_table() -> np.ndarray:
    """G.711 mu-law: value of each byte on a 16-bit scale. Source: ITU-T G.711, table 2 (bits inverted)."""
    code = ~np.arange(256, dtype=np.uint8)
    exponent, mantissa = (code >> 4) & 7, code & 15
    magnitude = ((mantissa.astype(np.int32) << 3) + 132 << exponent) - 132
    return np.where(code & 128, -magnitude, magnitude)


@cache
def _alaw_table() -> np.ndarray:
    """G.711 A-law: value of each byte on a 16-bit scale. Source: ITU-T G.711, table 1 (even bits inverted)."""
    code = np.arange(256, dtype=np.uint8) ^ 0x55
    exponent, mantissa = (code >> 4) & 7, (code & 15).astype(np.int32)
    magnitude = np.where(exponent == 0, (mantissa << 4) + 8, ((mantissa << 4) + 264) << np.maximum(exponent, 1) - 1)
    return np.where(code & 128, magnitude, -magnitude)


def _encode_ulaw(linear: np.ndarray) -> np.ndarray:
    magnitude = np.minimum(np.abs(linear), 32635) + 132
    exponent = np.maximum(np.floor(np.log2(magnitude)).astype(np.int32) - 7, 0)
    mantissa = (magnitude >> (exponent + 3)) & 15
    sign = np.where(linear < 0, 128, 0)
    return (~(sign | (exponent << 4) | mantissa) & 255).astype(np.uint8)


def _encode_alaw(linear: np.ndarray) -> np.ndarray:
    magnitude = np.minimum(np.where(linear < 0, -linear - 1, linear), 32767)
    exponent = np.maximum(np.floor(np.log2(np.maximum(magnitude, 1))).astype(np.int32) - 7, 0)
    mantissa = (magnitude >> np.where(exponent == 0, 4, exponent + 3)) & 15
    sign = np.where(linear < 0, 0, 128)
    return ((sign | (exponent << 4) | mantissa) ^ 0x55).astype(np.uint8)


class Resampler:
    """A stream of samples at another rate: a windowed sinc in polyphase form, causal, stream == whole.

    Delay: half of `num_taps` samples of the slower of input and output.
    """

    def __init__(self, from_hz: int, to_hz: int, num_taps: int = 32) -> None:
        divisor = int(np.gcd(from_hz, to_hz))
        self._up, self._down = to_hz // divisor, from_hz // divisor
        self._phases = _design(self._up, self._down, num_taps)
        self._taps = self._phases.shape[1]
        self._history = np.zeros(self._taps - 1, np.float32)
        self._next_input = 0
        """Input samples seen so far."""
        self._next_output = 0

    def feed(self, samples: np.ndarray) -> np.ndarray:
        """All output samples that `samples` [S] float32 complete."""
        if self._up == self._down:
            return samples
        window = np.concatenate([self._history, samples])
        first_input = self._next_input - (self._taps - 1)
        self._next_input += len(samples)
        # output n needs the input up to floor(n * down / up)
        end = -(-self._next_input * self._up // self._down)
        n = np.arange(self._next_output, end)
        self._next_output = end
        self._history = window[len(window) - (self._taps - 1) :]
        if len(n) == 0:
            return np.zeros(0, np.float32)
        position = n * self._down
        newest = position // self._up - first_input
        gathered = window[newest[:, None] - np.arange(self._taps)]
        return np.einsum("nt,nt->n", gathered, self._phases[position % self._up]).astype(np.float32)


@cache
def _design(up: int, down: int, num_taps: int) -> np.ndarray:
    """Filter bank [up, taps] float32, each row of unit gain at zero frequency."""
    slower = max(1.0, down / up)
    taps = int(np.ceil(num_taps * slower))
    # 0.46 of the lower rate, not 0.5: the window's transition has to end before the fold
    cutoff = 0.46 * min(1.0, up / down)
    time = (np.arange(taps * up) - (taps * up - 1) / 2) / up
    prototype = 2 * cutoff * np.sinc(2 * cutoff * time) * np.kaiser(taps * up, 6.0)
    bank = prototype.reshape(taps, up).T
    return (bank / bank.sum(axis=1, keepdims=True)).astype(np.float32)


def measure_level_db(samples: np.ndarray) -> float:
    """Root mean square of [S] samples in dB of full scale; -120 for silence."""
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10.0 * float(np.log10(max(power, 1e-12)))
