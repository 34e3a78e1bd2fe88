"""Phase 2 of the codec's training: the decoder learns to sound, the encoder and its codes stay as they are.

First spectra alone; then, from `adversary_from_step`, discriminators too. Crops of an utterance's codes are decoded with
a few frames of run-up that are not judged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from torch import Tensor

from vivavoce.data.voices.shards import Shards
from vivavoce.errors import ConfigError
from vivavoce.omni.codec.config import CODEC_MEL, FRAME_SAMPLES, HOPS_PER_FRAME, RATE_HZ
from vivavoce.omni.codec.discriminators import Judges
from vivavoce.omni.codec.losses import SpectralLoss, discriminator_loss, feature_loss, generator_loss
from vivavoce.omni.codec.network import Codec, Decoder, pitch_to_hz
from vivavoce.omni.codec.storage import load_codec, save_codec
from vivavoce.omni.training.loop import Loop, LoopConfig, step_generator, update
from vivavoce.run import Run

PITCH_WEIGHT = 0.5
_RUN_UP_FRAMES = 5
# the first window of a crop overlaps nothing before it
_UNJUDGED_SAMPLES = 960


@dataclass(frozen=True, kw_only=True, slots=True)
class SoundTrainingConfig:
    """Phase 2."""

    codec: str
    """Folder with the codec of phase 1 (or one to polish)."""
    codec_name: str = "codes"
    """Name of its files there."""
    renderings: str
    """Folder of 24 kHz renderings of the preset voice."""
    features: str
    """What `features.prepare` made of them."""
    test_features: str
    """The same of the test split; a few are written as samples."""
    test_renderings: str
    """The renderings of the test split."""
    batch_crops: int = 12
    """Crops in a batch."""
    crop_frames: int = 13
    """Judged frames of 80 ms in a crop."""
    peak_rate: float = 1e-3
    """Learning rate of the decoder after warm-up."""
    judge_rate: float = 4e-4
    """Learning rate of the discriminators."""
    adversary_from_step: int = 10**9
    """Discriminators train from this step on."""
    adversary_weight: float = 0.2
    """Of the generator's hinge loss; the spectral loss has weight 1."""
    feature_weight: float = 1.0
    """Of feature matching."""
    jitter: float = 0.06
    """Share of rounded numbers moved by one level."""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=3000, decay_share=0.7))
    """Steps, saving, seed."""

    def __post_init__(self) -> None:
        if self.crop_frames < 2 or self.batch_crops < 1:
            raise ConfigError(f"crops of {self.crop_frames} frames, {self.batch_crops} a batch; need 2 frames, 1 crop")


class Crops(NamedTuple):
    """latent [B, run-up + T, D] to decode; true samples [B, 1920 T]; pitch and its weight [B, 8 T]."""

    latent: Tensor
    samples: Tensor
    pitch: Tensor
    pitch_weight: Tensor


class SoundData:
    """Codes, samples and pitch of all utterances, cut into random crops. Codes are made once, in memory."""

    def __init__(self, codec: Codec, renderings: str, features: str) -> None:
        self._sound, shards = Shards(renderings), Shards(features)
        self._about = [shards.about(number) for number in range(len(shards))]
        self._quantizer = codec.quantizer
        columns = [np.array(shards[number].array) for number in range(len(shards))]
        self._pitch = [column[:, CODEC_MEL.num_bins :].astype(np.float32) for column in columns]
        self._codes = _encode_all(codec, [column[:, : CODEC_MEL.num_bins] for column in columns])

    def __len__(self) -> int:
        return len(self._codes)

    def codes(self, number: int) -> Tensor:
        """All codes of one utterance [T, books]."""
        return self._codes[number].long()

    def samples(self, number: int, start_frame: int, frames: int) -> np.ndarray:
        """True samples of some frames, silence where there are none: [1920 * frames] float32."""
        sound = self._sound[self._about[number]["source"]].array
        start = self._about[number]["first_sample"] + start_frame * FRAME_SAMPLES
        piece = np.zeros(frames * FRAME_SAMPLES, np.float32)
        found = sound[max(0, start) : start + len(piece)].astype(np.float32) / 32768
        shift = max(0, -start)
        piece[shift : shift + len(found)] = found[: len(piece) - shift]
        return piece

    def crops(self, count: int, frames: int, generator: torch.Generator) -> Crops:
        """`count` random crops of `frames` judged frames."""
        numbers = torch.randint(0, len(self), (count,), generator=generator).tolist()
        latents, samples, pitches = [], [], []
        for number in numbers:
            total = len(self._codes[number])
            # a crop may begin at the very start of an utterance, with no past: then the run-up is shorter by zeros
            first = int(torch.randint(0, max(1, total - frames + 1), (1,), generator=generator))
            codes = self._codes[number][max(0, first - _RUN_UP_FRAMES) : first + frames].long()
            latent = self._quantizer.decode(codes[None])[0]
            missing = frames + min(first, _RUN_UP_FRAMES) - len(latent)
            latents.append((latent, _RUN_UP_FRAMES - min(first, _RUN_UP_FRAMES), missing))
            samples.append(torch.from_numpy(self.samples(number, first, frames)))
            pitch = self._pitch[number][first * HOPS_PER_FRAME : (first + frames) * HOPS_PER_FRAME]
            pitches.append(np.pad(pitch, ((0, frames * HOPS_PER_FRAME - len(pitch)), (0, 0))))
        pitch = torch.from_numpy(np.stack(pitches))
        table = torch.stack([torch.nn.functional.pad(latent, (0, 0, *pads)) for latent, *pads in latents])
        return Crops(table, torch.stack(samples), pitch[..., 0], pitch[..., 1])


@torch.no_grad()
def _encode_all(codec: Codec, mels: list[np.ndarray], batch: int = 32) -> list[Tensor]:
    """Codes [T, books] int16 of each mel [8 T, bins]; similar lengths go together, padding comes after the end."""
    codes: list[Tensor] = [torch.empty(0)] * len(mels)
    order = sorted(range(len(mels)), key=lambda number: len(mels[number]))
    for start in range(0, len(order), batch):
        members = order[start : start + batch]
        longest = len(mels[members[-1]])
        padded = [
            np.pad(mels[number].astype(np.float32), ((0, longest - len(mels[number])), (0, 0))) for number in members
        ]
        found = codec.encode(torch.from_numpy(np.stack(padded))).short()
        for row, number in enumerate(members):
            codes[number] = found[row, : len(mels[number]) // HOPS_PER_FRAME].clone()
    return codes


def jitter_latent(codec: Codec, latent: Tensor, share: float) -> Tensor:
    """Move a share of rounded numbers by one level; numbers that are exactly 0 in a whole frame are no codes."""
    spans = codec.quantizer.spans
    moved = (torch.randint(0, 2, latent.shape) * 2 - 1) * (torch.rand(latent.shape) < share) * 2 / spans
    is_code = (latent != 0).any(-1, keepdim=True)
    return torch.where(is_code, (latent + moved).clamp(-1, 1), latent)


def decode_crops(decoder: Decoder, latent: Tensor, run_up: int = _RUN_UP_FRAMES) -> tuple[Tensor, Tensor]:
    """Samples [B, 1920 T] and scaled pitch [B, 8 T] of the frames after the run-up."""
    state = [*decoder.slow.make_state(len(latent)), *decoder.fast.make_state(len(latent))]
    features, _ = decoder.features(latent, state)
    said = decoder.describe(features[:, run_up * HOPS_PER_FRAME // 2 :])
    hz = pitch_to_hz(said.pitch.detach())
    with torch.autocast("cpu", enabled=False):
        samples, _ = decoder.synthesis(hz, said.bands, decoder.synthesis.make_state(len(latent)))
    return samples, said.pitch


def train_sound(config: SoundTrainingConfig, run: Run) -> Codec:
    """Phase 2, from the start or from where the run stopped; writes codec.safetensors whenever it writes samples."""
    torch.manual_seed(config.loop.seed)
    codec = load_codec(config.codec, name=config.codec_name).train()
    codec.encoder.requires_grad_(False)
    judges, spectral = Judges(), SpectralLoss()
    makers = list(codec.decoder.parameters())
    optimizers = {
        "decoder": torch.optim.AdamW(makers, lr=config.peak_rate, betas=(0.8, 0.97), weight_decay=0.01, fused=True),
        "judges": torch.optim.AdamW(judges.parameters(), lr=config.judge_rate, betas=(0.8, 0.97), fused=True),
    }
    loop = Loop(run, config.loop, {"codec": codec, "judges": judges}, optimizers)
    data = SoundData(codec, config.renderings, config.features)
    test = SoundData(codec, config.test_renderings, config.test_features)

    def take_step(step: int) -> dict[str, Tensor]:
        crops = data.crops(config.batch_crops, config.crop_frames, step_generator(config.loop.seed, step))
        latent = jitter_latent(codec, crops.latent, config.jitter)
        with torch.autocast("cpu", torch.bfloat16):
            made, pitch = decode_crops(codec.decoder, latent)
        made, true = made[:, _UNJUDGED_SAMPLES:], crops.samples[:, _UNJUDGED_SAMPLES:]
        weight = crops.pitch_weight + 0.02
        pitch_loss = ((pitch - crops.pitch).abs() * weight).sum() / weight.sum()
        loss = spectrum_loss = spectral(made, true)
        report = {"train/spectrum": spectrum_loss.detach(), "train/pitch": pitch_loss.detach()}
        if step >= config.adversary_from_step:
            report |= _train_judges(judges, optimizers["judges"], made.detach(), true)
            extra, said = _please_judges(judges, made, true, config)
            loss, report = loss + extra, report | said
        update(optimizers["decoder"], loss + PITCH_WEIGHT * pitch_loss)
        return report

    def write_sample(step: int, folder: Path) -> None:
        run.log(step=step, **measure_sound(codec, test, spectral))
        write_resyntheses(codec, test, folder, step)
        save_codec(run.path, codec, codec.config)

    loop.train(take_step, write_sample)
    save_codec(run.path, codec, codec.config)
    run.finish(steps=loop.step, **measure_sound(codec, test, spectral))
    return codec.eval()


def _train_judges(judges: Judges, optimizer: torch.optim.Optimizer, made: Tensor, true: Tensor) -> dict[str, Tensor]:
    with torch.autocast("cpu", torch.bfloat16):
        on_true, on_made = judges(true).scores, judges(made).scores
    loss = discriminator_loss([score.float() for score in on_true], [score.float() for score in on_made])
    update(optimizer, loss)
    return {"train/judges": loss.detach()}


def _please_judges(
    judges: Judges, made: Tensor, true: Tensor, config: SoundTrainingConfig
) -> tuple[Tensor, dict[str, Tensor]]:
    judges.requires_grad_(False)
    with torch.autocast("cpu", torch.bfloat16):
        on_made = judges(made)
        with torch.no_grad():
            on_true = judges(true)
    judges.requires_grad_(True)
    adversary = generator_loss([score.float() for score in on_made.scores])
    match = feature_loss(on_true.features, on_made.features).float()
    report = {"train/adversary": adversary.detach(), "train/features": match.detach()}
    return config.adversary_weight * adversary + config.feature_weight * match, report


@torch.no_grad()
def measure_sound(codec: Codec, data: SoundData, spectral: SpectralLoss, count: int = 40) -> dict[str, float]:
    """Spectral loss of whole held-out utterances, without jitter, mean over the first `count`."""
    values = []
    for number in range(min(count, len(data))):
        codes = data.codes(number)
        true = torch.from_numpy(data.samples(number, 0, len(codes)))[None]
        values.append(float(spectral(codec.decode(codes[None]), true)))
    return {"test/spectrum": sum(values) / len(values)}


@torch.no_grad()
def write_resyntheses(codec: Codec, data: SoundData, folder: Path, step: int, count: int = 4) -> None:
    """A few held-out utterances as wav, resynthesised."""
    for number in range(min(count, len(data))):
        made = codec.decode(data.codes(number)[None])[0].clamp(-1, 1).numpy()
        soundfile.write(folder / f"{number}-{step:06d}.wav", made, RATE_HZ, subtype="PCM_16")
