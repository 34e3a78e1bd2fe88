"""Voice activity and the rule that makes edges of it."""

import importlib.util

import numpy as np
import pytest

from vivavoce.serve.vad import EnergyVad, SpeechDetector, load_silero


def edges_of(detector, pattern):
    return [(edge.kind, edge.time_ms) for edge in detector.feed([float(mark == "#") for mark in pattern])]


def test_a_start_needs_two_chunks_and_names_the_first():
    assert edges_of(SpeechDetector(), "..#.##") == [("start", 128)]


def test_a_stop_comes_after_the_silence_and_its_time_includes_it():
    assert edges_of(SpeechDetector(silence_ms=96), "##....") == [("start", 0), ("stop", 160)]


def test_a_pause_shorter_than_the_silence_is_part_of_the_speech():
    assert edges_of(SpeechDetector(silence_ms=128), "##...##...") == [("start", 0)]


def test_a_wavering_voice_does_not_stop():
    detector = SpeechDetector(threshold=0.5, silence_ms=64)
    assert [edge.kind for edge in detector.feed([0.9, 0.9, 0.4, 0.4, 0.4, 0.4])] == ["start"]
    assert [edge.kind for edge in detector.feed([0.3, 0.3])] == ["stop"]


def test_ending_a_turn_by_hand_makes_the_next_speech_a_new_start():
    detector = SpeechDetector()
    edges_of(detector, "###")
    detector.end_speech()
    assert edges_of(detector, "..##") == [("start", 160)]


def test_energy_in_pieces_equals_energy_of_the_whole():
    sound = np.random.default_rng(0).normal(0, 0.01, 16_000).astype(np.float32)
    vad = EnergyVad()
    pieces = [prob for part in np.array_split(sound, 13) for prob in vad.feed(part)]
    assert pieces == EnergyVad().feed(sound)
    assert len(pieces) == 31


needs_silero = pytest.mark.skipif(importlib.util.find_spec("silero_vad") is None, reason="silero-vad is not installed")


@needs_silero
def test_silero_hears_no_speech_in_noise_and_streams_as_it_hears_the_whole():
    make = load_silero()
    noise = np.random.default_rng(0).normal(0, 0.02, 16_000).astype(np.float32)
    whole = make().feed(noise)
    stream = make()
    pieces = [prob for part in np.array_split(noise, 25) for prob in stream.feed(part)]
    np.testing.assert_allclose(pieces, whole, atol=1e-6)
    assert max(whole[3:]) < 0.3
