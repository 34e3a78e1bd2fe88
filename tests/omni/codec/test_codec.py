"""The speech codec: streaming is offline, causal, exact codes, strict files, and the ONNX step."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from vivavoce.content import Audio
from vivavoce.errors import CheckpointError, ConfigError, DataError
from vivavoce.omni.codec.config import CODEC_MEL, FRAME_SAMPLES, PRESETS, RATE_HZ, CodecConfig, make_nano, make_tiny
from vivavoce.omni.codec.conversion import decode_codes, encode_audio
from vivavoce.omni.codec.network import Codec, hz_to_pitch, pitch_to_hz
from vivavoce.omni.codec.quantizer import ScalarQuantizer
from vivavoce.omni.codec.storage import load_codec, save_codec
from vivavoce.omni.codec.streaming import StreamingDecoder, StreamingEncoder
from vivavoce.omni.codec.synthesis import Synthesis


@pytest.fixture(scope="module")
def codec() -> Codec:
    torch.manual_seed(0)
    codec = Codec(make_tiny()).eval()
    with torch.no_grad():
        codec.decoder.head.weight.mul_(10)
        codec.encoder.leave.weight.mul_(4)
    return codec


def _speech(seconds: float = 1.0, seed: int = 0) -> Audio:
    rng = np.random.default_rng(seed)
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    wave = 0.2 * np.sin(2 * np.pi * 180 * times) * (1 + np.sin(2 * np.pi * 3 * times))
    return Audio((wave + 0.02 * rng.standard_normal(len(times))).astype(np.float32), RATE_HZ)


def _codes(frames: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(0, 1000, (frames, 4), generator=torch.Generator().manual_seed(seed))


def test_decoding_frame_by_frame_equals_decoding_at_once(codec: Codec) -> None:
    codes = _codes(12)
    stream = StreamingDecoder(codec)
    pieces = np.concatenate([stream.push(codes[frame : frame + 1]) for frame in range(12)])
    whole = decode_codes(codec, codes).samples
    assert len(whole) == 12 * FRAME_SAMPLES
    assert np.abs(whole).max() > 0.01
    assert np.array_equal(pieces, whole)
    with torch.no_grad():
        batched = codec.decode(codes[None])[0].clamp(-1, 1).numpy()
    assert np.allclose(batched, whole, atol=1e-3)


@pytest.mark.parametrize("piece", [137, 1920, 5000])
def test_encoding_in_pieces_of_any_size_equals_encoding_at_once(codec: Codec, piece: int) -> None:
    audio = _speech(1.03)
    stream = StreamingEncoder(codec)
    starts = range(0, len(audio.samples), piece)
    pieces = [stream.push(audio.samples[start : start + piece]) for start in starts]
    codes = torch.cat([*pieces, stream.flush()])
    assert torch.equal(codes, encode_audio(codec, audio))
    assert len(codes) == -(-len(audio.samples) // FRAME_SAMPLES)


def test_a_code_hears_20_ms_past_its_frame_and_no_more(codec: Codec) -> None:
    audio = _speech(0.8)
    changed = audio.samples.copy()
    changed[4 * FRAME_SAMPLES + CODEC_MEL.look_ahead_samples :] = 0
    before = codec.encoder(_mel(audio.samples))
    after = codec.encoder(_mel(changed))
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


def _mel(samples: np.ndarray) -> torch.Tensor:
    from vivavoce.omni.mel import log_mel

    return torch.from_numpy(log_mel(samples, CODEC_MEL))[None]


def test_sound_does_not_depend_on_later_codes(codec: Codec) -> None:
    first, second = _codes(8), _codes(8)
    second[5:] = _codes(3, seed=1)
    ours, theirs = decode_codes(codec, first).samples, decode_codes(codec, second).samples
    cut = 5 * FRAME_SAMPLES
    assert np.array_equal(ours[:cut], theirs[:cut])
    assert not np.array_equal(ours[cut : cut + FRAME_SAMPLES], theirs[cut : cut + FRAME_SAMPLES])


def test_a_batch_gives_what_each_gives_alone(codec: Codec) -> None:
    codes = torch.stack([_codes(5, seed) for seed in range(3)])
    with torch.no_grad():
        together = codec.decode(codes)
        alone = torch.cat([codec.decode(one[None]) for one in codes])
    assert torch.allclose(together, alone, atol=1e-3)


def test_codes_and_rounded_numbers_are_inverses() -> None:
    quantizer = ScalarQuantizer((8, 5, 5, 5), 4)
    codes = torch.arange(1000)[:, None].repeat(1, 4)[None]
    numbers = quantizer.decode(codes)
    assert numbers.min() == -1
    assert numbers.max() == 1
    assert torch.equal(quantizer.encode(torch.atanh(numbers.clamp(-0.999, 0.999))), codes)


def test_rounding_passes_the_gradient_of_the_bound_alone() -> None:
    quantizer = ScalarQuantizer((8, 5, 5, 5), 1)
    z = torch.randn(1, 3, 4, requires_grad=True)
    quantizer(z).sum().backward()
    assert torch.allclose(z.grad, 1 - torch.tanh(z.detach()) ** 2, atol=1e-6)


def test_jitter_moves_its_share_of_numbers_by_one_level() -> None:
    torch.manual_seed(0)
    quantizer = ScalarQuantizer((5, 5), 1)
    z = torch.zeros(1, 5000, 2)
    moved = quantizer(z, jitter=0.2)
    assert set(moved.unique().tolist()) == {-0.5, 0.0, 0.5}
    assert float((moved != 0).float().mean()) == pytest.approx(0.2, abs=0.02)


def test_synthesis_makes_the_pitch_it_is_told() -> None:
    synthesis = Synthesis(16, 960)
    bands = torch.zeros(1, 100, 3, 16)
    bands[:, :, 2] = -20
    samples, _ = synthesis(torch.full((1, 100), 210.0), bands, synthesis.make_state(1))
    spectrum = np.abs(np.fft.rfft(samples[0, 4800:].numpy() * np.hanning(19_200)))
    peaks = [float(spectrum[round(hz * 0.8) - 8 : round(hz * 0.8) + 9].argmax() - 8) for hz in (210, 420, 2100)]
    assert peaks == pytest.approx([0, 0, 0], abs=1.01)
    between = spectrum[round(315 * 0.8)]
    assert between < 0.01 * spectrum[round(210 * 0.8)]


def test_a_gliding_pitch_keeps_its_phase_across_hops() -> None:
    synthesis = Synthesis(16, 960)
    bands = torch.zeros(1, 100, 3, 16)
    bands[:, :, 2] = -20
    glide = torch.linspace(180, 220, 100)[None]
    samples, _ = synthesis(glide, bands, synthesis.make_state(1))
    steady, _ = synthesis(torch.full((1, 100), 200.0), bands, synthesis.make_state(1))
    assert samples[:, 2400:].std() == pytest.approx(float(steady[:, 2400:].std()), rel=0.1)


def test_pitch_and_hz_are_inverses_within_bounds() -> None:
    hz = torch.tensor([60.0, 200.0, 400.0])
    assert torch.allclose(pitch_to_hz(hz_to_pitch(hz)), hz)


def test_a_saved_codec_comes_back_and_nano_is_small_enough(codec: Codec, tmp_path: Path) -> None:
    save_codec(tmp_path, codec, codec.config)
    again = load_codec(tmp_path)
    assert again.config == codec.config
    assert torch.equal(again.encode(_mel(_speech().samples)), codec.encode(_mel(_speech().samples)))
    assert sum(one.numel() for one in Codec(make_nano()).parameters()) < 5_000_000


def test_a_codec_with_missing_or_misshapen_tensors_is_refused_by_name(codec: Codec, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    save_codec(tmp_path, codec, codec.config)
    tensors = load_file(tmp_path / "codec.safetensors")
    del tensors["encoder.norm.bias"]
    tensors["decoder.enter.bias"] = torch.zeros(3)
    save_file(tensors, tmp_path / "codec.safetensors")
    with pytest.raises(
        CheckpointError, match=r"encoder\.norm\.bias missing; decoder\.enter\.bias is \[3\], need \[16\]"
    ):
        load_codec(tmp_path)


def test_a_codec_of_another_version_or_with_unknown_fields_is_refused(codec: Codec, tmp_path: Path) -> None:
    save_codec(tmp_path, codec, codec.config)
    path = tmp_path / "codec.json"
    shape = json.loads(path.read_text())
    path.write_text(json.dumps({**shape, "format_version": 99}))
    with pytest.raises(CheckpointError, match="format version 99; need 1"):
        load_codec(tmp_path)
    path.write_text(json.dumps({**shape, "config": {**shape["config"], "colour": 1}}))
    with pytest.raises(CheckpointError, match="no codec configuration"):
        load_codec(tmp_path)
    with pytest.raises(CheckpointError, match="is missing"):
        load_codec(tmp_path / "nowhere")


def test_bad_sound_and_bad_codes_are_refused(codec: Codec) -> None:
    with pytest.raises(DataError, match="at 16000 Hz"):
        encode_audio(codec, Audio(np.zeros(100, np.float32), 16_000))
    with pytest.raises(DataError, match="need 0 to 999"):
        decode_codes(codec, torch.full((1, 4), 1000))
    with pytest.raises(DataError, match="need \\[frames, 4\\]"):
        decode_codes(codec, torch.zeros(1, 3, dtype=torch.long))
    assert len(decode_codes(codec, torch.zeros(0, 4, dtype=torch.long)).samples) == 0


def test_one_sample_is_one_frame(codec: Codec) -> None:
    assert encode_audio(codec, Audio(np.ones(1, np.float32), RATE_HZ)).shape == (1, 4)


def test_every_preset_builds_and_bad_shapes_do_not() -> None:
    for make in PRESETS.values():
        assert make().num_codes == 1000
    with pytest.raises(ConfigError, match="at least 2"):
        CodecConfig(levels=(8, 1))
    with pytest.raises(ConfigError, match="multiple of 240"):
        dataclasses.replace(make_tiny(), synthesis_samples=1000)


def test_the_onnx_step_equals_pytorch(codec: Codec, tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="the extra `train` brings the exporter")
    from vivavoce.omni.codec.export import OnnxDecoder, export_decoder

    export_decoder(codec, tmp_path / "decoder.onnx")
    decoder = OnnxDecoder(tmp_path / "decoder.onnx")
    codes = _codes(10)
    expected = decode_codes(codec, codes).samples
    assert np.allclose(decoder.push(codes.numpy()), expected, atol=1e-3)
    decoder.reset()
    assert np.allclose(decoder.push(codes[:2].numpy()), expected[: 2 * FRAME_SAMPLES], atol=1e-3)
