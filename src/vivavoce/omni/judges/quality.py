"""How clean speech sounds: DNSMOS, a network's guess of listeners' opinion, 1 to 5.

It hears noise and distortion, not prosody. Source: Reddy et al., DNSMOS P.835, arXiv 2110.01763, and DNSMOS, arXiv
2010.15258; the fitting polynomials are those published with the models.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
import soxr

from vivavoce.assets import resolve
from vivavoce.content import Audio
from vivavoce.errors import DataError
from vivavoce.omni.judges.power_mel import power_mel

_RATE_HZ = 16_000
_WINDOW_SAMPLES = 144_160
"""9.01 s."""


class Quality(NamedTuple):
    """Opinions, 1 to 5: of the speech, of the background, overall (P.835), and of the whole as in P.808."""

    speech: float
    background: float
    overall: float
    p808: float


def judge_quality(audio: Audio) -> Quality:
    """DNSMOS of `audio`, any rate; short clips are repeated to 9.01 s, long ones judged every second and averaged.

    Raises: DataError if the audio is empty; AssetError if the weights can't be had.
    """
    if not len(audio.samples):
        raise DataError("audio to judge is empty; need at least one sample")
    samples = audio.samples if audio.rate_hz == _RATE_HZ else soxr.resample(audio.samples, audio.rate_hz, _RATE_HZ)
    samples = np.clip(samples, -1, 1).astype(np.float32)
    while len(samples) < _WINDOW_SAMPLES:
        samples = np.concatenate([samples, samples])
    count = max(1, int(len(samples) // _RATE_HZ - 9.01) + 1)
    windows = [samples[second * _RATE_HZ : second * _RATE_HZ + _WINDOW_SAMPLES] for second in range(count)]
    opinions = [_judge(window) for window in windows if len(window) == _WINDOW_SAMPLES]
    return Quality(*(float(value) for value in np.mean(opinions, axis=0)))


def _judge(window: np.ndarray) -> Quality:
    three, p808 = _sessions()
    speech, background, overall = three.run(None, {"input_1": window[None]})[0][0]
    mel = power_mel(window[:-160], 321, 160, 120)
    decibels = 10 * np.log10(np.maximum(mel, 1e-10))
    decibels = np.maximum(decibels - decibels.max(), -80.0)
    whole = p808.run(None, {"input_1": ((decibels + 40) / 40).astype(np.float32)[None]})[0][0][0]
    return Quality(
        float(np.polyval([-0.08397278, 1.22083953, 0.0052439], speech)),
        float(np.polyval([-0.13166888, 1.60915514, -0.39604546], background)),
        float(np.polyval([-0.06766283, 1.11546468, 0.04602535], overall)),
        float(whole),
    )


@functools.cache
def _sessions() -> tuple[Any, Any]:
    import onnxruntime

    folder = resolve("dnsmos")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    names = ("sig_bak_ovr.onnx", "model_v8.onnx")
    sessions = [
        onnxruntime.InferenceSession(str(folder / name), options, providers=["CPUExecutionProvider"]) for name in names
    ]
    return sessions[0], sessions[1]
