"""Sound kept by reference: exact samples in a folder, a small mp3 in the log.

A log that held every wav would swell to about 1 MB a sample. Here the message carries an mp3 that Inspect's viewer plays
(its policy allows data URIs only), and beside it, in `internal`, the name and digest of the exact file; providers and
graders read the exact file where it is there and the mp3 where it is not.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
from inspect_ai.model import ContentAudio

from vivavoce.content import Audio
from vivavoce.content_formats import read_data_uri
from vivavoce.errors import DataError
from vivavoce.media import read_audio, resample, write_audio

ENVIRONMENT_VARIABLE = "VIVA_CARD_MEDIA"
PREVIEW_RATE_HZ = 16_000
PREVIEW_COMPRESSION = 0.9
"""Position between libsndfile's best (0) and smallest (1) constant-rate mp3. measured: 10 s of speech are about 30 KB."""


_WRITING = threading.Lock()


class MediaStore:
    """A folder of sounds named by the digest of their samples."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @classmethod
    def current(cls) -> MediaStore:
        """The store of this run: `$VIVA_CARD_MEDIA`, else `media` beside Inspect's default logs."""
        return cls(os.environ.get(ENVIRONMENT_VARIABLE) or Path(os.environ.get("INSPECT_LOG_DIR", "logs")) / "media")

    def keep(self, audio: Audio) -> str:
        """Write `audio` once, 16-bit lossless; return its file name."""
        name = f"{digest_audio(audio)[:32]}.flac"
        # samples run on several threads, and the same sound may be kept twice at once
        with _WRITING:
            if not (self.folder / name).exists():
                write_audio(self.folder / name, audio)
        return name

    def to_content(self, audio: Audio, **facts: Any) -> ContentAudio:
        """The content part of `audio`: preview inline, exact samples by reference, `facts` beside them.

        Sound of fewer than two samples can't be a file: the caller leaves it out.
        """
        name = self.keep(audio)
        internal = {"file": name, "rate_hz": audio.rate_hz, "duration_s": round(audio.duration_s, 4), **facts}
        if audio.transcript is not None:
            internal["transcript"] = audio.transcript
        uri = f"data:audio/mpeg;base64,{base64.b64encode(encode_preview(audio)).decode()}"
        return ContentAudio(audio=uri, format="mp3", internal=internal)

    def from_content(self, content: ContentAudio) -> Audio:
        """The exact sound of a content part, else its preview.

        Raises: DataError if neither can be read.
        """
        facts = content.internal if isinstance(content.internal, dict) else {}
        transcript = facts.get("transcript")
        transcript = transcript if isinstance(transcript, str) else None
        name = facts.get("file")
        if isinstance(name, str) and Path(name).name == name and (self.folder / name).is_file():
            audio = read_audio(self.folder / name)
        elif content.audio.startswith("data:"):
            audio = read_audio(read_data_uri(content.audio))
        else:
            raise DataError(
                f"sound {content.audio[:60]!r} is neither in {self.folder} nor inline; keep the media folder"
            )
        return Audio(audio.samples, audio.rate_hz, transcript)


def digest_audio(audio: Audio) -> str:
    """sha256 over rate and 16-bit samples."""
    pcm = (np.clip(audio.samples, -1, 1) * 32767).round().astype("<i2").tobytes()
    return hashlib.sha256(f"{audio.rate_hz}:".encode() + pcm).hexdigest()


def encode_preview(audio: Audio) -> bytes:
    """A small mono mp3 at 16 kHz, for ears."""
    import soundfile

    buffer = io.BytesIO()
    small = resample(audio, PREVIEW_RATE_HZ)
    soundfile.write(
        buffer,
        np.clip(small.samples, -1, 1),
        small.rate_hz,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=PREVIEW_COMPRESSION,
    )
    return buffer.getvalue()
