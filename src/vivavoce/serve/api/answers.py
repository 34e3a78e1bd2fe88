"""An HTTP answer: from the worker's thread to a handler, with the guards on its way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import numpy as np

from vivavoce.errors import DataError, EndpointError
from vivavoce.omni.engine_protocol import AnswerDelta, AnswerRequest
from vivavoce.serve.guards.findings import Finding
from vivavoce.serve.usage import Usage, count_seen
from vivavoce.serve.worker import Worker

_MAX_UNREAD = 64
REFUSALS = {
    "moderation": "I can't help with that.",
    "identity": "I can't tell who someone is from their voice.",
    "voice": "I can only speak in my own voice.",
}


class AnswerQueue:
    """The port of an answer on the event loop's side."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[AnswerDelta | Exception | None] = asyncio.Queue()

    def deliver(self, delta: AnswerDelta) -> None:
        """See `AnswerPort`."""
        self._put(delta)

    def end(self, error: Exception | None) -> None:
        """See `AnswerPort`."""
        self._put(error)

    def _put(self, item: AnswerDelta | Exception | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._queue.put_nowait, item)

    @property
    def is_full(self) -> bool:
        """See `AnswerPort`."""
        return self._queue.qsize() > _MAX_UNREAD

    async def __aiter__(self) -> AsyncIterator[AnswerDelta]:
        """Pieces until the end. Raises what ended it, if it did not end well."""
        while True:
            item = await self._queue.get()
            if item is None:
                return
            if isinstance(item, Exception):
                if isinstance(item, DataError):
                    raise item
                raise EndpointError("the answer could not be made; try again")
            yield item


class GuardedAnswer:
    """Pieces of an answer that the guards let through. After the last, `finding` says whether one cut it short.

    Unless the request is streamed, nothing is given out before the whole has been judged.
    """

    def __init__(self, worker: Worker, request: AnswerRequest) -> None:
        self._worker = worker
        self._request = request
        self._guards = worker.make_guards()
        self._text = ""
        self.finding: Finding | None = None
        self.usage = Usage(to_see=count_seen(request.conversation.messages))
        self._num_texts = 0
        self.is_cut_by_length = False

    @property
    def refusal(self) -> str | None:
        """What is said instead, when a guard cut the answer."""
        return REFUSALS[self.finding.guard] if self.finding else None

    async def start(self) -> None:
        """Judge the question and queue the answer, so that refusals come before anything is sent.

        Raises: WireError if too many answers wait.
        """
        self._guards.start_utterance()
        last = next((m for m in reversed(self._request.conversation.messages) if m.role == "user"), None)
        if last is not None and self._request.task != "transcribe":
            self._guards.hear_user(last.text)
            await self._settle()
        self._port = AnswerQueue()
        if self.finding is None:
            await asyncio.wrap_future(self._worker.start_answer(self._request, self._port))

    async def pieces(self) -> AsyncIterator[AnswerDelta]:
        """The answer, piece by piece. Leaving early drops it."""
        if self.finding is not None:
            return
        kept: list[AnswerDelta] = []
        try:
            async for delta in self._port:
                self._count(delta)
                for piece in self._judge(delta):
                    if self._request.is_streamed:
                        yield piece
                    else:
                        kept.append(piece)
                self.finding = self.finding or self._guards.poll()
                if self.finding is not None:
                    return
        finally:
            self._worker.drop_answer(self._port)
        self._guards.end_utterance()
        await self._settle()
        if self.finding is None:
            for piece in [*kept, *(AnswerDelta(pcm=pcm) for pcm in self._guards.release())]:
                yield piece

    def _count(self, delta: AnswerDelta) -> None:
        self.usage.note_answer(delta)
        limit = self._request.max_tokens
        self._num_texts += bool(delta.text)
        self.is_cut_by_length = limit is not None and self._num_texts >= limit

    def _judge(self, delta: AnswerDelta) -> list[AnswerDelta]:
        if delta.text and self._request.task != "transcribe":
            self._text += delta.text
            self._guards.say_text(self._text)
        if delta.pcm is None:
            return [delta]
        rest = delta._replace(pcm=None)
        spoken = [AnswerDelta(pcm=pcm) for pcm in self._guards.say_audio(delta.pcm)]
        return [rest, *spoken] if rest.text or rest.image else spoken

    async def _settle(self) -> None:
        """Wait until everything submitted has been judged."""
        while True:
            self.finding = self.finding or self._guards.poll()
            if not self._guards.is_pending:
                return
            await asyncio.sleep(0.005)


async def collect(answer: GuardedAnswer) -> tuple[str, np.ndarray, list]:
    """Text, speech [S] float32 at 24 kHz and pictures of the whole answer."""
    text, speech, images = "", [], []
    async for delta in answer.pieces():
        text += delta.text
        if delta.pcm is not None:
            speech.append(delta.pcm)
        if delta.image is not None:
            images.append(delta.image)
    return text, np.concatenate(speech) if speech else np.zeros(0, np.float32), images
