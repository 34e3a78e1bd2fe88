"""How a recording differs each time it is heard: the room, the line, the gain and the voice, drawn on the log-mel.

Nothing is spoiled beforehand, so no recording is ever heard twice alike. The voices are few, so much of a voice is drawn too:
the length of the vocal tract (all bands move up or down by one factor; Jaitly and Hinton 2013), a smooth curve that stands for
another mouth and microphone, the pace and how it wavers, how sharply one band stands out from the next (harmonics and
formants), and bands and moments that are missing (Park et al. 2019).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.ndimage
import scipy.signal

from vivavoce.omni.configuration import MEL_BINS
from vivavoce.omni.layout import LOG_POWER, MEL_FLOOR, MEL_HZ, make_quiet, mix_mel
from vivavoce.omni.mel import USER_MEL, mel_edges_hz

_CENTRES_HZ = mel_edges_hz(USER_MEL.rate_hz, MEL_BINS)[1:-1]
_TELEPHONE_BANDS = (_CENTRES_HZ >= 300) & (_CENTRES_HZ <= 3400)


class Room(NamedTuple):
    """Where all of one conversation is heard. None is 'not at all'.

    floor [80]: mean level of its steady noise. reverberation_s: time in which its echoes fall by 60 dB; echoes_db: how far all
    of them together lie below the direct sound.
    """

    floor: np.ndarray | None = None
    reverberation_s: float | None = None
    echoes_db: float = 6.0
    is_telephone: bool = False


def draw_room(generator: np.random.Generator) -> Room:
    """A room. chosen: echoes as `data.voices.augment` has them, for a third; one in twelve is at the end of a telephone."""
    has_echoes, is_telephone = generator.random() < 1 / 3, generator.random() < 1 / 12
    seconds, echoes_db = float(generator.uniform(0.08, 0.6)), float(generator.uniform(0, 12))
    return Room(draw_floor(generator), seconds if has_echoes else None, echoes_db, bool(is_telephone))


def put_in_room(mel: np.ndarray, room: Room, generator: np.random.Generator) -> np.ndarray:
    """Scaled log-mel [F, 80] of the same sounds in a room; `generator` draws how its noise fluctuates."""
    heard = mel if room.reverberation_s is None else _echo(mel, room.reverberation_s, room.echoes_db)
    if room.floor is not None:
        noise = make_quiet(len(mel), room.floor, generator)
        mix_mel(noise, heard, 0)
        heard = noise
    if room.is_telephone:
        heard = np.where(_TELEPHONE_BANDS, heard, np.float32(MEL_FLOOR))
    return heard


def _echo(mel: np.ndarray, seconds: float, echoes_db: float) -> np.ndarray:
    """Echoes that die away, added as powers: each frame rings on in those after it."""
    falling = 10 ** (-6 / (seconds * MEL_HZ))
    first = (1 - falling) * 10 ** (-echoes_db / 10)
    # digital silence has no echo
    power = np.where(mel > np.float32(MEL_FLOOR) + 1e-3, np.exp(LOG_POWER * mel.astype(np.float64)), 0.0)
    both = power + scipy.signal.lfilter([0.0, first], [1.0, -falling], power, axis=0)
    return (np.log(np.maximum(both, np.exp(LOG_POWER * MEL_FLOOR))) / LOG_POWER).astype(np.float32)


def draw_floor(generator: np.random.Generator) -> np.ndarray | None:
    """Mean level by band of the room: digital silence for a third, else noise from faint to loud, tilted at random."""
    if generator.random() < 0.35:
        return None
    level = float(generator.uniform(MEL_FLOOR, -0.4))
    tilt = float(generator.uniform(-0.7, 0.3)) * np.linspace(0, 1, MEL_BINS)
    ripple = np.interp(np.linspace(0, 7, MEL_BINS), np.arange(8), generator.normal(0, 0.12, 8))
    return np.maximum(level + tilt + ripple, MEL_FLOOR).astype(np.float32)


def draw_gain(generator: np.random.Generator) -> float:
    """What is added to the scaled log-mel of all that one user says."""
    return float(generator.uniform(-0.8, 0.5))


class VoiceChange(NamedTuple):
    """warp: factor on the band axis; tilt: by how much of a power low bands move more than high ones; bend [80]: bands that
    each is moved besides; curve [80]: added to the scaled log-mel; pace: how many times as fast; missing: bands (first,
    last + 1) that are silent; wavering: frames that a moment is early or late, at most; period: frames of one wave; phase: of
    its start, radians; sharpness: 0 as it was, -1 without what differs from the bands around."""

    warp: float
    curve: np.ndarray
    pace: float = 1.0
    missing: tuple[tuple[int, int], ...] = ()
    wavering: float = 0.0
    period: float = 100.0
    phase: float = 0.0
    sharpness: float = 0.0
    tilt: float = 0.0
    bend: np.ndarray | None = None


_MAX_MISSING = 14
_AROUND_BANDS = 5


def draw_voice_change(generator: np.random.Generator) -> VoiceChange:
    """Another speaker from the same recording; a fifth of the time hardly another.

    chosen: bands within 15%, a tenth of the way up within 20% more, and each region by itself about 1.3 bands more, because
    two mouths never differ by one factor; pace within 20%, and within 35% more at a moment, which is under half a clock step;
    at most two gaps of 14 bands.
    """
    strength = 0.1 if generator.random() < 0.2 else 1.0
    warp = float(np.exp(strength * generator.uniform(-0.15, 0.15)))
    knots = strength * (generator.normal(0, 0.15, 6) + np.linspace(0, 1, 6) * generator.uniform(-0.5, 0.5))
    pace = float(np.exp(strength * generator.uniform(-0.2, 0.2)))
    num_gaps = 0 if strength < 1.0 else int(generator.integers(3))
    widths = generator.integers(2, _MAX_MISSING + 1, size=num_gaps).tolist()
    firsts = [int(generator.integers(MEL_BINS - width + 1)) for width in widths]
    missing = tuple((first, first + width) for first, width in zip(firsts, widths))
    curve = np.interp(np.linspace(0, 5, MEL_BINS), np.arange(6), knots).astype(np.float32)
    period = float(generator.uniform(40, 150))
    wavering = strength * float(generator.uniform(0, min(4.0, 0.35 * period / (2 * np.pi))))
    phase, sharpness = float(generator.uniform(0, 2 * np.pi)), strength * float(generator.uniform(-0.9, 0.6))
    tilt = strength * float(generator.uniform(-0.08, 0.08))
    bend = np.interp(np.arange(MEL_BINS), np.linspace(0, MEL_BINS - 1, 7), strength * generator.normal(0, 1.3, 7))
    return VoiceChange(warp, curve, pace, missing, wavering, period, phase, sharpness, tilt, bend)


def change_voice(mel: np.ndarray, change: VoiceChange) -> np.ndarray:
    """Scaled log-mel [round(F / pace), 80] of another voice saying the same; silence stays silent."""
    times = np.arange(change_length(len(mel), change)) * change.pace
    times += change.wavering * np.sin(2 * np.pi * times / change.period + change.phase)
    bands = change.warp * (MEL_BINS - 1) * np.linspace(0, 1, MEL_BINS) ** (1 + change.tilt)
    bands += 0.0 if change.bend is None else change.bend
    warped = _resample(_resample(mel.T, bands).T, times)
    around = scipy.ndimage.uniform_filter1d(warped, _AROUND_BANDS, axis=1, mode="nearest")
    changed = np.maximum(warped + change.sharpness * (warped - around) + change.curve, MEL_FLOOR)
    changed[warped <= MEL_FLOOR + 1e-3] = MEL_FLOOR
    for first, stop in change.missing:
        changed[:, first:stop] = MEL_FLOOR
    return changed.astype(np.float32)


_MAX_LOST_FRAMES = 16


def lose_moments(mel: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Scaled log-mel [F, 80] in which at most two moments are silent, as where packets are lost: a word that is half there is still
    that word. chosen: up to 160 ms each, none in a third of recordings."""
    heard = mel.copy()
    for _ in range(int(generator.integers(3))):
        first, length = int(generator.integers(len(mel))), int(generator.integers(3, _MAX_LOST_FRAMES + 1))
        heard[first : first + length] = MEL_FLOOR
    return heard


def change_length(num_frames: int, change: VoiceChange) -> int:
    """Frames of the changed recording, at least one."""
    return max(1, round(num_frames / change.pace))


def _resample(rows: np.ndarray, places: np.ndarray) -> np.ndarray:
    """A row at each of `places` in `rows`, by linear interpolation; the first and the last one go on."""
    places = np.clip(places, 0, len(rows) - 1)
    below = np.floor(places).astype(int)
    share = (places - below).astype(np.float32)[:, None]
    return (1 - share) * rows[below] + share * rows[np.minimum(below + 1, len(rows) - 1)]
