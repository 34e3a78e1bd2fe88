"""The realtime state machine: one conversation between a client and a slot of the engine. Torch-free and without I/O.

The worker feeds it client events (`handle`), asks when it wants a clock step (`due_s`) and with what (`plan`), gives it
what the engine made (`absorb`), and sends the events it leaves behind (`take_events`). Time is an argument.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any, NamedTuple

import numpy as np

from vivavoce.content import Message, Text
from vivavoce.omni.engine_protocol import FRAME_MS, AnswerDelta, AnswerRequest, SlotInput, SlotOutput
from vivavoce.serve.guards.findings import Finding
from vivavoce.serve.guards.session_guards import SessionGuards
from vivavoce.serve.hearing import Hearing, Transcripts
from vivavoce.serve.items import Content, Item, ItemList
from vivavoce.serve.limits import Limits
from vivavoce.serve.responses import Reason, Response, ResponseSettings, Status, Usage
from vivavoce.serve.rewinding import Fed, Operation, Reopen, Rewind, StepLog
from vivavoce.serve.settings import Settings, TurnDetection
from vivavoce.serve.turns import TurnTaking
from vivavoce.serve.vad import SpeechEdge, VoiceActivity
from vivavoce.serve.wire import WireError

FRAME_S = FRAME_MS / 1000
LEAD_FRAMES = 2
"""With the microphone closed the model runs this far ahead of real time, so that players never run dry."""
MICROPHONE_GAP_S = 0.2
"""No sound for this long: the microphone counts as closed and the server's clock drives the slot."""


class State(Enum):
    """What the session is doing; error messages name it."""

    LISTENING = "listening"
    AWAITING = "awaiting the model's first word"
    SPEAKING = "speaking"
    JUDGING = "waiting for the voice guard"
    ANSWERING = "writing an answer"
    CLOSED = "closed"


class StepPlan(NamedTuple):
    """Operations on the slot, then one clock step."""

    operations: tuple[Operation, ...]
    input: SlotInput


class Answer(NamedTuple):
    """An answer to be made turn by turn for this session."""

    response_id: str
    request: AnswerRequest


class RealtimeSession:
    """See the module's docstring. Client events are applied by `client_events.apply_event`."""

    def __init__(
        self,
        session_id: str,
        settings: Settings,
        *,
        limits: Limits,
        make_vad: Callable[[], VoiceActivity],
        guards: SessionGuards,
        new_id: Callable[[str], str],
        now_s: float,
        can_draw: bool = False,
    ) -> None:
        self.id = session_id
        self.settings = settings
        self.limits = limits
        self.guards = guards
        self.new_id = new_id
        self.items = ItemList(limits)
        self.hearing = Hearing(settings.input_format)
        self.turns = TurnTaking(make_vad, _effective_detection(settings))
        self.state = State.LISTENING
        self.response: Response | None = None
        """The response in progress in the conversation, if any."""
        self.is_draining = False
        self.close_code: int | None = None
        """Set once the connection is to be closed."""
        self.can_draw = can_draw
        self.has_spoken = False
        self.answers: list[Answer] = []
        """Answers the worker has to start."""
        self.dropped_answers: list[str] = []
        """Ids of answers the worker has to drop."""
        self.findings: list[Finding] = []
        """What the guards found, for the metrics; the worker empties it."""
        self.turn_started_s: float | None = None
        self._conversation_id = new_id("conv")
        self._transcripts = Transcripts()
        self._aside: dict[str, Response] = {}
        self._events: list[dict[str, Any]] = []
        self._operations: list[Operation] = [Reopen(settings.instructions)]
        self._inserts: list[Message] = []
        self._replay: deque[Fed] = deque()
        self._log = StepLog()
        self._planned: tuple[Fed, bool] | None = None
        self._next_frame_idx = 0
        self._buffer_frame_idx: int | None = None
        """Clock step at which the present input buffer began to be heard."""
        self._must_stop = False
        self._must_rebuild = False
        self._respond_after = False
        self._start_edge: SpeechEdge | None = None
        self._is_start_told = False
        self._turn_item_id: str | None = None
        self._speech_start_s = 0.0
        self._spoken_frames = 0
        self._finish_as: tuple[Status, Reason | None] = ("completed", None)
        self._last_append_s = float("-inf")
        self._started_s = now_s
        self._idle_ms = 0
        self._usage_in = Usage()
        self.emit("session.created", session=self.show())
        if settings.kind == "realtime":
            self.emit(
                "conversation.created", conversation={"id": self._conversation_id, "object": "realtime.conversation"}
            )

    # ---- what the worker calls

    def take_events(self) -> list[dict[str, Any]]:
        """Server events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def due_s(self, now_s: float) -> float | None:
        """When the next clock step is wanted; None while nothing goes on."""
        if self.state is State.CLOSED:
            return None
        if self._replay or self._must_stop:
            return now_s
        if self._may_hear():
            return now_s if self.settings.turn_detection is None else self.hearing.next_arrival_s
        if self.state in (State.AWAITING, State.SPEAKING):
            return self._own_clock_s(now_s)
        if self._transcripts.is_pending and not self._is_microphone_open(now_s):
            return now_s
        return None

    def plan(self, now_s: float) -> StepPlan:
        """What to do now. Call `absorb` with what came of it."""
        is_replay = bool(self._replay)
        if is_replay:
            fed = self._replay.popleft()
        else:
            pcm = None
            if self._may_hear():
                pcm = self.hearing.pop()
                self._hear(pcm, now_s)
            inserts, self._inserts = tuple(self._inserts), []
            fed = Fed(-1, pcm, inserts)
            if pcm is not None and self._buffer_frame_idx is None:
                self._buffer_frame_idx = self._next_frame_idx
        force = None
        if self._must_stop:
            force = "stop"
        elif self.state is State.AWAITING and not self._replay and not self.hearing.committed_waiting:
            force = "speak"
        self._must_stop = False
        operations, self._operations = tuple(self._operations), []
        for operation in operations:
            self._next_frame_idx = 0 if isinstance(operation, Reopen) else operation.frame_idx
        self._planned = (fed, is_replay)
        may_speak = self.state in (State.AWAITING, State.SPEAKING) or self._model_may_begin()
        slot_input = SlotInput(fed.user_pcm, fed.inserts, self.turns.speak_bias, may_speak, force)  # type: ignore[arg-type]
        return StepPlan(operations, slot_input)

    def absorb(self, output: SlotOutput, now_s: float) -> None:
        """What the engine made of the last plan."""
        assert self._planned is not None
        (fed, is_replay), self._planned = self._planned, None
        self._next_frame_idx = output.frame_idx + 1
        self._log.note(fed._replace(frame_idx=output.frame_idx))
        self._usage_in.input_audio += fed.user_pcm is not None
        self._usage_in.input_text += output.token_steps
        if not is_replay:
            self._note_transcript(output.user_text)
        if output.event == "speak":
            self._begin_speech(output.frame_idx, now_s)
        if self.state is State.SPEAKING:
            self._say(output)
        if output.event == "stop" and self.state is State.SPEAKING:
            self._end_speech()

    def absorb_answer(self, response_id: str, delta: AnswerDelta | None, error: str | None = None) -> None:
        """A piece of an answer made turn by turn; None at its end."""
        response = self._aside.get(response_id)
        if response is None:
            return
        if delta is None:
            self._finish_answer(response, "failed" if error else "completed", error=error)
            return
        response.usage.input_text += delta.prompt_steps
        response.usage.output_text += delta.token_steps - delta.prompt_steps
        if delta.text:
            response.add_text(delta.text)
            self.guards.say_text(response.text)
        if delta.pcm is not None and response.settings.modality == "audio":
            response.add_audio(delta.pcm)
        if delta.image is not None:
            response.add_image(delta.image)

    def poll(self, now_s: float) -> None:
        """Whatever happens without a clock step: guards' findings, the session's end."""
        finding = self.guards.poll()
        if finding is not None:
            self._cut(finding)
        if self.response is not None and self.state in (State.SPEAKING, State.JUDGING):
            for piece in self.guards.release():
                self.response.add_audio(piece)
            if self.state is State.JUDGING and not self.guards.is_pending:
                self.end_response(*self._finish_as)
        if self.state is not State.CLOSED and now_s - self._started_s > self.limits.max_session_s:
            self.refuse(
                WireError(
                    f"the session has lasted {self.limits.max_session_s:.0f} s (max_session_s); start another",
                    code="session_expired",
                )
            )
            self.close(1000)
        if self.is_draining and self.response is None and not self._aside:
            self.close(1001)

    @property
    def needs_poll(self) -> bool:
        """Whether a guard is still judging."""
        return self.guards.is_pending or self.state is State.JUDGING

    def close(self, code: int) -> None:
        """End the session; the connection is closed with `code` after what was sent."""
        if self.state is not State.CLOSED:
            self.state, self.close_code = State.CLOSED, code

    # ---- what client events use

    def emit(self, name: str, **fields: Any) -> None:
        """Leave an event for the client."""
        self._events.append({"type": name, "event_id": self.new_id("event"), **fields})

    def refuse(self, error: WireError, event_id: str | None = None) -> None:
        """Tell the client that its event could not be done; the session goes on."""
        self.emit("error", error=error.to_wire(event_id))

    def show(self) -> dict[str, Any]:
        """The session as the protocol writes it."""
        return self.settings.to_wire(self.id)

    def change(self, settings: Settings) -> None:
        """Take on new settings."""
        before, self.settings = self.settings, settings
        self.hearing.set_format(settings.input_format)
        self.turns.configure(_effective_detection(settings), self.hearing.heard_ms)
        if settings.instructions != before.instructions:
            if self._next_frame_idx == 0 and len(self.items) == 0:
                self._operations = [Reopen(settings.instructions)]
            else:
                self.tell_model(Message("system", (Text(settings.instructions),)))
        self.emit("session.updated", session=self.show())

    def note_append(self, now_s: float) -> None:
        """Sound came in: the microphone is open."""
        self._last_append_s = now_s

    def tell_model(self, message: Message) -> None:
        """Have a message read before the next clock step."""
        self._inserts.append(message)

    def rebuild(self) -> None:
        """Have the model's context made anew from the record, once the model is silent."""
        if self.response is not None:
            self._must_rebuild = True
            return
        self._must_rebuild = False
        self._operations = [Reopen(self.settings.instructions)]
        self._inserts = list(self.items.to_conversation().messages)
        self._replay.clear()
        self._log.clear()
        self._buffer_frame_idx = None
        for item in self.items:
            item.first_frame = None

    def forget_buffer(self) -> None:
        """`input_audio_buffer.clear`: what was not committed was never said, to the model either."""
        self.hearing.clear()
        self._transcripts.forget_early()
        self.turns.end_turn()
        self._start_edge, self._is_start_told, self._turn_item_id = None, False, None
        self._go_back_to_buffer()

    def commit(self, *, is_all: bool) -> Item:
        """Make the input buffer the next user item, and say so."""
        item = Item(self._turn_item_id or self.new_id("item"), "user")
        if is_all:
            samples = self.hearing.commit_all()
        else:
            start_ms = self.turns.audio_start_ms(self._start_edge) if self._start_edge else self.hearing.kept_from_ms
            samples = self.hearing.commit(start_ms)
        item.content.append(Content("input_audio", self._transcripts.early_text.strip(), samples))
        previous = self.items.insert(item)
        was_told = self._is_start_told
        self._turn_item_id, self._start_edge, self._is_start_told = None, None, False
        self._buffer_frame_idx = None
        self.turns.end_turn()
        self.emit("input_audio_buffer.committed", item_id=item.id, previous_item_id=previous)
        self.emit("conversation.item.added", item=item.to_wire(), previous_item_id=previous)
        self.emit("conversation.item.done", item=item.to_wire(), previous_item_id=previous)
        self._finish_transcript()
        early = self._transcripts.commit(item.id)
        if early and not (self._streams_transcript and was_told):
            self._emit_transcript(item.id, early)
        return item

    def respond(
        self,
        settings: ResponseSettings | None = None,
        *,
        request: AnswerRequest | None = None,
        instructions: str | None = None,
    ) -> None:
        """Start a response: by the live slot, or with `request` made turn by turn."""
        settings = settings or self.default_response()
        if self.settings.turn_detection is None and self._buffer_frame_idx is not None:
            # uncommitted sound is not part of the conversation yet: unhear it, and hear it after the response
            self._go_back_to_buffer()
            self.hearing.unhear()
        response = Response(
            self.new_id("resp"),
            settings,
            conversation_id=self._conversation_id,
            items=self.items,
            emit=self.emit,
            new_id=self.new_id,
        )
        response.create()
        if settings.is_in_band:
            self.response = response
            self.state = State.ANSWERING if request else State.AWAITING
            self._idle_ms = 0
        if request is not None:
            self._aside[response.id] = response
            self.answers.append(Answer(response.id, request))
            self.guards.start_utterance()
            return
        if instructions is not None:
            self.tell_model(Message("system", (Text(instructions),)))

    def default_response(self) -> ResponseSettings:
        """A response as the session is set."""
        return ResponseSettings(
            modality=self.settings.output_modality,
            output_format=self.settings.output_format,
            voice=self.settings.voice,
            max_tokens=self.settings.max_output_tokens,
        )

    def end_response(self, status: Status, reason: Reason | None = None) -> None:
        """End the response in progress now; a slot that still speaks is stopped."""
        response = self.response
        assert response is not None
        if response.id in self._aside:
            self.dropped_answers.append(response.id)
            self._finish_answer(response, status, reason)
            return
        self._must_stop = self._must_stop or self.state is State.SPEAKING
        self._take_usage(response)
        self._leave_response()
        response.finish(status, reason)
        self._after_response()

    def cancel(self, response_id: str | None) -> None:
        """`response.cancel`. Raises: WireError if no such response is in progress."""
        aside = self._aside.get(response_id or "")
        if aside is not None and aside is not self.response:
            self.dropped_answers.append(aside.id)
            self._finish_answer(aside, "cancelled", "client_cancelled")
            return
        if self.response is None or (response_id is not None and response_id != self.response.id):
            which = f"response {response_id!r:.90}" if response_id else "response"
            raise WireError(
                f"no {which} is in progress; the session is {self.state.value}",
                code="response_cancel_not_active",
                param="response_id" if response_id else None,
            )
        self.end_response("cancelled", "client_cancelled")

    def cut_context(self, item: Item, heard_ms: int) -> None:
        """Let the model remember only what was heard of `item`; what the user said meanwhile it hears again."""
        heard_frames = -(-heard_ms // FRAME_MS)
        if item.first_frame is not None and heard_frames >= item.num_frames:
            return
        was_live = item.first_frame is not None
        is_followed = any(other.role == "assistant" for other in self.items.after(item))
        taken = None
        if was_live and not is_followed and self.response is None:
            assert item.first_frame is not None
            taken = self._log.take_from(item.first_frame + heard_frames)
        item.num_frames = min(item.num_frames, heard_frames)
        if taken is None:
            self.rebuild()
            return
        assert item.first_frame is not None
        self._operations.append(Rewind(item.first_frame + heard_frames))
        self._replay.extendleft(reversed(taken))
        self._must_stop = True
        self._buffer_frame_idx = None

    # ---- inside

    def _may_hear(self) -> bool:
        if not self.hearing.has_frame:
            return False
        is_push_to_talk = self.settings.turn_detection is None
        return not is_push_to_talk or self.hearing.committed_waiting > 0 or self.state is State.LISTENING

    def _is_microphone_open(self, now_s: float) -> bool:
        return self.settings.turn_detection is not None and now_s - self._last_append_s < MICROPHONE_GAP_S

    def _own_clock_s(self, now_s: float) -> float:
        is_silent_work = self.response is not None and self.response.settings.modality == "text"
        if self.state is State.AWAITING or is_silent_work:
            due_s = now_s
        else:
            due_s = self._speech_start_s + (self._spoken_frames - LEAD_FRAMES) * FRAME_S
        if self._is_microphone_open(now_s):
            return max(due_s, self._last_append_s + MICROPHONE_GAP_S)
        return due_s

    def _model_may_begin(self) -> bool:
        is_free = self.state is State.LISTENING and not self.is_draining and self.settings.kind == "realtime"
        return is_free and self.turns.model_decides and self.turns.has_sound

    def _hear(self, frame: np.ndarray, now_s: float) -> None:
        for edge in self.turns.hear(frame):
            if edge.kind == "start":
                self._on_speech_start(edge, now_s)
            else:
                self._on_speech_stop(edge)
        detection = self.settings.turn_detection
        if detection is None:
            self.hearing.bound()
            return
        if not self.turns.is_user_speaking:
            self.hearing.forget_silence()
            self._count_idle(detection.idle_timeout_ms)
        self.hearing.bound()
        is_held = self._start_edge is not None and not self._is_start_told
        if self.state is not State.SPEAKING or not is_held:
            return
        if self.turns.is_paused:
            self._drop_held_speech()
        elif detection.interrupt_response and self.turns.is_barging_in:
            self._interrupt()

    def _on_speech_start(self, edge: SpeechEdge, now_s: float) -> None:
        detection = self.settings.turn_detection
        assert detection is not None
        self._start_edge, self._is_start_told, self._idle_ms = edge, False, 0
        self.turn_started_s = now_s
        is_over_speech = self.state in (State.SPEAKING, State.JUDGING)
        if is_over_speech and detection.kind == "semantic_vad" and detection.interrupt_response:
            return  # a back-channel must not stop the model; the model, or BARGE_IN_MS, decides
        self._tell_start()
        if self.response is not None and detection.interrupt_response:
            self.end_response("cancelled", "turn_detected")

    def _tell_start(self) -> None:
        assert self._start_edge is not None
        self._is_start_told = True
        self._turn_item_id = self._turn_item_id or self.new_id("item")
        start_ms = max(
            self.turns.audio_start_ms(self._start_edge), min(self.hearing.kept_from_ms, self._start_edge.time_ms)
        )
        self.emit("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._turn_item_id)
        if self._transcripts.early_text and self._streams_transcript:
            self._emit_transcript(self._turn_item_id, self._transcripts.early_text)

    def _on_speech_stop(self, edge: SpeechEdge) -> None:
        if self._start_edge is None or not self._is_start_told:
            self._start_edge = None  # a back-channel: said over the model's speech, and over
            return
        detection = self.settings.turn_detection
        assert detection is not None
        self.emit("input_audio_buffer.speech_stopped", audio_end_ms=edge.time_ms, item_id=self._turn_item_id)
        self.commit(is_all=False)
        if not detection.create_response or self.is_draining or self.settings.kind == "transcription":
            return
        if self.response is None:
            self.respond()
        else:
            self._respond_after = True

    def _count_idle(self, timeout_ms: int | None) -> None:
        if timeout_ms is None or self.response is not None or not self.has_spoken:
            return
        self._idle_ms += FRAME_MS
        if self._idle_ms < timeout_ms:
            return
        self._idle_ms = 0
        self._turn_item_id = self.new_id("item")
        end_ms = self.hearing.heard_ms
        self.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=max(self.hearing.kept_from_ms, end_ms - timeout_ms),
            audio_end_ms=end_ms,
            item_id=self._turn_item_id,
        )
        self.commit(is_all=False)
        self.respond()

    def _drop_held_speech(self) -> None:
        """What was said over the model's speech was a back-channel."""
        self.turns.end_turn()
        self._start_edge = None

    def _interrupt(self) -> None:
        """The user took the turn from the model."""
        self._tell_start()
        self.end_response("cancelled", "turn_detected")

    def _begin_speech(self, frame_idx: int, now_s: float) -> None:
        if self.state is not State.AWAITING:
            if not self._model_may_begin():
                self._must_stop = True
                return
            self._take_turn()
        assert self.response is not None
        self.state, self.has_spoken = State.SPEAKING, True
        self._speech_start_s, self._spoken_frames = now_s, 0
        self.guards.start_utterance()
        self.response.start_item(frame_idx)

    def _take_turn(self) -> None:
        """The model decided that the user's turn is over."""
        if self._start_edge is None:  # it answers a sound that is no speech
            self._start_edge = SpeechEdge("start", self.hearing.kept_from_ms)
        if not self._is_start_told:
            self._tell_start()
        stop_ms = self.hearing.heard_ms
        self.emit("input_audio_buffer.speech_stopped", audio_end_ms=stop_ms, item_id=self._turn_item_id)
        self.commit(is_all=False)
        self.respond()

    def _say(self, output: SlotOutput) -> None:
        response = self.response
        assert response is not None
        item = response.start_item(output.frame_idx)
        if output.own_text:
            response.usage.output_text += 1
            response.add_text(output.own_text)
            self.guards.say_text(response.text)
        if output.pcm is not None:
            self._spoken_frames += 1
            item.num_frames += 1
            if response.settings.modality == "audio":
                for piece in self.guards.say_audio(output.pcm):
                    response.add_audio(piece)
        for image in output.images:
            response.add_image(image)
        limit = response.settings.max_tokens
        too_long = self._spoken_frames * FRAME_S > self.limits.max_answer_s
        if output.event != "stop" and (too_long or (limit is not None and response.usage.output_text >= limit)):
            self.end_response("incomplete", "max_output_tokens")

    def _end_speech(self) -> None:
        """The model fell silent by itself: it is done, or gave way to the user."""
        detection = self.settings.turn_detection
        is_held = self._start_edge is not None and not self._is_start_told
        if is_held and self.turns.is_voiced_now and detection is not None and detection.interrupt_response:
            self._interrupt()
            self._must_stop = False
            return
        if is_held:
            self._drop_held_speech()
        self.guards.end_utterance()
        self._finish_as = ("completed", None)
        if self.guards.is_pending:
            self.state = State.JUDGING
            return
        self.end_response("completed")
        self._must_stop = False

    def _leave_response(self) -> None:
        self.response, self.state = None, State.LISTENING
        self._buffer_frame_idx = None
        self._idle_ms = 0
        if not self.turns.is_user_speaking:
            self.turns.forget_sound()

    def _after_response(self) -> None:
        if self._must_rebuild:
            self.rebuild()
        if self._respond_after and not self.is_draining:
            self._respond_after = False
            self.respond()

    def _finish_answer(
        self, response: Response, status: Status, reason: Reason | None = None, error: str | None = None
    ) -> None:
        del self._aside[response.id]
        is_main = response is self.response
        if is_main:
            self._leave_response()
        response.finish(status, reason, error)
        if response.settings.is_in_band and response.item is not None:
            self.tell_model(response.item.to_message())
        if is_main:
            self.has_spoken = True
            self._after_response()

    def _cut(self, finding: Finding) -> None:
        """A guard found something: what is being said is cut before more of it is heard."""
        self.findings.append(finding)
        if self.response is not None and (finding.where == "output" or self.state is not State.CLOSED):
            self.end_response("incomplete", "content_filter")

    def _take_usage(self, response: Response) -> None:
        response.usage.input_audio, response.usage.input_text = self._usage_in.input_audio, self._usage_in.input_text
        self._usage_in = Usage()

    def _go_back_to_buffer(self) -> None:
        if self._buffer_frame_idx is None or self.response is not None:
            return
        if self._log.take_from(self._buffer_frame_idx) is None:
            self.rebuild()
        else:
            self._operations.append(Rewind(self._buffer_frame_idx))
        self._buffer_frame_idx = None

    # ---- the user's transcript

    @property
    def _streams_transcript(self) -> bool:
        """`delay: minimal` asks for the transcript while the user still speaks."""
        wanted = self.settings.transcription
        return wanted is not None and wanted.get("delay") == "minimal"

    def _note_transcript(self, delta: str) -> None:
        item_id = self._transcripts.add(delta) if delta else None
        if item_id is not None:
            self._emit_transcript(item_id, delta)
        elif delta and self._streams_transcript and self._turn_item_id and self._is_start_told:
            self._emit_transcript(self._turn_item_id, delta)
        if not self.hearing.committed_waiting and self._transcripts.tick():
            self._finish_transcript()

    def _emit_transcript(self, item_id: str, delta: str) -> None:
        if self.settings.transcription is not None:
            self.emit(
                "conversation.item.input_audio_transcription.delta", item_id=item_id, content_index=0, delta=delta
            )

    def _finish_transcript(self) -> None:
        if not self._transcripts.is_pending:
            return
        item_id, text = self._transcripts.close()
        if not self.items.has(item_id):
            return
        part = self.items.get(item_id).content[0]
        part.text = text
        seconds = len(part.samples) / part.rate_hz if part.samples is not None else 0.0
        if self.settings.transcription is not None:
            self.emit(
                "conversation.item.input_audio_transcription.completed",
                item_id=item_id,
                content_index=0,
                transcript=text,
                usage={"type": "duration", "seconds": round(seconds, 3)},
            )
        self.guards.hear_user(text)


def _effective_detection(settings: Settings) -> TurnDetection | None:
    """A session that only transcribes never answers, whatever it is set to."""
    if settings.kind == "transcription" and settings.turn_detection is not None:
        return replace(settings.turn_detection, create_response=False)
    return settings.turn_detection
