"""The network as ONNX graphs, one for each call: ear, second pass, eye, trunk, clock scores, token scores, codes.

Written from the model's weights with the arithmetic of `torch_backend`; a test holds the two equal. Embedding tables stay
outside, as arrays. Precision: float32, or 8- or 4-bit weights in groups of 32 (`MatMulNBits`) for every matrix product.
"""

from __future__ import annotations

import logging
from typing import Any, Literal

import numpy as np

from vivavoce.errors import MissingExtraError
from vivavoce.omni.configuration import IMAGE_PIXELS, MEL_BINS, MEL_FRAMES_PER_STEP
from vivavoce.omni.engine.onnx_writer import GraphWriter
from vivavoce.omni.engine.sampling import NEVER
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.second_pass import MEL_PER_FRAME
from vivavoce.omni.stem import SPELLING_STAGE

Precision = Literal["fp32", "int8", "int4"]
GRAPH_VERSION = 6
"""Raised whenever a graph changes, so that files of before are not used."""
_GROUP = 32
_TRUNK_BITS = {"int8": 8, "int4": 4}


def write_graphs(model: OmniForConversation, precision: Precision) -> dict[str, Any]:
    """All graphs (`onnx.ModelProto`) by name. 4 bits are for the trunk alone; heads then have 8.

    Raises: MissingExtraError without the `onnx` package.
    """
    try:
        import onnx  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("the ONNX engine needs the package onnx; pip install 'vivavoce[train]'") from error
    graphs = {
        "ear": _write_ear(model),
        "again": _write_second_pass(model),
        "eye": _write_eye(model),
        "trunk": _write_trunk(model),
        "clock": _write_clock(model),
        "token": _write_token(model),
        "codes": _write_codes(model),
    }
    if precision != "fp32":
        quantised = {"trunk": _TRUNK_BITS[precision], "clock": 8, "token": 8, "codes": 8}
        graphs |= {name: _quantise(graphs[name], bits) for name, bits in quantised.items()}
    return graphs


def _quantise(graph: Any, bits: int) -> Any:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    # importing it turns on everybody's informational log; it tells of every node that it leaves alone
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("onnxruntime.quantization.matmul_nbits_quantizer").setLevel(logging.WARNING)
    # accuracy level 4: activations are rounded to 8 bits by group, which is what makes it fast
    quantizer = MatMulNBitsQuantizer(graph, bits=bits, block_size=_GROUP, is_symmetric=False, accuracy_level=4)
    quantizer.process()
    done: Any = quantizer.model
    return getattr(done, "model", done)


def _array(tensor: Any) -> np.ndarray:
    return tensor.detach().float().cpu().numpy()


def _write_ear(model: Any) -> Any:
    """mel [B, 8, 80] and the states of `Stem` to sound [B, D], said [B, V] and new states."""
    g, stem, scribe = GraphWriter("ear"), model.stem, model.scribe
    x = g.transpose(g.input("mel", ["B", MEL_FRAMES_PER_STEP, MEL_BINS]), [0, 2, 1])
    states = [
        g.input(f"state_{idx}", ["B", conv.in_channels, conv.context]) for idx, conv in enumerate(stem.convolutions)
    ]
    idx = 0
    for stage in stem.stages:
        x, idx = g.node("Gelu", _convolve(g, x, stage.strided, states[idx], idx)), idx + 1
        x = g.transpose(x, [0, 2, 1])
        for block in stage.blocks:
            x, idx = _write_gated_block(g, x, block, states[idx], idx), idx + 1
        x = g.transpose(x, [0, 2, 1])
    x = g.reshape(x, [0, -1])
    sound = g.linear(x, _array(model.sound_in.weight), _array(model.sound_in.bias))
    sound = g.layer_norm(sound, _array(model.sound_norm.weight), _array(model.sound_norm.bias))
    g.output(sound, "sound", ["B", model.config.hidden_size])
    h = _linear(g, _norm(g, x, scribe.norm), scribe.hear)
    g.output(g.node("LogSoftmax", h, axis=-1), "said", ["B", model.config.num_text_ids])
    return g.finish()


def _write_gated_block(g: GraphWriter, x: str, block: Any, past: str, idx: int) -> str:
    """`GatedBlock` on x [B, T, C]."""
    h = g.layer_norm(x, _array(block.norm.weight), _array(block.norm.bias))
    h = g.transpose(_convolve(g, g.transpose(h, [0, 2, 1]), block.mix, past, idx), [0, 2, 1])
    return _write_gate(g, x, h, block)


def _convolve(g: GraphWriter, x: str, conv: Any, past: str, idx: int) -> str:
    joined = g.concat([past, x], axis=2)
    ends = (g.constant([-conv.context]), g.constant([2**31]), g.constant([2]))
    g.output(g.node("Slice", joined, *ends), f"new_state_{idx}", ["B", conv.in_channels, conv.context])
    weights = g.constant(_array(conv.weight)), g.constant(_array(conv.bias))
    return g.node("Conv", joined, *weights, strides=[conv.stride[0]], group=conv.groups)


def _write_second_pass(model: Any) -> Any:
    """mel [B, 8 T, 80] of whole utterances to first [B, T, V], by the stem from silence, and second [B, 2 T, V]."""
    g, stem, scribe, second = GraphWriter("again"), model.stem, model.scribe, model.second_pass
    mel = g.input("mel", ["B", "N", MEL_BINS])
    x, stages = mel, []
    for stage in stem.stages:
        x = g.node("Gelu", _look(g, x, stage.strided, (stage.strided.context, 0)))
        for block in stage.blocks:
            x = _write_gate(g, x, _look(g, _norm(g, x, block.norm), block.mix, (block.mix.context, 0)), block)
        stages.append(x)
    coarse, fine = _norm(g, stages[-1], second.coarse_norm), _norm(g, stages[SPELLING_STAGE], second.fine_norm)
    first = g.node("LogSoftmax", _linear(g, _norm(g, stages[-1], scribe.norm), scribe.hear), axis=-1)
    g.output(first, "first", ["B", "T", model.config.num_text_ids])
    # each coarse frame twice, then four frames of the mel beside each fine one
    coarse = g.reshape(g.concat([coarse, coarse], axis=2), [0, -1, model.config.stem_widths[-1]])
    frames = g.reshape(mel, [0, -1, MEL_BINS * MEL_PER_FRAME])
    x = _linear(g, g.concat([fine, coarse, frames], axis=2), second.enter)
    for block in second.blocks:
        reach = block.mix.padding[0]
        x = _write_gate(g, x, _look(g, _norm(g, x, block.norm), block.mix, (reach, reach)), block)
        x = _write_looking(g, x, block)
    said = g.node("LogSoftmax", _linear(g, _norm(g, x, second.norm), second.hear), axis=-1)
    g.output(said, "second", ["B", "M", model.config.num_text_ids])
    return g.finish()


def _write_gate(g: GraphWriter, x: str, mixed: str, block: Any) -> str:
    """What `GatedBlock` and `LookingBlock` make of a convolution's output."""
    left, gate = g.split(_linear(g, mixed, block.gate), [block.out.in_features] * 2)
    return g.node("Add", x, _linear(g, g.node("Mul", left, g.node("Sigmoid", gate)), block.out))


def _write_looking(g: GraphWriter, x: str, block: Any) -> str:
    """Attention of `LookingBlock` on x [B, T, C], all of which is attended to."""
    heads, width = block.num_heads, block.attended.in_features
    parts = g.split(_linear(g, _norm(g, x, block.attention_norm), block.attend), [width] * 3)
    query, key, value = (g.transpose(g.reshape(part, [0, 0, heads, width // heads]), [0, 2, 1, 3]) for part in parts)
    query = g.node("Mul", query, g.constant((width // heads) ** -0.5))
    weights = g.node("Softmax", g.node("MatMul", query, g.transpose(key, [0, 1, 3, 2])), axis=-1)
    seen = g.reshape(g.transpose(g.node("MatMul", weights, value), [0, 2, 1, 3]), [0, 0, width])
    return g.node("Add", x, _linear(g, seen, block.attended))


def _look(g: GraphWriter, x: str, conv: Any, pads: tuple[int, int]) -> str:
    """A convolution over the steps of x [B, T, C], silence before and after."""
    weights = g.constant(_array(conv.weight)), g.constant(_array(conv.bias))
    y = g.node(
        "Conv", g.transpose(x, [0, 2, 1]), *weights, strides=[conv.stride[0]], group=conv.groups, pads=list(pads)
    )
    return g.transpose(y, [0, 2, 1])


def _norm(g: GraphWriter, x: str, norm: Any) -> str:
    return g.layer_norm(x, _array(norm.weight), _array(norm.bias))


def _linear(g: GraphWriter, x: str, linear: Any) -> str:
    return g.linear(x, _array(linear.weight), _array(linear.bias))


def _write_eye(model: Any) -> Any:
    """pixels [B, 3, 64, 64] to cells [B, 8, 8, D]."""
    g, eye = GraphWriter("eye"), model.eye
    x = g.input("pixels", ["B", 3, IMAGE_PIXELS, IMAGE_PIXELS])
    for conv in eye.strided:
        x = g.node("Gelu", _see(g, x, conv))
    for conv in eye.blocks:
        x = g.node("Add", x, _see(g, g.node("Gelu", x), conv))
    x = g.linear(g.transpose(x, [0, 2, 3, 1]), _array(eye.out.weight), _array(eye.out.bias))
    x = g.layer_norm(x, _array(eye.norm.weight), _array(eye.norm.bias))
    g.output(x, "cells", ["B", 8, 8, model.config.hidden_size])
    return g.finish()


def _see(g: GraphWriter, x: str, conv: Any) -> str:
    weights = g.constant(_array(conv.weight)), g.constant(_array(conv.bias))
    return g.node("Conv", x, *weights, strides=list(conv.stride), pads=[*conv.padding, *conv.padding])


def _write_trunk(model: Any) -> Any:
    """`TrunkFeed`, its past cut by layer (past_keys_0 [B, heads, P, C], ...), to hidden and new."""
    g, config = GraphWriter("trunk"), model.config
    width, kv, head = config.hidden_size, config.num_key_value_heads, int(config.head_dim or 0)
    x = g.input("embeds", ["B", "T", width])
    cos, sin = (g.node("Unsqueeze", g.input(name, ["B", "T", head]), g.constant([1])) for name in ("cos", "sin"))
    past_bias = g.input("past_bias", ["B", 1, 1, "P"])
    groups = config.num_attention_heads // kv
    new_bias = g.node("Tile", g.input("new_bias", [1, 1, "T", "T"]), g.constant([1, 1, groups, 1]))
    sides = (cos, sin, past_bias, new_bias)
    new = []
    for idx, layer in enumerate(model.model.layers):
        past = tuple(g.input(f"past_{name}_{idx}", ["B", kv, "P", head]) for name in ("keys", "values"))
        x, written = _write_layer(g, x, layer, past, sides, config)
        new.append(written)
    g.output(g.rms_norm(x, _array(model.model.norm.weight), config.rms_norm_eps), "hidden", ["B", "T", width])
    g.output(g.concat(new, axis=0), "new", [config.num_hidden_layers, 2, "B", kv, "T", head])
    return g.finish()


def _write_layer(
    g: GraphWriter, x: str, layer: Any, past: tuple[str, ...], sides: tuple[str, str, str, str], config: Any
) -> tuple[str, str]:
    """One block; returns its output and its new keys and values [1, 2, B, heads, T, C]."""
    cos, sin, past_bias, new_bias = sides
    heads, kv, head = config.num_attention_heads, config.num_key_value_heads, config.head_dim
    attention, mlp = layer.self_attn, layer.mlp
    h = g.rms_norm(x, _array(layer.input_layernorm.weight), config.rms_norm_eps)
    joined = np.concatenate([_array(part.weight) for part in (attention.q_proj, attention.k_proj, attention.v_proj)])
    parts = g.split(g.linear(h, joined), [heads * head, kv * head, kv * head])
    query, key, value = (
        g.transpose(g.reshape(part, [0, 0, count, head]), [0, 2, 1, 3]) for part, count in zip(parts, (heads, kv, kv))
    )
    query, key = _turn(g, query, cos, sin, head), _turn(g, key, cos, sin, head)
    lead = g.constant([0, 1])
    written = g.concat([g.node("Unsqueeze", part, lead) for part in (key, value)], axis=1)
    query = g.node("Mul", g.reshape(query, [0, kv, -1, head]), g.constant(head**-0.5))
    scores = [
        g.node("Add", g.node("MatMul", query, g.transpose(keys, [0, 1, 3, 2])), bias)
        for keys, bias in ((past[0], past_bias), (key, new_bias))
    ]
    weights = g.node("Softmax", g.concat(scores, axis=-1), axis=-1)
    sizes = g.concat([g.node("Shape", part, start=2, end=3) for part in (past[0], key)], axis=0)
    over_past, over_new = g.node("Split", weights, sizes, outputs=2, axis=-1)
    mixed = g.node("Add", g.node("MatMul", over_past, past[1]), g.node("MatMul", over_new, value))
    # [B, kv, groups T, C] is [B, heads, T, C]: the heads of a group follow one another
    steps = g.node("Shape", key, start=2, end=3)
    unfolded = g.concat([g.constant([0, heads]), steps, g.constant([head])], axis=0)
    mixed = g.reshape(g.transpose(g.node("Reshape", mixed, unfolded), [0, 2, 1, 3]), [0, 0, heads * head])
    x = g.node("Add", x, g.linear(mixed, _array(attention.o_proj.weight)))
    h = g.rms_norm(x, _array(layer.post_attention_layernorm.weight), config.rms_norm_eps)
    both = g.linear(h, np.concatenate([_array(mlp.gate_proj.weight), _array(mlp.up_proj.weight)]))
    gate, up = g.split(both, [config.intermediate_size] * 2)
    gated = g.node("Mul", g.node("Mul", gate, g.node("Sigmoid", gate)), up)
    return g.node("Add", x, g.linear(gated, _array(mlp.down_proj.weight))), written


def _turn(g: GraphWriter, x: str, cos: str, sin: str, head: int) -> str:
    left, right = g.split(x, [head // 2] * 2)
    turned = g.concat([g.node("Neg", right), left], axis=-1)
    return g.node("Add", g.node("Mul", x, cos), g.node("Mul", turned, sin))


def _write_clock(model: Any) -> Any:
    """hidden [B, D] to turn, text."""
    g, config = GraphWriter("clock"), model.config
    hidden = g.input("hidden", ["B", config.hidden_size])
    g.output(g.linear(hidden, _array(model.turn_out.weight), _array(model.turn_out.bias)), "turn", ["B", 3])
    words = _array(model.lm_head.weight)[: config.num_text_ids]
    g.output(g.linear(hidden, words), "text", ["B", config.num_text_ids])
    return g.finish()


def _write_token(model: Any) -> Any:
    """hidden [B, D] to logits [B, V]."""
    g, config = GraphWriter("token"), model.config
    hidden = g.input("hidden", ["B", config.hidden_size])
    g.output(g.linear(hidden, _array(model.lm_head.weight)), "logits", ["B", config.vocab_size])
    return g.finish()


def _write_codes(model: Any) -> Any:
    """hidden and word [B, D], noise [B, K, codes], sharpness [1] (1 / temperature), reach [1] to codes [B, K]."""
    g, config, head = GraphWriter("codes"), model.config, model.code_head
    width, count = config.hidden_size, config.num_codes_per_book
    hidden, word = g.input("hidden", ["B", width]), g.input("word", ["B", width])
    noise = g.input("noise", ["B", config.num_books, count])
    sharpness, reach = g.input("sharpness", [1]), g.input("reach", [1])
    z, chosen = g.node("Add", hidden, g.linear(word, _array(head.word.weight))), []
    noises = g.split(noise, [1] * config.num_books, axis=1)
    for book in range(config.num_books):
        x = g.node("Add", z, g.constant(_array(head.book.weight)[book]))
        h = g.layer_norm(x, _array(head.norm.weight), _array(head.norm.bias))
        h = g.node("Gelu", g.linear(h, _array(head.widen.weight), _array(head.widen.bias)))
        h = g.node("Add", x, g.linear(h, _array(head.narrow.weight), _array(head.narrow.bias)))
        rows = _array(model.code_rows(book))
        logits = g.linear(g.layer_norm(h, _array(head.out_norm.weight), _array(head.out_norm.bias)), rows)
        best = g.node("ReduceMax", logits, g.constant([-1]), keepdims=1)
        is_far = g.node("Less", logits, g.node("Sub", best, reach))
        near = g.node("Where", is_far, g.constant(float(NEVER)), logits)
        drawn = g.node("Squeeze", noises[book], g.constant([1]))
        idx = g.node("ArgMax", g.node("Add", g.node("Mul", near, sharpness), drawn), axis=-1, keepdims=0)
        chosen.append(g.node("Unsqueeze", idx, g.constant([1])))
        if book + 1 < config.num_books:
            picked = g.node("Gather", g.constant(rows, "rows"), idx, axis=0)
            z = g.node("Add", z, g.linear(picked, _array(head.before.weight)))
    g.output(g.concat(chosen, axis=1), "codes", ["B", config.num_books], "int")
    return g.finish()
