"""The reward of a completion: reward model plus weighted features, one total with its breakdown, or no reward.

Gated per prompt: without a response type only the reward model counts. A part that could not be graded makes the whole
reward ungraded; trainers get `None`, never 0. A shadow grader may score the same completions to watch for hacking.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vivavoce.errors import ConfigError
from vivavoce.grading import Grade, Graded, Ungraded
from vivavoce.rbr.features import FeatureMaker, Features
from vivavoce.rbr.graders.interface import Grader, GradeRequest, Item, grade_all
from vivavoce.rbr.reward_model import RewardModel
from vivavoce.rbr.weights import RewardWeights

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A reward. contributions: weight times value of every feature; they sum to `rbr`."""

    total: float
    rm: float
    rbr: float
    contributions: Mapping[str, float]
    features: Mapping[str, float]


Reward = Scored | Ungraded


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardRequest:
    """A completion to reward. response_type is None where the rules do not apply (the gate is closed)."""

    item: Item
    response_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardConfig:
    """How to combine."""

    rm_on_gated: bool = True
    """Whether the reward model counts on prompts where the rules do (False is the arm without it)."""
    max_concurrent: int = 16
    """Completions graded at once."""


@dataclass(slots=True)
class RuleReward:
    """Scores batches. Raises at construction: ConfigError if weights and grader, policy or reward model do not match."""

    maker: FeatureMaker
    weights: RewardWeights
    grader: Grader
    reward_model: RewardModel | None = None
    config: RewardConfig = field(default_factory=RewardConfig)
    shadow: Grader | None = None

    def __post_init__(self) -> None:
        self.weights.refuse_mismatch(
            {
                "policy_digest": self.maker.rules.digest,
                "reading": self.maker.reading,
                "grader": self.grader.identity,
                "reward_model": self.reward_model.identity if self.reward_model else None,
            }
        )
        for kind, values in self.weights.by_response_type.items():
            known = set(self.maker.list_names(kind))
            if unknown := sorted(set(values) - known):
                raise ConfigError(
                    f"weights of {kind} name features that the policy does not make: {', '.join(unknown)}"
                )

    async def score(self, requests: Sequence[RewardRequest]) -> list[Reward]:
        """A reward per request, in their order."""
        grades = await self._grade(self.grader, requests)
        return self._combine(requests, grades, self._score_helpfulness(requests))

    async def score_with_shadow(self, requests: Sequence[RewardRequest]) -> tuple[list[Reward], list[Reward]]:
        """The rewards, and what they would be under the shadow grader (ungraded without one)."""
        scores = self._score_helpfulness(requests)
        rewards = self._combine(requests, await self._grade(self.grader, requests), scores)
        if self.shadow is None:
            return rewards, [Ungraded("no_shadow")] * len(requests)
        return rewards, self._combine(requests, await self._grade(self.shadow, requests), scores)

    async def _grade(self, grader: Grader, requests: Sequence[RewardRequest]) -> list[dict[str, Grade]]:
        asked = [
            GradeRequest(item=r.item, propositions=self.maker.rules.list_graded(r.response_type))
            for r in requests
            if r.response_type is not None
        ]
        answers = iter(await grade_all(grader, asked, max_concurrent=self.config.max_concurrent))
        return [next(answers) if r.response_type is not None else {} for r in requests]

    def _score_helpfulness(self, requests: Sequence[RewardRequest]) -> list[Grade]:
        if self.reward_model is None:
            return [Graded(0.0)] * len(requests)
        return self.reward_model.score([r.item for r in requests])

    def _combine(
        self, requests: Sequence[RewardRequest], grades: Sequence[Mapping[str, Grade]], scores: Sequence[Grade]
    ) -> list[Reward]:
        return [self._combine_one(r, own, score) for r, own, score in zip(requests, grades, scores)]

    def _combine_one(self, request: RewardRequest, grades: Mapping[str, Grade], score: Grade) -> Reward:
        counts = request.response_type is None or self.config.rm_on_gated
        if counts and isinstance(score, Ungraded):
            return Ungraded(score.reason, f"reward model: {score.detail}")
        rm = score.value if counts and isinstance(score, Graded) else 0.0
        if request.response_type is None:
            return Scored(total=rm, rm=rm, rbr=0.0, contributions={}, features={})
        kind = self.maker.rules.find_response_type(request.response_type).name
        if kind not in self.weights.by_response_type:
            return Ungraded("no_weights", f"no weights for response type {kind}")
        features = self.maker.make(kind, grades)
        if not isinstance(features, Features):
            return features
        weights = self.weights.by_response_type[kind]
        contributions = {name: weight * features.values[name] for name, weight in weights.items()}
        rbr = sum(contributions.values())
        return Scored(total=rm + rbr, rm=rm, rbr=rbr, contributions=contributions, features=features.values)
