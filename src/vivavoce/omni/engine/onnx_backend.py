"""The fast backend: ONNX Runtime on CPU, one thread, no spinning (docs/decisions/threads.md).

Graphs are written once for a checkpoint and a precision and kept under `assets.cache_folder()/engines/<digest>`, whole or
absent. Embedding tables are plain arrays. float32 is within 1e-4 of PyTorch on every output (tests).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime

from vivavoce.assets import cache_folder
from vivavoce.files import digest_json, write_bytes, write_json
from vivavoce.omni.configuration import FRAME_PATCH_PIXELS, IMAGE_PIXELS, PATCH_PIXELS
from vivavoce.omni.engine.backend import (
    ClockReading,
    ClockScores,
    EarOutput,
    EarState,
    Reading,
    gather,
    scatter,
)
from vivavoce.omni.engine.onnx_graph import GRAPH_VERSION, Precision, write_graphs
from vivavoce.omni.engine.torch_backend import find_language, find_shape
from vivavoce.omni.engine.transcriber import HeardAgain
from vivavoce.omni.network import OmniForConversation

GRAPH_NAMES = ("ear", "again", "eye", "trunk", "clock", "token", "codes")


class OnnxBackend:
    """See the module docstring. graphs: a path or serialised model by name."""

    def __init__(
        self,
        model: OmniForConversation,
        graphs: Mapping[str, Path | bytes],
        *,
        precision: Precision = "fp32",
        num_threads: int = 1,
    ) -> None:
        self.name = f"onnx-{precision}"
        self.shape, self.language = find_shape(model), find_language(model)
        options = make_session_options(num_threads)
        self._sessions = {name: _open(graphs[name], options) for name in GRAPH_NAMES}
        self._tokens = _copy(model.model.embed_tokens.weight)
        self._heard = _copy(model.heard_table.weight)
        self._codes = _copy(model.code_table.weight)
        self._marks = _copy(model.marks.weight)
        self._patch_position = _copy(model.patch_position.weight)
        self._frame_position = _copy(model.frame_position.weight)
        self._ear = tuple(np.zeros((conv.in_channels, conv.context), np.float32) for conv in model.stem.convolutions)
        self._first_code = np.arange(self.shape.num_books) * (self.shape.num_codes_per_book + 1)

    def embed_tokens(self, ids: Sequence[int]) -> np.ndarray:
        """Vectors [T, D]."""
        return self._tokens[list(ids)]

    def embed_patches(self, patches: np.ndarray) -> np.ndarray:
        """Vectors [64, D]."""
        return self._see(patches, PATCH_PIXELS).reshape(-1, self.shape.width) + self._patch_position

    def embed_frame(self, patches: np.ndarray) -> np.ndarray:
        """Vectors [16, D]."""
        cells = self._see(patches, FRAME_PATCH_PIXELS)
        side = IMAGE_PIXELS // FRAME_PATCH_PIXELS
        pooled = cells.reshape(side, len(cells) // side, side, -1, self.shape.width).mean(axis=(1, 3))
        return pooled.reshape(-1, self.shape.width) + self._frame_position

    def _see(self, patches: np.ndarray, patch_pixels: int) -> np.ndarray:
        """Cells [8, 8, D] of a picture's patches."""
        side = IMAGE_PIXELS // patch_pixels
        blocks = patches.reshape(side, side, patch_pixels, patch_pixels, 3).transpose(4, 0, 2, 1, 3)
        pixels = np.ascontiguousarray(blocks.reshape(1, 3, IMAGE_PIXELS, IMAGE_PIXELS), np.float32)
        return self._run("eye", ["cells"], {"pixels": pixels})[0][0]

    def make_ear(self) -> EarState:
        """Silence."""
        return self._ear

    def hear(self, mel: np.ndarray, ears: Sequence[EarState]) -> EarOutput:
        """What was heard, and new ears."""
        feed = {f"state_{idx}": np.stack(parts) for idx, parts in enumerate(zip(*ears))}
        names = ["sound", "said", *(f"new_state_{idx}" for idx in range(len(self._ear)))]
        sound, said, *states = self._run("ear", names, {"mel": mel.astype(np.float32), **feed})
        return EarOutput(sound, said, [tuple(state[idx] for state in states) for idx in range(len(ears))])

    def hear_again(self, mel: np.ndarray) -> HeardAgain:
        """Log-probabilities of both."""
        whole = mel.reshape(1, -1, mel.shape[-1]).astype(np.float32)
        return HeardAgain(*(said[0] for said in self._run("again", ["first", "second"], {"mel": whole})))

    def embed_clock(self, reading: ClockReading) -> np.ndarray:
        """Vectors [B, D]."""
        muted, clock, speaking, silent = self._marks[1], self._marks[0], self._marks[2], self._marks[3]
        is_muted = reading.is_muted[:, None]
        vectors = np.where(is_muted, muted, reading.sound)
        vectors = vectors + np.where(reading.is_speaking[:, None], speaking, silent) + clock
        vectors = vectors + self._codes[reading.codes + self._first_code].sum(axis=1)
        return vectors + self._tokens[reading.text] + self._heard[reading.heard]

    def read(self, readings: Sequence[Reading]) -> np.ndarray:
        """Last hidden [B, D]."""
        embeds, cos, sin, past, past_bias, new_bias = gather(readings, self.shape.kv)
        feed = {"embeds": embeds, "cos": cos, "sin": sin, "past_bias": past_bias, "new_bias": new_bias}
        for idx, (keys, values) in enumerate(past):
            feed[f"past_keys_{idx}"] = np.ascontiguousarray(keys)
            feed[f"past_values_{idx}"] = np.ascontiguousarray(values)
        hidden, new = self._run("trunk", ["hidden", "new"], feed)
        return scatter(readings, hidden, new)

    def score_tokens(self, hidden: np.ndarray) -> np.ndarray:
        """Logits [B, V]."""
        return self._run("token", ["logits"], {"hidden": hidden})[0]

    def score_clock(self, hidden: np.ndarray) -> ClockScores:
        """Logits of the two streams."""
        return ClockScores(*self._run("clock", ["turn", "text"], {"hidden": hidden}))

    def choose_codes(
        self, hidden: np.ndarray, text: np.ndarray, noise: np.ndarray, *, temperature: float, min_prob_share: float
    ) -> np.ndarray:
        """Codes [B, K]."""
        is_greedy = temperature <= 0
        feed = {
            "hidden": hidden,
            "word": self._tokens[text],
            "noise": np.zeros_like(noise) if is_greedy else noise,
            "sharpness": np.array([1.0 if is_greedy else 1 / temperature], np.float32),
            "reach": np.array([1e9 if is_greedy else -np.log(min_prob_share or 1e-9)], np.float32),
        }
        return self._run("codes", ["codes"], feed)[0]

    def _run(self, name: str, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        return cast("list[np.ndarray]", self._sessions[name].run(outputs, feed))


def make_session_options(num_threads: int) -> onnxruntime.SessionOptions:
    """Options for a machine that does other things as well: threads wait, they don't spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = num_threads
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def build_in_memory(model: OmniForConversation, precision: Precision = "fp32", *, num_threads: int = 1) -> OnnxBackend:
    """A backend with nothing written to disk."""
    graphs = {name: graph.SerializeToString() for name, graph in write_graphs(model, precision).items()}
    return OnnxBackend(model, graphs, precision=precision, num_threads=num_threads)


def build_cached(
    model: OmniForConversation, weights_digest: str, precision: Precision = "fp32", *, num_threads: int = 1
) -> OnnxBackend:
    """A backend whose graphs are written on first use and kept. weights_digest names the checkpoint's weights."""
    key = digest_json([weights_digest, precision, GRAPH_VERSION, onnxruntime.__version__, model.config.to_dict()])[:16]
    folder = cache_folder() / "engines" / key
    if not (folder / "engine.json").exists():
        write_engine(folder, model, precision)
    graphs = {name: folder / f"{name}.onnx" for name in GRAPH_NAMES}
    return OnnxBackend(model, graphs, precision=precision, num_threads=num_threads)


def write_engine(folder: Path, model: OmniForConversation, precision: Precision) -> None:
    """Write all graphs into `folder`, which appears when it is complete."""
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for name, graph in write_graphs(model, precision).items():
            write_bytes(temporary / f"{name}.onnx", graph.SerializeToString())
        write_json(temporary / "engine.json", {"precision": precision, "graph_version": GRAPH_VERSION})
        try:
            temporary.rename(folder)
        except OSError:
            # another process was first; if it was not, there is something else in the way
            if not (folder / "engine.json").exists():
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _open(graph: Path | bytes, options: Any) -> onnxruntime.InferenceSession:
    source = graph if isinstance(graph, bytes) else str(graph)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _copy(tensor: Any) -> np.ndarray:
    return tensor.detach().float().cpu().numpy().copy()
