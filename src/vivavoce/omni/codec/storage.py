"""A codec on disk: `<name>.safetensors` and `<name>.json`, strictly checked on loading."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import load_file, save_file

from vivavoce.errors import CheckpointError, ConfigError
from vivavoce.files import write_json, write_whole
from vivavoce.omni.codec.config import FORMAT_VERSION, CodecConfig
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.rounding import restore_weights, round_weights


def save_codec(
    folder: Path | str, codec: Codec, config: CodecConfig, *, name: str = "codec", is_rounded: bool = False
) -> None:
    """Write weights, in float32 or rounded to eight bits, and shape of a codec. The shape comes last: its presence means the weights
    are whole."""
    folder = Path(folder)
    state = codec.state_dict()
    tensors = round_weights(state) if is_rounded else {key: value.detach().contiguous() for key, value in state.items()}
    with write_whole(folder / f"{name}.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(folder / f"{name}.json", {"format_version": FORMAT_VERSION, "config": asdict(config)})


def load_codec(folder: Path | str, *, name: str = "codec") -> Codec:
    """A codec in evaluation mode, in float32 whatever it was stored in.

    Raises: CheckpointError if a file is missing, of another version, or its tensors are not the network's.
    """
    folder = Path(folder)
    shape_path, weights_path = folder / f"{name}.json", folder / f"{name}.safetensors"
    for path in (shape_path, weights_path):
        if not path.exists():
            raise CheckpointError(f"codec file {path} is missing; train one (viva train codec) or name its folder")
    shape = json.loads(shape_path.read_text())
    if shape.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(f"{shape_path} has format version {shape.get('format_version')}; need {FORMAT_VERSION}")
    try:
        config = CodecConfig(**{**shape["config"], "levels": tuple(shape["config"]["levels"])})
    except (TypeError, KeyError, ConfigError) as error:
        raise CheckpointError(f"{shape_path} is no codec configuration: {error}") from error
    codec = Codec(config)
    found, wanted = restore_weights(load_file(weights_path)), codec.state_dict()
    problems = [f"{key} missing" for key in wanted if key not in found]
    problems += [f"{key} unknown" for key in found if key not in wanted]
    problems += [
        f"{key} is {list(found[key].shape)}, need {list(value.shape)}"
        for key, value in wanted.items()
        if key in found and found[key].shape != value.shape
    ]
    if problems:
        raise CheckpointError(
            f"{weights_path} does not fit {shape_path.name}: {'; '.join(problems[:5])} ({len(problems)} in all)"
        )
    codec.load_state_dict(found)
    return codec.eval()
