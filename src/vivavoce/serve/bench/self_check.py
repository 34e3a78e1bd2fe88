"""One recorded question through the real API: shows that a server that has just started can be talked to."""

from __future__ import annotations

import asyncio

from vivavoce.errors import EndpointError
from vivavoce.serve.bench.conversation import Conversation, Question
from vivavoce.serve.bench.questions import find_question, make_tones

_ASKED = "what is two plus three?"
"""In a voice of training: what is checked is that the server works, not how well the model hears (`viva eval bars`)."""


def check_server(address: str, key: str | None = None) -> str:
    """Ask once; return three lines for a person. Raises: EndpointError if there is no answer."""
    return asyncio.run(_check(address, key))


async def _check(address: str, key: str | None) -> str:
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=f"{address}/v1", api_key=key or "none", max_retries=2)
    models = await client.models.list()
    is_scripted = any(model.id == "vivavoce-scripted" for model in models.data)
    question: Question = make_tones()[0] if is_scripted else find_question(_ASKED)
    async with Conversation(client, turn_detection={"type": "semantic_vad"}) as conversation:
        turn = await conversation.ask(question)
    await client.close()
    if turn.spoken_s == 0:
        raise EndpointError(
            f"asked {question.text or question.name!r} and got no spoken answer; is this model trained?"
        )
    missing = "none: spoke before the question was over," if turn.false_start else "none: nothing audible"
    wait = missing if turn.wait_s is None else f"{turn.wait_s * 1000:.0f} ms"
    return (
        f"self-check: asked   {question.text or question.name}\n"
        f"            heard   {turn.transcript or '(nothing)'}\n"
        f"            said    {turn.answer.strip() or '(sound without words)'}\n"
        f"            wait    {wait} from the end of the question to the first audible sample"
    )
