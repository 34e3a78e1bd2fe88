"""What a channel does to a voice: noise, room, band limit, clipping, loss, companding, pace, distance. Pure and seeded.

Named `kind` or `kind@value`: `noise@10` is white noise at 10 dB below the voiced samples, `babble@5`, `horn@5` and the other
sounds of `noises`, `echo`, `room`, `band_limit`, `clipping`, `packet_loss@0.1`, `mulaw_8k`, `speed@1.25`, `far_field`.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import signal

from vivavoce.card.noises import RECORDINGS, Sound, load_recordings, make_noise
from vivavoce.card.speech import find_audible_span
from vivavoce.content import Audio
from vivavoce.errors import ConfigError


def perturb(audio: Audio, name: str, *, seed: int, data: str | None = None) -> Audio:
    """`audio` after the distortion `name`, the transcript kept.

    data: folder of public sets; its recordings stand behind the speaker, made sounds where it has none.
    Raises: ConfigError for an unknown name or a value that is no number; DataError for a recording with a wrong digest.
    """
    if not name:
        return audio
    kind, _, value = name.partition("@")
    if kind not in _KINDS and kind not in RECORDINGS:
        allowed = ", ".join([*_KINDS, *RECORDINGS])
        raise ConfigError(f"perturbation {name!r} is unknown; allowed: {allowed}, some as kind@value")
    try:
        amount = float(value) if value else None
    except ValueError as error:
        raise ConfigError(f"perturbation {name!r} has value {value!r}; need a number") from error
    generator = np.random.default_rng(seed)
    if kind in RECORDINGS:
        recordings = load_recordings(data, audio.rate_hz)
        noise = make_noise(kind, len(audio.samples), audio.rate_hz, generator, recordings)
        samples = add_noise(audio, noise, 5.0 if amount is None else amount)
    else:
        samples = _KINDS[kind](audio, amount, generator)
    return Audio(np.clip(samples, -1, 1).astype(np.float32), audio.rate_hz, audio.transcript)


def add_noise(audio: Audio, noise: Sound, snr_db: float) -> Sound:
    """`noise` [S] added so that voiced power over noise power is `snr_db`; voiced is the span between first and last sound."""
    span = find_audible_span(audio)
    start, end = (0, len(audio.samples)) if span is None else (round(edge * audio.rate_hz) for edge in span)
    voiced_power = float(np.mean(audio.samples[start:end].astype(np.float64) ** 2)) if end > start else 0.0
    noise_power = float(np.mean(noise.astype(np.float64) ** 2))
    if voiced_power == 0 or noise_power == 0:
        return audio.samples
    return audio.samples + noise * np.sqrt(voiced_power / noise_power / 10 ** (snr_db / 10))


def make_sound(kind: str, *, seed: int, rate_hz: int = 16_000) -> Audio:
    """A sound that is not speech: `silence`, `noise`, `cough`, `click`, `hum`, `short` (80 ms of noise).

    Raises: ConfigError for another kind.
    """
    generator = np.random.default_rng(seed)
    lengths_s = {"silence": 1.5, "noise": 1.5, "cough": 0.5, "click": 0.3, "hum": 1.5, "short": 0.08}
    if kind not in lengths_s:
        raise ConfigError(f"sound {kind!r} is unknown; allowed: {', '.join(lengths_s)}")
    num_samples = round(lengths_s[kind] * rate_hz)
    time_s = np.arange(num_samples) / rate_hz
    white = generator.standard_normal(num_samples)
    sounds = {
        "silence": np.zeros(num_samples),
        "noise": 0.05 * white,
        "short": 0.1 * white,
        "click": 0.5 * white * np.exp(-time_s * 200),
        "hum": 0.1 * np.sin(2 * np.pi * 120 * time_s),
        "cough": 0.4
        * white
        * (np.exp(-time_s * 25) + 0.6 * (time_s > 0.22) * np.exp(-np.maximum(time_s - 0.22, 0) * 20)),
    }
    return Audio(np.clip(sounds[kind], -1, 1).astype(np.float32), rate_hz, "")


def _white(audio: Audio, amount: float | None, generator: np.random.Generator) -> Sound:
    return add_noise(audio, generator.standard_normal(len(audio.samples)), 10.0 if amount is None else amount)


def _echo(audio: Audio, amount: float | None, generator: np.random.Generator) -> Sound:
    delay = round((0.2 if amount is None else amount) * audio.rate_hz)
    delayed = np.pad(audio.samples, (delay, 0))[: len(audio.samples)]
    return audio.samples + 0.4 * delayed


def _room(audio: Audio, amount: float | None, generator: np.random.Generator) -> Sound:
    """Exponentially decaying noise as the room's answer; amount is the reverberation time in seconds."""
    decay_s = 0.5 if amount is None else amount
    num_samples = round(decay_s * audio.rate_hz)
    answer = generator.standard_normal(num_samples) * 10 ** (-3 * np.arange(num_samples) / num_samples)
    answer = 0.15 * answer / np.sqrt((answer**2).sum())
    answer[0] = 1.0
    return signal.fftconvolve(audio.samples, answer)[: len(audio.samples)]


def _band_limit(audio: Audio, amount: float | None, generator: np.random.Generator) -> Sound:
    nyquist = audio.rate_hz / 2
    top = min(0.99, (3400.0 if amount is None else amount) / nyquist)
    return signal.sosfiltfilt(signal.butter(4, [300 / nyquist, top], "band", output="sos"), audio.samples)


def _clipping(audio: Audio, amount: float | None, generator: np.random.Generator) -> Sound:
    bound = (0.25 if amount is None else amount) * float(np.abs(audio.samples).max(initial=1e-9))
    return np.clip(audio.samples, -bound, bound)


def _packet_loss(audio: Audio, amount: float | None, generator: np.random.Generator) -> Sound:
    """Packets of 20 ms that never came, replaced by silence."""
    size = round(0.02 * audio.rate_hz)
    lost = generator.random(len(audio.samples) // size + 1) < (0.1 if amount is None else amount)
    return audio.samples * ~np.repeat(lost, size)[: len(audio.samples)]


def _mulaw_8k(audio: Audio, amount: float | None, generator: np.random.Generator) -> Sound:
    """G.711 mu-law at 8 kHz and back (ITU-T G.711, 8 bits)."""
    narrow = signal.resample_poly(audio.samples, 8000, audio.rate_hz)
    packed = np.sign(narrow) * np.log1p(255 * np.clip(np.abs(narrow), 0, 1)) / np.log1p(255)
    packed = np.round(packed * 127) / 127
    narrow = np.sign(packed) * np.expm1(np.abs(packed) * np.log1p(255)) / 255
    wide = signal.resample_poly(narrow, audio.rate_hz, 8000)
    return np.pad(wide, (0, max(0, len(audio.samples) - len(wide))))[: len(audio.samples)]


def _speed(audio: Audio, amount: float | None, generator: np.random.Generator) -> Sound:
    factor = 1.25 if amount is None else amount
    if not 0.5 <= factor <= 2:
        raise ConfigError(f"speed@{factor} is out of range; allowed: 0.5 to 2")
    return signal.resample_poly(audio.samples, 100, round(100 * factor))


def _far_field(audio: Audio, amount: float | None, generator: np.random.Generator) -> Sound:
    quiet = 0.2 * _room(audio, 0.8, generator)
    return add_noise(Audio(quiet.astype(np.float32), audio.rate_hz), generator.standard_normal(len(quiet)), 15.0)


_KINDS: dict[str, Callable[[Audio, float | None, np.random.Generator], Sound]] = {
    "noise": _white,
    "echo": _echo,
    "room": _room,
    "band_limit": _band_limit,
    "clipping": _clipping,
    "packet_loss": _packet_loss,
    "mulaw_8k": _mulaw_8k,
    "speed": _speed,
    "far_field": _far_field,
}
