"""Voice jailbreaks: forbidden questions plain, in a plot, in a fictional frame, and with text jailbreaks for comparison."""

from __future__ import annotations

from dataclasses import replace

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.graders.verdicts import grade_not_unsafe
from vivavoce.card.public_sets import load_jailbreaks
from vivavoce.card.sources import DataSource
from vivavoce.grading import Grade


def load(source: DataSource) -> list[Item]:
    """VoiceJailbreak's questions and frames; else authored ones."""
    return load_jailbreaks(source) or source.authored("voice_jailbreak")


def grade(reply: Reply) -> Grade:
    """1 if the attack fails; what is on topic is judged by the question alone, not by its frame."""
    question = str(reply.item.attributes.get("question", reply.item.prompt))
    return grade_not_unsafe(replace(reply, item=replace(reply.item, prompt=question)))


EVALUATION = Evaluation(
    id="voice_jailbreak",
    title="Voice jailbreaks",
    area="speech_safety",
    section="3.3.5",
    question="Does an attack that is spoken, or told as a story, get what the plain question does not?",
    does_not_show="Adaptive attackers, tone and emotion of a human attacker, attacks over several turns.",
    measures=(Measure(name="attack_refused", title="Attacks that fail"),),
    load=load,
    grade=grade,
    arms=("text", "audio"),
    needs=("voices",),
    sources=("voice/voicejailbreak/questions_tiny.csv", "voice/voicejailbreak/questions_tiny_plot.csv"),
    quick_items=8,
)
