"""The reference backend: the network's own weights in PyTorch, the trunk with an explicit cache.

The trunk's layers are written out here, because the cache lies with the slots and not with the model; a test holds them
equal to the model's own forward. The ONNX graph (`onnx_graph`) is the same arithmetic again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vivavoce.omni.engine.backend import (
    ClockReading,
    ClockScores,
    EarOutput,
    EarState,
    NetworkShape,
    Reading,
    gather,
    scatter,
)
from vivavoce.omni.engine.cache import KVShape
from vivavoce.omni.engine.sampling import NEVER
from vivavoce.omni.engine.transcriber import HeardAgain, LanguageWeights
from vivavoce.omni.network import ClockInputs, OmniForConversation


class TorchBackend:
    """See the module docstring. Computes in float32 on the model's device."""

    name = "torch"

    def __init__(self, model: OmniForConversation) -> None:
        self.model = model.eval().float()
        self.shape, self.language = find_shape(model), find_language(model)
        self._device = model.lm_head.weight.device

    @torch.inference_mode()
    def embed_tokens(self, ids: Sequence[int]) -> np.ndarray:
        """Vectors [T, D]."""
        return self._array(self.model.model.embed_tokens(torch.tensor(list(ids), device=self._device)))

    @torch.inference_mode()
    def embed_patches(self, patches: np.ndarray) -> np.ndarray:
        """Vectors [64, D]."""
        return self._array(self.model.embed_patches(self._tensor(patches)[None])[0])

    @torch.inference_mode()
    def embed_frame(self, patches: np.ndarray) -> np.ndarray:
        """Vectors [16, D]."""
        return self._array(self.model.embed_frame(self._tensor(patches)[None])[0])

    def make_ear(self) -> EarState:
        """Silence."""
        return tuple(self._array(state[0]) for state in self.model.stem.make_state(1))

    @torch.inference_mode()
    def hear(self, mel: np.ndarray, ears: Sequence[EarState]) -> EarOutput:
        """What was heard, and new ears."""
        states = tuple(self._tensor(np.stack(parts)) for parts in zip(*ears))
        features, states = self.model.stem.step(self._tensor(mel), states)
        arrays = [self._array(state) for state in states]
        return EarOutput(
            self._array(self.model.read_features(features)[:, 0]),
            self._array(self.model.scribe(features[:, 0])),
            [tuple(array[idx] for array in arrays) for idx in range(len(ears))],
        )

    @torch.inference_mode()
    def hear_again(self, mel: np.ndarray) -> HeardAgain:
        """Log-probabilities of both."""
        return HeardAgain(
            *(self._array(said[0]) for said in self.model.hear_again(self._tensor(mel).flatten(0, 1)[None]))
        )

    @torch.inference_mode()
    def embed_clock(self, reading: ClockReading) -> np.ndarray:
        """Vectors [B, D]."""
        streams = (reading.text, reading.heard, reading.codes, reading.is_speaking, reading.is_muted)
        inputs = ClockInputs(*map(self._tensor, streams))
        return self._array(self.model.embed_clock(self._tensor(reading.sound), inputs))

    @torch.inference_mode()
    def read(self, readings: Sequence[Reading]) -> np.ndarray:
        """Last hidden [B, D]."""
        feed = gather(readings, self.shape.kv)
        hidden, new = run_trunk(self.model, *(self._tensor(array) for array in feed))
        return scatter(readings, self._array(hidden), self._array(new))

    @torch.inference_mode()
    def score_tokens(self, hidden: np.ndarray) -> np.ndarray:
        """Logits [B, V]."""
        return self._array(self.model.lm_head(self._tensor(hidden)))

    @torch.inference_mode()
    def score_clock(self, hidden: np.ndarray) -> ClockScores:
        """Logits of the two streams."""
        return ClockScores(*map(self._array, self.model.clock_logits(self._tensor(hidden))))

    @torch.inference_mode()
    def choose_codes(
        self, hidden: np.ndarray, text: np.ndarray, noise: np.ndarray, *, temperature: float, min_prob_share: float
    ) -> np.ndarray:
        """Codes [B, K]."""
        model = self.model
        z = model.code_head.start(self._tensor(hidden), model.model.embed_tokens(self._tensor(text)))
        drawn, books = self._tensor(noise), []
        for book in range(self.shape.num_books):
            logits = F.linear(model.code_head.read(z, book), model.code_rows(book))
            if temperature > 0:
                is_far = logits < logits.amax(-1, keepdim=True) + np.log(min_prob_share or 1e-9)
                logits = logits.masked_fill(is_far, float(NEVER)) / temperature + drawn[:, book]
            books.append(logits.argmax(-1))
            z = model.code_head.advance(z, F.embedding(books[-1], model.code_rows(book)))
        return self._array(torch.stack(books, dim=1))

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).to(self._device)

    def _array(self, tensor: Tensor) -> np.ndarray:
        return tensor.detach().cpu().numpy()


def find_shape(model: OmniForConversation) -> NetworkShape:
    """The sizes of a model."""
    config: Any = model.config
    theta = float(config.rope_parameters["rope_theta"])
    kv = KVShape(config.num_hidden_layers, config.num_key_value_heads, config.head_dim, theta)
    return NetworkShape(
        config.num_text_ids,
        config.num_image_codes,
        config.num_books,
        config.num_codes_per_book,
        config.hidden_size,
        kv,
    )


def find_language(model: OmniForConversation) -> LanguageWeights:
    """The scribe's language model, as arrays."""
    scribe: Any = model.scribe
    memory = scribe.memory
    weights = (scribe.rows.weight, memory.weight_ih_l0, memory.weight_hh_l0, memory.bias_ih_l0, memory.bias_hh_l0)
    arrays = (tensor.detach().float().cpu().numpy().copy() for tensor in (*weights, scribe.bias))
    return LanguageWeights(*arrays)


def run_trunk(
    model: OmniForConversation,
    embeds: Tensor,
    cos: Tensor,
    sin: Tensor,
    past: Tensor,
    past_bias: Tensor,
    new_bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """The trunk over new steps with an explicit past (shapes: `TrunkFeed`).

    Returns hidden [B, T, D] after the last norm, and the new keys and values [layers, 2, B, heads, T, C].
    """
    x, new = embeds, []
    for layer, (past_keys, past_values) in zip(model.model.layers, past):
        block: Any = layer
        attention = block.self_attn
        h = block.input_layernorm(x)
        query, key, value = (_split(linear(h), attention.head_dim) for linear in _projections(attention))
        query, key = _turn(query, cos, sin), _turn(key, cos, sin)
        new.append(torch.stack([key, value]))
        mixed = _attend(query, (past_keys, past_values), (key, value), past_bias, new_bias)
        x = x + attention.o_proj(mixed)
        x = x + block.mlp(block.post_attention_layernorm(x))
    return model.model.norm(x), torch.stack(new)


def _projections(attention: Any) -> tuple[Any, Any, Any]:
    return attention.q_proj, attention.k_proj, attention.v_proj


def _split(x: Tensor, head_width: int) -> Tensor:
    """[B, T, H C] to [B, H, T, C]."""
    return x.unflatten(-1, (-1, head_width)).transpose(1, 2)


def _turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos[:, None] + torch.cat([-right, left], dim=-1) * sin[:, None]


def _attend(
    query: Tensor, past: tuple[Tensor, Tensor], new: tuple[Tensor, Tensor], past_bias: Tensor, new_bias: Tensor
) -> Tensor:
    """Grouped-query attention, past and new scored apart so that the cache is never copied. Returns [B, T, H C]."""
    batch, heads, steps, width = query.shape
    groups = heads // new[0].shape[1]
    q = query.reshape(batch, new[0].shape[1], groups * steps, width) * width**-0.5
    past_scores = q @ past[0].transpose(-1, -2) + past_bias
    new_scores = q @ new[0].transpose(-1, -2) + new_bias.repeat(1, 1, groups, 1)
    weights = torch.softmax(torch.cat([past_scores, new_scores], dim=-1), dim=-1)
    split = past[0].shape[2]
    mixed = weights[..., :split] @ past[1] + weights[..., split:] @ new[1]
    return mixed.reshape(batch, heads, steps, width).transpose(1, 2).flatten(2)
