"""Trains the codec: phase 1 fits encoder and codes, phase 2 gives the frozen codes their sound.

Each phase is a run directory of its own. Phase 1 ends with `codes.safetensors`: encoder and decoder towers; phase 2
starts from it (or from a codec that is to be polished) and writes `codec.safetensors`.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from vivavoce.errors import ConfigError
from vivavoce.files import write_json
from vivavoce.omni.codec.batches import UtteranceBatches
from vivavoce.omni.codec.code_training import code_losses
from vivavoce.omni.codec.config import PRESETS, CodecConfig
from vivavoce.omni.codec.features import PHONES
from vivavoce.omni.codec.network import Codec, TrainingHeads
from vivavoce.omni.codec.storage import save_codec
from vivavoce.omni.training.loop import Loop, LoopConfig, update
from vivavoce.run import Run


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeTrainingConfig:
    """Phase 1."""

    preset: str = "nano"
    """Shape of the codec: nano, small or tiny."""
    features: str
    """Folder made by `features.prepare`, to train on."""
    test_features: str
    """The same of the test split: losses and code use are measured on it while training goes on."""
    batch_frames: int = 400
    """Frames of 80 ms in a batch, padding included."""
    peak_rate: float = 2e-3
    """Learning rate after warm-up."""
    jitter: float = 0.08
    """Share of rounded numbers moved by one level, so that near misses of a code are forgiven."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=5000, decay_share=0.7))
    """Steps, saving, seed."""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"codec preset is {self.preset!r}; there are {', '.join(PRESETS)}")


def train_codes(config: CodeTrainingConfig, run: Run) -> Codec:
    """Phase 1, from the start or from where the run stopped; writes codes.safetensors at the end."""
    torch.manual_seed(config.loop.seed)
    shape = PRESETS[config.preset](num_phones=len(PHONES))
    codec, heads = Codec(shape), TrainingHeads(shape)
    parameters = [*codec.parameters(), *heads.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=config.peak_rate, betas=(0.9, 0.97), weight_decay=0.01, fused=True)
    loop = Loop(run, config.loop, {"codec": codec, "heads": heads}, {"main": optimizer})
    batches = UtteranceBatches(config.features, config.batch_frames, config.loop.seed)
    test = UtteranceBatches(config.test_features, config.batch_frames, config.loop.seed)

    def take_step(step: int) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            losses = code_losses(codec, heads, batches.at(step), config.jitter)
        norm = update(optimizer, losses.total)
        parts = {f"train/{name}": value.detach() for name, value in losses._asdict().items()}
        return {**parts, "train/gradient_norm": norm}

    def write_sample(step: int, folder: Path) -> None:
        report = measure_codes(codec, heads, test)
        run.log(step=step, **report)
        write_json(folder / f"codes-{step:06d}.json", report)
        save_codec(run.path, codec, dataclasses.replace(shape, num_phones=0), name="codes")

    loop.train(take_step, write_sample)
    run.finish(steps=loop.step, **measure_codes(codec, heads, test))
    return codec


@torch.inference_mode()
def measure_codes(codec: Codec, heads: TrainingHeads, batches: UtteranceBatches) -> dict[str, float]:
    """Losses on held-out utterances without jitter, and how evenly the codes are used.

    `perplexity` is exp(entropy) of a book's codes over the set, mean over books; `use` the share of codes seen at all.
    """
    sums, codes = torch.zeros(3), list[Tensor]()
    with torch.autocast("cpu", torch.bfloat16):
        for step in range(len(batches)):
            batch = batches.at(step)
            losses = code_losses(codec, heads, batch, 0.0)
            sums += torch.stack([losses.mel.float(), losses.pitch.float(), losses.phones.float()])
            is_speech = batch.mel_weight.unflatten(1, (-1, 8)).amin(2) == 1
            codes.append(codec.encode(batch.mel)[is_speech])
    mel, pitch, phones = (sums / len(batches)).tolist()
    return {"test/mel": mel, "test/pitch": pitch, "test/phones": phones, **code_use(torch.cat(codes), codec.config)}


def code_use(codes: Tensor, config: CodecConfig) -> dict[str, float]:
    """Perplexity and share of codes used, over `codes` [N, books]; n frames bound both."""
    perplexities, shares = [], []
    for book in codes.T:
        counts = torch.bincount(book, minlength=config.num_codes).double()
        probabilities = counts[counts > 0] / counts.sum()
        perplexities.append(float(torch.exp(-(probabilities * probabilities.log()).sum())))
        shares.append(float((counts > 0).double().mean()))
    return {
        "codes/perplexity": sum(perplexities) / len(perplexities),
        "codes/use": sum(shares) / len(shares),
        "codes/frames": float(len(codes)),
    }
