"""Reading and writing sound, pictures and films, within bounds.

Bounds are constants here and named in every error, so that a caller learns them from the message. Reading decodes to
`content` values; writing is whole or absent.
"""

from __future__ import annotations

import io
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vivavoce.content import Audio, Image, Video
from vivavoce.errors import DataError
from vivavoce.files import write_whole

MAX_AUDIO_S = 600.0
MIN_AUDIO_SAMPLES = 2
MAX_IMAGE_SIDE_PIXELS = 8192
MAX_VIDEO_S = 120.0
MAX_VIDEO_SIDE_PIXELS = 4096
VIDEO_FPS = 2.0
"""Frames a second kept of a film. chosen: reference, 1-2 frames a second at their true time."""

Source = Path | str | bytes


def _open(source: Source) -> BinaryIO:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return Path(source).open("rb")
    except OSError as error:
        raise DataError(f"cannot read {source}: {error.strerror}; name a file that exists") from error


def _name(source: Source) -> str:
    return f"{len(source)} bytes" if isinstance(source, bytes) else str(source)


def read_audio(source: Source, *, max_s: float = MAX_AUDIO_S) -> Audio:
    """Sound of a wav, flac, ogg or mp3 file (or its bytes), mixed to mono, at its own rate.

    Raises: DataError if it can't be decoded, holds fewer than 2 samples or lasts longer than `max_s`.
    """
    import soundfile

    with _open(source) as handle:
        try:
            with soundfile.SoundFile(handle) as sound:
                duration_s = sound.frames / sound.samplerate
                if duration_s > max_s:
                    raise DataError(f"{_name(source)} lasts {duration_s:.0f} s; at most {max_s:.0f} s; cut it")
                samples, rate_hz = sound.read(dtype="float32", always_2d=True), sound.samplerate
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise DataError(
                f"{_name(source)} is not sound that can be read ({error}); give wav, flac, ogg or mp3"
            ) from error
    if len(samples) < MIN_AUDIO_SAMPLES:
        raise DataError(f"{_name(source)} holds {len(samples)} samples; need at least {MIN_AUDIO_SAMPLES}")
    if not np.isfinite(samples).all():
        raise DataError(f"{_name(source)} holds samples that are not finite; re-encode it")
    return Audio(np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32)), rate_hz)


def write_audio(path: Path | str, audio: Audio) -> None:
    """Write 16-bit PCM in the format of the suffix (.wav, .flac)."""
    import soundfile

    with write_whole(path) as temporary:
        soundfile.write(temporary, np.clip(audio.samples, -1, 1), audio.rate_hz, subtype="PCM_16")


def encode_wav(audio: Audio) -> bytes:
    """The bytes of a 16-bit PCM wav file."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, np.clip(audio.samples, -1, 1), audio.rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def resample(audio: Audio, rate_hz: int) -> Audio:
    """`audio` at another rate (soxr, high quality)."""
    import soxr

    if audio.rate_hz == rate_hz:
        return audio
    samples = np.asarray(soxr.resample(audio.samples, audio.rate_hz, rate_hz), np.float32)
    return Audio(samples, rate_hz, audio.transcript)


def read_image(source: Source) -> Image:
    """A PNG, JPEG, WebP, GIF or BMP file (or its bytes) as RGB; transparency over white; the first frame of an animation.

    Raises: DataError if it can't be decoded or a side is over 8,192 pixels.
    """
    from PIL import Image as Pillow
    from PIL import UnidentifiedImageError

    with _open(source) as handle:
        try:
            with Pillow.open(handle) as picture:
                if max(picture.size) > MAX_IMAGE_SIDE_PIXELS:
                    raise DataError(
                        f"{_name(source)} is {picture.width} x {picture.height} pixels; "
                        f"at most {MAX_IMAGE_SIDE_PIXELS} a side; scale it down"
                    )
                rgba = picture.convert("RGBA")
        except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Pillow.DecompressionBombError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(
                f"{_name(source)} is not a picture that can be read; give PNG, JPEG, WebP or GIF"
            ) from error
    white = Pillow.new("RGBA", rgba.size, "white")
    return Image(np.asarray(Pillow.alpha_composite(white, rgba).convert("RGB")).copy())


def encode_png(image: Image) -> bytes:
    """The bytes of a PNG file."""
    from PIL import Image as Pillow

    buffer = io.BytesIO()
    Pillow.fromarray(image.pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_image(path: Path | str, image: Image) -> None:
    """Write in the format of the suffix (.png, .jpg, .webp)."""
    from PIL import Image as Pillow

    with write_whole(path) as temporary:
        Pillow.fromarray(image.pixels).save(temporary)


def read_video(source: Source, *, fps: float = VIDEO_FPS, max_s: float = MAX_VIDEO_S) -> Video:
    """A film (mp4, webm, whatever FFmpeg reads), sampled at `fps` by presentation time, with its sound at 16 kHz.

    Frame k is the last one shown at or before time k / fps, so that frames sit at their true time also when the
    film's own rate varies.
    Raises: DataError if it can't be decoded, has no pictures, is over `max_s` long or a side is over 4,096 pixels.
    """
    import av
    from av.error import FFmpegError

    with _open(source) as handle:
        try:
            with av.open(handle) as container:
                if not container.streams.video:
                    raise DataError(f"{_name(source)} has no pictures; give a film, or pass it as sound")
                frames = _decode_frames(container, fps, max_s, _name(source))
            handle.seek(0)
            with av.open(handle) as container:
                audio = _decode_sound(container, max_s) if container.streams.audio else None
        except (FFmpegError, EOFError) as error:
            raise DataError(f"{_name(source)} is not a film that can be read ({error}); give mp4 or webm") from error
    if not frames:
        raise DataError(f"{_name(source)} has no frames that can be decoded; re-encode it")
    return Video(np.stack(frames), fps, audio)


def _decode_frames(container, fps: float, max_s: float, name: str) -> list[np.ndarray]:
    kept: list[np.ndarray] = []
    last: np.ndarray | None = None
    end_s = 0.0
    for count, frame in enumerate(container.decode(video=0)):
        if max(frame.width, frame.height) > MAX_VIDEO_SIDE_PIXELS:
            raise DataError(f"{name} is {frame.width} x {frame.height}; at most {MAX_VIDEO_SIDE_PIXELS} a side")
        time_s = float(frame.time) if frame.time is not None else count / fps
        if time_s > max_s:
            raise DataError(f"{name} lasts over {max_s:.0f} s; at most {max_s:.0f} s; cut it")
        # half a millisecond of slack: containers round presentation times
        while last is not None and len(kept) / fps < time_s - 5e-4:
            kept.append(last)
        last = frame.to_ndarray(format="rgb24")
        end_s = time_s
    if last is not None:
        while not kept or len(kept) / fps <= end_s + 5e-4:
            kept.append(last)
    return kept


def _decode_sound(container, max_s: float) -> Audio | None:
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=16_000)
    pieces, total = [], 0
    for frame in container.decode(audio=0):
        for out in resampler.resample(frame):
            pieces.append(out.to_ndarray()[0])
            total += out.samples
        if total > max_s * 16_000:
            raise DataError(f"sound of the film lasts over {max_s:.0f} s; at most {max_s:.0f} s; cut it")
    pieces.extend(out.to_ndarray()[0] for out in resampler.resample(None))
    return Audio(np.concatenate(pieces).astype(np.float32), 16_000) if pieces else None


def write_video(path: Path | str, video: Video) -> None:
    """Write mp4 (H.264 and AAC) or webm (VP9 and Opus), by suffix; sides are cropped to even numbers."""
    import av

    suffix = Path(path).suffix
    picture_codec, sound_codec = {".mp4": ("libx264", "aac"), ".webm": ("libvpx-vp9", "libopus")}.get(suffix, ("", ""))
    if not picture_codec:
        raise DataError(f"cannot write a film as {suffix!r}; use .mp4 or .webm")
    height, width = (side - side % 2 for side in video.frames.shape[1:3])
    if min(height, width) == 0:
        raise DataError(f"film frames are {video.frames.shape[1:3]}; need at least 2 x 2 pixels")
    with write_whole(path) as temporary, av.open(str(temporary), "w") as container:
        stream = container.add_stream(picture_codec, rate=Fraction(video.fps).limit_denominator(1000))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"  # type: ignore[attr-defined]
        sound = container.add_stream(sound_codec, rate=48_000) if video.audio is not None else None
        for pixels in video.frames:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels[:height, :width]), format="rgb24")
            container.mux(stream.encode(frame))  # type: ignore[attr-defined]
        container.mux(stream.encode(None))  # type: ignore[attr-defined]
        if sound is not None and video.audio is not None:
            samples = resample(video.audio, 48_000).samples
            frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
            frame.sample_rate = 48_000
            container.mux(sound.encode(frame))  # type: ignore[attr-defined]
            container.mux(sound.encode(None))  # type: ignore[attr-defined]
