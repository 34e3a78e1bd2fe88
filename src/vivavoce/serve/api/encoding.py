"""Whole sounds in the formats clients ask for: wav, flac, pcm by soundfile and ourselves, mp3, opus, aac by PyAV."""

from __future__ import annotations

import io
import struct
from typing import Literal

import numpy as np

from vivavoce.content import Audio
from vivavoce.media import encode_wav, resample
from vivavoce.serve.sound import encode_sound

SoundFormat = Literal["wav", "mp3", "flac", "opus", "aac", "pcm", "pcm16"]
MEDIA_TYPES: dict[str, str] = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "pcm": "audio/pcm",
    "pcm16": "audio/pcm",
}
RATE_HZ = 24_000


def encode(samples: np.ndarray, sound_format: SoundFormat) -> bytes:
    """A file of [S] float32 samples at 24 kHz; an empty sound becomes 20 ms of silence, since no file is empty."""
    if len(samples) == 0:
        samples = np.zeros(480, np.float32)
    if sound_format in ("pcm", "pcm16"):
        return encode_sound(samples, "audio/pcm")
    audio = Audio(samples, RATE_HZ)
    if sound_format == "wav":
        return encode_wav(audio)
    if sound_format == "flac":
        import soundfile

        buffer = io.BytesIO()
        soundfile.write(buffer, np.clip(samples, -1, 1), RATE_HZ, format="FLAC", subtype="PCM_16")
        return buffer.getvalue()
    return _encode_lossy(audio, sound_format)


def _encode_lossy(audio: Audio, sound_format: SoundFormat) -> bytes:
    import av

    container_name, codec, rate_hz = {
        "mp3": ("mp3", "libmp3lame", RATE_HZ),
        "opus": ("ogg", "libopus", 48_000),
        "aac": ("adts", "aac", RATE_HZ),
    }[sound_format]
    buffer = io.BytesIO()
    samples = np.clip(resample(audio, rate_hz).samples, -1, 1)
    with av.open(buffer, "w", format=container_name) as container:
        stream = container.add_stream(codec, rate=rate_hz)
        stream.layout = "mono"  # type: ignore[attr-defined]
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples[None]), format="fltp", layout="mono")
        frame.sample_rate = rate_hz
        container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
    return buffer.getvalue()


def open_wav() -> bytes:
    """The header of a wav file whose end is not known yet (sizes at their greatest, as players expect of a stream)."""
    size = 0xFFFFFFFF
    riff = struct.pack("<4sI4s", b"RIFF", size, b"WAVE")
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, RATE_HZ, RATE_HZ * 2, 2, 16)
    return riff + fmt + struct.pack("<4sI", b"data", size)
