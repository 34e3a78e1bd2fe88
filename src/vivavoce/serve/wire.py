"""Client events off the wire: JSON to the `openai` SDK's own event types, or an error that names field and value.

The protocol is defined once, by the SDK; here is only the strictness that the SDK leaves out, and the names that old
clients still use.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from typing import Any, get_args

from openai.types.realtime import RealtimeClientEvent
from pydantic import BaseModel, ValidationError

from vivavoce.errors import VivaError


class WireError(VivaError, ValueError):
    """A client's event can't be done; it becomes an `error` event, and the session goes on.

    kind: OpenAI's `error.type`; code: a stable word; param: the field at fault.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "invalid_value",
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.param = param
        self.kind = kind

    def to_wire(self, event_id: str | None = None) -> dict[str, Any]:
        """The `error` field of an error event."""
        return {
            "type": self.kind,
            "code": self.code,
            "message": str(self),
            "param": self.param,
            "event_id": event_id,
        }


def _event_types() -> dict[str, type[BaseModel]]:
    union = get_args(RealtimeClientEvent)[0]
    return {get_args(kind.model_fields["type"].annotation)[0]: kind for kind in get_args(union)}


CLIENT_EVENTS = _event_types()


def parse_json(text: str | bytes) -> dict[str, Any]:
    """The JSON object of one message.

    Raises: WireError if it is not JSON, or not an object.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise WireError(
            f"the message is not JSON ({reason}); send one JSON object a message", code="invalid_json"
        ) from None
    if not isinstance(value, dict):
        raise WireError(
            f"the message is JSON of type {type(value).__name__}; send one JSON object a message", code="invalid_json"
        )
    return value


def read_event_id(raw: Mapping[str, Any]) -> str | None:
    """The client's own id of the event, if it has a usable one; errors echo it."""
    event_id = raw.get("event_id")
    return event_id[:512] if isinstance(event_id, str) else None


def parse_event(raw: dict[str, Any]) -> Any:
    """`raw` as one of the SDK's client event classes.

    Raises: WireError naming the field and what it holds.
    """
    name = raw.get("type")
    kind = CLIENT_EVENTS.get(name) if isinstance(name, str) else None
    if kind is None:
        allowed = ", ".join(sorted(CLIENT_EVENTS))
        raise WireError(f"unknown event type {_show(name)}; allowed: {allowed}", code="unknown_event", param="type")
    if not isinstance(raw.get("event_id"), str | None):
        raise WireError(f"event_id is {_show(raw['event_id'])}; need a string", code="invalid_type", param="event_id")
    if name == "session.update":
        raw = {**raw, "session": upgrade_session(raw.get("session"))}
    if name == "response.create" and isinstance(raw.get("response"), dict):
        raw = {**raw, "response": upgrade_response(raw["response"])}
    if name == "conversation.item.create" and isinstance(raw.get("item"), dict):
        raw = {**raw, "item": upgrade_item(raw["item"])}
        role = raw["item"].get("role")
        if raw["item"].get("type") == "message" and role not in _ROLES:
            raise WireError(f"item.role is {_show(role)}; allowed: {', '.join(_ROLES)}", param="item.role")
    try:
        return kind.model_validate(raw)
    except ValidationError as error:
        raise _explain(error, raw) from None
    except RecursionError:
        raise WireError("the message is nested too deeply; flatten it", code="invalid_json") from None


def _explain(error: ValidationError, raw: dict[str, Any]) -> WireError:
    """The deepest complaint: of a union's members the one that matched furthest is the one the client meant."""
    worst = max(error.errors(include_url=False), key=lambda item: (len(item["loc"]), item["type"] != "literal_error"))
    names = [str(step) for step in worst["loc"]]
    # the names of a union's members stand in the location; keep only what is in the message
    path: list[str] = []
    value: Any = raw
    for name in names:
        if isinstance(value, dict) and name in value:
            path.append(name)
            value = value[name]
        elif isinstance(value, list) and name.isdigit() and int(name) < len(value):
            path.append(name)
            value = value[int(name)]
    if worst["type"] == "missing":
        path.append(names[-1])
        return WireError(
            f"{'.'.join(path)} is missing; it is required", code="missing_required_parameter", param=".".join(path)
        )
    where = ".".join(path) or "event"
    return WireError(f"{where} is {_show(value)}: {worst['msg'].lower()}", code="invalid_value", param=where)


def _show(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def decode_base64(text: str, param: str) -> bytes:
    """The bytes of standard base64.

    Raises: WireError naming `param`.
    """
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise WireError(
            f"{param} is not base64 ({error}); encode with the standard alphabet", code="invalid_base64", param=param
        ) from None


_ROLES = ("user", "assistant", "system")
_OLD_FORMATS = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_OLD_SESSION_FIELDS = {
    "input_audio_format": ("input", "format"),
    "input_audio_transcription": ("input", "transcription"),
    "input_audio_noise_reduction": ("input", "noise_reduction"),
    "turn_detection": ("input", "turn_detection"),
    "output_audio_format": ("output", "format"),
    "voice": ("output", "voice"),
    "speed": ("output", "speed"),
}


def upgrade_session(session: Any) -> Any:
    """A session of the beta protocol (flat fields, no type) in today's shape; today's shape unchanged."""
    if not isinstance(session, dict):
        return session
    upgraded = {name: value for name, value in session.items() if name not in _OLD_SESSION_FIELDS}
    upgraded.setdefault("type", "realtime")
    old = {name: value for name, value in session.items() if name in _OLD_SESSION_FIELDS}
    if old and isinstance(upgraded.get("audio", {}), dict):
        audio = {side: dict(part) for side, part in upgraded.get("audio", {}).items() if isinstance(part, dict)}
        for name, value in old.items():
            side, field = _OLD_SESSION_FIELDS[name]
            is_format = field == "format" and isinstance(value, str)
            audio.setdefault(side, {})[field] = _OLD_FORMATS.get(value, value) if is_format else value
        upgraded["audio"] = audio
    return _upgrade_modalities(upgraded, "max_response_output_tokens")


def upgrade_response(response: dict[str, Any]) -> dict[str, Any]:
    """The parameters of `response.create` likewise."""
    upgraded = {name: value for name, value in response.items() if name not in ("voice", "output_audio_format")}
    output = {}
    if "voice" in response:
        output["voice"] = response["voice"]
    if isinstance(response.get("output_audio_format"), str):
        output["format"] = _OLD_FORMATS.get(response["output_audio_format"], response["output_audio_format"])
    if output and "audio" not in upgraded:
        upgraded["audio"] = {"output": output}
    if isinstance(upgraded.get("input"), list):
        upgraded["input"] = [upgrade_item(item) if isinstance(item, dict) else item for item in upgraded["input"]]
    return _upgrade_modalities(upgraded, "max_response_output_tokens")


def _upgrade_modalities(value: dict[str, Any], old_max: str) -> dict[str, Any]:
    if old_max in value:
        value.setdefault("max_output_tokens", value.pop(old_max))
    if isinstance(value.get("modalities"), list) and "output_modalities" not in value:
        # the beta asked for both where one now says audio, which always brings its transcript
        value["output_modalities"] = ["audio"] if "audio" in value["modalities"] else ["text"]
    value.pop("modalities", None)
    return value


def upgrade_item(item: dict[str, Any]) -> dict[str, Any]:
    """An item in the SDK's shape: the beta's names of assistant content, and our extension `input_video`.

    A film travels as an `input_image` whose extra field `video_url` the SDK's class keeps.
    """
    if item.get("type") == "item_reference":
        # the SDK's class has no references; one travels as an empty message of that id
        return {"type": "message", "role": "user", "content": [], "id": item.get("id")}
    if not isinstance(item.get("content"), list):
        return item
    names = {"input_video": "input_image"}
    if item.get("role") == "assistant":
        names |= {"text": "output_text", "audio": "output_audio"}
    content = [
        {**part, "type": names.get(part["type"], part["type"])}
        if isinstance(part, dict) and isinstance(part.get("type"), str)
        else part
        for part in item["content"]
    ]
    return {**item, "content": content}
