"""A local causal model as grader: yes/no token probabilities, the completion read once for all propositions.

The shared part of the prompt runs once; all questions then run in one packed forward pass over its key-value cache, each
seeing the shared part and itself only, at the positions it would have alone. `is_shared=False` is the plain path, one
whole prompt per proposition, kept to prove both equal and to measure what sharing saves.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from vivavoce.content import user
from vivavoce.errors import ConfigError
from vivavoce.files import digest_json
from vivavoce.grading import Grade, Ungraded
from vivavoce.rbr.graders.answers import VARIANTS, grade_masses
from vivavoce.rbr.graders.interface import GradeRequest, Usage, refuse_empty
from vivavoce.rbr.graders.prompts import GraderTemplate, load_template
from vivavoce.rbr.rules import Proposition
from vivavoce.text_models import TextModel, render_chat

_SPLIT = "\u2063QUESTION\u2063"  # stands for the question while the chat template is filled


@dataclass(frozen=True, slots=True)
class _AnswerTokens:
    yes: torch.Tensor
    no: torch.Tensor


class LocalGrader:
    """Grades with a causal model on this machine.

    min_mass: yes and no together must have this much of the next token's probability, else `no_yes_no`.
    max_tokens: longest prompt; longer ones are ungraded (`too_long`), never cut.
    """

    def __init__(
        self,
        text_model: TextModel,
        propositions: Mapping[str, Proposition],
        *,
        name: str,
        template: GraderTemplate | None = None,
        min_mass: float = 0.05,
        max_tokens: int = 4096,
        is_shared: bool = True,
    ) -> None:
        self.model, self.tokenizer = text_model
        self.propositions = propositions
        self.template = template or load_template()
        self.min_mass, self.max_tokens, self.is_shared = min_mass, max_tokens, is_shared
        self.usage = Usage()
        settings = {"template": self.template.digest, "min_mass": min_mass}
        self.identity = f"local:{name}:{digest_json(settings)[:12]}"
        self._answers = _find_answer_tokens(self.tokenizer)
        self._controls = tuple(str(token) for token in self.tokenizer.all_special_tokens)
        self._lock = threading.Lock()

    async def grade(self, request: GradeRequest) -> dict[str, Grade]:
        """A grade for every proposition. The model runs on a worker thread, one request at a time."""
        if (empty := refuse_empty(request)) is not None:
            self.usage.num_ungraded += len(empty)
            return empty
        return await asyncio.to_thread(self._grade_alone, request)

    def _grade_alone(self, request: GradeRequest) -> dict[str, Grade]:
        with self._lock:
            return self._grade(request)

    @torch.inference_mode()
    def _grade(self, request: GradeRequest) -> dict[str, Grade]:
        start = time.perf_counter()
        shared, questions = self.encode(request)
        longest = len(shared) + max(len(ids) for ids in questions)
        if longest > self.max_tokens:
            self.usage.num_ungraded += len(questions)
            text = f"the prompt has {longest} tokens; at most {self.max_tokens} are graded"
            return dict.fromkeys(request.propositions, Ungraded("too_long", text))
        logits = self._score_shared(shared, questions) if self.is_shared else self._score_apart(shared, questions)
        probs = torch.softmax(logits.double(), dim=-1)
        yes = probs[:, self._answers.yes].sum(-1).tolist()
        no = probs[:, self._answers.no].sum(-1).tolist()
        grades = {
            name: grade_masses(prob_yes, prob_no, self.min_mass)
            for name, prob_yes, prob_no in zip(request.propositions, yes, no)
        }
        self._count(shared, questions, grades, time.perf_counter() - start)
        return grades

    def encode(self, request: GradeRequest) -> tuple[list[int], list[list[int]]]:
        """Token ids of the shared part and of each question (with the rest of the chat turn)."""
        shared = self.template.write_shared(request.item, self._controls)
        rendered = render_chat(self.tokenizer, [user(shared + _SPLIT)])
        head, tail = rendered.split(_SPLIT)
        asked = [self.template.write_question(self.propositions[name]) + tail for name in request.propositions]
        encode = self.tokenizer.encode
        return encode(head, add_special_tokens=False), [encode(text, add_special_tokens=False) for text in asked]

    def _score_shared(self, shared: Sequence[int], questions: Sequence[Sequence[int]]) -> torch.Tensor:
        """Next-token logits [N, V] after each question, over one cache of the shared part."""
        device, length = self.model.device, len(shared)
        first = self.model(input_ids=torch.tensor([shared], device=device), use_cache=True, logits_to_keep=1)
        sizes = [len(ids) for ids in questions]
        packed = torch.tensor([[token for ids in questions for token in ids]], device=device)
        positions = torch.tensor([[length + i for size in sizes for i in range(size)]], device=device)
        owner = torch.repeat_interleave(torch.arange(len(sizes), device=device), torch.tensor(sizes, device=device))
        within = positions[0]
        sees_own = (owner[:, None] == owner[None, :]) & (within[:, None] >= within[None, :])
        sees = torch.cat([torch.ones(len(owner), length, dtype=torch.bool, device=device), sees_own], dim=1)
        mask = torch.zeros(sees.shape, dtype=first.logits.dtype, device=device)
        mask.masked_fill_(~sees, torch.finfo(mask.dtype).min)
        ends = torch.cumsum(torch.tensor(sizes, device=device), 0) - 1
        second = self.model(
            input_ids=packed,
            position_ids=positions,
            attention_mask=mask[None, None],
            past_key_values=first.past_key_values,
            use_cache=True,
            logits_to_keep=ends,
        )
        return second.logits[0]

    def _score_apart(self, shared: Sequence[int], questions: Sequence[Sequence[int]]) -> torch.Tensor:
        """The same by one whole prompt per question."""
        rows = [
            self.model(input_ids=torch.tensor([[*shared, *ids]], device=self.model.device), logits_to_keep=1).logits[
                0, -1
            ]
            for ids in questions
        ]
        return torch.stack(rows)

    def _count(
        self, shared: Sequence[int], questions: Sequence[Sequence[int]], grades: Mapping[str, Grade], seconds: float
    ) -> None:
        times = 1 if self.is_shared else len(questions)
        self.usage.add(
            Usage(
                num_requests=1,
                num_grades=len(grades),
                num_calls=times,
                num_ungraded=sum(isinstance(grade, Ungraded) for grade in grades.values()),
                input_tokens=times * len(shared) + sum(map(len, questions)),
                saved_tokens=(len(questions) - times) * len(shared),
                seconds=seconds,
            )
        )


def _find_answer_tokens(tokenizer) -> _AnswerTokens:
    """Ids of every spelling of yes and no that is one token. Raises: ConfigError if a word has none."""
    found: dict[str, torch.Tensor] = {}
    for word, spellings in VARIANTS.items():
        encoded = [tokenizer.encode(spelling, add_special_tokens=False) for spelling in spellings]
        ids = sorted({ids[0] for ids in encoded if len(ids) == 1})
        if not ids:
            raise ConfigError(f"the tokenizer spells {word!r} with several tokens in every variant; use another model")
        found[word] = torch.tensor(ids)
    return _AnswerTokens(found["yes"], found["no"])
