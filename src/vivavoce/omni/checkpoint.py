"""A checkpoint on disk: one folder, safetensors and JSON only, loaded strictly.

config.json, model.safetensors      the network (bf16), as `AutoModelForCausalLM` reads it
tokenizer.json, ...                 text and control tokens, as `AutoTokenizer` reads them
codec/, images/                     the speech codec and the image tokenizer (int8); either may be absent
README.md                           the model card
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from vivavoce.errors import CheckpointError
from vivavoce.files import digest_file, write_whole
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.codec.storage import load_codec, save_codec
from vivavoce.omni.configuration import FORMAT_VERSION, OmniConfig
from vivavoce.omni.images.network import CONFIG_NAME, ImageTokenizer
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.vocabulary import Vocabulary, load_vocabulary, save_vocabulary

WEIGHTS_NAME = "model.safetensors"
_TIED = "lm_head.weight"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a folder holds. The network is in float32; weights_digest is the sha256 of its file."""

    name: str
    model: OmniForConversation
    vocabulary: Vocabulary
    codec: Codec | None
    images: ImageTokenizer | None
    weights_digest: str


def save_checkpoint(
    folder: Path | str,
    model: OmniForConversation,
    vocabulary: Vocabulary,
    *,
    codec: Codec | None = None,
    images: ImageTokenizer | None = None,
    card: str = "",
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Write a checkpoint. config.json comes last, so that its presence means the rest is whole."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_vocabulary(vocabulary, folder)
    if codec is not None:
        save_codec(folder / "codec", codec, codec.config, is_rounded=True)
    if images is not None:
        images.save(folder / "images", is_rounded=True)
    if card:
        (folder / "README.md").write_text(card)
    state = {
        name: tensor.detach().to(dtype).contiguous() for name, tensor in model.state_dict().items() if name != _TIED
    }
    with write_whole(folder / WEIGHTS_NAME) as temporary:
        save_file(state, temporary, metadata={"format": "pt"})
    model.config.architectures = [type(model).__name__]
    model.config.dtype = dtype
    model.config.save_pretrained(folder)


def load_checkpoint(path: Path | str) -> Checkpoint:
    """The checkpoint in folder `path`.

    Raises: CheckpointError if the folder, a file or a tensor is missing, a tensor has another shape, or the version is
        another one; the message names it.
    """
    folder = Path(path)
    if not (folder / "config.json").exists():
        raise CheckpointError(f"{folder} holds no config.json; name a folder that `viva train omni` wrote")
    config = _read_config(folder / "config.json")
    model = OmniForConversation(config)
    _load_weights(model, folder / WEIGHTS_NAME)
    vocabulary = load_vocabulary(folder, num_text_ids=config.num_text_ids, num_image_codes=config.num_image_codes)
    codec_folder, images_folder = find_codec_folder(folder), find_images_folder(folder)
    codec = None if codec_folder is None else load_codec(codec_folder)
    images = None if images_folder is None else ImageTokenizer.load(images_folder)
    _check_fit(folder, config, codec, images)
    return Checkpoint(
        f"vivavoce-{folder.resolve().name}", model.eval(), vocabulary, codec, images, digest_file(folder / WEIGHTS_NAME)
    )


def _read_config(path: Path) -> OmniConfig:
    try:
        plain = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"{path} is not JSON ({error}); get the checkpoint again") from error
    if plain.get("model_type") != OmniConfig.model_type:
        raise CheckpointError(f"{path} is of a {plain.get('model_type')!r}; need {OmniConfig.model_type!r}")
    version = plain.get("format_version")
    if version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} has format version {version}; this program reads {FORMAT_VERSION}; use the release that wrote it"
        )
    try:
        return OmniConfig.from_dict(plain)
    except Exception as error:
        # transformers checks types with errors of its own, which share no base
        raise CheckpointError(f"{path} is no configuration of this network: {' '.join(str(error).split())}") from error


def _load_weights(model: OmniForConversation, path: Path) -> None:
    if not path.exists():
        raise CheckpointError(f"{path} is missing; get the checkpoint again")
    wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items() if name != _TIED}
    try:
        with safe_open(path, "pt") as handle:
            found = {name: tuple(handle.get_slice(name).get_shape()) for name in handle.keys()}  # noqa: SIM118 - a handle is not a mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged ({error}); get the checkpoint again") from error
    found.pop(_TIED, None)
    problems = [f"{name} is missing" for name in wanted if name not in found]
    problems += [f"{name} is unknown" for name in found if name not in wanted]
    problems += [
        f"{name} is {list(found[name])}, need {list(shape)}"
        for name, shape in wanted.items()
        if name in found and found[name] != shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise CheckpointError(f"{path} does not fit its config.json: {'; '.join(problems[:3])}{more}")
    state = {name: tensor.float() for name, tensor in load_file(path).items() if name != _TIED}
    model.load_state_dict(state, strict=False)
    model.tie_weights()


def find_codec_folder(folder: Path) -> Path | None:
    """Where the speech codec of a checkpoint lies: in its `codec/`, or in the folder itself; None if there is none."""
    return _find(folder, "codec", "codec.json")


def find_images_folder(folder: Path) -> Path | None:
    """The same for the image tokenizer, in `images/`."""
    return _find(folder, "images", CONFIG_NAME)


def _find(folder: Path, inner: str, mark: str) -> Path | None:
    """The folder within the checkpoint, or itself, that holds `mark`; a folder of that name without it is broken."""
    if (folder / inner).is_dir():
        return folder / inner
    return folder if (folder / mark).exists() else None


def _check_fit(folder: Path, config: Any, codec: Codec | None, images: ImageTokenizer | None) -> None:
    """Codec and image tokenizer must speak the network's codes."""
    if codec is not None and (codec.config.num_books, codec.config.num_codes) != (
        config.num_books,
        config.num_codes_per_book,
    ):
        raise CheckpointError(
            f"{folder / 'codec'} has {codec.config.num_books} books of {codec.config.num_codes} codes; "
            f"the network has {config.num_books} of {config.num_codes_per_book}; use the codec it was trained with"
        )
    if images is not None and images.config.num_codes != config.num_image_codes:
        raise CheckpointError(
            f"{folder / 'images'} has {images.config.num_codes} codes; the network has {config.num_image_codes}; "
            "use the tokenizer it was trained with"
        )
