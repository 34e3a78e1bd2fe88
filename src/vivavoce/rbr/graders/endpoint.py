"""A model behind an endpoint as grader, through `inspect_ai` (any provider it knows; OpenAI-compatible by base URL).

One call per proposition, the shared part first so that the server's prefix cache applies. With top log-probabilities the
grade is a probability; where the server gives none, sampled answers vote. Time, retries and connections are bounded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vivavoce.errors import EndpointError
from vivavoce.files import digest_json
from vivavoce.grading import Grade, Ungraded
from vivavoce.rbr.graders.answers import grade_top_tokens, grade_votes
from vivavoce.rbr.graders.interface import GradeRequest, Usage, refuse_empty
from vivavoce.rbr.graders.prompts import GraderTemplate, load_template
from vivavoce.rbr.rules import Proposition

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, GenerateConfig, Model, ModelOutput

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfig:
    """How to call the endpoint."""

    model: str
    """An inspect_ai model name: openai/gpt-5-mini, vllm/..., openai-api/SERVICE/MODEL."""
    base_url: str | None = None
    api_key: str | None = None
    top_logprobs: int = 20
    """How many alternatives of the first token to ask for; 0 goes straight to votes."""
    num_votes: int = 8
    """Sampled answers where there are no log-probabilities."""
    min_votes: int = 4
    """Fewest of them that must say yes or no."""
    min_mass: float = 0.05
    """Yes and no together must have this much probability."""
    timeout_s: int = 60
    """Longest time for one call, retries included."""
    max_retries: int = 3
    """Times that one call is tried again after a failure that may pass."""
    retry_wait_s: float = 2.0
    """Before the first retry; doubles each time, up to 30 s."""
    max_connections: int = 16
    input_price: float = 0.0
    """Price of a million input tokens, for the accounting."""
    output_price: float = 0.0
    """Price of a million output tokens."""


class EndpointGrader:
    """Grades with a model behind an endpoint. `model` replaces the one that the config names (tests, custom providers)."""

    def __init__(
        self,
        config: EndpointConfig,
        propositions: Mapping[str, Proposition],
        *,
        template: GraderTemplate | None = None,
        model: Model | None = None,
    ) -> None:
        self.config = config
        self.propositions = propositions
        self.template = template or load_template()
        self.usage = Usage()
        settings = [self.template.digest, config.min_mass, config.top_logprobs, config.num_votes, config.min_votes]
        self.identity = f"endpoint:{config.model}:{digest_json(settings)[:12]}"
        self._model = model or _open_model(config)
        self._has_logprobs: bool | None = None if config.top_logprobs else False

    async def grade(self, request: GradeRequest) -> dict[str, Grade]:
        """A grade for every proposition; each call fails alone."""
        start = time.perf_counter()
        grades = refuse_empty(request)
        if grades is None:
            shared = self.template.write_shared(request.item)
            answers = await asyncio.gather(*(self._ask(shared, name) for name in request.propositions))
            grades = dict(zip(request.propositions, answers))
        ungraded = sum(isinstance(grade, Ungraded) for grade in grades.values())
        seconds = time.perf_counter() - start
        self.usage.add(Usage(num_requests=1, num_grades=len(grades), num_ungraded=ungraded, seconds=seconds))
        return grades

    async def _ask(self, shared: str, name: str) -> Grade:
        text = shared + self.template.write_question(self.propositions[name])
        try:
            if self._has_logprobs is not False:
                output = await self._call(text, self._one_token())
                found = _read_top_tokens(output)
                if found is not None:
                    self._has_logprobs = True
                    return grade_top_tokens(found, self.config.min_mass)
                if self._has_logprobs is None:
                    logger.warning("%s gives no log-probabilities; sampled answers vote instead", self.config.model)
                    self._has_logprobs = False
            outputs = await asyncio.gather(
                *(self._call(text, self._sample(seed)) for seed in range(self.config.num_votes))
            )
            return grade_votes([output.completion for output in outputs], min_votes=self.config.min_votes)
        except TimeoutError:
            return Ungraded("timeout", f"{name}: no answer within {self.config.timeout_s} s")
        except Exception as error:  # a boundary: providers raise what they like, and one call must not end the rest
            return Ungraded("endpoint", f"{name}: {describe_failure(error)}")

    async def _call(self, text: str, config: GenerateConfig) -> ModelOutput:
        from inspect_ai.model import ChatMessageUser

        messages: list[ChatMessage] = [ChatMessageUser(content=text)]
        async with asyncio.timeout(self.config.timeout_s):
            output = await self._generate(messages, config)
        self.usage.num_calls += 1
        if output.usage is not None:
            cost = (
                output.usage.input_tokens * self.config.input_price
                + output.usage.output_tokens * self.config.output_price
            )
            self.usage.add(
                Usage(
                    input_tokens=output.usage.input_tokens,
                    output_tokens=output.usage.output_tokens,
                    saved_tokens=output.usage.input_tokens_cache_read or 0,
                    cost=cost / 1e6,
                )
            )
        if output.error:
            raise EndpointError(output.error)
        return output

    async def _generate(self, messages: list[ChatMessage], config: GenerateConfig) -> ModelOutput:
        """One answer. Retries are ours and not inspect_ai's, so that they can be counted."""
        for num_before in range(self.config.max_retries):
            try:
                return await self._model.generate(messages, config=config)
            except Exception as error:
                if not self._model.should_retry(_find_cause(error)):
                    raise
            self.usage.num_retries += 1
            await asyncio.sleep(min(self.config.retry_wait_s * 2**num_before, 30.0))
        return await self._model.generate(messages, config=config)

    def _one_token(self) -> GenerateConfig:
        from inspect_ai.model import GenerateConfig

        return GenerateConfig(max_tokens=1, temperature=0.0, logprobs=True, top_logprobs=self.config.top_logprobs)

    def _sample(self, seed: int) -> GenerateConfig:
        from inspect_ai.model import GenerateConfig

        return GenerateConfig(max_tokens=4, temperature=1.0, seed=seed)


def _open_model(config: EndpointConfig) -> Model:
    from inspect_ai.model import GenerateConfig, get_model

    limits = GenerateConfig(
        max_retries=0,
        timeout=config.timeout_s,
        attempt_timeout=config.timeout_s,
        max_connections=config.max_connections,
    )
    try:
        model = get_model(config.model, config=limits, base_url=config.base_url, api_key=config.api_key, memoize=False)
    except Exception as error:  # a boundary: providers raise many kinds when a key or package is missing
        raise EndpointError(f"cannot open {config.model}: {' '.join(str(error).split())[:300]}") from error
    client = getattr(model.api, "client", None)
    if client is not None and hasattr(
        client, "max_retries"
    ):  # the clients of openai and anthropic would try again by themselves, uncounted
        client.max_retries = 0
    return model


def _find_cause(error: Exception) -> BaseException:
    """What the provider raised, out of the wrapper of a client that has used up its own tries."""
    last = getattr(error, "last_attempt", None)
    return last.exception() or error if last is not None else error


def describe_failure(error: Exception) -> str:
    """The provider's words alone: inspect_ai's message begins with the whole request, graded text included."""
    cause = _find_cause(error)
    message = getattr(cause, "provider_message", None) or str(cause)
    return f"{type(cause).__name__}: {' '.join(message.split())[:200]}"


def _read_top_tokens(output: ModelOutput) -> list[tuple[str, float]] | None:
    """(token, log-probability) alternatives of the first token, or None where the server gave none."""
    if not output.choices or output.choices[0].logprobs is None or not output.choices[0].logprobs.content:
        return None
    first = output.choices[0].logprobs.content[0]
    if not first.top_logprobs:
        return None
    return [(item.token, item.logprob) for item in first.top_logprobs]
