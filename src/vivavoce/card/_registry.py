"""What Inspect finds by entry point: every evaluation as a task, the providers, the solvers and scorers.

Providers are registered by functions that import them when they are first used.
"""

from __future__ import annotations

from inspect_ai.model import ModelAPI, modelapi

from vivavoce.card.scoring import card_estimates, graded
from vivavoce.card.solvers import converse, game, no_model, sandbox_shell, simulated_shell
from vivavoce.card.tasks import TASKS

__all__ = ["TASKS", "card_estimates", "graded", "converse", "game", "no_model", "sandbox_shell", "simulated_shell"]

globals().update(TASKS)


@modelapi(name="viva")
def viva() -> type[ModelAPI]:
    """The omni model in this process."""
    from vivavoce.card.providers.in_process import InProcessAPI

    return InProcessAPI


@modelapi(name="viva-chat")
def viva_chat() -> type[ModelAPI]:
    """Chat completions with audio."""
    from vivavoce.card.providers.chat import ChatAPI

    return ChatAPI


@modelapi(name="viva-realtime")
def viva_realtime() -> type[ModelAPI]:
    """The Realtime WebSocket."""
    from vivavoce.card.providers.realtime import RealtimeAPI

    return RealtimeAPI


@modelapi(name="viva-cascade")
def viva_cascade() -> type[ModelAPI]:
    """Recogniser, text model, voice."""
    from vivavoce.card.providers.cascade import CascadeAPI

    return CascadeAPI


@modelapi(name="viva-fake")
def viva_fake() -> type[ModelAPI]:
    """A scripted endpoint."""
    from vivavoce.card.providers.fake import FakeAPI

    return FakeAPI
