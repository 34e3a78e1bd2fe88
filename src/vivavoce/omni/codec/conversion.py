"""Between sound and codes, for whole utterances: `Audio` in, codes out, and back."""

from __future__ import annotations

import torch
from torch import Tensor

from vivavoce.content import Audio
from vivavoce.errors import DataError
from vivavoce.omni.codec.config import CODEC_MEL, RATE_HZ
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.codec.streaming import StreamingDecoder
from vivavoce.omni.mel import log_mel


@torch.inference_mode()
def encode_audio(codec: Codec, audio: Audio) -> Tensor:
    """Codes [T, books] int64 of a whole utterance, T = ceil(S / 1920); the end is padded with silence.

    Raises: DataError if the audio is empty or not at 24,000 Hz.
    """
    if audio.rate_hz != RATE_HZ or not len(audio.samples):
        raise DataError(f"audio has {len(audio.samples)} samples at {audio.rate_hz} Hz; need some, at {RATE_HZ} Hz")
    mel = torch.from_numpy(log_mel(audio.samples, CODEC_MEL))
    return codec.encode(mel[None])[0]


def decode_codes(codec: Codec, codes: Tensor) -> Audio:
    """Sound of codes [T, books], 80 ms each; equal to what `StreamingDecoder` gives, bit for bit.

    Raises: DataError if a code is out of range or the shape is not [T, books].
    """
    config = codec.config
    if codes.ndim != 2 or codes.shape[1] != config.num_books:
        raise DataError(f"codes have shape {list(codes.shape)}; need [frames, {config.num_books}]")
    if len(codes) and not 0 <= int(codes.min()) <= int(codes.max()) < config.num_codes:
        raise DataError(f"codes reach from {int(codes.min())} to {int(codes.max())}; need 0 to {config.num_codes - 1}")
    return Audio(StreamingDecoder(codec).push(codes), RATE_HZ)
