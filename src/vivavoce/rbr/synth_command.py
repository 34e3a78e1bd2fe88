"""`viva rbr synth`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vivavoce.errors import ConfigError
from vivavoce.grading import Graded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.features import FeatureMaker
from vivavoce.rbr.graders.cache import CachedGrader
from vivavoce.rbr.graders.interface import Item, ScriptedGrader
from vivavoce.rbr.graders.open import Opened, open_grader
from vivavoce.rbr.probability import Reading
from vivavoce.rbr.prompts import limit_prompts, load_prompts
from vivavoce.rbr.reward_model import open_reward_model
from vivavoce.rbr.rules import DEFAULT_POLICY, Rules
from vivavoce.rbr.synth import SynthConfig, export, load_contrast, make_completions
from vivavoce.rbr.writers import EndpointWriter, LocalWriter, ScriptedWriter, Writer
from vivavoce.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthOptions:
    """Make ranked completions per prompt, grade them, resample what doesn't verify."""

    out: Annotated[Path, tyro.conf.Positional]
    """Run directory to write to."""
    writer: str = "scripted"
    """scripted, local:MODEL or endpoint:PROVIDER/MODEL."""
    grader: str = "offline"
    """Who verifies (see `viva rbr gold`); `none` trusts the writer."""
    reward_model: str | None = None
    """linear:FOLDER or hf:NAME, to score every completion."""
    split: Literal["train", "test"] = "train"
    """Which prompts."""
    prompts: str = "prompts"
    """A prompts file, or the one that ships."""
    limit: int | None = None
    """At most this many prompts of each content area."""
    reading: Reading = "exact"
    """Reading of the class probabilities."""
    attempts: int = 4
    """Samples per completion before it is given up."""
    tolerance: int = 2
    """Unwanted propositions that may hold all the same."""
    base_url: str | None = None
    """Address of an OpenAI-compatible endpoint for writer and grader."""
    rules: str = DEFAULT_POLICY
    """The policy."""
    seed: int = 0
    """Seed of traits and samples."""
    resume: bool = False
    """Go on with a directory that is in use."""


def synth(options: Annotated[SynthOptions, tyro.conf.arg(name="")]) -> None:
    """Write completions.jsonl, comparisons.jsonl and sft.jsonl."""
    rules = load_rules(options.rules)
    contrast = load_contrast(rules)
    config = {key: value for key, value in asdict(options).items() if key not in ("resume", "out")}
    prompts = limit_prompts(load_prompts(rules, options.split, options.prompts), options.limit)
    settings = SynthConfig(
        max_attempts=options.attempts,
        tolerance=options.tolerance,
        is_trusting=options.grader == "none",
        seed=options.seed,
    )
    writer = _open_writer(options, rules, contrast.phrases)
    opened = _open_verifier(options, rules)
    model = open_reward_model(options.reward_model)
    # the directory comes last, so that a wrong name above leaves none behind
    run = Run.open(options.out, config | {"policy_digest": rules.digest}, resume=options.resume)
    verifier = opened.grader
    if options.grader != "none":
        verifier = CachedGrader(verifier, rules, options.out / "grades.sqlite")
    made = make_completions(
        prompts, rules, contrast, writer, verifier, opened.thresholds, settings, options.out / "completions.jsonl"
    )
    items = [Item(prompt=row.prompt, completion=row.completion) for row in made]
    scores = (
        [None] * len(made)
        if model is None
        else [g.value if isinstance(g, Graded) else None for g in model.score(items)]
    )
    identity = {
        "policy_digest": rules.digest,
        "reading": options.reading,
        "grader": opened.grader.identity,
        "reward_model": model.identity if model else None,
    }
    maker = FeatureMaker(rules, options.reading)
    num_comparisons, num_sft = export(made, maker, scores, contrast, options.out, identity)
    verified = sum(row.is_verified for row in made)
    attempts = sum(row.num_attempts for row in made)
    print(
        f"{options.out}: {len(made)} completions of {len(prompts)} prompts, {verified} verified, {attempts} samples (seed {options.seed})"
    )
    print(f"  comparisons.jsonl {num_comparisons} prompts, sft.jsonl {num_sft} ideal completions")
    orders = " ".join(f"'{kind}: {order}'" for kind, order in contrast.orders.items())
    print(f"  fit: viva rbr fit {options.out / 'comparisons.jsonl'} --skip-unpaired --order {orders}")
    run.finish(num_completions=len(made), num_verified=verified, num_samples=attempts, num_comparisons=num_comparisons)


def _open_verifier(options: SynthOptions, rules: Rules) -> Opened:
    if options.grader == "none":
        return Opened(grader=ScriptedGrader(identity="none"), thresholds={})
    return open_grader(options.grader, rules, base_url=options.base_url)


def _open_writer(options: SynthOptions, rules: Rules, phrases) -> Writer:
    kind, _, name = options.writer.partition(":")
    if kind == "scripted":
        return ScriptedWriter(phrases)
    if kind == "local" and name:
        return LocalWriter(name, rules.propositions)
    if kind == "endpoint" and name:
        return EndpointWriter(name, rules.propositions, base_url=options.base_url)
    raise ConfigError(f"writer {options.writer!r}; need scripted, local:MODEL or endpoint:PROVIDER/MODEL")
