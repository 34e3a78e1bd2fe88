"""What each client event does to a session; and what is read of an event before the worker sees it.

`prepare` parses, checks and decodes pictures apart from the worker's thread; `apply_event` runs in it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from vivavoce.content import Conversation, Message, Text
from vivavoce.omni.engine_protocol import AnswerRequest, Modality
from vivavoce.serve.items import Pictures, read_item, read_pictures
from vivavoce.serve.limits import Limits
from vivavoce.serve.responses import ResponseSettings, cut_text
from vivavoce.serve.session import RealtimeSession
from vivavoce.serve.settings import (
    check_text,
    read_format,
    read_max_tokens,
    read_modality,
    read_voice,
    refuse_unsupported,
    update_settings,
)
from vivavoce.serve.sound import decode_sound
from vivavoce.serve.wire import WireError, decode_base64, parse_event, parse_json, read_event_id

OVERSHOOT_MS = 1000
"""A truncate may name this much more than was sent; resamplers and clocks differ. chosen: 85 ms was seen."""
DIRECT_BYTES = 64 * 1024
"""Messages up to this size are parsed on the event loop; longer ones, and pictures, in a thread."""


class Prepared(NamedTuple):
    """A client event, ready to be applied; or the error it is answered with."""

    event: Any
    event_id: str | None
    sound: bytes = b""
    pictures: tuple[Pictures, ...] = ()
    error: WireError | None = None

    def is_a(self, name: str) -> bool:
        """Whether it is a well-formed event of this type."""
        return self.event is not None and self.event.type == name


def prepare(text: str | bytes, limits: Limits) -> Prepared:
    """Read one message of a client. Never raises: what is wrong with it is in `error`."""
    event_id = None
    try:
        raw = parse_json(text)
        event_id = read_event_id(raw)
        event = parse_event(raw)
        sound, pictures = b"", ()
        if event.type == "input_audio_buffer.append":
            sound = decode_base64(event.audio, "audio")
        elif event.type == "conversation.item.create":
            pictures = (read_pictures(event.item, limits),)
        elif event.type == "response.create" and event.response is not None and event.response.input:
            given = event.response.input
            pictures = tuple(read_pictures(item, limits, f"response.input.{idx}") for idx, item in enumerate(given))
    except WireError as error:
        return Prepared(None, event_id, error=error)
    return Prepared(event, event_id, sound, pictures)


def apply_event(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    """Do what the client asks, or tell it why not; the session goes on either way."""
    try:
        if prepared.error is not None:
            raise prepared.error
        _HANDLERS[prepared.event.type](session, prepared, now_s)
    except WireError as error:
        session.refuse(error, prepared.event_id)


def _update_session(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    settings = update_settings(
        session.settings,
        prepared.event.session,
        has_spoken=session.has_spoken,
        max_text_chars=session.limits.max_text_chars,
    )
    if settings.input_format != session.settings.input_format and session.turn.hearing.has_sound:
        raise WireError(
            "session.audio.input.format changes while the input buffer holds sound; commit or clear it first",
            param="session.audio.input.format",
        )
    session.change(settings)


def _append(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    wire_format = session.settings.input_format
    try:
        samples = decode_sound(prepared.sound, wire_format)
    except ValueError as error:
        raise WireError(f"audio: {error}", code="invalid_audio", param="audio") from None
    limit_s = session.limits.max_pending_audio_s
    waiting_s = session.turn.hearing.waiting_s + len(samples) / (24_000 if wire_format == "audio/pcm" else 8_000)
    if waiting_s > limit_s:
        raise WireError(
            f"audio would bring the input buffer to {waiting_s:.1f} s; at most {limit_s:.0f} s (max_pending_audio_s); "
            "append no faster than it is heard",
            code="input_audio_buffer_full",
            param="audio",
        )
    session.turn.hearing.append(samples, now_s)
    session.note_append(now_s)


def _commit(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    if not session.turn.hearing.has_sound:
        raise WireError(
            "the input audio buffer is empty; append audio before committing", code="input_audio_buffer_commit_empty"
        )
    session.items.check_room()
    session.turn.commit(is_all=True)


def _clear(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    session.forget_buffer()
    session.emit("input_audio_buffer.cleared")


def _clear_output(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    raise WireError(
        "output_audio_buffer.clear is for WebRTC, where the server owns playback; here stop your player and truncate",
        code="unsupported_feature",
        param="type",
    )


def _create_item(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    event = prepared.event
    session.items.check_room()
    item_id = event.item.id or session.new_id("item")
    item = read_item(event.item, item_id, session.limits, session.settings.input_format, prepared.pictures[0])
    is_at_end = event.previous_item_id in (None, session.items.last_id)
    previous = session.items.insert(item, event.previous_item_id)
    if is_at_end:
        session.context.tell(item.to_message())
    else:
        session.rebuild()
    session.emit("conversation.item.added", item=item.to_wire(), previous_item_id=previous)
    session.emit("conversation.item.done", item=item.to_wire(), previous_item_id=previous)
    if item.role == "user":
        session.guards.hear_user(item.to_message().text)


def _retrieve_item(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    item = session.items.get(prepared.event.item_id)
    session.emit("conversation.item.retrieved", item=item.to_wire(with_media=True))


def _delete_item(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    item = session.items.get(prepared.event.item_id)
    if session.response is not None and session.response.item is item:
        raise WireError(
            f"item_id is {item.id!r}, which is being spoken; cancel the response first",
            code="item_in_progress",
            param="item_id",
        )
    session.items.delete(item.id)
    session.rebuild()
    session.emit("conversation.item.deleted", item_id=item.id)


def _truncate_item(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    event = prepared.event
    item = session.items.get(event.item_id)
    part = item.content[0]
    if item.role != "assistant" or part.kind != "output_audio":
        raise WireError(
            f"item_id is {item.id!r}, a {item.role} {part.kind}; only model output audio messages can be truncated",
            param="item_id",
        )
    if event.content_index != 0:
        raise WireError(f"content_index is {event.content_index}; audio is at 0", param="content_index")
    if event.audio_end_ms < 0:
        raise WireError(f"audio_end_ms is {event.audio_end_ms}; need 0 or more", param="audio_end_ms")
    response = session.response
    is_running = response is not None and response.item is item
    sent_samples = (
        response.sent_samples if is_running and response else len(part.samples if part.samples is not None else ())
    )
    sent_ms = sent_samples // 24
    if event.audio_end_ms > sent_ms + OVERSHOOT_MS:
        raise WireError(
            f"audio_end_ms is {event.audio_end_ms}: audio content of {sent_ms} ms is already shorter than that",
            param="audio_end_ms",
        )
    if is_running:
        session.replies.end("cancelled", "client_cancelled")
    end_ms = min(event.audio_end_ms, sent_ms)
    part.text = cut_text(part.text, end_ms / 1000, sent_ms / 1000, is_whole=item.status == "completed")
    if part.samples is not None:
        part.samples = part.samples[: end_ms * 24]
    session.cut_context(item, end_ms)
    session.emit("conversation.item.truncated", item_id=item.id, content_index=0, audio_end_ms=event.audio_end_ms)


def _create_response(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    given = prepared.event.response
    if session.settings.kind == "transcription":
        raise WireError("response.create in a transcription session; it only transcribes", code="invalid_state")
    if session.is_draining:
        raise WireError(
            "the server is shutting down and starts no response", code="server_draining", kind="server_error"
        )
    settings = _read_response(session, given)
    if settings.is_in_band and session.response is not None:
        raise WireError(
            f"response {session.response.id} is in progress (the session is {session.state.value}); "
            "wait for response.done or send response.cancel",
            code="conversation_already_has_active_response",
        )
    instructions = given.instructions if given is not None else None
    if instructions is not None:
        check_text(instructions, "response.instructions", session.limits.max_text_chars)
    has_own_input = given is not None and given.input is not None
    if settings.is_in_band and not has_own_input and _is_live(session, settings):
        session.replies.respond(settings, instructions=instructions)
        return
    conversation = _read_input(session, prepared) if has_own_input else session.items.to_conversation()
    opening = Message("system", (Text(instructions or session.settings.instructions),))
    outputs: set[Modality] = {"text"}
    if settings.modality == "audio":
        outputs.add("audio")
    if session.can_draw:
        outputs.add("image")
    request = AnswerRequest(
        conversation=Conversation((opening, *conversation.messages)),
        outputs=frozenset(outputs),
        max_tokens=settings.max_tokens or session.limits.max_answer_tokens,
    )
    session.replies.respond(replace(settings, is_live=False), request=request)


def _is_live(session: RealtimeSession, settings: ResponseSettings) -> bool:
    """Speech comes from the session's slot; so does text about what was just said into the microphone."""
    if settings.modality == "audio":
        return True
    last = next((item for item in reversed(list(session.items)) if item.role == "user"), None)
    return last is not None and last.content[0].kind == "input_audio"


def _read_response(session: RealtimeSession, given: Any) -> ResponseSettings:
    settings = session.replies.default_settings()
    if given is None:
        return settings
    refuse_unsupported(given, "response")
    changes: dict[str, Any] = {"metadata": given.metadata}
    if given.conversation not in (None, "auto", "none"):
        raise WireError(
            f"response.conversation is {given.conversation!r:.80}; allowed: auto, none", param="response.conversation"
        )
    changes["is_in_band"] = given.conversation != "none"
    if given.output_modalities is not None:
        changes["modality"] = read_modality(given.output_modalities, "response.output_modalities")
    if given.max_output_tokens is not None:
        changes["max_tokens"] = read_max_tokens(given.max_output_tokens, "response.max_output_tokens")
    output = given.audio.output if given.audio is not None else None
    if output is not None and output.format is not None:
        changes["output_format"] = read_format(output.format, "response.audio.output.format")
    if output is not None and output.voice is not None:
        changes["voice"] = read_voice(output.voice, session.settings.voices, "response.audio.output.voice")
    return replace(settings, **changes)


def _read_input(session: RealtimeSession, prepared: Prepared) -> Conversation:
    """`response.input`: items of its own, or references to items of the conversation."""
    messages = []
    for idx, (given, pictures) in enumerate(zip(prepared.event.response.input, prepared.pictures, strict=False)):
        if given.type == "message" and not given.content:
            item = session.items.get(given.id or "", f"response.input.{idx}.id")
        else:
            item = read_item(given, f"input_{idx}", session.limits, session.settings.input_format, pictures)
        messages.append(item.to_message())
    return Conversation(tuple(messages))


def _cancel_response(session: RealtimeSession, prepared: Prepared, now_s: float) -> None:
    session.replies.cancel(prepared.event.response_id)


_HANDLERS: dict[str, Callable[[RealtimeSession, Prepared, float], None]] = {
    "session.update": _update_session,
    "input_audio_buffer.append": _append,
    "input_audio_buffer.commit": _commit,
    "input_audio_buffer.clear": _clear,
    "output_audio_buffer.clear": _clear_output,
    "conversation.item.create": _create_item,
    "conversation.item.retrieve": _retrieve_item,
    "conversation.item.delete": _delete_item,
    "conversation.item.truncate": _truncate_item,
    "response.create": _create_response,
    "response.cancel": _cancel_response,
}
