"""Phase 1 of the codec's training: the encoder and its codes, from log-mel, pitch and phones alone.

The decoder's towers learn with it, but say log-mel and pitch instead of samples; that is some ten times cheaper than
training through sound, so the codes are good and frozen early, and the model that predicts them can start.
Phase 2 (`sound_training`) gives the decoder its sound and never changes a code.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from vivavoce.omni.codec.batches import UtteranceBatch
from vivavoce.omni.codec.config import HOPS_PER_FRAME
from vivavoce.omni.codec.network import Codec, TrainingHeads

# chosen: the mel loss falls from 0.8 to about 0.15, CTC per phone from 4 to about 0.5
PITCH_WEIGHT, PHONE_WEIGHT = 0.3, 0.03


class CodeLosses(NamedTuple):
    """Parts of phase 1's loss, each a mean: mel L1 in units of the scaled logarithm, pitch likewise, CTC in nats a phone."""

    total: Tensor
    mel: Tensor
    pitch: Tensor
    phones: Tensor


def code_losses(codec: Codec, heads: TrainingHeads, batch: UtteranceBatch, jitter: float) -> CodeLosses:
    """Losses of one batch of whole utterances."""
    latent = codec.quantizer(codec.encoder(batch.mel), jitter)
    decoder = codec.decoder
    state = [*decoder.slow.make_state(len(latent)), *decoder.fast.make_state(len(latent))]
    features, _ = decoder.features(latent, state)
    said_mel = heads.mel(features).float().unflatten(-1, (2, -1)).flatten(1, 2)
    weight = batch.mel_weight
    mel = ((said_mel - batch.mel).abs().mean(-1) * weight).sum() / weight.sum()
    pitch = (
        (decoder.describe(features).pitch - batch.pitch).abs() * batch.pitch_weight
    ).sum() / batch.pitch_weight.sum()
    phones = _phone_loss(heads, latent, batch)
    return CodeLosses(mel + PITCH_WEIGHT * pitch + PHONE_WEIGHT * phones, mel, pitch, phones)


def _phone_loss(heads: TrainingHeads, latent: Tensor, batch: UtteranceBatch) -> Tensor:
    if heads.phones is None or not batch.num_phones.any():
        return latent.new_zeros(())
    logs = heads.phones(latent).float().log_softmax(-1).transpose(0, 1)
    steps = torch.full((logs.shape[1],), batch.mel.shape[1] // HOPS_PER_FRAME * 4)
    loss = F.ctc_loss(logs, batch.phones, steps, batch.num_phones, reduction="none", zero_infinity=True)
    return loss.sum() / batch.num_phones.sum()
