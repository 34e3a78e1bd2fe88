"""Judges of speech: word errors worked by hand; the packaged recogniser, voices and quality where they are."""

from pathlib import Path

import numpy as np
import pytest

from vivavoce.assets import resolve
from vivavoce.content import Audio
from vivavoce.errors import AssetError, DataError
from vivavoce.omni.judges.power_mel import power_mel
from vivavoce.omni.judges.words import WordErrors, count_errors, word_error_rate


def _need(name: str) -> None:
    try:
        resolve(name, download=False)
    except AssetError as error:
        pytest.skip(str(error))


def _noise(seconds: float = 1.0, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(round(16_000 * seconds))).astype(np.float32)


@pytest.mark.parametrize(
    ("reference", "heard", "errors"),
    [
        ("the cat sat", "the cat sat", 0),
        ("the cat sat", "the bat sat", 1),
        ("the cat sat", "the cat", 1),
        ("the cat sat", "a the cat sat down", 2),
        ("the river bank", "the riverbank", 0),
        ("the riverbank is wet", "the river bank is wet", 0),
        ("three", "3", 0),
        ("one two three", "", 3),
    ],
)
def test_errors_are_counted_as_by_hand(reference: str, heard: str, errors: int) -> None:
    assert count_errors(reference, heard) == WordErrors(errors, len(reference.split()))


def test_the_rate_is_errors_over_words_of_the_whole_set() -> None:
    rate = word_error_rate(["a b c d", "e f"], ["a b c x", "e f"])
    assert rate.value == pytest.approx(1 / 6)
    assert rate.n == 2
    with pytest.raises(ValueError, match="need one each"):
        word_error_rate(["a"], [])


def test_a_tone_is_in_the_band_of_its_pitch() -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000).astype(np.float32)
    mel = power_mel(tone, 400, 160, 40)
    assert mel.shape == (101, 40)
    assert set(mel[10:-10].argmax(1)) == {int(mel[50].argmax())}
    louder = power_mel(2 * tone, 400, 160, 40)
    assert np.allclose(louder, 4 * mel, rtol=1e-4)


def test_a_voice_is_like_itself_and_needs_sound() -> None:
    _need("resemblyzer")
    from vivavoce.omni.judges.speaker import embed_voice

    noise = Audio(_noise(2.0), 16_000)
    voice = embed_voice(noise)
    assert voice.shape == (256,)
    assert np.linalg.norm(voice) == pytest.approx(1, abs=1e-5)
    assert np.allclose(voice, embed_voice(Audio(noise.samples * np.float32(0.9), 16_000)), atol=0.05)
    with pytest.raises(DataError, match=r"needs 0\.4 s"):
        embed_voice(Audio(np.zeros(16_000, np.float32), 16_000))


def test_noise_is_judged_poor_and_an_empty_clip_refused() -> None:
    _need("dnsmos")
    from vivavoce.omni.judges.quality import judge_quality

    quality = judge_quality(Audio(_noise(2.0), 16_000))
    assert quality.overall < 1.6
    assert all(0 < value < 5 for value in quality)
    with pytest.raises(DataError, match="empty"):
        judge_quality(Audio(np.zeros(0, np.float32), 16_000))


def test_the_recogniser_understands_a_program_that_reads() -> None:
    _need("whisper-tiny-en")
    pytest.importorskip("faster_whisper", reason="the extra `judges` brings it")
    from vivavoce.data.voices.roster import load_roster
    from vivavoce.data.voices.speaking import speak
    from vivavoce.omni.judges.recogniser import Recogniser

    text = "The green house is next to the old bridge."
    try:
        audio = speak(text, load_roster()["slt"], 16_000)
    except AssetError as error:
        pytest.skip(str(error))
    assert count_errors(text, Recogniser().transcribe(audio)).errors <= 1


def test_a_voice_is_reported_by_what_its_listener_hears(tmp_path: Path) -> None:
    _need("resemblyzer")
    from vivavoce.data.voices.rendering import Renderings
    from vivavoce.data.voices.roster import load_roster
    from vivavoce.omni.judges.voice_report import report_voices

    texts = ["one two three four", "five six seven eight", "nine ten", "what is this"]
    heard = {"tone": texts, "tone-high": ["one two three more", "five seven eight", "nine ten", "what is this"]}
    order = iter(heard.values())
    rows = list(
        report_voices(
            [load_roster()[name] for name in heard],
            texts,
            Renderings(tmp_path),
            lambda audios: next(order)[: len(audios)],
        )
    )
    assert [row.get("voice") for row in rows] == ["tone", "tone-high", None]
    assert [row["word_error_rate"]["value"] for row in rows[:2]] == [0, pytest.approx(2 / 13)]
    assert [row["heard_whole"]["value"] for row in rows[:2]] == [1, 0.5]
    assert rows[2]["identity"]["recordings"] == 4
