"""Causal language models of text, for the rooms that grade, criticise and train: any Hugging Face name or folder.

`load_text_model` looks for a folder, then the Hugging Face Hub at a pinned revision, then a package that carries the
weights (`assets`); it logs which one served. Packed GGUF weights are expanded once to safetensors in the cache.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from vivavoce.assets import ASSETS, cache_folder, resolve
from vivavoce.content import Message
from vivavoce.errors import AssetError, CheckpointError
from vivavoce.files import digest_file, write_json

logger = logging.getLogger(__name__)

DEFAULT_TEXT_MODEL = "smollm2-135m-instruct"


class TextModel(NamedTuple):
    """A causal model in eval mode and its tokenizer; `tokenizer.pad_token_id` is set."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class _Pinned:
    """Where a short name lives: on the Hub at a revision, and as an asset package."""

    hub: str
    revision: str
    asset: str


_SHORT_NAMES = {
    DEFAULT_TEXT_MODEL: _Pinned(
        "HuggingFaceTB/SmolLM2-135M-Instruct", "12fd25f77366fa6b3b4b768ec3050bf629380bac", DEFAULT_TEXT_MODEL
    ),
}


def load_text_model(
    name_or_path: str = DEFAULT_TEXT_MODEL,
    *,
    dtype: torch.dtype = torch.float32,
    device: str = "cpu",
    download: bool = True,
) -> TextModel:
    """A causal model and its tokenizer.

    name_or_path: a folder, a short name (`smollm2-135m-instruct`), or a Hub name, optionally `name@revision`.
    download: False reaches for no network (tests): only folders and caches serve.
    Raises: CheckpointError if a folder holds no such model, AssetError if no source can serve the name.
    """
    if not sys.stderr.isatty():
        transformers_logging.disable_progress_bar()
    folder = find_text_model(name_or_path, download=download)
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype)
    except (OSError, ValueError, KeyError) as error:
        raise CheckpointError(f"{folder} holds no causal language model with a tokenizer: {error}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    model.to(device)  # pyright: ignore[reportArgumentType]  # transformers annotates `to` for a mixin
    return TextModel(model.eval(), tokenizer)


def find_text_model(name_or_path: str, *, download: bool = True) -> Path:
    """The folder that `load_text_model` reads: folder, Hub (or its cache), package. Raises: AssetError if none serves."""
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        logger.info("text model %s served from the folder", path)
        return path
    if name_or_path in _SHORT_NAMES:
        return _find_pinned(name_or_path, _SHORT_NAMES[name_or_path], download=download)
    name, _, revision = name_or_path.partition("@")
    try:
        return _find_on_hub(name, revision or None, download=download)
    except (OSError, ValueError) as error:
        known = ", ".join(_SHORT_NAMES)
        raise AssetError(
            f"no text model {name_or_path!r}: not a folder, and the Hub did not serve it ({type(error).__name__}); "
            f"name a folder, a reachable Hub model, or one of: {known}"
        ) from error


def _find_pinned(name: str, pinned: _Pinned, *, download: bool) -> Path:
    try:
        return _find_on_hub(pinned.hub, pinned.revision, download=False)
    except (OSError, ValueError):
        logger.debug("%s is not in the Hub's cache", pinned.hub)
    package = ASSETS[pinned.asset].packages[0]
    is_cached = (cache_folder() / "assets" / f"{pinned.asset}-{package.version}").is_dir()
    if download and not is_cached:
        try:
            return _find_on_hub(pinned.hub, pinned.revision, download=True)
        except (OSError, ValueError) as error:
            logger.info("the Hub did not serve %s (%s); trying the package", pinned.hub, type(error).__name__)
    return _expand(name, resolve(pinned.asset, download=download) / "model.gguf")


def _find_on_hub(name: str, revision: str | None, *, download: bool) -> Path:
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.safetensors", "*.txt", "*.jinja", "*.model"]
    folder = snapshot_download(
        name, revision=revision, allow_patterns=patterns, local_files_only=not download, etag_timeout=5
    )
    logger.info("text model %s served from the Hub (%s)", name, revision or "default revision")
    return Path(folder)


def _expand(name: str, packed: Path) -> Path:
    """Safetensors beside config and tokenizer, expanded once from `packed`; written whole or not at all."""
    digest = digest_file(packed)
    folder = cache_folder() / "text_models" / f"{name}-{digest[:12]}"
    if (folder / "expanded.json").exists():
        logger.info("text model %s served from its package (GGUF sha256 %s, expanded)", name, digest)
        return folder
    from transformers import GgufConfig

    source, temporary = str(packed.parent), folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    model = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=packed.name, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32
    )
    # the expanded weights are plain ones; a trace of the packing would make loaders unpack again
    vars(model.config).pop("quantization_config", None)
    model.save_pretrained(temporary)
    AutoTokenizer.from_pretrained(source, gguf_file=packed.name).save_pretrained(temporary)
    write_json(temporary / "expanded.json", {"gguf_sha256": digest})
    try:
        temporary.replace(folder)
    except OSError:  # another process was first: its files are the same
        if not (folder / "expanded.json").exists():
            raise
    logger.info("text model %s expanded from its package (GGUF sha256 %s) to %s", name, digest, folder)
    return folder


def render_chat(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], *, add_generation_prompt: bool = True
) -> str:
    """`messages` as the tokenizer's chat template writes them, or as `role: text` paragraphs when it has none."""
    plain = [{"role": message.role, "content": message.text} for message in messages]
    if tokenizer.chat_template:
        return str(tokenizer.apply_chat_template(plain, tokenize=False, add_generation_prompt=add_generation_prompt))
    text = "".join(f"{message['role']}: {message['content']}\n\n" for message in plain)
    return text + ("assistant:" if add_generation_prompt else "")
