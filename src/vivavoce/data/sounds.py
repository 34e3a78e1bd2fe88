"""Non-speech sounds, made by our own code: some to count and name, and noises to ignore. 16 kHz, by seed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from vivavoce.content import Audio
from vivavoce.data.example import USER_RATE_HZ, Sound, Split
from vivavoce.errors import DataError

MAX_SOUND_COUNT = 5


def _times(duration_s: float) -> np.ndarray:
    return np.arange(int(duration_s * USER_RATE_HZ)) / USER_RATE_HZ


def _fade(wave: np.ndarray, edge_s: float = 0.008) -> np.ndarray:
    edge = min(len(wave) // 2, int(edge_s * USER_RATE_HZ))
    ramp = np.linspace(0, 1, edge)
    wave = wave.copy()
    wave[:edge] *= ramp
    wave[len(wave) - edge :] *= ramp[::-1]
    return wave


def _beep(generator: np.random.Generator) -> np.ndarray:
    t = _times(generator.uniform(0.12, 0.2))
    return _fade(np.sin(2 * np.pi * generator.uniform(900, 1500) * t))


def _clap(generator: np.random.Generator) -> np.ndarray:
    t = _times(0.12)
    burst = generator.normal(size=len(t)) * np.exp(-t / generator.uniform(0.012, 0.022))
    # two hands meet within some milliseconds: a second, smaller burst
    second = np.roll(burst, int(generator.uniform(0.008, 0.014) * USER_RATE_HZ)) * 0.6
    return np.diff(burst + second, prepend=0.0)


def _bell(generator: np.random.Generator) -> np.ndarray:
    t = _times(0.7)
    base = generator.uniform(520, 900)
    partials = ((1.0, 1.0, 0.35), (2.0, 0.6, 0.25), (2.76, 0.5, 0.18), (5.4, 0.3, 0.08))
    waves = [level * np.sin(2 * np.pi * base * ratio * t) * np.exp(-t / decay) for ratio, level, decay in partials]
    return _fade(np.sum(waves, axis=0))


def _whistle(generator: np.random.Generator) -> np.ndarray:
    t = _times(generator.uniform(0.35, 0.5))
    low, high = generator.uniform(1700, 2100), generator.uniform(2500, 3100)
    pitch_hz = low + (high - low) * np.sin(np.pi * t / t[-1])
    phase = 2 * np.pi * np.cumsum(pitch_hz) / USER_RATE_HZ
    return _fade(np.sin(phase) + 0.05 * generator.normal(size=len(t)), 0.03)


def _knock(generator: np.random.Generator) -> np.ndarray:
    t = _times(0.15)
    thud = np.sin(2 * np.pi * generator.uniform(130, 210) * t) * np.exp(-t / 0.03)
    return thud + 0.3 * generator.normal(size=len(t)) * np.exp(-t / 0.006)


def _siren(generator: np.random.Generator) -> np.ndarray:
    t = _times(generator.uniform(0.8, 1.0))
    middle, reach = generator.uniform(700, 900), generator.uniform(200, 300)
    phase = 2 * np.pi * np.cumsum(middle - reach * np.cos(2 * np.pi * t / t[-1])) / USER_RATE_HZ
    return _fade(np.sin(phase) + 0.3 * np.sin(2 * phase), 0.03)


def _horn(generator: np.random.Generator) -> np.ndarray:
    t = _times(generator.uniform(0.35, 0.5))
    base = generator.uniform(280, 380)
    return _fade(np.sum([np.sign(np.sin(2 * np.pi * base * ratio * t)) for ratio in (1.0, 1.26)], axis=0) * 0.5, 0.02)


_MAKERS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "beep": _beep,
    "clap": _clap,
    "bell": _bell,
    "whistle": _whistle,
    "knock": _knock,
    "siren": _siren,
    "horn": _horn,
}
SOUND_NAMES = tuple(_MAKERS)
"""Sounds that are counted and named."""
NOISE_NAMES = ("hiss", "rumble", "hum", "clatter", "silence")
"""Sounds that mean nothing: nobody speaks, nothing is to be answered."""


def is_sound_held_out(name: str, count: int) -> bool:
    """Whether (sound, count) is kept for testing: 7 of 35, one of each sound."""
    return (SOUND_NAMES.index(name) - count) % MAX_SOUND_COUNT == 0


def list_sounds(split: Split) -> list[tuple[str, int]]:
    """(name, count) of the split."""
    return [
        (name, count)
        for name in SOUND_NAMES
        for count in range(1, MAX_SOUND_COUNT + 1)
        if is_sound_held_out(name, count) == (split == "test")
    ]


def render_sound(sound: Sound) -> Audio:
    """The sound at 16 kHz: `count` times with pauses between, or noise of `duration_s`.

    Raises: DataError for an unknown name, or a noise without duration.
    """
    generator = np.random.default_rng((sound.seed, 31))
    if sound.name in NOISE_NAMES:
        return Audio(_make_noise(sound, generator).astype(np.float32), USER_RATE_HZ)
    if sound.name not in _MAKERS or not 1 <= sound.count <= 20:
        raise DataError(
            f"sound {sound.name!r} x {sound.count} is unknown; use one of {', '.join(SOUND_NAMES)}, 1 to 20 times"
        )
    one = _MAKERS[sound.name](generator)
    one = one / np.abs(one).max() * generator.uniform(0.25, 0.7)
    pieces: list[np.ndarray] = []
    for order in range(sound.count):
        if order:
            pieces.append(np.zeros(int(generator.uniform(0.18, 0.4) * USER_RATE_HZ)))
        pieces.append(one * generator.uniform(0.85, 1.0))
    wave = np.concatenate(pieces) + generator.normal(
        0, generator.choice([0.0, 0.001, 0.004]), size=sum(map(len, pieces))
    )
    return Audio(np.clip(wave, -1, 1).astype(np.float32), USER_RATE_HZ)


def _make_noise(sound: Sound, generator: np.random.Generator) -> np.ndarray:
    if sound.duration_s <= 0:
        raise DataError(f"noise {sound.name!r} lasts {sound.duration_s} s; need more than 0")
    t = _times(sound.duration_s)
    level = float(generator.uniform(0.005, 0.06))
    white = generator.normal(size=len(t))
    if sound.name == "silence":
        return np.zeros(len(t))
    if sound.name == "hiss":
        return level * white
    if sound.name == "rumble":
        low = np.cumsum(white)
        low -= np.convolve(low, np.ones(1600) / 1600, mode="same") if len(low) > 1600 else low.mean()
        return level * 3 * low / (np.abs(low).max() + 1e-9)
    if sound.name == "hum":
        return level * (np.sin(2 * np.pi * 50 * t) + 0.5 * np.sin(2 * np.pi * 100 * t) + 0.1 * white)
    clicks = (generator.random(len(t)) < 6 / USER_RATE_HZ) * generator.uniform(0.2, 1.0, size=len(t))
    return (
        0.4 * np.convolve(clicks, np.exp(-_times(0.03) / 0.005) * generator.normal(size=480), mode="same")
        + 0.002 * white
    )
