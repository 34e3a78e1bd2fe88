"""The decoder's step as an ONNX graph for ONNX Runtime: codes and state in, 80 ms of sound and new state out.

Fourier transforms become matrix products, because exported real transforms are slower and less portable; tests hold the
graph equal to PyTorch. State tensors are named `state_0`, `state_1`, ... in the order of `Decoder.make_state`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from vivavoce.errors import DataError
from vivavoce.files import write_whole
from vivavoce.omni.codec.config import FRAME_SAMPLES, HOP_SAMPLES, HOPS_PER_FRAME, RATE_HZ
from vivavoce.omni.codec.network import Codec, pitch_to_hz
from vivavoce.omni.codec.synthesis import MAX_LOG_GAIN, NOISE_HOPS


class DecoderStep(nn.Module):
    """One frame of the decoder in operators that export: real numbers only, no Fourier transform, no doubles."""

    forward_cos: Tensor
    forward_sin: Tensor
    inverse_cos: Tensor
    inverse_sin: Tensor

    def __init__(self, codec: Codec) -> None:
        super().__init__()
        self.quantizer, self.decoder = codec.quantizer, codec.decoder
        synthesis = codec.decoder.synthesis
        length = synthesis.window_samples
        angle = 2 * math.pi / length * torch.outer(torch.arange(length), torch.arange(length // 2 + 1)).double()
        # the inverse counts every bin twice but the first and the last
        twice = torch.full((length // 2 + 1,), 2.0 / length, dtype=torch.double)
        twice[[0, -1]] = 1.0 / length
        self.register_buffer("forward_cos", (angle.cos() * synthesis.pulse_window[:, None]).float())
        self.register_buffer("forward_sin", (-angle.sin() * synthesis.pulse_window[:, None]).float())
        self.register_buffer("inverse_cos", ((angle.cos() * twice).T * synthesis.window).float())
        self.register_buffer("inverse_sin", ((-angle.sin() * twice).T * synthesis.window).float())
        self.num_towers = len(codec.decoder.slow.blocks) + len(codec.decoder.fast.blocks)

    def forward(self, codes: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """codes [1, 1, books] int64; result: samples [1, 1920], then the new state."""
        features, towers = self.decoder.features(self.quantizer.decode(codes), list(state[: self.num_towers]))
        said = self.decoder.describe(features)
        samples, sound = self._synthesise(pitch_to_hz(said.pitch), said.bands, list(state[self.num_towers :]))
        return samples.clamp(-1, 1), *towers, *sound

    def _synthesise(self, pitch_hz: Tensor, bands: Tensor, state: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        """`Synthesis.forward` for 8 hops, with real products."""
        synthesis = self.decoder.synthesis
        phase, last_hz, tail, place = state
        curves = bands @ synthesis.spread
        pulse_gain = curves[:, :, 0].clamp(max=MAX_LOG_GAIN).exp()
        noise_gain = curves[:, :, 2].clamp(max=MAX_LOG_GAIN).exp()
        before_hz = torch.cat([torch.where(last_hz > 0, last_hz, pitch_hz[:, :1]), pitch_hz[:, :-1]], dim=1)
        # a cumulative sum as a product with a triangle
        advance = (before_hz + pitch_hz) * (0.5 * HOP_SAMPLES / RATE_HZ)
        phases = phase + advance @ torch.triu(torch.ones(HOPS_PER_FRAME, HOPS_PER_FRAME))
        phases = phases - torch.floor(phases)
        pulses = synthesis.make_pulses(phases, pitch_hz)
        real, imaginary = pulses @ self.forward_cos, pulses @ self.forward_sin
        turn_cos, turn_sin = torch.cos(curves[:, :, 1]) * pulse_gain, torch.sin(curves[:, :, 1]) * pulse_gain
        noise = synthesis.noise[(place + torch.arange(HOPS_PER_FRAME)) % NOISE_HOPS]
        out_real = real * turn_cos - imaginary * turn_sin + noise[..., 0] * noise_gain
        out_imaginary = real * turn_sin + imaginary * turn_cos + noise[..., 1] * noise_gain
        windows = out_real @ self.inverse_cos + out_imaginary @ self.inverse_sin
        samples, tail = synthesis.overlap_add(windows, tail)
        return samples, [phases[:, -1:], pitch_hz[:, -1:], tail, (place + HOPS_PER_FRAME) % NOISE_HOPS]


def export_decoder(codec: Codec, path: Path | str) -> None:
    """Write the decoder's step to `path`, whole or not at all. Needs the extra `train` (onnx, onnxscript)."""
    step = DecoderStep(codec).eval()
    state = codec.decoder.make_state(1)
    names = [f"state_{number}" for number in range(len(state))]
    codes = torch.zeros(1, 1, codec.config.num_books, dtype=torch.long)
    with write_whole(path) as temporary, torch.no_grad():
        torch.onnx.export(
            step,
            (codes, *state),
            str(temporary),
            input_names=["codes", *names],
            output_names=["samples", *(f"new_{name}" for name in names)],
            dynamo=True,
            external_data=False,
            verbose=False,
        )


class OnnxDecoder:
    """`StreamingDecoder` on ONNX Runtime, one frame at a time, one thread."""

    def __init__(self, path: Path | str, num_threads: int = 1) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = {one.name: one for one in self._session.get_inputs() if one.name != "codes"}
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next frame begins an utterance."""
        types: dict[str, Any] = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
        self._state = {name: np.zeros(one.shape, types[one.type]) for name, one in self._inputs.items()}

    def push(self, codes: np.ndarray) -> np.ndarray:
        """Samples [1920 T] float32 of codes [T, books] int64.

        Raises: DataError if codes are not two-dimensional int64.
        """
        if codes.ndim != 2 or codes.dtype != np.int64:
            raise DataError(f"codes are {codes.dtype} {list(codes.shape)}; need int64 [frames, books]")
        pieces = [np.zeros(0, np.float32)]
        for frame in codes:
            outputs: Any = self._session.run(None, {"codes": frame[None, None], **self._state})
            samples, *state = outputs
            self._state = dict(zip(self._inputs, state, strict=True))
            pieces.append(samples[0])
        out = np.concatenate(pieces)
        assert len(out) == len(codes) * FRAME_SAMPLES
        return out
