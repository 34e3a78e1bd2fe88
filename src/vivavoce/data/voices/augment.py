"""Spoils a clean recording as rooms, telephones and people do: pace, pitch, room, noise, band limit, gain.

Everything comes from one seed; the same seed and samples give the same result. Works at 16 kHz, on the user's side only.
The words' times scale with the pace and are otherwise kept: a room's tail goes past the end, the onset stays.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.signal
import soxr

from vivavoce.content import Audio
from vivavoce.errors import DataError

RATE_HZ = 16_000


class Spoiling(NamedTuple):
    """What is done. None is 'not at all'.

    speed: of playing, which moves pace, pitch and formants together. reverberation_s: time to fall by 60 dB.
    noise_db: signal above noise; noise_colour: 0 white, 1 pink, 2 brown. band_hz: what passes; is_telephone: G.711 at 8 kHz.
    """

    speed: float = 1.0
    reverberation_s: float | None = None
    noise_db: float | None = None
    noise_colour: float = 1.0
    is_telephone: bool = False
    tilt_db: float = 0.0
    gain_db: float = 0.0


def draw_spoiling(seed: int) -> Spoiling:
    """What a seed does to a recording. Of all seeds, one in six does little: speed and gain alone."""
    rng = np.random.default_rng([7, seed])
    gain_db, speed, tilt_db = rng.uniform(-14, 8), rng.uniform(0.88, 1.14), rng.uniform(-6, 6)
    if rng.random() < 1 / 6:
        return Spoiling(speed=float(speed), gain_db=float(gain_db))
    # drawn in any case, so that one choice does not move the others
    room_s, noise_db, colour = rng.uniform(0.08, 0.6), rng.uniform(5, 35), rng.uniform(0, 2)
    has_room, has_noise, is_telephone = rng.random() < 0.4, rng.random() < 0.6, rng.random() < 0.12
    return Spoiling(
        speed=float(speed),
        reverberation_s=float(room_s) if has_room else None,
        noise_db=float(noise_db) if has_noise else None,
        noise_colour=float(colour),
        is_telephone=bool(is_telephone),
        tilt_db=float(tilt_db),
        gain_db=float(gain_db),
    )


def augment(audio: Audio, seed: int) -> Audio:
    """`audio` as `draw_spoiling(seed)` has it.

    Raises: DataError if the audio is not at 16 kHz.
    """
    return spoil(audio, draw_spoiling(seed), seed)


def spoil(audio: Audio, spoiling: Spoiling, seed: int) -> Audio:
    """`audio` spoiled as told; `seed` draws the noise and the room's echoes.

    Raises: DataError if the audio is not at 16 kHz.
    """
    if audio.rate_hz != RATE_HZ:
        raise DataError(f"audio to spoil is at {audio.rate_hz} Hz; need {RATE_HZ}; resample first")
    rng = np.random.default_rng([8, seed])
    samples = audio.samples
    if spoiling.speed != 1.0:
        samples = soxr.resample(samples, RATE_HZ * spoiling.speed, RATE_HZ, quality="MQ")
    if spoiling.reverberation_s is not None:
        samples = _reverberate(samples, spoiling.reverberation_s, rng)
    if spoiling.tilt_db:
        samples = _tilt(samples, spoiling.tilt_db)
    if spoiling.noise_db is not None:
        samples = samples + _noise(len(samples), spoiling.noise_colour, rng) * _level(samples, spoiling.noise_db)
    if spoiling.is_telephone:
        samples = _telephone(samples)
    samples = samples * 10 ** (spoiling.gain_db / 20)
    return Audio(np.clip(samples, -1, 1).astype(np.float32), RATE_HZ, audio.transcript)


def make_noise(count: int, colour: float, seed: int) -> np.ndarray:
    """`count` samples of noise with unit power; its spectrum falls by 3 dB an octave times `colour`."""
    return _noise(count, colour, np.random.default_rng([9, seed])).astype(np.float32)


def _level(samples: np.ndarray, below_db: float) -> float:
    return float(np.sqrt(np.mean(samples**2) + 1e-12)) * 10 ** (-below_db / 20)


def _noise(count: int, colour: float, rng: np.random.Generator) -> np.ndarray:
    white = rng.standard_normal(count, dtype=np.float32)
    spectrum = np.fft.rfft(white)
    hz = np.maximum(np.arange(len(spectrum)) * (RATE_HZ / count), 40.0)
    shaped = np.fft.irfft(spectrum * (hz / 1000) ** (-colour / 2), count)
    return shaped / (np.sqrt(np.mean(shaped**2)) + 1e-9)


def _reverberate(samples: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """A synthetic room: the direct sound, then noise that dies away; direct sound 0 to 12 dB above the rest."""
    length = int(seconds * RATE_HZ)
    echoes = rng.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    # nothing comes back within the first 2 to 10 ms
    echoes[: int(rng.uniform(0.002, 0.01) * RATE_HZ)] = 0
    echoes *= 10 ** (-rng.uniform(0, 12) / 20) / (np.sqrt(np.sum(echoes**2)) + 1e-9)
    echoes[0] = 1.0
    return scipy.signal.fftconvolve(samples, echoes)[: len(samples) + length // 2]


def _tilt(samples: np.ndarray, tilt_db: float) -> np.ndarray:
    """Raises what is above 1 kHz by `tilt_db`, gently."""
    gain = 10 ** (tilt_db / 20)
    corner = np.tan(np.pi * 1000 / RATE_HZ)
    b = np.array([gain + corner, corner - gain]) / (1 + corner)
    a = np.array([1.0, (corner - 1) / (1 + corner)])
    return np.asarray(scipy.signal.lfilter(b, a, samples))


def _telephone(samples: np.ndarray) -> np.ndarray:
    """300-3400 Hz, 8 kHz, mu-law of 8 bits (ITU-T G.711's curve), and back to 16 kHz."""
    band = scipy.signal.butter(4, [300, 3400], "bandpass", fs=RATE_HZ, output="sos")
    low = soxr.resample(scipy.signal.sosfilt(band, samples), RATE_HZ, 8000, quality="MQ")
    scale = max(float(np.abs(low).max()), 1e-6)
    curve = np.sign(low) * np.log1p(255 * np.abs(low / scale)) / np.log(256)
    steps = np.round(curve * 127) / 127
    flat = np.sign(steps) * np.expm1(np.abs(steps) * np.log(256)) / 255 * scale
    return soxr.resample(flat, 8000, RATE_HZ, quality="MQ")
