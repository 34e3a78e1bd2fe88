"""How well each teacher voice is understood, and how well the speaker encoder tells voices apart.

What a recogniser misses of a teacher is not the model's fault: these rates are to be read beside the model's own.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from vivavoce.content import Audio
from vivavoce.data.voices.rendering import Renderings, rate_of
from vivavoce.data.voices.roster import Voice
from vivavoce.data.voices.speaking import speak
from vivavoce.omni.judges import recogniser
from vivavoce.omni.judges.speaker import embed_voice
from vivavoce.omni.judges.words import word_error_rate
from vivavoce.stats import estimate_mean, find_equal_error


def report_voices(voices: Sequence[Voice], texts: Sequence[str], renderings: Renderings) -> Iterator[dict[str, Any]]:
    """A row for each voice (word error rate over `texts`), then one for voice identity over all of them.

    Identity: cosine of the speaker encoder between recordings of one voice and of two voices, and the equal error rate.
    Raises: AssetError if a teacher or a judge is missing.
    """
    listener = recogniser.Recogniser()
    owners, embeddings = [], []
    for voice in voices:
        audios = [renderings.find(text, voice.name) or speak(text, voice, rate_of(voice)) for text in texts]
        rate = word_error_rate(texts, listener.transcribe_all(audios))
        # two short sentences together are enough for a voice; one is not
        pairs = [np.concatenate([a.samples, b.samples]) for a, b in zip(audios[::2], audios[1::2])]
        for pair in pairs:
            owners.append(voice.name)
            embeddings.append(embed_voice(Audio(pair, audios[0].rate_hz)))
        yield {"voice": voice.name, "split": voice.split, "about": voice.about, "word_error_rate": rate.to_json()}
    yield {"identity": _identity(owners, np.stack(embeddings))}


def _identity(owners: Sequence[str], embeddings: np.ndarray) -> dict[str, Any]:
    """Equal error rate over all pairs of recordings, and the mean cosines."""
    cosines, is_same = [], []
    for left, right in itertools.combinations(range(len(owners)), 2):
        cosines.append(float(embeddings[left] @ embeddings[right]))
        is_same.append(owners[left] == owners[right])
    same = [cosine for cosine, same in zip(cosines, is_same) if same]
    different = [cosine for cosine, same in zip(cosines, is_same) if not same]
    error, threshold = find_equal_error(cosines, is_same)
    return {
        "recordings": len(owners),
        "same": estimate_mean(same).to_json(),
        "different": estimate_mean(different).to_json(),
        "equal_error_rate": error,
        "threshold": threshold,
    }
