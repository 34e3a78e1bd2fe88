"""Training the codec: features, losses, resume, the frozen encoder, the whole pipeline on tones."""

from pathlib import Path

import numpy as np
import pytest
import torch

from vivavoce.data.example import Speech
from vivavoce.data.voices.rendering import render_all
from vivavoce.data.voices.shards import Shards, write_part
from vivavoce.errors import DataError
from vivavoce.omni.codec.batches import SILENCE, UtteranceBatches
from vivavoce.omni.codec.config import RATE_HZ, make_tiny
from vivavoce.omni.codec.discriminators import Judges
from vivavoce.omni.codec.features import NUM_COLUMNS, PHONES, describe_utterance, phone_ids, prepare
from vivavoce.omni.codec.losses import SpectralLoss
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.codec.pipeline import Pipeline, train_all
from vivavoce.omni.codec.pitch import track_pitch
from vivavoce.omni.codec.sound_training import SoundData, SoundTrainingConfig, train_sound
from vivavoce.omni.codec.storage import load_codec
from vivavoce.omni.codec.training import CodeTrainingConfig, code_use, train_codes
from vivavoce.omni.training.loop import LoopConfig
from vivavoce.run import Run


def _glide(seconds: float = 0.6, hz: float = 160.0) -> np.ndarray:
    """A voice of a kind: harmonics of a falling pitch, with a pause."""
    times = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(hz - 30 * times) / RATE_HZ
    wave = sum(np.sin(number * phase) / number for number in range(1, 12))
    return (0.1 * wave * (np.sin(2 * np.pi * 2 * times) > -0.8)).astype(np.float32)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    root = tmp_path_factory.mktemp("sound")
    sounds = [_glide(0.4 + 0.1 * (number % 3), 150 + 10 * number) for number in range(6)]
    items = [
        (np.round(sound * 32767).astype(np.int16), {"text": f"t{number}", "rate_hz": RATE_HZ, "phonemes": "həlˈO"})
        for number, sound in enumerate(sounds)
    ]
    write_part(root / "sound", 0, items)
    prepare(root / "sound", root / "features")
    return str(root / "sound"), str(root / "features")


def _loop(steps: int = 6) -> LoopConfig:
    return LoopConfig(steps=steps, warmup_steps=2, save_every_steps=2, log_every_steps=2, sample_every_steps=0)


def test_features_have_a_row_for_every_hop_and_phones_skip_marks() -> None:
    columns = describe_utterance(_glide(0.5))
    assert columns.shape == (56, NUM_COLUMNS)
    assert [PHONES[number - 1] for number in phone_ids("həlˈO.")] == ["h", "ə", "l", "O"]


def test_pitch_is_found_where_there_is_one() -> None:
    times = np.arange(0.05, 0.45, 0.01)
    pitch_hz, is_voiced = track_pitch(_glide(0.5, 200.0), RATE_HZ, times)
    assert is_voiced.mean() > 0.7
    assert np.median(np.abs(pitch_hz - (200 - 30 * times))[is_voiced]) < 2
    _, is_voiced = track_pitch(np.zeros(RATE_HZ, np.float32), RATE_HZ, times)
    assert not is_voiced.any()


def test_prepare_refuses_another_rate(tmp_path: Path) -> None:
    list(render_all([Speech("abc", "tone")], tmp_path / "sound"))
    with pytest.raises(DataError, match="at 16000 Hz; the codec needs 24000"):
        prepare(tmp_path / "sound", tmp_path / "features")


def test_batches_are_the_same_for_the_same_step_and_cover_an_epoch(folders: tuple[str, str]) -> None:
    batches = UtteranceBatches(folders[1], 40, seed=0)
    again = UtteranceBatches(folders[1], 40, seed=0)
    assert torch.equal(batches.at(3).mel, again.at(3).mel)
    assert sum(len(batches.at(step).mel) for step in range(len(batches))) == 6
    batch = batches.at(0)
    assert batch.mel.shape[0] * batch.mel.shape[1] // 8 <= 40
    silent = batch.mel[batch.mel_weight < 1]
    assert torch.allclose(silent, torch.full_like(silent, SILENCE))


def test_an_utterance_longer_than_a_batch_is_refused(folders: tuple[str, str]) -> None:
    with pytest.raises(DataError, match="raise batch_frames"):
        UtteranceBatches(folders[1], 5, seed=0)


def _train_codes(path: Path, features: str, *, resume: bool = False, steps: int = 6) -> Codec:
    config = CodeTrainingConfig(
        preset="tiny", features=features, test_features=features, batch_frames=40, loop=_loop(steps)
    )
    return train_codes(config, Run.open(path, config, resume=resume))


def test_codes_resumed_equal_codes_uninterrupted(
    folders: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _train_codes(tmp_path / "whole", folders[1])
    original = UtteranceBatches.at

    def stop(self: UtteranceBatches, step: int):
        if step == 5:
            raise KeyboardInterrupt
        return original(self, step)

    monkeypatch.setattr(UtteranceBatches, "at", stop)
    with pytest.raises(KeyboardInterrupt):
        _train_codes(tmp_path / "cut", folders[1])
    monkeypatch.undo()
    again = _train_codes(tmp_path / "cut", folders[1], resume=True)
    for (name, left), right in zip(whole.named_parameters(), again.parameters()):
        assert torch.equal(left, right), name


def test_sound_training_leaves_the_codes_alone_and_lowers_the_loss(folders: tuple[str, str], tmp_path: Path) -> None:
    _train_codes(tmp_path / "codes", folders[1], steps=2)
    before = load_codec(tmp_path / "codes", name="codes")
    config = SoundTrainingConfig(
        codec=str(tmp_path / "codes"),
        renderings=folders[0],
        features=folders[1],
        test_renderings=folders[0],
        test_features=folders[1],
        batch_crops=4,
        crop_frames=4,
        peak_rate=1e-2,
        loop=LoopConfig(steps=30, warmup_steps=2, log_every_steps=5, sample_every_steps=0),
    )
    run = Run.open(tmp_path / "sound", config)
    after = train_sound(config, run)
    for name, value in before.encoder.state_dict().items():
        assert torch.equal(value, after.encoder.state_dict()[name]), name
    losses = [record["train/spectrum"] for record in run.read_metrics() if "train/spectrum" in record]
    assert losses[-1] < 0.8 * losses[0]


def test_crops_line_up_with_the_codes_they_are_decoded_from(folders: tuple[str, str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    codec = Codec(make_tiny()).eval()
    data = SoundData(codec, *folders)
    sound, about = Shards(folders[0])[2].array, Shards(folders[1]).about(2)
    start = about["first_sample"] + 1920
    assert np.array_equal(data.samples(2, 1, 2), sound[start : start + 3840].astype(np.float32) / 32768)
    crops = data.crops(5, 3, torch.Generator().manual_seed(0))
    assert crops.latent.shape == (5, 8, 16)
    assert crops.samples.shape == (5, 3 * 1920)
    assert crops.pitch.shape == (5, 24)


def test_the_spectral_loss_is_zero_for_equal_sound_and_grows_with_noise() -> None:
    loss = SpectralLoss()
    true = torch.from_numpy(_glide())[None]
    noise = torch.randn(true.shape, generator=torch.Generator().manual_seed(0))
    values = [float(loss(true + level * noise, true)) for level in (0.0, 0.001, 0.01, 0.1)]
    assert values[0] == 0
    assert values == sorted(values)


def test_judges_learn_to_tell_noise_from_a_voice() -> None:
    torch.manual_seed(0)
    judges = Judges(width=4)
    optimizer = torch.optim.AdamW(judges.parameters(), lr=1e-3)
    true = torch.from_numpy(np.stack([_glide(0.5, hz) for hz in (150, 170, 190)]))
    from vivavoce.omni.codec.losses import discriminator_loss

    losses = []
    for _ in range(15):
        made = 0.1 * torch.randn(true.shape)
        loss = discriminator_loss(judges(true).scores, judges(made).scores)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_code_use_counts_what_is_used() -> None:
    config = make_tiny()
    codes = torch.arange(1000)[:, None].repeat(1, 4)
    assert code_use(codes, config)["codes/perplexity"] == pytest.approx(1000)
    assert code_use(codes[:1], config) == {"codes/perplexity": 1.0, "codes/use": 0.001, "codes/frames": 1.0}


@pytest.mark.slow
def test_the_pipeline_runs_all_phases_and_does_nothing_twice(folders: tuple[str, str], tmp_path: Path) -> None:
    plan = Pipeline(folders[0], folders[0], "tiny", 3, 3, 2, batch_frames=40, batch_crops=2)
    codec = train_all(plan, tmp_path / "out")
    assert (tmp_path / "out" / "codec.json").exists()
    before = (tmp_path / "out" / "sound" / "manifest.json").stat().st_mtime_ns
    again = train_all(plan, tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "sound" / "manifest.json").stat().st_mtime_ns == before
    assert all(torch.equal(left, right) for left, right in zip(codec.parameters(), again.parameters()))
