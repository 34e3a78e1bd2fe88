"""Voices: roster, speaking, spoiling, renderings on disk, the sentences they read."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from vivavoce.content import Audio
from vivavoce.data.example import PRESET_VOICE, Speech, any_voice
from vivavoce.data.voices.augment import Spoiling, augment, make_noise, spoil
from vivavoce.data.voices.programs import speak_flite
from vivavoce.data.voices.rendering import Renderings, render_all
from vivavoce.data.voices.roster import list_voices, load_roster, resolve_voice
from vivavoce.data.voices.sentences import grammar_sentences, is_test_text, reading_texts, wordnet_sentences
from vivavoce.data.voices.shards import Shards, has_part, write_part
from vivavoce.data.voices.speaking import speak
from vivavoce.data.voices.trim import speech_bounds
from vivavoce.errors import AssetError, ConfigError, DataError


def _tone(hz: float, seconds: float = 1.0, rate_hz: int = 16_000) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz)).astype(np.float32)


def _loudest_hz(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples * np.hanning(len(audio.samples))))
    return float(spectrum.argmax() * audio.rate_hz / len(audio.samples))


def test_there_are_ten_training_voices_and_test_voices_that_training_never_hears() -> None:
    train, test = list_voices("train"), list_voices("test")
    assert len(train) >= 10
    assert len(test) >= 3
    # a mean of two holds both
    heard = {(voice.engine, part) for voice in train for part in voice.voice.split("+")}
    assert not heard & {(voice.engine, voice.voice) for voice in test}
    assert [voice.name for voice in list_voices("preset")] == [PRESET_VOICE]


def test_the_takes_of_a_text_are_different_voices_of_the_split() -> None:
    names = [resolve_voice(any_voice("train", take), "count the stars").name for take in range(5)]
    assert len(set(names)) == 5
    assert names == [resolve_voice(any_voice("train", take), "count the stars").name for take in range(5)]
    assert all(load_roster()[name].split == "train" for name in names)


def test_a_voice_is_picked_about_as_often_as_its_share_says() -> None:
    picked = [resolve_voice("any-test-0", f"text {number}").name for number in range(2000)]
    shares = {voice.name: voice.share for voice in list_voices("test")}
    for name, share in shares.items():
        assert picked.count(name) / 2000 == pytest.approx(share / sum(shares.values()), abs=0.04)


def test_an_unknown_voice_is_refused() -> None:
    with pytest.raises(ConfigError, match="no voice 'nobody'"):
        resolve_voice("nobody", "hello")


def test_semitones_move_the_pitch_and_leave_the_pace() -> None:
    roster = load_roster()
    low, high = speak("aaaa", roster["tone"], 16_000), speak("aaaa", roster["tone-high"], 16_000)
    assert _loudest_hz(high) / _loudest_hz(low) == pytest.approx(2 ** (7 / 12), rel=0.03)
    assert high.duration_s == pytest.approx(low.duration_s, abs=0.03)


def test_user_voices_come_out_at_one_level() -> None:
    audio = speak("hello there", load_roster()["tone"], 16_000)
    assert np.sqrt(np.mean(audio.samples**2)) == pytest.approx(0.08, rel=0.01)


def test_nothing_to_say_is_refused() -> None:
    with pytest.raises(DataError, match="need 1 to 400"):
        speak("  ", load_roster()["tone"], 16_000)


def test_a_missing_program_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(AssetError, match="apt install flite"):
        speak_flite("hello", "slt", 1.0)


def test_trimming_finds_the_speech_and_keeps_a_margin() -> None:
    samples = np.concatenate([np.zeros(8000, np.float32), _tone(440), np.zeros(8000, np.float32)])
    bounds = speech_bounds(samples, 16_000, before_s=0.03, after_s=0.06)
    assert bounds == (8000 - 480, 24_000 + 960)


def test_spoiling_depends_on_the_seed_alone() -> None:
    audio = Audio(_tone(300), 16_000, "hm")
    assert augment(audio, 5) == augment(audio, 5)
    assert augment(audio, 5) != augment(audio, 6)
    assert augment(audio, 5).transcript == "hm"


def test_every_seed_gives_finite_sound_within_bounds() -> None:
    audio = Audio(_tone(300, 0.3), 16_000)
    for seed in range(40):
        samples = augment(audio, seed).samples
        assert np.isfinite(samples).all()
        assert np.abs(samples).max() <= 1


def test_noise_is_as_far_below_the_signal_as_told() -> None:
    audio = Audio(_tone(300), 16_000)
    noise = spoil(audio, Spoiling(noise_db=10.0), 1).samples - audio.samples
    assert 10 * np.log10(np.mean(audio.samples**2) / np.mean(noise**2)) == pytest.approx(10, abs=0.1)


def test_brown_noise_falls_by_six_decibels_an_octave() -> None:
    power = np.abs(np.fft.rfft(make_noise(160_000, 2.0, 0))) ** 2
    assert 10 * np.log10(power[9000:11000].mean() / power[18000:22000].mean()) == pytest.approx(6, abs=0.5)


def test_speed_scales_length_and_pitch_together() -> None:
    audio = Audio(_tone(400), 16_000)
    fast = spoil(audio, Spoiling(speed=1.1), 0)
    assert fast.duration_s == pytest.approx(1 / 1.1, abs=0.01)
    assert _loudest_hz(fast) == pytest.approx(440, rel=0.01)


def test_a_telephone_passes_one_kilohertz_and_stops_six() -> None:
    for hz, is_heard in ((1000, True), (6000, False)):
        heard = spoil(Audio(_tone(hz), 16_000), Spoiling(is_telephone=True), 0).samples
        assert (np.sqrt(np.mean(heard**2)) > 0.1) == is_heard


def test_a_room_keeps_the_onset_and_adds_a_tail() -> None:
    dry = Audio(_tone(300, 0.5), 16_000)
    wet = spoil(dry, Spoiling(reverberation_s=0.4), 0)
    assert len(wet.samples) > len(dry.samples)
    assert np.allclose(wet.samples[:30], dry.samples[:30], atol=1e-6)


def test_only_16_khz_is_spoiled() -> None:
    with pytest.raises(DataError, match="at 24000 Hz"):
        augment(Audio(np.zeros(10, np.float32), 24_000), 0)


def test_a_rendering_from_disk_equals_one_made_anew_within_sixteen_bits(tmp_path: Path) -> None:
    speeches = [Speech(f"text number {'abcde'[number]}", "tone") for number in range(5)]
    assert [done for done, _, _ in render_all(speeches, tmp_path)] == [1]
    kept, fresh = Renderings(tmp_path), Renderings()
    assert len(kept) == 5
    for speech in speeches:
        assert kept.find(speech.text, "tone") is not None
        assert np.allclose(kept.render(speech).samples, fresh.render(speech).samples, atol=1 / 32767)
    spoiled = kept.render(Speech("text number a", "tone", seed=3))
    assert spoiled == augment(kept.render(Speech("text number a", "tone")), 3)


def test_rendering_goes_on_where_it_stopped_and_refuses_other_texts(tmp_path: Path) -> None:
    speeches = [Speech(f"number {chr(97 + number % 26)} {chr(97 + number // 26)}", "tone") for number in range(450)]
    first = render_all(speeches, tmp_path)
    assert next(first)[:2] == (1, 3)
    first.close()
    before = (tmp_path / "part-0000.npy").stat().st_mtime_ns
    assert [done for done, _, _ in render_all(speeches, tmp_path)] == [2, 3]
    assert (tmp_path / "part-0000.npy").stat().st_mtime_ns == before
    with pytest.raises(ConfigError, match="other texts"):
        list(render_all(speeches[:3], tmp_path))


def test_shards_give_back_what_was_written_across_parts(tmp_path: Path) -> None:
    arrays = [np.arange(count * 3, dtype=np.float16).reshape(count, 3) for count in (2, 5, 1)]
    write_part(tmp_path, 0, [(arrays[0], {"name": "a"}), (arrays[1], {"name": "b"})])
    write_part(tmp_path, 1, [(arrays[2], {"name": "c"})])
    shards = Shards(tmp_path)
    assert [item.about["name"] for item in (shards[0], shards[1], shards[2])] == ["a", "b", "c"]
    assert all(np.array_equal(shards[place].array, array) for place, array in enumerate(arrays))
    assert has_part(tmp_path, 1)
    assert not has_part(tmp_path, 2)


def test_an_empty_folder_is_no_shards(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no parts"):
        Shards(tmp_path)


def _write_wordnet(folder: Path) -> None:
    phrases = [f"a plain {word} phrase to read" for word in ("short", "long", "quiet", "loud", "odd", "even")]
    lines = [f'0000 00 n 01 thing 0 000 | a thing; "{phrase}"; "no"; "with 3 digits in it"' for phrase in phrases]
    for part in ("noun", "verb", "adj", "adv"):
        (folder / f"data.{part}").write_text("\n".join(lines))


def test_wordnet_phrases_are_plain_sentences_each_once(tmp_path: Path) -> None:
    _write_wordnet(tmp_path)
    found = wordnet_sentences(tmp_path)
    assert len(found) == 6
    assert found[0] == "A plain short phrase to read."


def test_no_text_is_in_both_splits(tmp_path: Path) -> None:
    _write_wordnet(tmp_path)
    train = reading_texts(9, 0, "train", tmp_path)
    assert len(set(train)) == 9
    assert not any(is_test_text(text) for text in train)
    assert is_test_text("Hello there.") == is_test_text("hello THERE")


def test_the_grammar_is_the_same_for_the_same_seed_and_fills_every_slot() -> None:
    first, again = grammar_sentences(3), grammar_sentences(3)
    texts = [next(first) for _ in range(300)]
    assert texts == [next(again) for _ in range(300)]
    assert not any("{" in text for text in texts)


def test_missing_wordnet_names_the_package(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="wordnet-base"):
        wordnet_sentences(tmp_path)
