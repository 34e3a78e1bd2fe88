"""Files are read within bounds that the error names, and written whole or not at all."""

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
from PIL import Image as Pillow

from vivavoce.content import Audio, Image, Video
from vivavoce.errors import DataError
from vivavoce.media import (
    encode_png,
    encode_wav,
    read_audio,
    read_image,
    read_video,
    resample,
    write_audio,
    write_image,
    write_video,
)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "FLOAT"])
def test_sound_of_every_depth_is_read_and_stereo_is_mixed(tmp_path: Path, subtype: str) -> None:
    wave = np.stack([np.full(960, 0.5), np.full(960, -0.25)], axis=1)
    soundfile.write(tmp_path / "a.wav", wave, 96_000, subtype=subtype)
    audio = read_audio(tmp_path / "a.wav")
    assert audio.rate_hz == 96_000
    np.testing.assert_allclose(audio.samples, 0.125, atol=0.005)


def test_wav_bytes_round_trip() -> None:
    audio = Audio((np.arange(-50, 50) / 32_768).astype(np.float32), 24_000)
    assert read_audio(encode_wav(audio)) == audio


def test_an_hour_of_sound_is_refused_by_its_length(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(100 * 3600), 100)
    with pytest.raises(DataError, match=r"lasts 3600 s; at most 600 s"):
        read_audio(tmp_path / "long.wav")


@pytest.mark.parametrize("count", [0, 1])
def test_next_to_no_sound_is_refused(tmp_path: Path, count: int) -> None:
    soundfile.write(tmp_path / "short.wav", np.zeros(count), 16_000)
    with pytest.raises(DataError, match=f"holds {count} samples; need at least 2"):
        read_audio(tmp_path / "short.wav")


def test_truncated_and_foreign_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.wav").write_bytes(encode_wav(Audio(np.zeros(100, np.float32), 16_000))[:20])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "text.mp4").write_text("not a film")
    with pytest.raises(DataError, match="not sound that can be read"):
        read_audio(tmp_path / "cut.wav")
    with pytest.raises(DataError, match="not a picture that can be read"):
        read_image(tmp_path / "text.png")
    with pytest.raises(DataError, match="not a film that can be read"):
        read_video(tmp_path / "text.mp4")
    with pytest.raises(DataError, match=r"cannot read .*nowhere"):
        read_audio(tmp_path / "nowhere.wav")


def test_nan_samples_are_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "nan.wav", np.array([0.0, np.nan, 0.1]), 16_000, subtype="FLOAT")
    with pytest.raises(DataError, match="not finite"):
        read_audio(tmp_path / "nan.wav")


def test_a_picture_of_40000_pixels_a_side_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    Pillow.new("1", (40_000, 10)).save(tmp_path / "wide.png")
    with pytest.raises(DataError, match=r"40000 x 10 pixels; at most 8192 a side"):
        read_image(tmp_path / "wide.png")


def test_pictures_one_pixel_animated_and_transparent_are_read(tmp_path: Path) -> None:
    Pillow.new("RGB", (1, 1), "red").save(tmp_path / "dot.png")
    assert read_image(tmp_path / "dot.png") == Image(np.array([[[255, 0, 0]]], np.uint8))
    first, second = Pillow.new("RGB", (4, 4), "blue"), Pillow.new("RGB", (4, 4), "lime")
    first.save(tmp_path / "two.gif", save_all=True, append_images=[second])
    assert read_image(tmp_path / "two.gif").pixels[0, 0].tolist() == [0, 0, 255]
    Pillow.new("RGBA", (2, 2), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    assert read_image(tmp_path / "clear.png").pixels.min() == 255


def test_png_round_trip(tmp_path: Path) -> None:
    image = Image(np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8))
    write_image(tmp_path / "a.png", image)
    assert read_image(tmp_path / "a.png") == read_image(encode_png(image)) == image


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_films_keep_their_pictures_at_their_time_and_their_sound(tmp_path: Path, suffix: str) -> None:
    shades = np.repeat([10, 90, 170, 250], 5).astype(np.uint8)
    frames = np.stack([np.full((32, 48, 3), shade, np.uint8) for shade in shades])
    sound = Audio((0.3 * np.sin(np.arange(32_000) / 8)).astype(np.float32), 16_000)
    write_video(tmp_path / f"film{suffix}", Video(frames, 10.0, sound))
    film = read_video(tmp_path / f"film{suffix}", fps=2.0)
    np.testing.assert_allclose(film.frames[:, 16, 24, 0], [10, 90, 170, 250], atol=6)
    assert film.audio is not None
    assert film.audio.rate_hz == 16_000
    assert film.audio.duration_s == pytest.approx(2.0, abs=0.1)
    power = np.sqrt((film.audio.samples[4000:24000] ** 2).mean())
    assert power == pytest.approx(0.3 / np.sqrt(2), rel=0.1)


def test_a_film_without_sound_is_read_and_one_without_pictures_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "mute.mp4", Video(np.zeros((3, 16, 16, 3), np.uint8), 2.0))
    assert read_video(tmp_path / "mute.mp4").audio is None
    with av.open(str(tmp_path / "dark.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(DataError, match="has no pictures"):
        read_video(tmp_path / "dark.mp4")


def test_a_film_cut_off_in_the_middle_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "whole.mp4", Video(np.zeros((9, 64, 64, 3), np.uint8), 2.0))
    whole = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"cut\.mp4"):
        read_video(tmp_path / "cut.mp4")


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot write a film as '\.avi'"):
        write_video(tmp_path / "film.avi", Video(np.zeros((1, 4, 4, 3), np.uint8), 2.0))
    with pytest.raises(Exception, match=r"xyz"):
        write_audio(tmp_path / "a.xyz", Audio(np.zeros(9, np.float32), 8_000))
    assert list(tmp_path.iterdir()) == []


def test_resampling_keeps_a_tone() -> None:
    times = np.arange(24_000) / 24_000
    audio = resample(Audio(np.sin(2 * np.pi * 440 * times).astype(np.float32), 24_000), 16_000)
    wanted = np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(audio.samples[500:-500], wanted[500:-500], atol=2e-3)
