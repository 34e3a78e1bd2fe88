"""Hearing and speaking: word error rates by voice and noise, the preset's likeness, and quality.

Recognition reads the model's own transcript of sentences it never saw; synthesis has sentences of at most 12 words read
aloud and transcribed by an independent recogniser, whose errors on the preset teacher's own recordings are given beside.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from vivavoce.content import Audio
from vivavoce.omni.judges.words import word_error_rate
from vivavoce.stats import estimate_mean


def measure_recognition(
    transcribe: Callable[[Sequence[Audio]], Sequence[str]], conditions: dict[str, list[tuple[str, Audio]]]
) -> dict[str, Any]:
    """Word error rate of the model's transcripts in each condition (`seen voices, clean`, ...)."""
    report = {}
    for name, items in conditions.items():
        heard = transcribe([audio for _, audio in items])
        report[name] = word_error_rate([text for text, _ in items], heard).to_json()
    return report


def measure_synthesis(
    texts: Sequence[str],
    spoken: Sequence[Audio | None],
    references: Sequence[Audio],
    transcribe: Callable[[Audio], str],
    *,
    likeness: Callable[[Audio, Audio], float] | None = None,
    quality: Callable[[Audio], float] | None = None,
) -> dict[str, Any]:
    """Word error rates of the model's and the teacher's readings of `texts`; likeness and quality where judges are there.

    A text the model did not speak counts as all of its words wrong, and is left out of likeness and quality.
    """
    ours = [transcribe(audio) if audio is not None else "" for audio in spoken]
    teachers = [transcribe(audio) for audio in references]
    report: dict[str, Any] = {
        "word_error_rate": word_error_rate(texts, ours).to_json(),
        "teacher_word_error_rate": word_error_rate(texts, teachers).to_json(),
        "unspoken": sum(audio is None for audio in spoken),
    }
    pairs = [(audio, reference) for audio, reference in zip(spoken, references) if audio is not None]
    if likeness is not None:
        report["speaker_similarity"] = estimate_mean([likeness(*pair) for pair in pairs]).to_json()
    if quality is not None:
        report["dnsmos_overall"] = estimate_mean([quality(audio) for audio, _ in pairs]).to_json()
        report["teacher_dnsmos_overall"] = estimate_mean([quality(reference) for _, reference in pairs]).to_json()
    return report
