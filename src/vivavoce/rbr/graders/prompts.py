"""The text that a language-model grader reads: shared part first, question last, graded text unable to break out.

Two defences: the graded text stands between marks it cannot contain (`grading.fill_prompt`), and strings that a chat
template or tokenizer would take for control tokens are broken up. The template is a data file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vivavoce.content import Message
from vivavoce.errors import ConfigError
from vivavoce.files import digest_json
from vivavoce.grading import fill_prompt
from vivavoce.rbr.graders.interface import Item
from vivavoce.rbr.rules import Proposition, find_policy, read_strict_yaml

# what common chat formats use to end a turn or open one
_CONTROL = re.compile(
    r"<\|[^<>|\s]{1,40}\|>|</?s>|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|<\uff5c[^<>]{1,40}\uff5c>"
)
_BREAK = "\u200b"  # zero-width space: seen by a tokenizer, not by a reader


@dataclass(frozen=True, slots=True, kw_only=True)
class GraderTemplate:
    """The parts of a grading prompt (policies/grader_prompt.yaml). num_examples: how many examples a question carries."""

    shared: str
    question: str
    example: str
    num_examples: int = 0

    @property
    def digest(self) -> str:
        """Identity of the wording."""
        return digest_json([self.shared, self.question, self.example, self.num_examples])[:16]

    def write_shared(self, item: Item, controls: Iterable[str] = ()) -> str:
        """The part that is the same for every proposition.

        controls: strings that the tokenizer at hand takes for control tokens, beside the common ones.
        """
        conversation = neutralise(render_conversation(item.prompt), controls)
        reply = neutralise(item.completion, controls)
        # a function of the text, so that prompts are reproducible; no text can contain its own digest by design
        boundary = hashlib.sha256(f"{conversation}\x00{reply}".encode()).hexdigest()[:16]
        return fill_prompt(self.shared, {"conversation": conversation, "reply": reply}, boundary=boundary)

    def write_question(self, proposition: Proposition) -> str:
        """The part that differs."""
        examples = "".join(
            self.example.replace("{{answer}}", "yes" if row.answer else "no").replace("{{completion}}", row.completion)
            for row in proposition.examples[: self.num_examples]
        )
        return self.question.replace("{{examples}}", examples).replace("{{question}}", proposition.question)


def load_template(name_or_path: str | Path = "grader_prompt", *, num_examples: int = 0) -> GraderTemplate:
    """A template file. Raises: ConfigError if a part or a slot is missing."""
    path = find_policy(name_or_path)
    document = read_strict_yaml(path)
    slots = {
        "shared": ("conversation", "reply"),
        "question": ("question", "examples"),
        "example": ("completion", "answer"),
    }
    for part, names in slots.items():
        text = document.get(part) if isinstance(document, dict) else None
        if not isinstance(text, str) or any("{{" + name + "}}" not in text for name in names):
            raise ConfigError(f"{path}: {part} needs the slots {', '.join('{{' + name + '}}' for name in names)}")
    return GraderTemplate(
        shared=document["shared"], question=document["question"], example=document["example"], num_examples=num_examples
    )


def neutralise(text: str, controls: Iterable[str] = ()) -> str:
    """`text` with every control string broken by a zero-width space after its first character."""
    text = _CONTROL.sub(lambda match: match[0][0] + _BREAK + match[0][1:], text)
    for control in sorted(controls, key=len, reverse=True):
        if len(control) > 1 and control in text:
            text = text.replace(control, control[0] + _BREAK + control[1:])
    return text


def render_conversation(messages: Sequence[Message]) -> str:
    """One paragraph a message, `USER: text`."""
    return "\n\n".join(f"{message.role.upper()}: {message.text}" for message in messages)
