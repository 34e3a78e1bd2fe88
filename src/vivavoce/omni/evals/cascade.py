"""What a cascade would do: the recogniser hears what is said, and the model reads what it wrote.

To compare with: how much of what is lost in speech is lost in hearing, and what another's hearing would make of it.
"""

from __future__ import annotations

from collections.abc import Callable

from vivavoce.content import Audio, Conversation, Message, Part, Text
from vivavoce.spoken import split_words


def type_what_is_heard(conversation: Conversation, transcribe: Callable[[Audio], str]) -> Conversation:
    """The same conversation with a transcript in place of whatever a user says, as people type: small letters, numbers in words, a mark
    at the end. What is heard as nothing is typed as nothing."""

    def hear(part: Part) -> Part:
        if not isinstance(part, Audio):
            return part
        said = transcribe(part)
        words = " ".join(split_words(said))
        return Text(words + ("?" if said.rstrip().endswith("?") else ".") if words else "")

    return Conversation(
        tuple(
            Message(message.role, tuple(map(hear, message.parts))) if message.role == "user" else message
            for message in conversation.messages
        )
    )
