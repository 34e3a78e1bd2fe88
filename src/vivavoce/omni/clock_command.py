"""`viva bench clock`: how long one clock step takes, from the user's samples to the model's own."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path

import numpy as np

from vivavoce.errors import ConfigError
from vivavoce.files import write_json
from vivavoce.omni.ask_command import find_model
from vivavoce.omni.engine_protocol import FRAME_MS, USER_FRAME_SAMPLES, DuplexEngine, SlotInput
from vivavoce.stats import estimate_quantile

_WARM_UP_STEPS = 20


def bench_clock(
    *,
    model: Path = Path("checkpoints/nano"),
    untrained: str = "",
    backend: str = "auto",
    steps: int = 300,
    slots: int = 1,
    seed: int = 0,
    json: Path | None = None,
) -> None:
    """Time clock steps in which the model speaks: log-mel, ear, trunk, words, codes, sound.

    Args:
        model: checkpoint folder.
        untrained: instead of a checkpoint, a preset (nano, small, tiny) with random weights; the same arithmetic.
        backend: auto, torch, onnx-fp32, onnx-int8 or onnx-int4.
        steps: clock steps to time, after 20 to warm up.
        slots: conversations stepped together.
        seed: of the sound that is heard.
        json: write the report here.
    """
    if steps < 1 or slots < 1:
        raise ConfigError(f"steps is {steps} and slots is {slots}; need at least 1 each")
    from vivavoce.omni.checkpoint import load_checkpoint
    from vivavoce.omni.engine.loading import make_engine

    checkpoint = make_untrained(untrained) if untrained else load_checkpoint(find_model(model))
    engine = make_engine(checkpoint, slots, backend=backend)
    times_ms, cpu_ms, spoken = _time_steps(engine, steps, slots, seed)
    p50, p95 = (estimate_quantile(times_ms, share) for share in (0.5, 0.95))
    cpu_p50, cpu_p95 = (estimate_quantile(cpu_ms, share) for share in (0.5, 0.95))
    conditions = {
        "model": engine.model_name,
        "backend": engine.generation.backend.name,
        "threads": 1,
        "slots": slots,
        "cores": os.cpu_count(),
        "processor": platform.processor() or platform.machine(),
        "load_average": round(os.getloadavg()[0], 1),
        "context_steps": engine.generation.state(0).window.num_seen,
        "speaking_share": round(spoken, 3),
        "seed": seed,
    }
    print(
        f"one clock step, samples in to samples out: p50 {p50} ms, p95 {p95} ms, real-time factor {np.mean(times_ms) / FRAME_MS:.2f}"
    )
    print(f"  processor time of it: p50 {cpu_p50} ms, p95 {cpu_p95} ms")
    print("  " + ", ".join(f"{name} {value}" for name, value in conditions.items()))
    if json is not None:
        report = {
            "p50_ms": p50.to_json(),
            "p95_ms": p95.to_json(),
            "cpu_p50_ms": cpu_p50.to_json(),
            "cpu_p95_ms": cpu_p95.to_json(),
            "min_ms": float(np.min(times_ms)),
            "real_time_factor": float(np.mean(times_ms) / FRAME_MS),
            "conditions": conditions,
        }
        write_json(json, report)


def _time_steps(engine: DuplexEngine, steps: int, slots: int, seed: int) -> tuple[list[float], list[float], float]:
    """Milliseconds of each step by the clock and of processor time, and the share of steps in which slot 0 spoke.

    Processor time tells what a step costs where other programs keep the machine busy.
    """
    generator = np.random.default_rng(seed)
    for slot in range(slots):
        engine.open_slot(slot, seed=seed + slot)
    times_ms, cpu_ms, num_spoken = [], [], 0
    for idx in range(_WARM_UP_STEPS + steps):
        heard = generator.normal(scale=0.05, size=USER_FRAME_SAMPLES).astype(np.float32)
        started, spent = time.perf_counter(), time.process_time()
        outputs = engine.step({slot: SlotInput(heard, force="speak") for slot in range(slots)})
        if idx >= _WARM_UP_STEPS:
            times_ms.append((time.perf_counter() - started) * 1000)
            cpu_ms.append((time.process_time() - spent) * 1000)
            num_spoken += outputs[0].pcm is not None
    return times_ms, cpu_ms, num_spoken / steps


def make_untrained(preset: str):
    """A checkpoint with random weights and every part, for timing.

    Raises: ConfigError for an unknown preset.
    """
    import torch

    from vivavoce.omni.checkpoint import Checkpoint
    from vivavoce.omni.codec.config import PRESETS as CODEC_PRESETS
    from vivavoce.omni.codec.network import Codec
    from vivavoce.omni.configuration import PRESETS
    from vivavoce.omni.images.network import ImageTokenizer, ImageTokenizerConfig
    from vivavoce.omni.network import OmniForConversation
    from vivavoce.omni.vocabulary import train_vocabulary

    if preset not in PRESETS:
        raise ConfigError(f"no preset {preset!r}; there are {', '.join(PRESETS)}")
    torch.manual_seed(0)
    config = PRESETS[preset](num_codes_per_book=1000, num_image_codes=1000)
    vocabulary = train_vocabulary(["nothing"], num_text_ids=config.num_text_ids, num_image_codes=config.num_image_codes)
    return Checkpoint(
        f"untrained-{preset}",
        OmniForConversation(config).eval(),
        vocabulary,
        Codec(CODEC_PRESETS[preset]()).eval(),
        ImageTokenizer(ImageTokenizerConfig()).eval(),
        f"untrained-{preset}-0",
    )
