"""A model behind an endpoint as a `Respondent`, through `inspect_ai` (any provider it knows; OpenAI-compatible by base URL).

It was not trained on the joint tasks, so each is put to it with an instruction. A call that fails leaves one sample or
one grade without a value, by name, and disturbs no other; time, retries and connections are bounded.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from vivavoce.critique.language import LanguageModel, Respondent, Sample
from vivavoce.critique.tasks.fitting import fit
from vivavoce.critique.tasks.forms import Rendered, load_templates
from vivavoce.errors import ConfigError, EndpointError, MissingExtraError
from vivavoce.grading import Grade, Ungraded, grade_probability

if TYPE_CHECKING:
    from inspect_ai.model import GenerateConfig, Model, ModelOutput

PREFIX = "endpoint:"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """How to call the endpoint."""

    model: str
    """An inspect_ai model name: openai/gpt-5-mini, vllm/..., openai-api/SERVICE/MODEL."""
    base_url: str | None = None
    api_key: str | None = None
    context_chars: int = 100_000
    """Longest prompt; what is longer loses sentences of the passage."""
    top_logprobs: int = 20
    """How many alternatives of the first token to ask for in yes/no tasks; 0 goes straight to votes."""
    num_votes: int = 8
    """Sampled answers to a yes/no task where there are no log-probabilities."""
    min_mass: float = 0.01
    """Yes and no together must have this much probability."""
    timeout_s: int = 120
    """Longest time for one call, retries included."""
    max_retries: int = 3
    max_connections: int = 16


def open_respondent(name: str, base_url: str = "") -> Respondent:
    """`endpoint:PROVIDER/MODEL` as an `EndpointModel`, anything else as a model on this machine.

    Raises: ConfigError if a base URL goes with a model on this machine, EndpointError if the endpoint cannot be opened.
    """
    if name.startswith(PREFIX):
        return EndpointModel(EndpointConfig(model=name.removeprefix(PREFIX), base_url=base_url or None))
    if base_url:
        raise ConfigError(f"--base-url goes with --model {PREFIX}PROVIDER/MODEL, not with {name!r}")
    return LanguageModel.load(name)


def name_author(name: str) -> str:
    """What the store calls the author of this model's critiques."""
    return name if name.startswith(PREFIX) else Path(name).name


class EndpointModel:
    """Answers the joint tasks with a model behind an endpoint. `model` replaces the one that the config names (tests)."""

    def __init__(self, config: EndpointConfig, *, model: Model | None = None) -> None:
        self.config = config
        self._model = model or _open_model(config)
        # one loop for all calls, because clients keep connections of their loop
        self._runner = asyncio.Runner()
        self._has_logprobs: bool | None = None if config.top_logprobs else False

    def sample(
        self, prompts: Sequence[Rendered], n: int, *, max_new_tokens: int, temperature: float, seed: int
    ) -> list[list[Sample]]:
        """`n` completions of each prompt, one call each; one that fails is a sample that names its failure."""
        texts = [self._write(prompt) for prompt in prompts]

        async def draw() -> list[Sample]:
            return await asyncio.gather(
                *(
                    self._sample_one(text, _sampling(max_new_tokens, temperature, seed + idx))
                    for text in texts
                    for idx in range(n)
                )
            )

        drawn = self._runner.run(draw())
        return [drawn[row * n : (row + 1) * n] for row in range(len(prompts))]

    def judge(self, task: str, prompts: Sequence[Rendered]) -> list[Grade]:
        """P(yes), by log-probabilities of the first token or else by votes; not calibrated."""
        if load_templates()[1][task].labels is None:
            raise ConfigError(f"task {task} has no yes/no labels")
        texts = [self._write(prompt) for prompt in prompts]

        async def grade() -> list[Grade]:
            return await asyncio.gather(*(self._judge_one(text) for text in texts))

        return self._runner.run(grade())

    def _write(self, rendered: Rendered) -> str:
        # `fit` counts whatever `encode` gives: here one number a character
        told = load_instructions()[rendered.task] + "\n\n"
        room = self.config.context_chars - len(told)
        fitted = fit(rendered, lambda text: [ord(sign) for sign in text], max_tokens=room)
        return told + "".join(map(chr, fitted.prompt_ids))

    async def _sample_one(self, text: str, config: GenerateConfig) -> Sample:
        try:
            output = await self._call(text, config)
        except Exception as error:  # a boundary: providers raise what they like, and one call must not end the rest
            return Sample("", False, 0, failure=_say(error))
        num_tokens = output.usage.output_tokens if output.usage is not None else 0
        is_cut = output.stop_reason == "max_tokens" and "\n### " not in output.completion
        return Sample(output.completion, is_cut, num_tokens)

    async def _judge_one(self, text: str) -> Grade:
        try:
            if self._has_logprobs is not False:
                output = await self._call(text, _first_token(self.config.top_logprobs))
                found = _read_top_tokens(output)
                if found is not None:
                    return _grade_tokens(found, self.config.min_mass)
                self._has_logprobs = False
            outputs = await asyncio.gather(
                *(self._call(text, _sampling(4, 1.0, seed)) for seed in range(self.config.num_votes))
            )
        except Exception as error:  # a boundary, as above
            return Ungraded("endpoint", _say(error))
        return _grade_votes([output.completion for output in outputs])

    async def _call(self, text: str, config: GenerateConfig) -> ModelOutput:
        from inspect_ai.model import ChatMessageUser

        async with asyncio.timeout(self.config.timeout_s):
            output = await self._model.generate([ChatMessageUser(content=text)], config=config)
        if output.error:
            raise EndpointError(output.error)
        return output


@cache
def load_instructions() -> dict[str, str]:
    """The instruction that goes before each task's text."""
    return yaml.safe_load((Path(__file__).parent / "endpoint_prompts.yaml").read_text(encoding="utf-8"))


def _open_model(config: EndpointConfig) -> Model:
    try:
        from inspect_ai.model import GenerateConfig, get_model
    except ImportError as error:
        raise MissingExtraError(
            "a model behind an endpoint needs inspect-ai; pip install 'vivavoce[critique]'"
        ) from error
    limits = GenerateConfig(
        max_retries=config.max_retries,
        timeout=config.timeout_s,
        attempt_timeout=config.timeout_s,
        max_connections=config.max_connections,
    )
    try:
        return get_model(config.model, config=limits, base_url=config.base_url, api_key=config.api_key, memoize=False)
    except Exception as error:  # a boundary: providers raise many kinds when a key or package is missing
        raise EndpointError(f"cannot open {config.model}: {' '.join(str(error).split())[:300]}") from error


def _sampling(max_tokens: int, temperature: float, seed: int) -> GenerateConfig:
    from inspect_ai.model import GenerateConfig

    return GenerateConfig(max_tokens=max_tokens, temperature=temperature, seed=seed)


def _first_token(top_logprobs: int) -> GenerateConfig:
    from inspect_ai.model import GenerateConfig

    return GenerateConfig(max_tokens=1, temperature=0.0, logprobs=True, top_logprobs=top_logprobs)


def _read_top_tokens(output: ModelOutput) -> list[tuple[str, float]] | None:
    """(token, log-probability) alternatives of the first token, or None where the server gave none."""
    if not output.choices or output.choices[0].logprobs is None or not output.choices[0].logprobs.content:
        return None
    return [(item.token, item.logprob) for item in output.choices[0].logprobs.content[0].top_logprobs or []] or None


def _grade_tokens(tokens: Sequence[tuple[str, float]], min_mass: float) -> Grade:
    mass = {"yes": 0.0, "no": 0.0}
    for token, log_prob in tokens:
        word = token.strip().lower()
        if word in mass:
            mass[word] += math.exp(log_prob)
    both = mass["yes"] + mass["no"]
    if not both >= max(min_mass, 1e-12):
        return Ungraded("no_yes_no", f"yes and no have {both:.2g} of the probability")
    return grade_probability(mass["yes"] / both, missing_mass=max(0.0, 1 - both))


def _grade_votes(texts: Sequence[str]) -> Grade:
    """Share of yes with one pseudo-vote for each side; ungraded unless half of the samples say yes or no."""
    words = [text.strip().lower().split(maxsplit=1)[0].strip(".,:;!*\"'") if text.strip() else "" for text in texts]
    num_yes, num_no = words.count("yes"), words.count("no")
    if 2 * (num_yes + num_no) < len(texts) or not num_yes + num_no:
        return Ungraded("no_yes_no", f"{num_yes + num_no} of {len(texts)} samples answer yes or no")
    return grade_probability((num_yes + 1) / (num_yes + num_no + 2), votes={"yes": num_yes, "no": num_no})


def _say(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    # inspect_ai's own message begins with the whole request; the provider's stands apart
    message = getattr(error, "provider_message", None) or str(error)
    return f"{type(error).__name__}: {' '.join(message.split())[:200]}"
