"""`viva-cascade/MODEL`: recogniser, any Inspect text model, voice. The baseline that a speech model has to beat.

Its spoken answers are the text model's words in the studio's preset voice; its ears are the studio's recogniser.
"""

from __future__ import annotations

import time
from typing import Any

import anyio.to_thread
from inspect_ai.model import (
    ChatMessage,
    ChatMessageAssistant,
    ChatMessageSystem,
    ChatMessageUser,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    get_model,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from vivavoce.card.providers.answering import fail, make_output, read_request, refuse_arguments
from vivavoce.card.speech import open_studio
from vivavoce.content import Audio, Message, Text


class CascadeAPI(ModelAPI):
    """See the module docstring. Model arguments: studio (default auto), and those of the inner model as `inner_args`."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        studio: str = "auto",
        inner_args: dict[str, Any] | None = None,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        refuse_arguments(type(self), model_args)
        self.studio = open_studio(studio)
        self.inner = get_model(model_name, base_url=base_url, **(inner_args or {}))

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        request = read_request(input, config)
        if not self.studio.has_recogniser:
            raise fail("no_recogniser", f"studio {self.studio.name} has none; install the extra `judges`")
        started = time.monotonic()
        heard = [await anyio.to_thread.run_sync(self._hear, message) for message in request.conversation.messages]
        heard_s = time.monotonic() - started
        inner_config = config.model_copy(update={"extra_body": None})
        output = await self.inner.generate([_to_chat(*turn) for turn in heard], config=inner_config)
        text, audio = output.completion.strip(), None
        answered_s = time.monotonic() - started
        if request.wants_audio and text:
            audio = await anyio.to_thread.run_sync(self.studio.speak, text, self.studio.preset_voice, request.seed)
        facts = {
            "recognised": heard[-1][1],
            "recognise_s": round(heard_s, 4),
            "answer_s": round(answered_s - heard_s, 4),
            "generate_s": round(time.monotonic() - started, 4),
        }
        return make_output(self.model_name, text, audio, request=request, metadata=facts, usage=output.usage)

    def _hear(self, message: Message) -> tuple[str, str]:
        words = []
        for part in message.parts:
            if isinstance(part, Text):
                words.append(part.text)
            elif isinstance(part, Audio):
                words.append(self.studio.recognise(part) or "")
        return message.role, " ".join(word for word in words if word)

    def max_connections(self) -> int:
        return 1

    def should_retry(self, ex: Exception) -> bool:
        return False


def _to_chat(role: str, text: str) -> ChatMessage:
    kinds = {"system": ChatMessageSystem, "assistant": ChatMessageAssistant}
    return kinds.get(role, ChatMessageUser)(content=text)
