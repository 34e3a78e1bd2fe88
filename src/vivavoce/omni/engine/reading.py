"""Speaking with care: what was said is listened to and, if it is not heard as its text, said again.

The network's own ear hears its speech as it would hear somebody else's (`work.Listen`). If the text is likely enough as what was
said it stays; else it is said again, with more left to chance, and of all tries the one stays in which its text is likeliest. As with
drawings (`drawing`), the judge is the network itself. It costs that nothing can be given before an utterance is over, so it is done only
where sound is not streamed, and for no more than a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vivavoce.content import Audio
from vivavoce.media import resample
from vivavoce.omni.configuration import MEL_BINS, MEL_FRAMES_PER_STEP
from vivavoce.omni.engine.sampling import Sampling
from vivavoce.omni.engine.voice import Voice, decode_all
from vivavoce.omni.engine.work import Listen
from vivavoce.omni.engine_protocol import OWN_RATE_HZ, USER_FRAME_SAMPLES, USER_RATE_HZ, AnswerRequest
from vivavoce.omni.mel import log_mel
from vivavoce.omni.vocabulary import Vocabulary

MAX_WORDS = 16
"""Texts of more words are said once. chosen: a sentence, some six seconds."""
ACCEPTED_LOG_PROB = -0.15
"""Mean over the text's tokens from which on a reading stays. measured: of 24 texts of training, each read four times, a tenth of
the readings are so sure to the ear alone, and what the recogniser mishears falls with each more; not measured again with the
second pass; experiments/LOG.md"""
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
        if request.is_streamed or self.voice is None or "audio" not in request.outputs or "image" in request.outputs:
            return 1
        is_long = request.task == "read" and not self.is_short(find_text(request))
        return 1 if is_long else self.sampling.max_readings

    def is_short(self, text: str) -> bool:
        """Whether there is something to listen to, and no more than a sentence."""
        return 0 < len(text.split()) <= MAX_WORDS

    def listen(self, codes: Sequence[np.ndarray], text: str) -> Listen:
        """How the ear hears speech of codes [K] a step: as `text`, or not."""
        assert self.voice is not None
        said = Audio(np.ascontiguousarray(decode_all(self.voice, codes), np.float32), OWN_RATE_HZ)
        heard = resample(said, USER_RATE_HZ).samples
        num_steps = -(-len(heard) // USER_FRAME_SAMPLES) + _QUIET_STEPS
        padded = np.zeros(num_steps * USER_FRAME_SAMPLES, np.float32)
        padded[: len(heard)] = heard
        mel = log_mel(padded).reshape(-1, MEL_FRAMES_PER_STEP, MEL_BINS)
        return Listen(mel, tuple(self.vocabulary.encode(text.strip().lower())))


def find_text(request: AnswerRequest) -> str:
    """What is to be read."""
    return request.conversation.messages[-1].text
