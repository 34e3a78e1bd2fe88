"""The whole training of a codec, phase after phase, each in a run directory of its own; what is done is not done again."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from vivavoce.omni.codec.features import prepare
from vivavoce.omni.codec.network import Codec
from vivavoce.omni.codec.sound_training import SoundTrainingConfig, train_sound
from vivavoce.omni.codec.storage import load_codec, save_codec
from vivavoce.omni.codec.training import CodeTrainingConfig, train_codes
from vivavoce.omni.training.loop import LoopConfig
from vivavoce.run import Run


class Pipeline(NamedTuple):
    """Where the sound is, the shape, and the steps of the three phases."""

    renderings: str
    test_renderings: str
    preset: str
    code_steps: int
    sound_steps: int
    adversary_steps: int
    batch_frames: int = 400
    batch_crops: int = 12
    seed: int = 1


def train_all(plan: Pipeline, out: Path, *, resume: bool = False) -> Codec:
    """Features, codes, sound, sound with judges. The finished codec is `out`/codec.safetensors.

    Raises: ConfigError if `out` holds runs with another configuration, or runs at all without `resume`.
    """
    features, test_features = out / "features", out / "features-test"
    prepare(Path(plan.renderings), features)
    prepare(Path(plan.test_renderings), test_features)
    codes_config = CodeTrainingConfig(
        preset=plan.preset,
        features=str(features),
        test_features=str(test_features),
        batch_frames=plan.batch_frames,
        loop=_loop(plan, plan.code_steps),
    )
    run = Run.open(out / "codes", codes_config, resume=resume)
    if not run.is_complete:
        train_codes(codes_config, run)
    source, name = run.path, "codes"
    for phase, steps in (("sound", plan.sound_steps), ("adversary", plan.adversary_steps)):
        if not steps:
            continue
        config = SoundTrainingConfig(
            codec=str(source),
            codec_name=name,
            renderings=plan.renderings,
            features=str(features),
            test_renderings=plan.test_renderings,
            test_features=str(test_features),
            batch_crops=plan.batch_crops,
            adversary_from_step=0 if phase == "adversary" else 10**9,
            peak_rate=4e-4 if phase == "adversary" else 1e-3,
            loop=_loop(plan, steps),
        )
        run = Run.open(out / phase, config, resume=resume)
        if not run.is_complete:
            train_sound(config, run)
        source, name = run.path, "codec"
    codec = load_codec(source, name=name)
    save_codec(out, codec, codec.config)
    return codec


def _loop(plan: Pipeline, steps: int) -> LoopConfig:
    return LoopConfig(
        steps=steps, warmup_steps=min(100, steps // 10 + 1), decay_share=0.7, save_every_steps=150, seed=plan.seed
    )
