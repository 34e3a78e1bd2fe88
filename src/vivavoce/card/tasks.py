"""Evaluations as Inspect tasks: items chosen, multiplied by arms, voices and channels, each sample with its reason to be.

Any of them runs alone: `inspect eval vivavoce/over_refusal --model viva-chat/... -T arms=text,audio`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from inspect_ai import Epochs, Task, task
from inspect_ai.dataset import MemoryDataset, Sample
from inspect_ai.model import GenerateConfig

from vivavoce.card import solvers
from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.evaluation import ARMS, Arm, Evaluation, Item
from vivavoce.card.graders.propositions import DEFAULT_GRADER, open_proposition_grader
from vivavoce.card.providers.answering import MAX_RETRIES, TIMEOUT_S
from vivavoce.card.scoring import graded
from vivavoce.card.sources import DataSource
from vivavoce.card.speech import Studio, open_studio
from vivavoce.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskOptions:
    """What a task can be told; the same for every evaluation."""

    data: str | None = None
    """Folder of public sets; the authored items alone when not given."""
    preset: str = "quick"
    """quick: a small, fixed, stratified subset; full: everything."""
    arms: str = ""
    """Comma-separated: text, audio_to_text, audio; the evaluation's own when empty."""
    voices: str = ""
    """Comma-separated input voices; the studio's first ones when empty."""
    studio: str = "auto"
    seed: int = 0
    limit: int | None = None
    """At most so many items."""
    rbr: str = DEFAULT_GRADER
    """Grader of `rbr` for a second opinion, as its commands name it; `none` for none."""

    def __post_init__(self) -> None:
        if self.preset not in ("quick", "full"):
            raise ConfigError(f"preset is {self.preset!r}; allowed: quick, full")
        unknown = [name for name in split_names(self.arms) if name not in ARMS]
        if unknown:
            raise ConfigError(f"arms {unknown} are unknown; allowed: {', '.join(ARMS)}")
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit is {self.limit}; need 1 or more items an evaluation")


def split_names(names: str) -> list[str]:
    """`"a, b"` as its names."""
    return [name.strip() for name in names.split(",") if name.strip()]


def choose_items(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """At most `count` items, as evenly as can be over measures and then over categories, by seed, in the order given."""
    if len(items) <= count:
        return list(items)
    order = np.random.default_rng(seed).permutation(len(items))
    strata: dict[str, dict[str, list[int]]] = {}
    for idx in order:
        strata.setdefault(items[idx].measure, {}).setdefault(items[idx].category, []).append(int(idx))
    queues = [list(_deal([row[key] for key in sorted(row)])) for _, row in sorted(strata.items())]
    chosen = list(_deal(queues))[:count]
    return [items[idx] for idx in sorted(chosen)]


def _deal(rows: Sequence[Sequence[int]]) -> Iterator[int]:
    """The first of every row, then the second of every row, and so on."""
    for place in range(max(map(len, rows), default=0)):
        yield from (row[place] for row in rows if place < len(row))


def read_arms(evaluation: Evaluation, names: str) -> tuple[Arm, ...]:
    """The arms asked for that the evaluation has."""
    wanted = split_names(names) or list(evaluation.arms)
    return tuple(arm for arm in ARMS if arm in wanted and (arm in evaluation.arms or arm == "audio_to_text"))


def load_items(evaluation: Evaluation, options: TaskOptions) -> tuple[list[Item], DataSource]:
    """The items that will be put, and where they came from; none in a language that the studio does not speak."""
    source = DataSource(options.data)
    spoken = open_studio(options.studio).languages
    items = [
        evaluation.check(item)
        for item in [*evaluation.load(source), *source.own_items(evaluation.id)]
        if item.attributes.get("spoken_language", "en") in spoken
    ]
    if options.preset == "quick":
        items = choose_items(items, evaluation.quick_items, options.seed)
    if options.limit is not None:
        items = choose_items(items, options.limit, options.seed)
    return items, source


def make_samples(evaluation: Evaluation, items: Sequence[Item], options: TaskOptions, studio: Studio) -> list[Sample]:
    """One sample for every item, arm, voice and channel that makes sense. Text has no voice and no channel."""
    arms = read_arms(evaluation, options.arms)
    samples = []
    for place, item in enumerate(items):
        for arm in arms:
            spoken = arm != "text"
            if (spoken and not item.speakable) or (not spoken and item.sound and not item.prompt):
                continue
            voices = _choose_voices(evaluation, item, options, studio, place) if spoken else [""]
            for voice, channel in product(voices, _list_channels(evaluation, options) if spoken else [""]):
                samples.append(_make_sample(item, arm, voice, item.perturbation or channel, options.seed))
    return samples


def _choose_voices(evaluation: Evaluation, item: Item, options: TaskOptions, studio: Studio, place: int) -> list[str]:
    if item.voice:
        return [studio.preset_voice if item.voice == "preset" else item.voice]
    named = split_names(options.voices)
    pool = named or list(studio.voices)
    if not pool:
        return []
    count = evaluation.quick_voices if options.preset == "quick" and not named else evaluation.full_voices
    if count == 1:
        return [pool[place % len(pool)]]
    return pool[:count]


def _list_channels(evaluation: Evaluation, options: TaskOptions) -> tuple[str, ...]:
    if options.preset == "quick" and evaluation.quick_perturbations is not None:
        return evaluation.quick_perturbations
    return evaluation.perturbations


def _make_sample(item: Item, arm: Arm, voice: str, channel: str, seed: int) -> Sample:
    name = "/".join(part for part in (item.item_id, arm, voice, channel) if part)
    metadata = {"item": item.to_json(), "arm": arm, "voice": voice, "perturbation": channel, "seed": seed}
    return Sample(id=name, input=item.prompt or f"[{item.sound}]", target=list(item.target), metadata=metadata)


def build_task(evaluation: Evaluation, options: TaskOptions) -> Task:
    """An Inspect task of `evaluation`.

    Raises: ConfigError if nothing can be put: no item, or audio asked of a studio without voices; or if the grader of
    `rbr` can't be opened.
    """
    studio = open_studio(options.studio)
    open_proposition_grader(options.rbr)
    items, source = load_items(evaluation, options)
    samples = make_samples(evaluation, items, options, studio)
    if not samples:
        raise ConfigError(
            f"{evaluation.id}: nothing to ask ({len(items)} items, studio {studio.name}); check arms, voices"
        )
    ask = getattr(solvers, evaluation.solver)
    arguments: dict[str, Any] = (
        {"studio": options.studio} if evaluation.solver in ("converse", "no_model", "game") else {}
    )
    if evaluation.solver == "converse":
        arguments["data"] = options.data
    epochs = evaluation.epochs if options.preset == "full" else 1
    return Task(
        dataset=MemoryDataset(samples, name=evaluation.id),
        solver=ask(**arguments),
        scorer=graded(evaluation.id, studio=options.studio, rbr=options.rbr),
        epochs=Epochs(epochs, "mean") if epochs > 1 else None,
        config=GenerateConfig(max_retries=MAX_RETRIES, timeout=int(4 * TIMEOUT_S), max_tokens=evaluation.max_tokens),
        sandbox=("docker", "compose.yaml") if evaluation.solver == "sandbox_shell" else None,
        metadata={
            "evaluation": evaluation.id,
            "preset": options.preset,
            "seed": options.seed,
            "num_items": len(items),
            "used": source.used,
            "studio": {"name": studio.name, **studio.describe()},
        },
    )


def define_task(evaluation: Evaluation) -> Callable[..., Task]:
    """The `@task` of an evaluation, with the options of `TaskOptions` as its parameters."""

    def run(
        data: str | None = None,
        preset: str = "quick",
        arms: str | list[str] = "",
        voices: str | list[str] = "",
        studio: str = "auto",
        seed: int = 0,
        limit: int | None = None,
        rbr: str = DEFAULT_GRADER,
    ) -> Task:
        options = TaskOptions(
            data=data,
            preset=preset,
            arms=_join(arms),
            voices=_join(voices),
            studio=studio,
            seed=seed,
            limit=limit,
            rbr=rbr,
        )
        return build_task(evaluation, options)

    run.__name__ = run.__qualname__ = evaluation.id
    run.__doc__ = f"{evaluation.title}. {evaluation.question}"
    return task(name=evaluation.id)(run)


def _join(names: str | list[str]) -> str:
    """Inspect's command line reads `-T arms=text,audio` as a list, and one name as a text."""
    return ",".join(map(str, names)) if isinstance(names, list) else str(names)


TASKS = {name: define_task(evaluation) for name, evaluation in EVALUATIONS.items()}
