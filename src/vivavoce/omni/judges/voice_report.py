"""How well each teacher voice is understood, and how well the speaker encoder tells voices apart.

What a recogniser misses of a teacher is not the model's fault: these rates are to be read beside the model's own, which can be had of the
same recordings.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from vivavoce.content import Audio
from vivavoce.data.voices.rendering import Renderings, rate_of
from vivavoce.data.voices.roster import Voice
from vivavoce.data.voices.speaking import speak
from vivavoce.omni.judges.speaker import embed_voice
from vivavoce.omni.judges.words import count_errors, word_error_rate
from vivavoce.stats import estimate_mean, estimate_proportion, find_equal_error

TranscribeAll = Callable[[Sequence[Audio]], list[str]]


def report_voices(
    voices: Sequence[Voice], texts: Sequence[str], renderings: Renderings, transcribe_all: TranscribeAll
) -> Iterator[dict[str, Any]]:
    """A row for each voice (word error rate over `texts`, and the share of them heard without an error), then one for voice identity over
    all of them.

    Identity: cosine of the speaker encoder between recordings of one voice and of two voices, and the equal error rate.
    Raises: AssetError if a teacher or a judge is missing.
    """
    owners, embeddings = [], []
    for voice in voices:
        audios = [renderings.find(text, voice.name) or speak(text, voice, rate_of(voice)) for text in texts]
        heard = transcribe_all(audios)
        rate = word_error_rate(texts, heard)
        whole = estimate_proportion(sum(not count_errors(*pair).errors for pair in zip(texts, heard)), len(texts))
        # two short sentences together are enough for a voice; one is not
        pairs = [np.concatenate([a.samples, b.samples]) for a, b in zip(audios[::2], audios[1::2])]
        for pair in pairs:
            owners.append(voice.name)
            embeddings.append(embed_voice(Audio(pair, audios[0].rate_hz)))
        measured = {"word_error_rate": rate.to_json(), "heard_whole": whole.to_json()}
        yield {"voice": voice.name, "split": voice.split, "about": voice.about, **measured}
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
