"""Grading of a sample in Inspect, and the numbers Inspect itself prints. The card computes its own from the logs (`results`).

A sample's score is one number and the name of the measure it counts in. What failed is unscored with its reason, never 0.
"""

from __future__ import annotations

import math
from typing import Any

import anyio.to_thread
from inspect_ai.scorer import Metric, SampleScore, Score, Scorer, Target, metric, scorer
from inspect_ai.solver import TaskState

from vivavoce.card.evaluation import Item, Reply
from vivavoce.card.graders.opinions import collect_opinions
from vivavoce.card.graders.propositions import NO_GRADER
from vivavoce.card.solvers import read_sounds, read_texts
from vivavoce.card.speech import Studio, open_studio
from vivavoce.errors import VivaError
from vivavoce.grading import Grade, Graded, Ungraded
from vivavoce.omni.judges.words import count_errors
from vivavoce.spoken import split_words
from vivavoce.stats import estimate_mean, estimate_proportion


@metric
def card_estimates() -> Metric:
    """`measure/arm` and its interval and n, for Inspect's table; the card clusters and pairs besides."""

    def compute(scores: list[SampleScore]) -> dict[str, float]:
        groups: dict[str, list[float]] = {}
        for score in scores:
            facts = score.score.metadata or {}
            if "measure" in facts:
                groups.setdefault(f"{facts['measure']}/{facts['arm']}", []).append(score.score.as_float())
        numbers: dict[str, float] = {}
        for name, values in sorted(groups.items()):
            is_proportion = all(value in (0.0, 1.0) for value in values)
            estimate = estimate_proportion(int(sum(values)), len(values)) if is_proportion else estimate_mean(values)
            numbers[name] = math.nan if estimate.value is None else estimate.value
            numbers[f"{name} low"] = math.nan if estimate.low is None else estimate.low
            numbers[f"{name} high"] = math.nan if estimate.high is None else estimate.high
            numbers[f"{name} n"] = len(values)
        return numbers

    return compute


@scorer(metrics=[card_estimates()])
def graded(evaluation_id: str, studio: str = "auto", rbr: str = NO_GRADER) -> Scorer:
    """Grade a sample by the rules of its evaluation, with second opinions where there are any."""

    async def score(state: TaskState, target: Target) -> Score:
        from vivavoce.card.evals import EVALUATIONS

        evaluation = EVALUATIONS[evaluation_id]
        item = Item.from_json(state.metadata["item"])
        facts: dict[str, Any] = {"measure": item.measure, "arm": state.metadata["arm"]}
        if "unscored" in state.metadata:
            failed = state.metadata["unscored"]
            return Score.unscored(reason=failed["reason"], explanation=failed["detail"], metadata=facts)
        try:
            speaker = open_studio(studio)
            reply = await anyio.to_thread.run_sync(make_reply, state, item, speaker)
            mismatch = find_mismatch(reply) if evaluation.id != "transcript_fidelity" else None
            grade = mismatch or await anyio.to_thread.run_sync(evaluation.grade, reply)
        except VivaError as error:
            return Score.unscored(reason="scoring_failed", explanation=str(error), metadata=facts)
        facts.update(describe_reply(reply))
        if isinstance(grade, Ungraded):
            return Score.unscored(reason=grade.reason, answer=reply.text, explanation=grade.detail, metadata=facts)
        facts["opinions"] = await collect_opinions(evaluation, reply, grade, rbr)
        return _to_score(grade, reply, facts)

    return score


def _to_score(grade: Graded, reply: Reply, facts: dict[str, Any]) -> Score:
    detail = dict(grade.detail)
    facts["extra"] = detail.pop("extra", {})
    why = detail.pop("why", None)
    facts["detail"] = detail
    return Score(value=float(grade.value), answer=reply.text, explanation=why, metadata=facts)


def make_reply(state: TaskState, item: Item, studio: Studio) -> Reply:
    """What graders see. In the audio arm the model's transcript is graded, or the reading where it gave none."""
    texts = read_texts(state)
    arm = state.metadata["arm"]
    sounds = read_sounds(state, "assistant") if arm == "audio" else ()
    heard = studio.recognise(sounds[-1]) if sounds and studio.has_recogniser else None
    text = texts[-1].strip() if texts else ""
    answers = state.metadata.get("answers") or [{}]
    return Reply(
        item=item,
        arm=arm,
        text=text or heard or "",
        texts=texts,
        heard=heard,
        audios=sounds,
        inputs=read_sounds(state, "user"),
        timings={key: value for key, value in answers[-1].items() if isinstance(value, int | float)},
        studio=studio,
        facts=state.metadata,
    )


def describe_reply(reply: Reply) -> dict[str, Any]:
    """What the card keeps of an answer beside its grade: reading, word errors, seconds."""
    facts: dict[str, Any] = {}
    if reply.heard is not None and reply.texts and reply.texts[-1].strip():
        errors, words = count_errors(reply.texts[-1], reply.heard)
        facts["output_check"] = {"heard": reply.heard, "errors": errors, "words": words}
    if reply.audios:
        facts["output_s"] = round(sum(audio.duration_s for audio in reply.audios), 3)
    return facts


def find_mismatch(reply: Reply) -> Grade | None:
    """`Ungraded` where the sound is of something else than the transcript: nine words in ten are read otherwise.

    At least four words each; shorter answers say too little to tell. chosen: garbled speech is seldom read so badly.
    """
    if reply.heard is None or not reply.texts:
        return None
    errors, words = count_errors(reply.texts[-1], reply.heard)
    if min(words, len(split_words(reply.heard))) >= 4 and errors >= 0.9 * words:
        detail = f"the sound is not what the transcript says; heard {reply.heard[:120]!r}"
        return Ungraded("transcript_mismatch", detail)
    return None
