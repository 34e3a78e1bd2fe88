"""What the session's slot says: from the step that begins an utterance to its end, and when its next step is due. Torch-free."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivavoce.omni.engine_protocol import FRAME_MS, SlotOutput
from vivavoce.serve.session_state import State

if TYPE_CHECKING:
    from vivavoce.serve.session import RealtimeSession

FRAME_S = FRAME_MS / 1000
LEAD_FRAMES = 2
"""With the microphone closed the model runs this far ahead of real time, so that players never run dry."""


class LiveSpeech:
    """The utterance that goes on. Belongs to one session, and acts on it."""

    def __init__(self, session: RealtimeSession) -> None:
        self._session = session
        self._start_s = 0.0
        self._num_frames = 0
        self._num_words = 0

    def due_s(self, now_s: float) -> float:
        """When the next step is due with the microphone closed; at once where nobody listens to the pace."""
        response = self._session.response
        is_silent_work = response is not None and response.settings.modality == "text"
        if self._session.state is State.AWAITING or is_silent_work:
            return now_s
        return self._start_s + (self._num_frames - LEAD_FRAMES) * FRAME_S

    def begin(self, frame_idx: int, now_s: float) -> None:
        """The model began to speak: because it was asked to, or by taking the turn."""
        session = self._session
        if session.state is not State.AWAITING:
            if not session.model_may_begin():
                session.must_stop = True
                return
            session.turn.give_to_model()
        assert session.response is not None
        session.state, session.has_spoken = State.SPEAKING, True
        self._start_s, self._num_frames, self._num_words = now_s, 0, 0
        session.guards.start_utterance()
        session.response.start_item(frame_idx)

    def say(self, output: SlotOutput) -> None:
        """One clock step of speech."""
        session = self._session
        response = session.response
        assert response is not None
        item = response.start_item(output.frame_idx)
        response.usage.note_made(output)
        if output.own_text:
            response.add_text(output.own_text)
            session.guards.say_text(response.text)
        if output.pcm is not None:
            self._num_frames += 1
            item.num_frames += 1
            if response.settings.modality == "audio":
                for piece in session.guards.say_audio(output.pcm):
                    response.add_audio(piece)
        for image in output.images:
            response.add_image(image)
        limit = response.settings.max_tokens
        too_long = self._num_frames * FRAME_S > session.limits.max_answer_s
        self._num_words += bool(output.own_text)
        if output.event != "stop" and (too_long or (limit is not None and self._num_words >= limit)):
            session.replies.end("incomplete", "max_output_tokens")

    def end(self) -> None:
        """The model fell silent by itself: it is done, or gave way to the user."""
        session, turn = self._session, self._session.turn
        detection = session.settings.turn_detection
        is_held = turn.is_held
        if is_held and turn.taking.is_voiced_now and detection is not None and detection.interrupt_response:
            turn.interrupt()
            session.must_stop = False
            return
        if is_held:
            turn.drop_held()
        session.guards.end_utterance()
        if session.guards.is_pending:
            session.state = State.JUDGING
            return
        session.replies.end("completed")
        session.must_stop = False
