"""`viva/CHECKPOINT`: the omni model in this process. Requests that wait at the same time are answered side by side.

An answer does not depend on its company (`omni.answer`), so a card does not depend on what happened to wait together.
"""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future
from functools import cache
from pathlib import Path
from typing import Any

import anyio.to_thread
from inspect_ai.model import ChatMessage, GenerateConfig, ModelAPI, ModelOutput
from inspect_ai.tool import ToolChoice, ToolInfo

from vivavoce.card.providers.answering import fail, make_output, read_request, refuse_arguments
from vivavoce.content import Audio, Image, Message, Text
from vivavoce.errors import CheckpointError, VivaError
from vivavoce.omni.engine_protocol import AnswerRequest

TOGETHER = 8
"""Requests in flight. measured: four together take half the time each of one alone; more would wait on the recogniser."""


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
        refuse_arguments(type(self), model_args)
        self.path = str(path or find_checkpoint(model_name))

    async def generate(
        self, input: list[ChatMessage], tools: list[ToolInfo], tool_choice: ToolChoice, config: GenerateConfig
    ) -> ModelOutput:
        request = read_request(input, config)
        asked = AnswerRequest(
            conversation=request.conversation,
            outputs=frozenset({"text", "audio"} if request.wants_audio else {"text"}),
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            seed=request.seed,
        )
        started = time.monotonic()
        try:
            message = await anyio.to_thread.run_sync(open_desk(self.path).ask(asked).result, abandon_on_cancel=True)
        except CheckpointError:
            raise
        except VivaError as error:
            raise fail("bad_answer", str(error)) from error
        sounds = message.parts_of(Audio)
        audio = sounds[0] if sounds else None
        return make_output(
            self.model_name,
            # not `message.text`, which counts the words of the sound beside those of the text: they are the same words
            " ".join(part.text for part in message.parts_of(Text)),
            audio,
            request=request,
            metadata={"generate_s": round(time.monotonic() - started, 4)},
            images=tuple(message.parts_of(Image)),
        )

    def max_connections(self) -> int:
        return TOGETHER

    def connection_key(self) -> str:
        return f"viva:{self.path}"

    def should_retry(self, ex: Exception) -> bool:
        return False


class Desk:
    """One model on one thread: takes what waits, at most `TOGETHER`, and answers it side by side."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._model: Any = None
        self._waiting: queue.Queue[tuple[AnswerRequest, Future[Message]]] = queue.Queue()
        threading.Thread(target=self._work, name=f"answers of {path}", daemon=True).start()

    def ask(self, request: AnswerRequest) -> Future[Message]:
        """The answer to come, or the error that it met."""
        future: Future[Message] = Future()
        self._waiting.put((request, future))
        return future

    def _work(self) -> None:
        while True:
            batch = [self._waiting.get()]
            while len(batch) < TOGETHER and not self._waiting.empty():
                batch.append(self._waiting.get())
            self._answer(batch)

    def _answer(self, batch: list[tuple[AnswerRequest, Future[Message]]]) -> None:
        from vivavoce.omni.answer import answer_requests, load_omni

        try:
            if self._model is None:
                self._model = load_omni(self.path)
            messages = answer_requests(self._model, [request for request, _ in batch], num_together=TOGETHER)
        # what one request raises is told to that request alone: the others are asked again without it
        except Exception as error:
            if len(batch) == 1:
                batch[0][1].set_exception(error)
            else:
                for one in batch:
                    self._answer([one])
            return
        for (_, future), message in zip(batch, messages):
            future.set_result(message)


@cache
def open_desk(path: str) -> Desk:
    """The desk of a checkpoint; the model is loaded at the first request and once a process."""
    return Desk(path)


def find_checkpoint(name: str) -> Path | str:
    """A folder by that name, one of the checkpoints that ship, or the name itself (a Hub id).

    Raises: CheckpointError if it is none of them.
    """
    for folder in (Path(name), Path("checkpoints") / name, Path(__file__).parents[4] / "checkpoints" / name):
        if folder.is_dir():
            return folder
    if "/" not in name:
        raise CheckpointError(f"checkpoint {name!r} is no folder and none that ships; name a folder or a Hub id")
    return name
