"""Wire formats and the resampler."""

import itertools

import numpy as np
import pytest

from vivavoce.serve.sound import Resampler, decode_sound, encode_sound, measure_level_db


def tone(hz: float, rate_hz: int, seconds: float = 0.5, gain: float = 0.5) -> np.ndarray:
    return (gain * np.sin(2 * np.pi * hz * np.arange(int(rate_hz * seconds)) / rate_hz)).astype(np.float32)


@pytest.mark.parametrize("wire_format", ["audio/pcmu", "audio/pcma"])
def test_every_g711_byte_survives_decoding_and_encoding(wire_format):
    data = bytes(range(256))
    if wire_format == "audio/pcmu":  # minus zero and plus zero are one value
        data = data.replace(b"\x7f", b"\xff")
    assert encode_sound(decode_sound(data, wire_format), wire_format) == data


@pytest.mark.parametrize(("wire_format", "name"), [("audio/pcmu", "pcm_mulaw"), ("audio/pcma", "pcm_alaw")])
def test_g711_decodes_as_ffmpeg_does(wire_format, name):
    import av

    decoder = av.CodecContext.create(name, "r")
    decoder.sample_rate, decoder.layout = 8000, "mono"
    frames = decoder.decode(av.Packet(bytes(range(256))))
    theirs = frames[0].to_ndarray()[0].astype(np.float32) / 32768
    np.testing.assert_array_equal(decode_sound(bytes(range(256)), wire_format), theirs)


@pytest.mark.parametrize(("wire_format", "name"), [("audio/pcmu", "pcm_mulaw"), ("audio/pcma", "pcm_alaw")])
def test_g711_encoding_picks_a_byte_within_half_a_step(wire_format, name):
    samples = np.arange(-32768, 32768, 7, dtype=np.float32) / 32768
    back = decode_sound(encode_sound(samples, wire_format), wire_format)
    step = np.maximum(np.abs(samples) / 16, 1 / 2048)
    assert np.all(np.abs(back - samples) <= step)


def test_pcm16_round_trips_exactly_and_clips_what_is_too_loud():
    data = np.array([-32768, -1, 0, 1, 32767], "<i2").tobytes()
    assert encode_sound(decode_sound(data, "audio/pcm"), "audio/pcm") == data
    assert encode_sound(np.array([2.0, -2.0], np.float32), "audio/pcm") == np.array([32767, -32768], "<i2").tobytes()


def test_half_a_sample_is_refused_by_name():
    with pytest.raises(ValueError, match="3 bytes of 16-bit PCM end in half a sample"):
        decode_sound(b"abc", "audio/pcm")


@pytest.mark.parametrize("rates", [(24_000, 16_000), (8_000, 16_000), (24_000, 8_000), (16_000, 24_000)])
def test_resampling_in_pieces_equals_resampling_the_whole(rates):
    samples = np.random.default_rng(0).standard_normal(5_003).astype(np.float32)
    whole = Resampler(*rates).feed(samples)
    stream = Resampler(*rates)
    cuts = [0, 1, 2, 480, 481, 1900, 1900, 4000, len(samples)]
    pieces = [stream.feed(samples[a:b]) for a, b in itertools.pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert len(whole) == -(-len(samples) * rates[1] // rates[0])


@pytest.mark.parametrize("rates", [(24_000, 16_000), (8_000, 16_000), (24_000, 8_000), (16_000, 24_000)])
def test_a_tone_passes_and_a_fold_does_not(rates):
    passed = Resampler(*rates).feed(tone(1000, rates[0]))[200:]
    assert abs(measure_level_db(passed) - measure_level_db(tone(1000, rates[1]))) < 0.1
    if rates[1] < rates[0]:
        folded = Resampler(*rates).feed(tone(rates[1] * 0.62, rates[0]))[200:]
        assert measure_level_db(folded) < -55


@pytest.mark.parametrize("rates", [(24_000, 16_000), (8_000, 16_000), (24_000, 8_000), (16_000, 24_000)])
def test_the_resampler_holds_back_at_most_two_milliseconds(rates):
    impulse = np.zeros(rates[0], np.float32)
    impulse[rates[0] // 4] = 1.0
    peak = int(np.argmax(np.abs(Resampler(*rates).feed(impulse))))
    assert 0 <= peak / rates[1] - 0.25 <= 0.00205


def test_silence_has_a_finite_level():
    assert measure_level_db(np.zeros(10, np.float32)) == -120.0
    assert measure_level_db(np.zeros(0, np.float32)) == -120.0
