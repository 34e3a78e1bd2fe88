"""What a realtime session is set to, and how `session.update` changes it. Pure; every refusal is a `WireError`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from vivavoce.serve.sound import WireFormat
from vivavoce.serve.wire import WireError

DEFAULT_INSTRUCTIONS = "You are vivavoce, a small model that hears, sees, reads, speaks and draws. Answer briefly."
OPENAI_VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
"""Names that stock clients send; they mean our preset voice here, and the session says which it is."""
EAGERNESS_BIAS = {"low": -3.25, "medium": 0.0, "auto": 0.0, "high": 0.75}
"""Added to the logit of `<speak>`, beside what the checkpoint itself needs (`OmniConfig.speak_bias`)."""
PATIENCE_MS = {"low": 2000, "medium": 800, "auto": 800, "high": 400}
"""Silence after speech from which on the bias grows by `IMPATIENCE` a clock step: a model that let the moment pass wishes
to speak less and less. measured: LOG 2026-11-29."""
IMPATIENCE = 1.0
LONGEST_WAIT_MS = {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}
"""Silence after speech at which the model is made to answer. Source: the protocol's own documentation."""
SEMANTIC_SILENCE_MS = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnDetection:
    """Who decides that a turn is over."""

    kind: Literal["server_vad", "semantic_vad"]
    create_response: bool = True
    interrupt_response: bool = True
    eagerness: Literal["low", "medium", "high", "auto"] = "auto"
    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    idle_timeout_ms: int | None = None

    def to_wire(self) -> dict[str, Any]:
        """As the session shows it."""
        shared = {
            "type": self.kind,
            "create_response": self.create_response,
            "interrupt_response": self.interrupt_response,
        }
        if self.kind == "semantic_vad":
            return {**shared, "eagerness": self.eagerness}
        return {
            **shared,
            "threshold": self.threshold,
            "prefix_padding_ms": self.prefix_padding_ms,
            "silence_duration_ms": self.silence_duration_ms,
            "idle_timeout_ms": self.idle_timeout_ms,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A session's settings. `voices`: the presets the engine has, the default first."""

    model: str
    voices: tuple[str, ...]
    kind: Literal["realtime", "transcription"] = "realtime"
    instructions: str = DEFAULT_INSTRUCTIONS
    output_modality: Literal["audio", "text"] = "audio"
    input_format: WireFormat = "audio/pcm"
    output_format: WireFormat = "audio/pcm"
    transcription: dict[str, Any] | None = None
    noise_reduction: dict[str, Any] | None = None
    turn_detection: TurnDetection | None = TurnDetection(kind="server_vad")
    voice: str = ""
    max_output_tokens: int | None = None
    truncation: Any = "auto"

    def __post_init__(self) -> None:
        if not self.voice:
            object.__setattr__(self, "voice", self.voices[0] if self.voices else "none")

    def to_wire(self, session_id: str) -> dict[str, Any]:
        """The `session` field of `session.created` and `session.updated`."""
        heard = {
            "format": show_format(self.input_format),
            "transcription": self.transcription,
            "noise_reduction": self.noise_reduction,
            "turn_detection": self.turn_detection.to_wire() if self.turn_detection else None,
        }
        shared = {"type": self.kind, "id": session_id, "object": "realtime.session", "include": None}
        if self.kind == "transcription":
            return {**shared, "audio": {"input": heard}}
        return {
            **shared,
            "model": self.model,
            "instructions": self.instructions,
            "output_modalities": [self.output_modality],
            "audio": {
                "input": heard,
                "output": {"format": show_format(self.output_format), "voice": self.voice, "speed": 1.0},
            },
            "tools": [],
            "tool_choice": "auto",
            "max_output_tokens": self.max_output_tokens or "inf",
            "truncation": self.truncation,
            "prompt": None,
            "tracing": None,
        }


def show_format(wire_format: WireFormat) -> dict[str, Any]:
    """A format as the protocol writes it."""
    return {"type": wire_format, "rate": 24000} if wire_format == "audio/pcm" else {"type": wire_format}


def update_settings(now: Settings, session: Any, *, has_spoken: bool, max_text_chars: int) -> Settings:
    """`now` with what a `session.update` names; what it does not name stays, what it sets to null is switched off.

    session: the SDK's session object. Raises: WireError, and then nothing has changed.
    """
    named = session.model_fields_set
    changes: dict[str, Any] = {}
    if session.type != now.kind:
        if has_spoken:
            raise WireError(
                f"session.type is {session.type!r}; this session is {now.kind!r} and has begun", param="session.type"
            )
        changes["kind"] = session.type
    if session.audio is not None and session.audio.input is not None:
        changes |= _read_input(session.audio.input, now)
    if session.type == "transcription":
        return replace(now, **changes)
    if "instructions" in named and session.instructions is not None:
        changes["instructions"] = check_text(session.instructions, "session.instructions", max_text_chars)
    if session.output_modalities is not None:
        changes["output_modality"] = read_modality(session.output_modalities, "session.output_modalities")
    if session.audio is not None and getattr(session.audio, "output", None) is not None:
        changes |= _read_output(session.audio.output, now, has_spoken)
    if "max_output_tokens" in named:
        changes["max_output_tokens"] = read_max_tokens(session.max_output_tokens, "session.max_output_tokens")
    if session.truncation is not None:
        truncation = session.truncation
        changes["truncation"] = truncation if isinstance(truncation, str) else truncation.model_dump(exclude_unset=True)
    refuse_unsupported(session, "session")
    return replace(now, **changes)


def _read_input(heard: Any, now: Settings) -> dict[str, Any]:
    named, changes = heard.model_fields_set, {}
    if heard.format is not None:
        changes["input_format"] = read_format(heard.format, "session.audio.input.format")
    if "transcription" in named:
        changes["transcription"] = heard.transcription and heard.transcription.model_dump(exclude_unset=True)
    if "noise_reduction" in named:
        changes["noise_reduction"] = heard.noise_reduction and heard.noise_reduction.model_dump(exclude_unset=True)
    if "turn_detection" in named:
        changes["turn_detection"] = _read_turn_detection(heard.turn_detection, now.turn_detection)
    return changes


def _read_turn_detection(given: Any, now: TurnDetection | None) -> TurnDetection | None:
    if given is None:
        return None
    named = {name: value for name, value in given.model_dump(exclude_unset=True).items() if value is not None}
    kind = named.pop("type")
    allowed = set(TurnDetection.__slots__) - {"kind"}
    start = now if now is not None and now.kind == kind else TurnDetection(kind=kind)
    result = replace(start, **{name: value for name, value in named.items() if name in allowed})
    bounds = {
        "threshold": (0.0, 1.0),
        "prefix_padding_ms": (0, 5000),
        "silence_duration_ms": (0, 10_000),
        "idle_timeout_ms": (5000, 30_000),
    }
    for name, (low, high) in bounds.items():
        value = getattr(result, name)
        if value is not None and not low <= value <= high:
            where = f"session.audio.input.turn_detection.{name}"
            raise WireError(f"{where} is {value}; need {low} to {high}", param=where)
    return result


def _read_output(spoken: Any, now: Settings, has_spoken: bool) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if spoken.format is not None:
        changes["output_format"] = read_format(spoken.format, "session.audio.output.format")
    if spoken.voice is not None:
        voice = read_voice(spoken.voice, now.voices, "session.audio.output.voice")
        if has_spoken and voice != now.voice:
            raise WireError(
                f"session.audio.output.voice is {voice!r}; the voice is fixed once the model has spoken ({now.voice!r})",
                code="cannot_update_voice",
                param="session.audio.output.voice",
            )
        changes["voice"] = voice
    if spoken.speed is not None and spoken.speed != 1.0:
        raise _unsupported(
            "session.audio.output.speed", spoken.speed, "the model speaks at its own pace; leave it at 1.0"
        )
    return changes


def read_format(given: Any, param: str) -> WireFormat:
    """A wire format; only PCM at 24 kHz and the two of G.711."""
    kind = getattr(given, "type", None)
    if kind not in ("audio/pcm", "audio/pcmu", "audio/pcma"):
        raise WireError(f"{param}.type is {kind!r}; allowed: audio/pcm, audio/pcmu, audio/pcma", param=param)
    if kind == "audio/pcm" and getattr(given, "rate", None) not in (None, 24000):
        raise WireError(f"{param}.rate is {given.rate}; only 24000 is spoken here", param=f"{param}.rate")
    return kind


def read_voice(given: Any, voices: tuple[str, ...], param: str) -> str:
    """A preset voice's name. Names of OpenAI's voices mean our default; no other voice can be asked for."""
    name = given if isinstance(given, str) else getattr(given, "id", None)
    if not voices:
        raise WireError(f"{param} is {name!r:.80}; this model does not speak", code="voice_not_found", param=param)
    if name in OPENAI_VOICES and name not in voices:
        return voices[0]
    if name not in voices:
        raise WireError(f"{param} is {name!r}; preset voices: {', '.join(voices)}", code="voice_not_found", param=param)
    return name


def read_modality(given: list[str], param: str) -> Literal["audio", "text"]:
    """One output modality; the protocol allows no two."""
    if list(given) not in (["audio"], ["text"]):
        raise WireError(f'{param} is {given}; need ["audio"] (with its transcript) or ["text"]', param=param)
    return "audio" if given == ["audio"] else "text"


def read_max_tokens(given: Any, param: str) -> int | None:
    """A bound on a response's text tokens; None for `inf`."""
    if given is None or given == "inf":
        return None
    if not isinstance(given, int) or not 1 <= given <= 4096:
        raise WireError(f"{param} is {given!r}; need 1 to 4096, or 'inf'", param=param)
    return given


def check_text(text: str, param: str, max_text_chars: int) -> str:
    """`text`, if it is short enough."""
    if len(text) > max_text_chars:
        raise WireError(
            f"{param} has {len(text)} characters; at most {max_text_chars} (max_text_chars)",
            code="string_above_max_length",
            param=param,
        )
    return text


def refuse_unsupported(given: Any, prefix: str) -> None:
    """What the model can't do is refused by name, not ignored: tools, stored prompts.

    given: a session, or the parameters of a response.
    """
    if given.tools:
        raise _unsupported(
            f"{prefix}.tools", f"{len(given.tools)} tools", "the model makes no function calls; send none"
        )
    if given.prompt is not None:
        raise _unsupported(f"{prefix}.prompt", "a stored prompt", "put the text into instructions")
    choice = given.tool_choice
    if choice is not None and choice not in ("auto", "none"):
        raise _unsupported(f"{prefix}.tool_choice", choice, "the model makes no function calls; use 'none'")


def _unsupported(param: str, value: Any, advice: str) -> WireError:
    return WireError(f"{param} is {value!s:.80}; not supported: {advice}", code="unsupported_feature", param=param)
