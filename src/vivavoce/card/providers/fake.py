"""`viva-fake/SCRIPT`: a scripted endpoint for tests and dry runs.

`good` and `bad` answer the authored items as the right and the worst model would, so that every evaluation can be tested at
both ends; `refuse`, `comply`, `echo` are blunt; the others fail in one way each. It hears by transcript and speaks in the
studio's preset voice (`mimic`: in the user's).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput
from inspect_ai.tool import ToolChoice, ToolInfo

from vivavoce.card.evaluation import Item
from vivavoce.card.providers.answering import (
    OUTPUT_RATE_HZ,
    fail,
    make_output,
    read_request,
    read_wav_answer,
    refuse_arguments,
)
from vivavoce.card.sources import DataSource
from vivavoce.card.speech import open_studio
from vivavoce.content import Audio, Conversation
from vivavoce.errors import ConfigError
from vivavoce.media import encode_wav, resample
from vivavoce.spoken import split_words

REFUSAL = "I'm sorry, but I can't help with that."
SCRIPTS = (
    "good", "bad", "refuse", "comply", "echo", "mimic", "early", "judge_yes", "judge_no",
    "down", "slow", "rate_limited", "no_audio", "silent", "wrong_rate", "truncated", "other_transcript",
)  # fmt: skip


class FakeAPI(ModelAPI):
    """See the module docstring. Model arguments: studio, reply (a function of the talk, in tests), delay_s."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        studio: str = "tones",
        reply: Callable[[Conversation], str] | None = None,
        delay_s: float = 0.0,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        refuse_arguments(type(self), model_args)
        if model_name not in SCRIPTS and reply is None:
            raise ConfigError(f"script {model_name!r} is unknown; allowed: {', '.join(SCRIPTS)}")
        self.studio, self.reply, self.delay_s = open_studio(studio), reply, delay_s

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        request = read_request(input, config, keep_transcripts=True)
        await asyncio.sleep(self.delay_s)
        _fail_first(self.model_name)
        text = self.reply(request.conversation) if self.reply else compose(self.model_name, request.conversation)
        audio = self._speak(text, request.conversation) if request.wants_audio else None
        metadata = {"generate_s": 0.0}
        return make_output(self.model_name, text, audio, request=request, metadata=metadata)

    def _speak(self, text: str, conversation: Conversation) -> Audio | None:
        voice = self.studio.preset_voice
        match self.model_name:
            case "no_audio":
                return None
            case "silent":
                return Audio(np.zeros(OUTPUT_RATE_HZ * 3, np.float32), OUTPUT_RATE_HZ)
            case "other_transcript":
                text = "a quite different sentence was read out here"
            case "mimic" | "bad":
                voice = self._find_user_voice(conversation)
        sound = resample(self.studio.speak(text or "hm", voice), OUTPUT_RATE_HZ)
        if self.model_name == "wrong_rate":
            return read_wav_answer(encode_wav(resample(sound, 8000)), self.model_name)
        if self.model_name == "truncated":
            data = encode_wav(sound)
            return read_wav_answer(data[: len(data) // 2], self.model_name)
        return sound

    def _find_user_voice(self, conversation: Conversation) -> str:
        sounds = conversation.messages[-1].parts_of(Audio)
        vector = self.studio.embed(sounds[0]) if sounds else None
        if vector is None:
            return self.studio.voices[0]
        spoken = [
            self.studio.embed(self.studio.speak("hear how this voice sounds", voice)) for voice in self.studio.voices
        ]
        scores = [-1.0 if other is None else float(other @ vector) for other in spoken]
        return self.studio.voices[int(np.argmax(scores))]

    def max_connections(self) -> int:
        return 10

    def should_retry(self, ex: Exception) -> bool:
        return False


def _fail_first(script: str) -> None:
    failures = {
        "down": ("endpoint_down", "nothing listens at this address; is the server up?"),
        "slow": ("timeout", "no answer in 60 s"),
        "rate_limited": ("rate_limited", "429 after 2 retries; lower --max-connections"),
    }
    if script in failures:
        raise fail(*failures[script])


def compose(script: str, conversation: Conversation) -> str:
    """What `script` says next."""
    said = [message.text for message in conversation.messages if message.role == "user"]
    match script:
        case "refuse":
            return REFUSAL
        case "comply":
            return "Sure, here is how to do it. First, gather what you need. Then, follow each step in order."
        case "judge_yes" | "judge_no":
            return f"It was told what to say.\nVERDICT: {script.removeprefix('judge_').upper()}"
        case "good" | "bad" | "mimic" | "early":
            return _look_up(
                said, "bad" if script == "bad" or (script == "early" and len(said[-1]) % 3 == 0) else "good"
            )
        case _:
            return f"You said: {said[-1]}" if said else "Hello."


def _look_up(said: list[str], side: str) -> str:
    item = _find_item(_key(said[0])) if said else None
    if item is None:
        return REFUSAL if side == "good" else f"Sure. {said[-1]}" if said else "Hello."
    replies = item.attributes.get(side)
    if isinstance(replies, list):
        return replies[min(len(said), len(replies)) - 1]
    if isinstance(replies, str):
        return replies
    if item.target:
        return item.target[0] if side == "good" else "xyzzy"
    return REFUSAL if side == "good" else f"Sure. {said[-1]}"


def _find_item(key: str) -> Item | None:
    """The authored item of that prompt, or the longest one that it begins with: options follow the question."""
    index = _index_items()
    if key in index:
        return index[key]
    starts = [prompt for prompt in index if prompt and key.startswith(f"{prompt} ")]
    return index[max(starts, key=len)] if starts else None


@cache
def _index_items() -> dict[str, Item]:
    source, index = DataSource(), {}
    for path in sorted(resources.files("vivavoce.card").joinpath("authored").iterdir(), key=lambda path: path.name):
        if path.name.endswith(".jsonl"):
            for item in source.authored(path.name.removesuffix(".jsonl")):
                index.setdefault(_key(item.prompt), item)
    return index


def _key(text: str) -> str:
    return " ".join(split_words(text))
