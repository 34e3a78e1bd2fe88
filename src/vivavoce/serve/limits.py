"""Every bound the server keeps, in one place. Errors name the bound that was met; `docs/serve.md` lists them."""

from __future__ import annotations

from dataclasses import dataclass

from vivavoce.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of sizes, durations and rates. All chosen: generous for people, small against memory of one machine."""

    max_message_bytes: int = 16 * 2**20
    """One WebSocket message. The protocol lets a client append 15 MiB at once."""
    max_body_bytes: int = 32 * 2**20
    """One HTTP request body."""
    max_pending_audio_s: float = 120.0
    """Sound that was appended and not yet heard by the model."""
    max_session_s: float = 3600.0
    """Length of one realtime session."""
    max_events_per_s: float = 400.0
    """Client events of one session, averaged over two seconds."""
    max_items: int = 1000
    """Items of one conversation."""
    max_text_chars: int = 20_000
    """Text of one item, of instructions, of one HTTP prompt."""
    max_media_parts: int = 16
    """Pictures, films and sounds in one item or HTTP request."""
    max_media_s: float = 120.0
    """Length of one sound or film given whole."""
    max_unsent_bytes: int = 8 * 2**20
    """What waits for a client that does not read; then the connection is closed."""
    max_answers: int = 32
    """HTTP answers being made or waiting."""
    max_answer_s: float = 120.0
    """Spoken length of one HTTP answer."""
    max_answer_tokens: int = 2048
    """Text of one HTTP answer."""
    max_answer_wait_s: float = 120.0
    """Time one HTTP answer may take in all."""
    max_images: int = 10
    """Pictures of one images request."""
    max_kept_audio_s: float = 600.0
    """Sound of earlier items that is kept for `conversation.item.retrieve`; the oldest goes first."""
    drain_s: float = 30.0
    """After SIGTERM: how long the reply being said may go on."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if not getattr(self, name) > 0:
                raise ConfigError(f"limit {name} is {getattr(self, name)}; need a positive number")
