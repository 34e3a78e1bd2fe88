"""Checkpoints are read strictly: what is missing, of another shape or of another version is named."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM

from tests.omni.engine.models import make_checkpoint
from vivavoce.cli import main
from vivavoce.errors import CheckpointError
from vivavoce.omni.checkpoint import find_codec_folder, find_images_folder, load_checkpoint, save_checkpoint
from vivavoce.omni.configuration import FORMAT_VERSION
from vivavoce.omni.engine import load_engine
from vivavoce.omni.engine_protocol import SlotInput
from vivavoce.omni.training.places import digest_data

CHECKPOINT = make_checkpoint()


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "tiny"
    parts = {"codec": CHECKPOINT.codec, "images": CHECKPOINT.images}
    save_checkpoint(path, CHECKPOINT.model, CHECKPOINT.vocabulary, card="# tiny\n", **parts)  # type: ignore[arg-type]
    return path


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "tiny"))


def change_weights(folder: Path, change) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def change_config(folder: Path, **changes) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_what_is_saved_is_loaded_again_rounded_to_16_bits(whole: Path) -> None:
    again = load_checkpoint(whole)
    assert again.name == "vivavoce-tiny"
    assert again.codec is not None
    assert again.images is not None
    for name, tensor in CHECKPOINT.model.state_dict().items():
        loaded = again.model.state_dict()[name]
        assert loaded.dtype == torch.float32
        torch.testing.assert_close(loaded, tensor.bfloat16().float(), atol=0, rtol=0)
    assert again.vocabulary.encode("hello") == CHECKPOINT.vocabulary.encode("hello")


def test_the_auto_classes_read_it_too(whole: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(whole, dtype=torch.float32).eval()
    ids = torch.tensor([[1, 3, 40, 41]])
    with torch.no_grad():
        expected = load_checkpoint(whole).model(ids).logits
        torch.testing.assert_close(model(ids).logits, expected, atol=1e-5, rtol=1e-5)


def test_it_loads_as_an_engine(whole: Path) -> None:
    assert load_engine(whole, 2, backend="torch").modalities_out == {"text", "audio", "image"}


@pytest.mark.parametrize(("bias", "event"), [(1e6, "speak"), (-1e6, None)])
def test_its_own_wish_to_speak_is_added_in_a_live_talk(folder: Path, bias: float, event: str | None) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"speak_bias": bias}))
    engine = load_engine(folder, backend="torch")
    engine.open_slot(0)
    silence = SlotInput(np.zeros(1280, np.float32))
    assert engine.step({0: silence})[0].event == event


def test_without_a_codec_it_makes_no_sound(folder: Path) -> None:
    shutil.rmtree(folder / "codec")
    assert load_engine(folder, backend="torch").modalities_out == {"text", "image"}


def test_a_missing_tensor_is_named(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.pop("turn_out.weight"))
    with pytest.raises(CheckpointError, match=r"turn_out\.weight is missing"):
        load_checkpoint(folder)


def test_a_tensor_of_another_shape_is_named_with_both(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.update({"turn_out.bias": torch.zeros(4)}))
    with pytest.raises(CheckpointError, match=r"turn_out.bias is \[4\], need \[3\]"):
        load_checkpoint(folder)


def test_an_unknown_tensor_is_named(folder: Path) -> None:
    change_weights(folder, lambda tensors: tensors.update({"nose.weight": torch.zeros(4)}))
    with pytest.raises(CheckpointError, match=r"nose\.weight is unknown"):
        load_checkpoint(folder)


def test_another_version_is_named(folder: Path) -> None:
    change_config(folder, format_version=99)
    with pytest.raises(CheckpointError, match=f"format version 99; this program reads {FORMAT_VERSION}"):
        load_checkpoint(folder)


def test_another_kind_of_model_is_named(folder: Path) -> None:
    change_config(folder, model_type="llama")
    with pytest.raises(CheckpointError, match="is of a 'llama'; need 'vivavoce_omni'"):
        load_checkpoint(folder)


def test_a_damaged_weights_file_is_named(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged"):
        load_checkpoint(folder)


def test_a_codec_of_other_codes_is_refused(folder: Path) -> None:
    from vivavoce.omni.codec import config as codec_config
    from vivavoce.omni.codec.network import Codec
    from vivavoce.omni.codec.storage import save_codec

    codec = Codec(codec_config.make_tiny(levels=(5, 3)))  # type: ignore[arg-type]
    save_codec(folder / "codec", codec, codec.config)
    with pytest.raises(CheckpointError, match="4 books of 15 codes; the network has 4 of 12"):
        load_checkpoint(folder)


def test_the_command_line_says_it_in_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change_config(folder, format_version=99)
    assert main(["ask", "hello", "--model", str(folder)]) == 2
    said = capsys.readouterr().err
    assert "format version 99" in said
    assert said.count("\n") == 1
    assert main(["ask", "hello", "--model", str(folder / "nowhere")]) == 2
    assert "holds no config.json" in capsys.readouterr().err


def test_the_tokenizers_are_found_in_a_checkpoint_and_in_a_folder_of_their_own(whole: Path, tmp_path: Path) -> None:
    assert find_codec_folder(whole) == find_codec_folder(whole / "codec") == whole / "codec"
    assert find_images_folder(whole) == find_images_folder(whole / "images") == whole / "images"
    assert find_codec_folder(tmp_path) is None
    assert find_images_folder(tmp_path) is None
    # what a training run is named by does not depend on which of the two was given
    assert digest_data(tmp_path, whole, whole) == digest_data(tmp_path, whole / "codec", whole / "images")
    assert digest_data(tmp_path, whole, whole) != digest_data(tmp_path)
