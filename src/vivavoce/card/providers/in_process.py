"""`viva/CHECKPOINT`: the omni model in this process, one answer at a time."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import anyio.to_thread
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput
from inspect_ai.tool import ToolChoice, ToolInfo

from vivavoce.card.providers.answering import fail, make_output, read_request
from vivavoce.content import Audio, Conversation, Image, Message
from vivavoce.errors import CheckpointError, VivaError

_LOADED: dict[str, Any] = {}
_LOCK = threading.Lock()


class InProcessAPI(ModelAPI):
    """See the module docstring. `-M path=DIR` names the checkpoint where its name is not its path."""

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        path: str | None = None,
        **model_args: Any,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config or GenerateConfig())
        self.path = str(path or find_checkpoint(model_name))
        self.model_args = model_args

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        request = read_request(input, config)
        outputs = frozenset({"text", "audio"} if request.wants_audio else {"text"})
        started = time.monotonic()
        try:
            message = await anyio.to_thread.run_sync(_answer, self.path, request.conversation, outputs, request.seed)
        except CheckpointError:
            raise
        except VivaError as error:
            raise fail("bad_answer", str(error)) from error
        sounds = message.parts_of(Audio)
        audio = sounds[0] if sounds else None
        return make_output(
            self.model_name,
            message.text,
            audio,
            request=request,
            metadata={"generate_s": round(time.monotonic() - started, 4)},
            images=tuple(message.parts_of(Image)),
        )

    def max_connections(self) -> int:
        return 1

    def connection_key(self) -> str:
        return f"viva:{self.path}"

    def should_retry(self, ex: Exception) -> bool:
        return False


def _answer(path: str, conversation: Conversation, outputs: frozenset[str], seed: int) -> Message:
    from vivavoce.omni.answer import answer, load_omni

    with _LOCK:
        if path not in _LOADED:
            _LOADED[path] = load_omni(path)
        return answer(_LOADED[path], conversation, outputs=outputs, seed=seed)


def find_checkpoint(name: str) -> Path | str:
    """A folder by that name, one of the checkpoints that ship, or the name itself (a Hub id)."""
    for folder in (Path(name), Path("checkpoints") / name, Path(__file__).parents[4] / "checkpoints" / name):
        if folder.is_dir():
            return folder
    return name
