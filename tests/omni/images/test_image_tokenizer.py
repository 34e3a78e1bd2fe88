"""The image tokenizer: its book, its files, its training."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from vivavoce.errors import CheckpointError, ConfigError, DataError
from vivavoce.omni.images.losses import measure_ssim, reconstruction_loss
from vivavoce.omni.images.network import (
    ImageTokenizer,
    ImageTokenizerConfig,
    Quantizer,
    measure_psnr,
    to_pixels,
    to_signal,
)
from vivavoce.omni.images.training import make_config, train
from vivavoce.omni.training.loop import newest_state

TINY = ImageTokenizerConfig(widths=(8, 8, 16), encoder_blocks=1, decoder_blocks=1)


@pytest.fixture
def model() -> ImageTokenizer:
    torch.manual_seed(0)
    return ImageTokenizer(TINY).eval()


def test_every_code_survives_the_way_to_values_and_back():
    quantizer = Quantizer((8, 5, 5, 5))
    codes = torch.arange(1000).view(1, 20, 50)
    values = quantizer.from_codes(codes)
    assert values.abs().max() <= 1
    digits = (values + 1) * (quantizer.levels // 2).view(-1, 1, 1)
    assert torch.equal((digits * quantizer.basis.view(-1, 1, 1)).sum(1).long(), codes)


def test_quantised_latents_are_the_values_of_their_codes():
    quantizer = Quantizer((8, 5, 5, 5))
    latents = torch.randn(3, 4, 8, 8, generator=torch.Generator().manual_seed(1)) * 3
    assert torch.allclose(quantizer(latents), quantizer.from_codes(quantizer.to_codes(latents)), atol=1e-6)
    assert quantizer.to_codes(latents).min() >= 0
    assert quantizer.to_codes(latents).max() < 1000


def test_gradient_passes_straight_through_the_rounding():
    latents = torch.zeros(1, 4, 2, 2, requires_grad=True)
    Quantizer((5, 5, 5, 5))(latents).sum().backward()
    assert latents.grad is not None
    assert (latents.grad > 0.9).all()


def test_decoding_codes_equals_the_forward_pass(model: ImageTokenizer):
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        whole = to_pixels(model(to_signal(pixels)))
    assert torch.equal(model.decode(model.encode(pixels)), whole)


def test_a_batch_has_the_codes_of_its_pictures_alone(model: ImageTokenizer):
    pixels = torch.randint(0, 256, (3, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3))
    together = model.encode(pixels)
    alone = torch.cat([model.encode(pixels[idx : idx + 1]) for idx in range(3)])
    # sums in another order may tip a value over the edge of its cell, so a rare difference is no fault
    assert (together == alone).float().mean() > 0.98


def test_pictures_of_another_size_are_refused(model: ImageTokenizer):
    with pytest.raises(DataError, match="need uint8"):
        model.encode(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))


def test_codes_outside_the_book_are_refused(model: ImageTokenizer):
    with pytest.raises(DataError, match="need 0 to 999"):
        model.decode(torch.full((1, 64), 1000))


def test_a_saved_tokenizer_loads_equal(model: ImageTokenizer, tmp_path):
    model.save(tmp_path)
    loaded = ImageTokenizer.load(tmp_path)
    assert loaded.config == TINY
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), loaded.state_dict().values()))


def test_a_missing_tensor_is_named(model: ImageTokenizer, tmp_path):
    model.save(tmp_path)
    path = tmp_path / "image_tokenizer.safetensors"
    state = load_file(path)
    del state["decoder.0.bias"]
    save_file(state, path)
    with pytest.raises(CheckpointError, match=r"decoder\.0\.bias is None"):
        ImageTokenizer.load(tmp_path)


def test_a_truncated_file_and_another_version_are_refused(model: ImageTokenizer, tmp_path):
    model.save(tmp_path)
    path = tmp_path / "image_tokenizer.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match="damaged"):
        ImageTokenizer.load(tmp_path)
    config = tmp_path / "image_tokenizer.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "format_version": 99}))
    with pytest.raises(CheckpointError, match="another version"):
        ImageTokenizer.load(tmp_path)


def test_loss_is_zero_for_the_same_picture_and_similarity_is_one():
    signal = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(4)) * 2 - 1
    assert reconstruction_loss(signal, signal)["loss"].item() == pytest.approx(0, abs=1e-5)
    assert measure_ssim(signal, signal).item() == pytest.approx(1, abs=1e-5)


def test_signal_to_noise_ratio_worked_by_hand():
    black = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    assert measure_psnr(black, black + 255).item() == pytest.approx(0)
    assert measure_psnr(black, black + 16).item() == pytest.approx(24.05, abs=0.01)


def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path, monkeypatch):
    config = make_config("tiny")
    train(config, tmp_path / "whole")
    real_update, calls = train.__globals__["update"], []

    def update_until_killed(*arguments):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return real_update(*arguments)

    monkeypatch.setitem(train.__globals__, "update", update_until_killed)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut")
    assert newest_state(tmp_path / "cut").name == "00000002"
    monkeypatch.setitem(train.__globals__, "update", real_update)
    train(config, tmp_path / "cut", resume=True)
    whole, cut = (load_file(tmp_path / name / "state/00000006/weights.safetensors") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)
    assert (tmp_path / "whole/metrics.jsonl").read_text() == (tmp_path / "cut/metrics.jsonl").read_text()


def test_training_the_decoder_alone_leaves_every_code_as_it_was(model: ImageTokenizer, tmp_path):
    model.save(tmp_path / "start")
    config = replace(make_config("tiny"), start_from=str(tmp_path / "start"), is_encoder_frozen=True)
    trained = ImageTokenizer.load(train(config, tmp_path / "run"))
    pixels = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    assert torch.equal(trained.encode(pixels), model.encode(pixels))
    assert not torch.equal(trained.decoder[0].weight, model.decoder[0].weight)


def test_starting_from_a_network_of_another_shape_is_refused(tmp_path):
    ImageTokenizer(ImageTokenizerConfig(widths=(8, 8, 24), encoder_blocks=1, decoder_blocks=1)).save(tmp_path / "other")
    with pytest.raises(ConfigError, match="another shape"):
        train(replace(make_config("tiny"), start_from=str(tmp_path / "other")), tmp_path / "run")
