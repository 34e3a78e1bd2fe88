"""The realtime state machine: one conversation between a client and a slot of the engine. Torch-free and without I/O.

The worker feeds it client events (`client_events.apply_event`), asks when it wants a clock step (`due_s`) and with what
(`plan`), gives it what the engine made (`absorb`), and sends the events it leaves behind (`take_events`). Time is an
argument. Its parts: the user's turn (`user_turn`), the model's speech (`live_speech`), responses (`replies`), the slot's
memory (`slot_context`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from vivavoce.content import Message, Text
from vivavoce.omni.engine_protocol import FRAME_MS, SlotInput, SlotOutput
from vivavoce.serve.guards.findings import Finding
from vivavoce.serve.guards.session_guards import SessionGuards
from vivavoce.serve.items import Item, ItemList
from vivavoce.serve.limits import Limits
from vivavoce.serve.live_speech import LiveSpeech
from vivavoce.serve.replies import Replies
from vivavoce.serve.responses import Response
from vivavoce.serve.session_state import State, StepPlan
from vivavoce.serve.settings import Settings
from vivavoce.serve.slot_context import SlotContext
from vivavoce.serve.user_turn import UserTurn
from vivavoce.serve.vad import VoiceActivity
from vivavoce.serve.wire import WireError

OWN_PACE_STEPS = 3
"""Clock steps after a message was read in which the model begins by itself, as it learned to; only then it is made to. Made to
in the very step after it, it began in the middle of a word (experiments/LOG.md)."""
MICROPHONE_GAP_S = 0.2
"""No sound for this long: the microphone counts as closed and the server's clock drives the slot."""


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
        self.can_draw = can_draw
        self.state = State.LISTENING
        self.is_draining = False
        self.has_spoken = False
        self.close_code: int | None = None
        """Set once the connection is to be closed."""
        self.findings: list[Finding] = []
        """What the guards found, for the metrics; the worker empties it."""
        self._events: list[dict[str, Any]] = []
        self.items = ItemList(limits)
        self.context = SlotContext(settings.instructions)
        self.turn = UserTurn(self, settings, make_vad)
        conversation_id = new_id("conv")
        self.replies = Replies(self, conversation_id)
        self.speech = LiveSpeech(self)
        self.must_stop = False
        """Whether the slot has to fall silent with its next step."""
        self._must_rebuild = False
        self._is_foreseen = False
        """Whether the next clock step was foreseen already."""
        self._last_append_s = float("-inf")
        self._own_pace_steps = 0
        self._started_s = now_s
        self.emit("session.created", session=self.show())
        if settings.kind == "realtime":
            self.emit("conversation.created", conversation={"id": conversation_id, "object": "realtime.conversation"})

    @property
    def response(self) -> Response | None:
        """The response in progress in the conversation, if any."""
        return self.replies.current

    # ---- what the worker calls

    def take_events(self) -> list[dict[str, Any]]:
        """Server events since the last call, in order."""
        events, self._events = self._events, []
        return events

    def due_s(self, now_s: float) -> float | None:
        """When the next clock step is wanted; None while nothing goes on."""
        if self.state is State.CLOSED:
            return None
        if self.context.has_replay or self.must_stop:
            return now_s
        if self._may_hear():
            return now_s if self.settings.turn_detection is None else self.turn.hearing.next_arrival_s
        if self.state in (State.AWAITING, State.SPEAKING):
            due_s = self.speech.due_s(now_s)
            return max(due_s, self._last_append_s + MICROPHONE_GAP_S) if self._is_microphone_open(now_s) else due_s
        if self.turn.transcript.is_pending and not self._is_microphone_open(now_s):
            return now_s
        return None

    def plan(self, now_s: float) -> StepPlan:
        """What to do now. Call `absorb` with what came of it."""
        if self.context.has_replay:
            fed = self.context.take_replay()
        else:
            pcm = None
            if self._may_hear():
                self._is_foreseen = False
                is_committed = self.turn.hearing.committed_waiting > 0
                pcm = self.turn.hearing.pop()
                self.turn.hear(pcm, is_committed=is_committed)
            fed = self.context.take(pcm)
        self._own_pace_steps = OWN_PACE_STEPS if fed.inserts else max(0, self._own_pace_steps - 1)
        force = None
        if self.must_stop:
            force = "stop"
        elif (
            self.state is State.AWAITING
            and not self._own_pace_steps
            and not self.context.has_replay
            and not self.turn.hearing.committed_waiting
        ):
            force = "speak"
        self.must_stop = False
        operations = self.context.take_operations()
        may_speak = self.state in (State.AWAITING, State.SPEAKING) or self.model_may_begin()
        slot_input = SlotInput(fed.user_pcm, fed.inserts, self.turn.taking.speak_bias, may_speak, force)  # type: ignore[arg-type]
        return StepPlan(operations, slot_input)

    def absorb(self, output: SlotOutput, now_s: float) -> None:
        """What the engine made of the last plan."""
        fed, is_replay = self.context.note(output.frame_idx)
        self.replies.usage_in.note_read(output, is_heard=fed.user_pcm is not None, messages=fed.inserts)
        if not is_replay:
            self.turn.note_transcript(output.user_text, output.settled_text)
        if output.event == "speak":
            self.speech.begin(output.frame_idx, now_s)
        if self.state is State.SPEAKING:
            self.speech.say(output)
        if output.event == "stop" and self.state is State.SPEAKING:
            self.speech.end()

    def foresee(self) -> SlotInput | None:
        """What the next clock step would get if the silence that has begun goes on; None where none has.

        The model is asked by such a step whether it would take the turn. If so, `take_early`; if not, the step has to be
        taken back, and the model hears what comes.
        """
        hearing = self.turn.hearing
        tail = hearing.tail
        if tail is None or self._is_foreseen or not (self.context.is_at_rest and self.model_may_begin()):
            return None
        if not self.turn.taking.is_falling_silent(tail):
            return None
        self._is_foreseen = True
        return SlotInput(hearing.foresee(), (), self.turn.taking.speak_bias, may_speak=True)

    def take_early(self, given: SlotInput, output: SlotOutput, now_s: float) -> None:
        """The model took the turn in a step that was foreseen: the step counts, and what comes begins the next one."""
        self._is_foreseen = False
        self.turn.hear(self.turn.hearing.pop_begun())
        self.context.take(given.user_pcm)
        self.absorb(output, now_s)

    def poll(self, now_s: float) -> None:
        """Whatever happens without a clock step: guards' findings, the session's end."""
        finding = self.guards.poll()
        if finding is not None:
            self._cut(finding)
        if self.response is not None and self.state in (State.SPEAKING, State.JUDGING):
            for piece in self.guards.release():
                self.response.add_audio(piece)
            if self.state is State.JUDGING and not self.guards.is_pending:
                self.replies.end("completed")
        if self.state is not State.CLOSED and now_s - self._started_s > self.limits.max_session_s:
            self.refuse(
                WireError(
                    f"the session has lasted {self.limits.max_session_s:.0f} s (max_session_s); start another",
                    code="session_expired",
                )
            )
            self.close(1000)
        if self.is_draining and self.replies.is_idle:
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
        self.turn.configure(settings)
        if settings.instructions != before.instructions:
            if self.context.is_untouched and len(self.items) == 0:
                self.context.reopen(settings.instructions)
            else:
                self.context.tell(Message("system", (Text(settings.instructions),)))
        self.emit("session.updated", session=self.show())

    def note_append(self, now_s: float) -> None:
        """Sound came in: the microphone is open."""
        self._last_append_s = now_s

    def rebuild(self) -> None:
        """Have the model's context made anew from the record, once the model is silent."""
        if self.response is not None:
            self._must_rebuild = True
            return
        self._must_rebuild = False
        self.context.restart(self.settings.instructions, self.items.to_conversation().messages)
        for item in self.items:
            item.first_frame = None

    def rebuild_if_due(self) -> None:
        """The model is silent: do what `rebuild` had to put off."""
        if self._must_rebuild:
            self.rebuild()

    def forget_buffer(self) -> None:
        """`input_audio_buffer.clear`: what was not committed was never said, to the model either."""
        self.turn.forget()
        self._go_back_to_buffer()

    def unhear_uncommitted(self) -> None:
        """Without turn detection, uncommitted sound is no part of the conversation yet: it is heard after the response."""
        if self.settings.turn_detection is None and self.context.has_buffer:
            self._go_back_to_buffer()
            self.turn.hearing.unhear()

    def cut_context(self, item: Item, heard_ms: int) -> None:
        """Let the model remember only what was heard of `item`; what the user said meanwhile it hears again."""
        heard_frames = -(-heard_ms // FRAME_MS)
        if item.first_frame is not None and heard_frames >= item.num_frames:
            return
        item.num_frames = min(item.num_frames, heard_frames)
        is_followed = any(other.role == "assistant" for other in self.items.after(item))
        can_go_back = item.first_frame is not None and not is_followed and self.response is None
        if can_go_back and self.context.go_back((item.first_frame or 0) + heard_frames):
            self.must_stop = True
        else:
            self.rebuild()

    # ---- what its parts use

    def fall_silent(self) -> None:
        """The response in the conversation is over."""
        self.state = State.LISTENING
        self.context.close_buffer()
        self.turn.restart_idle()
        if not self.turn.taking.is_user_speaking:
            self.turn.taking.forget_sound()

    # ---- inside

    def _may_hear(self) -> bool:
        if not self.turn.hearing.has_frame:
            return False
        is_push_to_talk = self.settings.turn_detection is None
        return not is_push_to_talk or self.turn.hearing.committed_waiting > 0 or self.state is State.LISTENING

    def _is_microphone_open(self, now_s: float) -> bool:
        return self.settings.turn_detection is not None and now_s - self._last_append_s < MICROPHONE_GAP_S

    def model_may_begin(self) -> bool:
        """Whether the model may take the turn by itself now."""
        is_free = self.state is State.LISTENING and not self.is_draining and self.settings.kind == "realtime"
        return is_free and self.turn.taking.model_decides and self.turn.taking.has_sound

    def _cut(self, finding: Finding) -> None:
        """A guard found something: what is being said is cut before more of it is heard."""
        self.findings.append(finding)
        if self.response is not None and (finding.where == "output" or self.state is not State.CLOSED):
            self.replies.end("incomplete", "content_filter")

    def _go_back_to_buffer(self) -> None:
        if self.response is None and not self.context.go_back_to_buffer():
            self.rebuild()
