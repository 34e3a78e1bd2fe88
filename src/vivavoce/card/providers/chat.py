"""`viva-chat/MODEL`: chat completions with audio in and out, on any OpenAI-compatible server.

`--model-base-url` or `VIVA_CHAT_BASE_URL` names the server. Inspect's own providers cannot ask for audio.

Inspect keeps a model for the whole process and gives every evaluation an event loop of its own; a connection lives and
dies with the loop it was opened on. So nothing here outlasts one answer: each has its own client, closed behind it.
"""

from __future__ import annotations

import base64
import os
import time
from typing import Any

import httpx
import numpy as np
import openai
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput, ModelUsage, RetryDecision
from inspect_ai.tool import ToolChoice, ToolInfo

from vivavoce.card.providers.answering import (
    OUTPUT_RATE_HZ,
    TIMEOUT_S,
    Request,
    check_address,
    fail,
    make_output,
    read_request,
    read_wav_answer,
    refuse_arguments,
)
from vivavoce.content import Audio
from vivavoce.content_formats import to_openai
from vivavoce.errors import EndpointError


class ChatAPI(ModelAPI):
    """See the module docstring.

    Model arguments: stream (for servers that speak only while streaming, such as Qwen-Omni's), rate_hz (None takes any),
    voice, timeout_s.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        stream: bool = False,
        rate_hz: int | None = OUTPUT_RATE_HZ,
        voice: str | None = None,
        timeout_s: float = TIMEOUT_S,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, ["VIVA_CHAT_API_KEY"], config or GenerateConfig())
        refuse_arguments(type(self), model_args)
        self.base_url = check_address(base_url or os.environ.get("VIVA_CHAT_BASE_URL") or "http://127.0.0.1:8000/v1")
        # the costly part of a client (some 30 ms), and no loop has a hold on it
        self.trust = httpx.create_ssl_context()
        self.stream, self.rate_hz, self.voice, self.timeout_s = stream, rate_hz, voice, timeout_s

    def open_client(self) -> openai.AsyncOpenAI:
        """A client of its own for one answer; use it as a context, so that its connection is closed."""
        return openai.AsyncOpenAI(
            base_url=self.base_url,
            api_key=self.api_key or "none",
            max_retries=0,
            timeout=self.timeout_s,
            http_client=openai.DefaultAsyncHttpxClient(verify=self.trust),
        )

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        request = read_request(input, config)
        started = time.monotonic()
        try:
            async with self.open_client() as client:
                answered = await (self._stream if self.stream else self._complete)(
                    client, self._arguments(request, config)
                )
        except openai.APITimeoutError as error:
            raise fail("timeout", f"{self.base_url} gave no answer in {self.timeout_s:.0f} s") from error
        except openai.RateLimitError:
            raise
        except openai.APIConnectionError as error:
            raise fail("endpoint_down", f"cannot reach {self.base_url} ({error}); is the server up?") from error
        except openai.InternalServerError:
            raise
        except openai.APIStatusError as error:
            raise fail("bad_answer", f"{self.base_url} answered {error.status_code}: {str(error)[:200]}") from error
        text, audio, usage, timings = answered
        metadata = {"generate_s": round(time.monotonic() - started, 4), **timings}
        return make_output(self.model_name, text, audio, request=request, usage=usage, metadata=metadata)

    def _arguments(self, request: Request, config: GenerateConfig) -> dict[str, Any]:
        arguments: dict[str, Any] = {
            "model": self.model_name,
            "messages": [to_openai(message) for message in request.conversation.messages],
            "seed": request.seed,
        }
        if config.max_tokens is not None:
            arguments["max_completion_tokens"] = config.max_tokens
        if config.temperature is not None:
            arguments["temperature"] = config.temperature
        if request.wants_audio:
            arguments["modalities"] = ["text", "audio"]
            arguments["audio"] = {
                "voice": request.voice or self.voice or "alloy",
                "format": "pcm16" if self.stream else "wav",
            }
        return arguments

    async def _complete(self, client: openai.AsyncOpenAI, arguments: dict[str, Any]):
        completion = await client.chat.completions.create(**arguments)
        if not completion.choices:
            raise fail("bad_answer", f"{self.model_name} returned no choice")
        message = completion.choices[0].message
        text, audio = message.content or "", None
        if message.audio is not None:
            text = message.audio.transcript or text
            audio = read_wav_answer(_decode(message.audio.data, self.model_name), self.model_name, rate_hz=self.rate_hz)
        return text, audio, _read_usage(completion.usage), {}

    async def _stream(self, client: openai.AsyncOpenAI, arguments: dict[str, Any]):
        text, sound, timings = "", bytearray(), {}
        started = time.monotonic()
        async for chunk in await client.chat.completions.create(**arguments, stream=True):
            if not chunk.choices:
                continue
            delta = chunk.choices[0].delta
            timings.setdefault("first_byte_s", round(time.monotonic() - started, 4))
            piece = getattr(delta, "audio", None) or {}
            text += (delta.content or "") + (piece.get("transcript") or "")
            if piece.get("data"):
                timings.setdefault("first_audio_byte_s", round(time.monotonic() - started, 4))
                sound += _decode(piece["data"], self.model_name)
        audio = None
        if sound:
            samples = np.frombuffer(bytes(sound[: len(sound) // 2 * 2]), "<i2").astype(np.float32) / 32768
            audio = Audio(samples, self.rate_hz or OUTPUT_RATE_HZ)
        return text, audio, None, timings

    def should_retry(self, ex: Exception) -> bool | RetryDecision:
        """Rate limits and server errors only; an endpoint that is down stays down."""
        if isinstance(ex, openai.RateLimitError):
            return RetryDecision.rate_limit()
        return isinstance(ex, openai.InternalServerError) and not isinstance(ex, EndpointError)


def _decode(data: str, model_name: str) -> bytes:
    try:
        return base64.b64decode(data, validate=True)
    except ValueError as error:
        raise fail("truncated_audio", f"the sound of {model_name} is not base64 ({error})") from error


def _read_usage(usage: Any) -> ModelUsage | None:
    if usage is None:
        return None
    return ModelUsage(
        input_tokens=usage.prompt_tokens, output_tokens=usage.completion_tokens, total_tokens=usage.total_tokens
    )
