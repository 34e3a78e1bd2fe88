"""The responses of one realtime session: the one in the conversation, and those made turn by turn beside it. Torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivavoce.content import Message, Text
from vivavoce.omni.engine_protocol import AnswerDelta, AnswerRequest
from vivavoce.serve.responses import Reason, Response, ResponseSettings, Status
from vivavoce.serve.session_state import Answer, State
from vivavoce.serve.usage import Usage, count_seen
from vivavoce.serve.wire import WireError

if TYPE_CHECKING:
    from vivavoce.serve.session import RealtimeSession


class Replies:
    """Starts responses and ends them. Belongs to one session, and changes its state."""

    def __init__(self, session: RealtimeSession, conversation_id: str) -> None:
        self._session = session
        self._conversation_id = conversation_id
        self.current: Response | None = None
        """The response in progress in the conversation, if any."""
        self.to_start: list[Answer] = []
        """Answers the worker has to start."""
        self.to_drop: list[str] = []
        """Ids of answers the worker has to drop."""
        self.usage_in = Usage()
        """Steps read since the last response of the live slot."""
        self._aside: dict[str, Response] = {}
        self._is_another_wanted = False

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered."""
        return self.current is None and not self._aside

    def default_settings(self) -> ResponseSettings:
        """A response as the session is set."""
        settings = self._session.settings
        return ResponseSettings(
            modality=settings.output_modality,
            output_format=settings.output_format,
            voice=settings.voice,
            max_tokens=settings.max_output_tokens,
        )

    # ---- beginning

    def respond(
        self,
        settings: ResponseSettings | None = None,
        *,
        request: AnswerRequest | None = None,
        instructions: str | None = None,
    ) -> None:
        """Start a response: by the live slot, or with `request` made turn by turn."""
        session = self._session
        settings = settings or self.default_settings()
        session.unhear_uncommitted()
        response = Response(
            session.new_id("resp"),
            settings,
            conversation_id=self._conversation_id,
            items=session.items,
            emit=session.emit,
            new_id=session.new_id,
        )
        response.create()
        if settings.is_in_band:
            self.current = response
            session.state = State.ANSWERING if request else State.AWAITING
            session.turn.restart_idle()
        if request is not None:
            self._aside[response.id] = response
            response.usage.to_see = count_seen(request.conversation.messages)
            self.to_start.append(Answer(response.id, request))
            session.guards.start_utterance()
            return
        if instructions is not None:
            session.context.tell(Message("system", (Text(instructions),)))

    def respond_when_free(self) -> None:
        """Answer the turn just taken: now, or after the response in progress."""
        if self.current is None:
            self.respond()
        else:
            self._is_another_wanted = True

    # ---- ending

    def end(self, status: Status, reason: Reason | None = None) -> None:
        """End the response in progress now; a slot that still speaks is stopped."""
        response = self.current
        assert response is not None
        if response.id in self._aside:
            self.to_drop.append(response.id)
            self._finish_aside(response, status, reason)
            return
        # a slot that speaks falls silent with its next step
        self._session.must_stop |= self._session.state is State.SPEAKING
        response.usage.take_input(self.usage_in)
        self.usage_in = Usage()
        self._leave()
        response.finish(status, reason)
        self._go_on()

    def cancel(self, response_id: str | None) -> None:
        """`response.cancel`. Raises: WireError if no such response is in progress."""
        aside = self._aside.get(response_id or "")
        if aside is not None and aside is not self.current:
            self.to_drop.append(aside.id)
            self._finish_aside(aside, "cancelled", "client_cancelled")
            return
        if self.current is None or (response_id is not None and response_id != self.current.id):
            which = f"response {response_id!r:.90}" if response_id else "response"
            raise WireError(
                f"no {which} is in progress; the session is {self._session.state.value}",
                code="response_cancel_not_active",
                param="response_id" if response_id else None,
            )
        self.end("cancelled", "client_cancelled")

    # ---- answers made turn by turn

    def absorb(self, response_id: str, delta: AnswerDelta | None, error: str | None = None) -> None:
        """A piece of an answer made turn by turn; None at its end."""
        response = self._aside.get(response_id)
        if response is None:
            return
        if delta is None:
            self._finish_aside(response, "failed" if error else "completed", error=error)
            return
        response.usage.note_answer(delta)
        if delta.text:
            response.add_text(delta.text)
            self._session.guards.say_text(response.text)
        if delta.pcm is not None and response.settings.modality == "audio":
            response.add_audio(delta.pcm)
        if delta.image is not None:
            response.add_image(delta.image)

    def _finish_aside(
        self, response: Response, status: Status, reason: Reason | None = None, error: str | None = None
    ) -> None:
        del self._aside[response.id]
        is_main = response is self.current
        if is_main:
            self._leave()
        response.finish(status, reason, error)
        if response.settings.is_in_band and response.item is not None:
            self._session.context.tell(response.item.to_message())
        if is_main:
            self._session.has_spoken = True
            self._go_on()

    def _leave(self) -> None:
        self.current = None
        self._session.fall_silent()

    def _go_on(self) -> None:
        session = self._session
        session.rebuild_if_due()
        if self._is_another_wanted and not session.is_draining:
            self._is_another_wanted = False
            self.respond()
