"""A worker as the flags describe it: engine, voice activity, guards; and what has to be said about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from vivavoce.errors import VivaError
from vivavoce.serve import engines
from vivavoce.serve.guards.findings import TextGuard
from vivavoce.serve.guards.moderation import load_moderation
from vivavoce.serve.guards.session_guards import GuardSet
from vivavoce.serve.guards.text_rules import load_rule_guard
from vivavoce.serve.guards.voice import VoiceGuardSettings, VoiceReference
from vivavoce.serve.limits import Limits
from vivavoce.serve.vad import EnergyVad, VoiceActivity, load_silero
from vivavoce.serve.worker import Worker


def make_worker(
    model: str,
    *,
    slots: int = 4,
    backend: str = "auto",
    vad: Literal["silero", "energy"] = "silero",
    moderation: str = "classifier",
    identity: bool = True,
    voice_guard: Literal["off", "watch", "hold"] = "watch",
    limits: Limits | None = None,
) -> tuple[Worker, list[str]]:
    """A worker that is not started yet, and notes for the person who starts it.

    Raises: VivaError children for what cannot be loaded.
    """
    notes: list[str] = []
    engine = engines.load(model, slots, backend)
    make_vad: Callable[[], VoiceActivity] = EnergyVad
    if vad == "silero" and model != engines.SCRIPTED:
        make_vad = load_silero()
    texts: list[TextGuard] = []
    judge = load_moderation(moderation)
    if judge is not None:
        texts.append(judge)
    if identity:
        texts.append(load_rule_guard("identity"))
    reference = None
    if voice_guard != "off" and model != engines.SCRIPTED:
        reference = load_voice_reference(engine.voices[0], notes) if engine.voices else None
    guards = GuardSet(
        texts=tuple(texts),
        voice=reference,
        voice_settings=VoiceGuardSettings(mode="hold" if voice_guard == "hold" else "watch"),
    )
    return Worker(engine, make_vad=make_vad, limits=limits, guards=guards), notes


def load_voice_reference(voice: str, notes: list[str]) -> VoiceReference | None:
    """The preset voice for the voice guard; None, with a note, where its reference or the encoder cannot be had."""
    from vivavoce.serve.guards.preset import load_preset

    try:
        return load_preset(voice)
    except VivaError as error:
        notes.append(f"the voice guard is off: {error}")
        return None
