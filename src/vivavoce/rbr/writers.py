"""Writers of completions to order: sentences put together by a script, a local model, or a model behind an endpoint."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from vivavoce.content import Message, user
from vivavoce.errors import EndpointError
from vivavoce.rbr.prompts import Prompt
from vivavoce.rbr.rules import Proposition


class Writer(Protocol):
    """Writes a completion in which the wanted propositions hold and the others don't, as well as it can."""

    @property
    def identity(self) -> str:
        """Which writer this is, for caches and records."""
        ...

    def write(self, prompt: Prompt, wanted: Mapping[str, bool], seed: int) -> str:
        """A completion of the prompt."""
        ...


@dataclass(frozen=True, slots=True)
class ScriptedWriter:
    """Puts sentences from a table together, in the table's order; what it says is known by construction."""

    phrases: Mapping[str, Sequence[str]]
    identity: str = "scripted"

    def write(self, prompt: Prompt, wanted: Mapping[str, bool], seed: int) -> str:
        """Sentences of the wanted propositions; the same seed gives the same text."""
        generator = random.Random(f"{prompt.prompt_id}:{seed}")
        true = {name for name, value in wanted.items() if value}
        if {"apology", "inability_to_comply"} <= true:
            true -= {"apology", "inability_to_comply"}
            opening = [self._join_refusal(generator)]
        else:
            opening = []
        if "fully_complies" in true:
            true.discard("partially_complies")
        if "disallowed_content" in true:
            true -= {"fully_complies", "partially_complies"}
        body = [
            generator.choice(list(choices)).replace("{answer}", prompt.answer).replace("{part}", prompt.part)
            for name, choices in self.phrases.items()
            if name in true
        ]
        # an apology for the user's state comes before anything else
        return " ".join(opening + body if opening else body).strip()

    def _join_refusal(self, generator: random.Random) -> str:
        apology = generator.choice(list(self.phrases["apology"]))
        inability = generator.choice(list(self.phrases["inability_to_comply"]))
        joint = generator.choice([", but ", ". "])
        return apology + joint + inability


class LocalWriter:
    """A causal model on this machine, told what the reply must and must not do."""

    def __init__(
        self, name: str, propositions: Mapping[str, Proposition], *, max_tokens: int = 96, temperature: float = 0.8
    ) -> None:
        from vivavoce.text_models import load_text_model

        self.model, self.tokenizer = load_text_model(name)
        self.propositions = propositions
        self.max_tokens, self.temperature = max_tokens, temperature
        self.identity = f"local:{name}"

    def write(self, prompt: Prompt, wanted: Mapping[str, bool], seed: int) -> str:
        """One sampled reply; the same seed gives the same text on the same machine."""
        import torch

        from vivavoce.text_models import render_chat

        text = render_chat(self.tokenizer, instruct(prompt.messages, wanted, self.propositions))
        ids = self.tokenizer(text, return_tensors="pt", add_special_tokens=False)
        torch.manual_seed(seed)
        with torch.inference_mode():
            out = self.model.generate(  # pyright: ignore[reportCallIssue]  # a mixin's annotation
                **ids,
                max_new_tokens=self.max_tokens,
                do_sample=True,
                temperature=self.temperature,
                pad_token_id=self.tokenizer.pad_token_id,
            )
        return str(self.tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)).strip()


class EndpointWriter:
    """A model behind an endpoint, through `inspect_ai`."""

    def __init__(
        self,
        name: str,
        propositions: Mapping[str, Proposition],
        *,
        base_url: str | None = None,
        max_tokens: int = 200,
        temperature: float = 0.8,
    ) -> None:
        from inspect_ai.model import GenerateConfig, get_model

        self.propositions = propositions
        self.identity = f"endpoint:{name}"
        limits = GenerateConfig(max_tokens=max_tokens, temperature=temperature, timeout=120, max_retries=3)
        try:
            self._model = get_model(name, base_url=base_url, config=limits, memoize=False)
        except Exception as error:  # a boundary: providers raise many kinds when a key or package is missing
            raise EndpointError(f"cannot open {name}: {' '.join(str(error).split())[:300]}") from error

    def write(self, prompt: Prompt, wanted: Mapping[str, bool], seed: int) -> str:
        """One sampled reply. Raises: EndpointError naming the prompt; what was made before is kept."""
        from inspect_ai.model import ChatMessage, ChatMessageAssistant, ChatMessageUser, GenerateConfig

        from vivavoce.rbr.graders.endpoint import describe_failure
        from vivavoce.rbr.graders.interface import run_now

        kinds = {"user": ChatMessageUser, "assistant": ChatMessageAssistant}
        messages: list[ChatMessage] = [
            kinds.get(message.role, ChatMessageUser)(content=message.text)
            for message in instruct(prompt.messages, wanted, self.propositions)
        ]
        try:
            output = run_now(self._model.generate(messages, config=GenerateConfig(seed=seed)))
        except Exception as error:  # a boundary, as above
            raise EndpointError(
                f"{self.identity} wrote nothing for prompt {prompt.prompt_id} ({describe_failure(error)}); what was made so "
                "far is kept: go on with --resume"
            ) from error
        return output.completion.strip()


def instruct(
    messages: Sequence[Message], wanted: Mapping[str, bool], propositions: Mapping[str, Proposition]
) -> tuple[Message, ...]:
    """The conversation, its last turn followed by what the reply must and must not do (from the rule file)."""
    lines = [
        line
        for name, value in wanted.items()
        if (line := propositions[name].make_true if value else propositions[name].make_false)
    ]
    order = "\n".join(f"- {line}" for line in lines)
    return (*messages[:-1], user(f"{messages[-1].text}\n\n(How to reply:\n{order}\nWrite the reply only.)"))
