"""The codec as sound comes and goes: pieces of any size in, codes out; codes in, 80 ms of sound out at once.

The same forward as in training; only the state between calls is kept here. The encoder looks 20 ms ahead, so a frame's codes
come 20 ms after its end; the decoder looks ahead by nothing.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from vivavoce.errors import DataError
from vivavoce.omni.codec.config import CODEC_MEL, FRAME_SAMPLES, HOPS_PER_FRAME
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.mel import StreamingMel


class StreamingEncoder:
    """Codes of a sound that arrives in pieces."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self._mel = StreamingMel(CODEC_MEL)
        self._state = codec.encoder.make_state(1)
        self._waiting = np.zeros((0, CODEC_MEL.num_bins), np.float32)
        self._num_samples = 0

    @torch.inference_mode()
    def push(self, samples: np.ndarray) -> Tensor:
        """Codes [T, books] of the frames that became complete. samples [S] float32 at 24 kHz."""
        self._num_samples += len(samples)
        self._waiting = np.concatenate([self._waiting, self._mel.push(samples)])
        count = len(self._waiting) // HOPS_PER_FRAME * HOPS_PER_FRAME
        if not count:
            return torch.zeros(0, self._codec.config.num_books, dtype=torch.long)
        mel, self._waiting = self._waiting[:count], self._waiting[count:]
        latent, self._state = self._codec.encoder.step(torch.from_numpy(mel)[None], self._state)
        return self._codec.quantizer.encode(latent)[0]

    def flush(self) -> Tensor:
        """Codes of the frames that the end still owes, padded with silence; then the encoder must not be used again."""
        missing = -self._num_samples % FRAME_SAMPLES
        return self.push(np.zeros(missing + CODEC_MEL.look_ahead_samples, np.float32))


class StreamingDecoder:
    """Sound of codes that arrive frame by frame.

    Always one frame at a time inside: a matrix product rounds differently for another number of rows, and in the running
    phase of the pulses such differences add up, so this makes streaming equal to offline bit for bit.
    """

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next frame begins an utterance."""
        self._state = self._codec.decoder.make_state(1)

    @torch.inference_mode()
    def push(self, codes: Tensor) -> np.ndarray:
        """Samples [1920 T] float32 of codes [T, books].

        Raises: DataError if the shape is another.
        """
        if codes.ndim != 2 or codes.shape[1] != self._codec.config.num_books:
            raise DataError(f"codes have shape {list(codes.shape)}; need [frames, {self._codec.config.num_books}]")
        latent = self._codec.quantizer.decode(codes[None])
        pieces = [np.zeros(0, np.float32)]
        for frame in range(len(codes)):
            samples, self._state = self._codec.decoder.step(latent[:, frame : frame + 1], self._state)
            pieces.append(samples[0].clamp(-1, 1).numpy())
        return np.concatenate(pieces)
