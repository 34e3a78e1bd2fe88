"""Reading aloud: what was said is listened to and, if it is not heard as the text, said again.

The network's own ear hears its speech as it would hear somebody else's (`generation.Listen`). If the text is likely enough as what was
said the reading stays; else it is read again, with more left to chance, and the reading stays in which the text is likeliest. As with
drawings (`drawing`), the judge is the network itself. It costs that nothing can be given before a reading is over, so it is done only
where sound is not streamed, and for no more than a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vivavoce.content import Audio
from vivavoce.media import resample
from vivavoce.omni.configuration import MEL_BINS, MEL_FRAMES_PER_STEP
from vivavoce.omni.engine.generation import Listen
from vivavoce.omni.engine.sampling import Sampling
from vivavoce.omni.engine.voice import Voice, decode_all
from vivavoce.omni.engine_protocol import OWN_RATE_HZ, USER_FRAME_SAMPLES, USER_RATE_HZ, AnswerRequest
from vivavoce.omni.mel import log_mel
from vivavoce.omni.vocabulary import Vocabulary

MAX_WORDS = 16
"""Texts of more words are read once. chosen: a sentence, some six seconds."""
ACCEPTED_LOG_PROB = -0.15
"""Mean over the text's tokens from which on a reading stays. measured: of 24 texts of training, each read four times, a tenth of
the readings are so sure, and what the recogniser mishears falls with each more; experiments/LOG.md"""
_QUIET_STEPS = 5
"""After the last word, so that the ear has said it."""


@dataclass(frozen=True, slots=True)
class ProofListener:
    """See the module docstring. voice None: nothing can be heard, so the first reading stays."""

    vocabulary: Vocabulary
    voice: Voice | None
    sampling: Sampling

    def count_tries(self, request: AnswerRequest) -> int:
        """How often what is asked for may be said."""
        is_checked = request.task == "read" and not request.is_streamed and self.voice is not None
        is_short = 0 < len(_find_text(request).split()) <= MAX_WORDS
        return self.sampling.max_readings if is_checked and is_short else 1

    def listen(self, codes: Sequence[np.ndarray], request: AnswerRequest) -> Listen:
        """How the ear hears speech of codes [K] a step: as the text that was to be read, or not."""
        assert self.voice is not None
        said = Audio(np.ascontiguousarray(decode_all(self.voice, codes), np.float32), OWN_RATE_HZ)
        heard = resample(said, USER_RATE_HZ).samples
        num_steps = -(-len(heard) // USER_FRAME_SAMPLES) + _QUIET_STEPS
        padded = np.zeros(num_steps * USER_FRAME_SAMPLES, np.float32)
        padded[: len(heard)] = heard
        mel = log_mel(padded).reshape(-1, MEL_FRAMES_PER_STEP, MEL_BINS)
        return Listen(mel, tuple(self.vocabulary.encode(_find_text(request))))


def _find_text(request: AnswerRequest) -> str:
    """What is to be read, as transcripts are written: in small letters."""
    return request.conversation.messages[-1].text.strip().lower()
