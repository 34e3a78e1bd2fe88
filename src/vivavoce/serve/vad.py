"""Voice activity: Silero's network on 32 ms chunks, and the rule that turns its probabilities into starts and stops.

Used as the whole turn-taking of `server_vad`, and beside the model's own decision in `semantic_vad`. The rule is pure.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np

from vivavoce.errors import MissingExtraError

CHUNK_SAMPLES = 512
CHUNK_MS = 32
_CONTEXT_SAMPLES = 64


class VoiceActivity(Protocol):
    """A stream of speech probabilities."""

    def feed(self, samples: np.ndarray) -> list[float]:
        """Probability of speech of each 32 ms chunk that `samples` ([S] float32 at 16 kHz) completes."""
        ...


class SileroVad:
    """Silero VAD (MIT) in ONNX Runtime, one thread. Load once with `load_silero`; one object per stream."""

    def __init__(self, network) -> None:
        self._network = network
        self._state = np.zeros((2, 1, 128), np.float32)
        # each chunk is preceded by the last 64 samples before it; without them almost no speech is found
        self._window = np.zeros(_CONTEXT_SAMPLES, np.float32)

    def feed(self, samples: np.ndarray) -> list[float]:
        """See `VoiceActivity.feed`."""
        self._window = np.concatenate([self._window, samples])
        found = []
        while len(self._window) >= _CONTEXT_SAMPLES + CHUNK_SAMPLES:
            chunk = self._window[None, : _CONTEXT_SAMPLES + CHUNK_SAMPLES]
            inputs = {"input": chunk, "state": self._state, "sr": np.array(16_000, np.int64)}
            prob, self._state = self._network.run(None, inputs)
            found.append(float(prob[0, 0]))
            self._window = self._window[CHUNK_SAMPLES:]
        return found


def load_silero() -> Callable[[], SileroVad]:
    """A maker of streams that share one loaded network.

    Raises: MissingExtraError if the package silero-vad is not installed. Only its data is read: importing it would
        import torch.
    """
    import onnxruntime

    found = importlib.util.find_spec("silero_vad")
    if found is None or not found.submodule_search_locations:
        raise MissingExtraError("voice activity needs the package silero-vad; pip install 'vivavoce[serve]'")
    path = Path(found.submodule_search_locations[0]) / "data" / "silero_vad.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    network = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda: SileroVad(network)


class EnergyVad:
    """Speech wherever a chunk is louder than a level: for clean synthetic sound, where Silero hears no speech."""

    def __init__(self, threshold_db: float = -45.0) -> None:
        self._threshold = 10 ** (threshold_db / 20)
        self._rest = np.zeros(0, np.float32)

    def feed(self, samples: np.ndarray) -> list[float]:
        """See `VoiceActivity.feed`: 1.0 or 0.0."""
        self._rest = np.concatenate([self._rest, samples])
        count = len(self._rest) // CHUNK_SAMPLES
        chunks, self._rest = np.split(self._rest, [count * CHUNK_SAMPLES])
        rms = np.sqrt(np.mean(np.square(chunks.reshape(count, CHUNK_SAMPLES)), axis=1))
        return [float(value > self._threshold) for value in rms]


class SpeechEdge(NamedTuple):
    """A start or a stop of speech. time_ms counts from the start of the stream; a stop's time includes the silence."""

    kind: Literal["start", "stop"]
    time_ms: int


class SpeechDetector:
    """Probabilities to edges: a start after `min_speech_ms` over the threshold, a stop after `silence_ms` under it.

    Under means 0.15 below the threshold, so that a wavering voice does not start and stop. Source of the 0.15:
    Silero's own iterator.
    """

    def __init__(self, *, threshold: float = 0.5, silence_ms: int = 500, min_speech_ms: int = 64) -> None:
        self.threshold = threshold
        self.silence_ms = silence_ms
        self.min_speech_ms = min_speech_ms
        self.is_speech = False
        self.silent_ms = 0
        """Silence at the end of what was heard, within a stretch of speech."""
        self.speech_ms = 0
        """Length of the present stretch of speech, pauses in it included; 0 outside of speech."""
        self._time_ms = 0
        self._run_ms = 0

    def feed(self, probs: list[float]) -> list[SpeechEdge]:
        """Edges found in the next chunks."""
        return [edge for prob in probs for edge in self._feed_one(prob)]

    def _feed_one(self, prob: float) -> list[SpeechEdge]:
        self._time_ms += CHUNK_MS
        if not self.is_speech:
            self._run_ms = self._run_ms + CHUNK_MS if prob >= self.threshold else 0
            if self._run_ms < self.min_speech_ms:
                return []
            self.is_speech, self.silent_ms, self.speech_ms = True, 0, self._run_ms
            return [SpeechEdge("start", self._time_ms - self._run_ms)]
        self.speech_ms += CHUNK_MS
        self.silent_ms = 0 if prob >= self.threshold - 0.15 else self.silent_ms + CHUNK_MS
        if self.silent_ms < self.silence_ms:
            return []
        self.end_speech()
        return [SpeechEdge("stop", self._time_ms)]

    def end_speech(self) -> None:
        """Call the present stretch over, without an edge: someone else decided that the turn has ended."""
        self.is_speech, self._run_ms, self.silent_ms, self.speech_ms = False, 0, 0, 0
