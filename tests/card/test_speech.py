"""Tones as a true channel, perturbations, media by reference."""

import numpy as np
import pytest

from vivavoce.card.media_store import MediaStore, digest_audio
from vivavoce.card.perturb import add_noise, make_sound, perturb
from vivavoce.card.speech import find_audible_span, measure_audible_s, measure_wer
from vivavoce.card.tone_studio import ToneStudio
from vivavoce.card.voice_identity import compare_with_preset
from vivavoce.content import Audio
from vivavoce.errors import ConfigError
from vivavoce.media import resample


def test_tones_are_read_back_at_another_rate() -> None:
    studio = ToneStudio()
    spoken = studio.speak("what is 2 plus 3?", studio.voices[0])
    assert studio.recognise(resample(spoken, 24_000)) == "what is 2 plus 3?"


@pytest.mark.parametrize(
    "name",
    [
        "noise@10",
        "babble@10",
        "engine@10",
        "phone@20",
        "echo",
        "band_limit",
        "clipping",
        "packet_loss@0.05",
        "mulaw_8k",
    ],
)
def test_a_mild_channel_keeps_the_words_and_changes_the_sound(name: str) -> None:
    studio = ToneStudio()
    clean = studio.speak("the cat sat on the mat", studio.voices[0])
    noisy = perturb(clean, name, seed=1)
    assert not np.array_equal(noisy.samples, clean.samples)
    assert np.array_equal(noisy.samples, perturb(clean, name, seed=1).samples)
    heard = studio.recognise(noisy)
    assert heard is not None
    assert sum(a != b for a, b in zip(heard, "the cat sat on the mat")) <= 3


def test_noise_is_added_at_the_asked_ratio() -> None:
    generator = np.random.default_rng(0)
    voice = Audio((0.3 * generator.standard_normal(16_000)).astype(np.float32), 16_000)
    noise = generator.standard_normal(16_000)
    added = add_noise(voice, noise, 6.0) - voice.samples
    ratio = 10 * np.log10(np.mean(voice.samples.astype(float) ** 2) / np.mean(added**2))
    assert ratio == pytest.approx(6.0, abs=0.01)


def test_an_unknown_channel_is_named() -> None:
    with pytest.raises(ConfigError, match="perturbation 'fog' is unknown"):
        perturb(make_sound("noise", seed=0), "fog", seed=0)


def test_silence_has_no_audible_span() -> None:
    silence = Audio(np.zeros(48_000, np.float32), 24_000)
    assert (measure_audible_s(silence), find_audible_span(silence)) == (0.0, None)
    assert find_audible_span(Audio(np.r_[np.zeros(1600), np.full(1600, 0.5)].astype(np.float32), 16_000)) == (0.1, 0.2)


def test_media_lie_beside_the_log_and_come_back_at_16_bits(tmp_path) -> None:
    store = MediaStore(tmp_path)
    audio = ToneStudio().speak("hello there", "tone-2")
    part = store.to_content(audio)
    back = store.from_content(part)
    assert np.abs(back.samples - audio.samples).max() <= 1 / 32_768
    again = store.from_content(store.to_content(back))
    assert digest_audio(again) == digest_audio(back)
    assert part.audio.startswith("data:audio/mpeg;base64,")
    # without the folder the preview serves
    assert MediaStore(tmp_path / "gone").from_content(part).duration_s == pytest.approx(audio.duration_s, abs=0.15)


def test_ten_seconds_of_preview_are_small(tmp_path) -> None:
    generator = np.random.default_rng(0)
    audio = Audio((0.1 * generator.standard_normal(240_000)).astype(np.float32), 24_000)
    # 100 samples of 10 s in and out keep the log under 20 MB if a preview is under 100 KB
    assert len(MediaStore(tmp_path).to_content(audio).audio) < 100_000


def test_a_change_of_voice_within_an_answer_is_seen_where_it_happens() -> None:
    studio = ToneStudio()
    own = studio.speak(
        "this is how the model itself sounds when it speaks for a good while about the weather", "tone-0"
    )
    other = studio.speak("and this is somebody else who goes on for some time about another thing altogether", "tone-5")
    joined = Audio(np.concatenate([own.samples, other.samples]), 16_000)
    windows = compare_with_preset(studio, joined)
    assert windows[0].similarity > 0.95
    assert windows[-1].similarity < 0.5


def test_word_errors_are_undefined_without_words() -> None:
    assert measure_wer("", "hello") is None
    assert measure_wer("the river bank", "the riverbank") == 0.0
