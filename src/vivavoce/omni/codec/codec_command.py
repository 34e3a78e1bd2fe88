"""`viva train codec`, `viva eval codec`."""

import dataclasses
import logging
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vivavoce.files import write_json
from vivavoce.omni.checkpoint import find_codec_folder
from vivavoce.omni.codec.storage import load_codec


def train_command(
    renderings: Path,
    test_renderings: Path,
    preset: Literal["nano", "small", "tiny"] = "nano",
    out: Path = Path("runs/codec"),
    resume: bool = False,
    code_steps: int = 3300,
    sound_steps: int = 2500,
    adversary_steps: int = 4000,
    seed: int = 1,
) -> None:
    """Train a codec on one clean voice: codes, then sound, then sound with discriminators; each a run under `out`.

    Args:
        renderings: folder of 24 kHz renderings to train on (viva data render --texts sentences --voice heart).
        test_renderings: the same of the test split.
        preset: shape of the codec.
        out: folder for features and runs; the finished codec is in `out`/codec.safetensors.
        resume: go on with what was begun.
        code_steps: steps of phase 1.
        sound_steps: steps of phase 2 with spectral losses alone.
        adversary_steps: steps of phase 2 with discriminators; 0 leaves them out.
        seed: all randomness comes from it.
    """
    from vivavoce.omni.codec.pipeline import Pipeline, train_all

    logging.getLogger("vivavoce").setLevel(logging.INFO)
    steps = (code_steps, sound_steps, adversary_steps)
    plan = Pipeline(str(renderings), str(test_renderings), preset, *steps, seed=seed)
    codec = train_all(plan, out, resume=resume)
    print(f"{out / 'codec.safetensors'}: {sum(one.numel() for one in codec.parameters()) / 1e6:.2f} M parameters")


def eval_command(
    model: Annotated[Path, tyro.conf.Positional] = Path("checkpoints/nano"),
    renderings: Path = Path("runs/data/heart-test"),
    count: int = 100,
    json: Path | None = None,
) -> None:
    """Compare resyntheses with originals: word error rate, DNSMOS, voice, use of the codes.

    Args:
        model: folder with codec.safetensors and codec.json, or a checkpoint's.
        renderings: folder of 24 kHz renderings of the test split.
        count: how many utterances.
        json: also write the report here.
    """
    from vivavoce.omni.codec.metrics import load_originals, measure_codec
    from vivavoce.stats import Estimate

    codec = load_codec(find_codec_folder(model) or model)
    report = measure_codec(codec, load_originals(str(renderings), count))
    report["config"] = dataclasses.asdict(codec.config)
    for name, value in report.items():
        if isinstance(value, dict) and "ci" in value:
            low, high = value["ci"] or (None, None)
            print(f"{name:<28} {Estimate(value['value'], value['n'], low, high)}")
        elif isinstance(value, int | float | str):
            print(f"{name:<28} {value if isinstance(value, str) else f'{value:.6g}'}")
    if json:
        write_json(json, report)
