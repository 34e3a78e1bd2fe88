"""The user's turn: from the first sound of it to the item it becomes, and what it does to the model's speech. Torch-free.

It hears each clock step of sound for the session, tells the client of speech that starts and stops, and asks the session
to respond, to interrupt, or to let a back-channel pass.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vivavoce.omni.engine_protocol import FRAME_MS
from vivavoce.serve.hearing import Hearing
from vivavoce.serve.items import Content, Item
from vivavoce.serve.session_state import State
from vivavoce.serve.settings import Settings, TurnDetection
from vivavoce.serve.turns import TurnTaking
from vivavoce.serve.user_transcript import UserTranscript
from vivavoce.serve.vad import SpeechEdge, VoiceActivity

if TYPE_CHECKING:
    from vivavoce.serve.session import RealtimeSession


class UserTurn:
    """The turn that goes on, or the silence between two. Belongs to one session, and acts on it."""

    def __init__(self, session: RealtimeSession, settings: Settings, make_vad: Callable[[], VoiceActivity]) -> None:
        self._session = session
        self.hearing = Hearing(settings.input_format)
        self.taking = TurnTaking(make_vad, effective_detection(settings))
        self.transcript = UserTranscript(session.emit, session.items, session.guards, settings.transcription)
        self._start_edge: SpeechEdge | None = None
        """Where the speech that goes on began; not yet told to the client while it may be a back-channel."""
        self._is_told = False
        self._item_id: str | None = None
        self._idle_ms = 0

    @property
    def is_held(self) -> bool:
        """Whether speech goes on that may be a back-channel."""
        return self._start_edge is not None and not self._is_told

    def configure(self, settings: Settings) -> None:
        """The session was set anew."""
        self.hearing.set_format(settings.input_format)
        self.taking.configure(effective_detection(settings), self.hearing.heard_ms)
        self.transcript.wanted = settings.transcription

    def restart_idle(self) -> None:
        """Somebody said something: count the silence from here."""
        self._idle_ms = 0

    # ---- clock steps

    def hear(self, frame: np.ndarray, *, is_committed: bool = False) -> None:
        """One clock step of sound, [1280] float32 at 16 kHz; is_committed: it is part of a turn that is over already."""
        if is_committed:
            self.taking.hear(frame)
            self.taking.end_turn()
            return
        for edge in self.taking.hear(frame):
            if edge.kind == "start":
                self._start(edge)
            else:
                self._stop(edge)
        detection = self._session.settings.turn_detection
        if detection is None:
            self.hearing.bound()
            return
        if not self.taking.is_user_speaking:
            self.hearing.forget_silence()
            self._count_idle(detection.idle_timeout_ms)
        self.hearing.bound()
        if self._session.state is not State.SPEAKING or not self.is_held:
            return
        if self.taking.is_paused:
            self.drop_held()
        elif detection.interrupt_response and self.taking.is_barging_in:
            self.interrupt()

    def note_transcript(self, delta: str, settled: str) -> None:
        """One clock step's piece of the user's transcript, and what was said in utterances that are over, as it is known in the end."""
        told_item_id = self._item_id if self._is_told else None
        is_heard = not self.hearing.committed_waiting
        self.transcript.note(delta, settled, told_item_id=told_item_id, is_heard=is_heard)

    def _start(self, edge: SpeechEdge) -> None:
        session = self._session
        detection = session.settings.turn_detection
        assert detection is not None
        self._start_edge, self._is_told, self._idle_ms = edge, False, 0
        is_over_speech = session.state in (State.SPEAKING, State.JUDGING)
        if is_over_speech and detection.kind == "semantic_vad" and detection.interrupt_response:
            return  # a back-channel must not stop the model; the model, or BARGE_IN_MS, decides
        self._tell()
        if session.response is not None and detection.interrupt_response:
            session.replies.end("cancelled", "turn_detected")

    def _tell(self) -> None:
        assert self._start_edge is not None
        self._is_told = True
        self._item_id = self._item_id or self._session.new_id("item")
        start_ms = max(
            self.taking.audio_start_ms(self._start_edge), min(self.hearing.kept_from_ms, self._start_edge.time_ms)
        )
        self._session.emit("input_audio_buffer.speech_started", audio_start_ms=start_ms, item_id=self._item_id)
        self.transcript.begin(self._item_id)

    def _stop(self, edge: SpeechEdge) -> None:
        if self._start_edge is None or not self._is_told:
            self._start_edge = None  # a back-channel: said over the model's speech, and over
            return
        session = self._session
        detection = session.settings.turn_detection
        assert detection is not None
        session.emit("input_audio_buffer.speech_stopped", audio_end_ms=edge.time_ms, item_id=self._item_id)
        self.commit(is_all=False)
        if not detection.create_response or session.is_draining or session.settings.kind == "transcription":
            return
        session.replies.respond_when_free()

    def _count_idle(self, timeout_ms: int | None) -> None:
        session = self._session
        if timeout_ms is None or session.response is not None or not session.has_spoken:
            return
        self._idle_ms += FRAME_MS
        if self._idle_ms < timeout_ms:
            return
        self._idle_ms = 0
        self._item_id = session.new_id("item")
        end_ms = self.hearing.heard_ms
        session.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=max(self.hearing.kept_from_ms, end_ms - timeout_ms),
            audio_end_ms=end_ms,
            item_id=self._item_id,
        )
        self.commit(is_all=False)
        session.replies.respond()

    # ---- how it ends

    def commit(self, *, is_all: bool) -> Item:
        """Make the input buffer the next user item, and say so."""
        session = self._session
        item = Item(self._item_id or session.new_id("item"), "user")
        if is_all:
            samples = self.hearing.commit_all()
        else:
            start_ms = self.taking.audio_start_ms(self._start_edge) if self._start_edge else self.hearing.kept_from_ms
            samples = self.hearing.commit(start_ms)
        item.content.append(Content("input_audio", self.transcript.early_text.strip(), samples))
        previous = session.items.insert(item)
        was_told = self._is_told
        self._item_id, self._start_edge, self._is_told = None, None, False
        session.context.close_buffer()
        self.taking.end_turn()
        session.emit("input_audio_buffer.committed", item_id=item.id, previous_item_id=previous)
        session.emit("conversation.item.added", item=item.to_wire(), previous_item_id=previous)
        session.emit("conversation.item.done", item=item.to_wire(), previous_item_id=previous)
        self.transcript.commit(item.id, was_told=was_told)
        return item

    def forget(self) -> None:
        """The input buffer was cleared."""
        self.hearing.clear()
        self.transcript.forget_early()
        self.taking.end_turn()
        self._start_edge, self._is_told, self._item_id = None, False, None

    def give_to_model(self) -> None:
        """The model decided that the turn is over, and begins to speak."""
        session = self._session
        if self._start_edge is None:  # it answers a sound that is no speech
            self._start_edge = SpeechEdge("start", self.hearing.kept_from_ms)
        if not self._is_told:
            self._tell()
        session.emit("input_audio_buffer.speech_stopped", audio_end_ms=self.hearing.heard_ms, item_id=self._item_id)
        self.commit(is_all=False)
        session.replies.respond()

    def drop_held(self) -> None:
        """What was said over the model's speech was a back-channel."""
        self.taking.end_turn()
        self._start_edge = None

    def interrupt(self) -> None:
        """The user took the turn from the model."""
        self._tell()
        self._session.replies.end("cancelled", "turn_detected")


def effective_detection(settings: Settings) -> TurnDetection | None:
    """A session that only transcribes never answers, whatever it is set to."""
    if settings.kind == "transcription" and settings.turn_detection is not None:
        return replace(settings.turn_detection, create_response=False)
    return settings.turn_detection
