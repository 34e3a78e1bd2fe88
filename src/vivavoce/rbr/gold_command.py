"""`viva rbr fetch` and `viva rbr gold`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vivavoce.errors import ConfigError
from vivavoce.files import write_json
from vivavoce.grading import Grade
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.gold import (
    Measured,
    choose_thresholds,
    describe_limits,
    grade_rows,
    measure_grader,
    predict_baselines,
)
from vivavoce.rbr.gold_set import fetch_gold, load_gold
from vivavoce.rbr.graders.injection import measure_injections
from vivavoce.rbr.graders.open import open_grader
from vivavoce.rbr.rules import DEFAULT_POLICY

DEFAULT_FOLDER = Path("runs/rbr_gold")


def fetch(*, out: Path = DEFAULT_FOLDER) -> None:
    """Get the released gold set from its public address, checked by sha256.

    Args:
        out: folder to write to.
    """
    written = fetch_gold(out)
    print(f"{out}: {len(written)} files fetched, all digests as pinned (MIT, Copyright (c) 2024 OpenAI)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GoldOptions:
    """Measure a grader on the gold set."""

    grader: Annotated[str, tyro.conf.Positional] = "offline"
    """offline, checkers, classifier:FOLDER, local:MODEL or endpoint:PROVIDER/MODEL; mixtures by ',proposition=GRADER'."""
    gold: Path = DEFAULT_FOLDER
    """Folder with train.jsonl and test.jsonl."""
    split: Literal["train", "test"] = "test"
    """Rows to report on."""
    thresholds: Literal["own", "train", "half"] = "own"
    """The grader's own (0.5 where it has none), chosen on the training split (grades it too), or 0.5."""
    limit: int | None = None
    """Only the first rows of each split."""
    injections: int = 0
    """Also append adversarial endings to this many rows and measure how far grades move."""
    examples: int = 0
    """Examples per question in a language model's prompt."""
    cache: Path | None = None
    """Keep grades in this file."""
    base_url: str | None = None
    """Address of an OpenAI-compatible endpoint."""
    prices: tuple[float, float] = (0.0, 0.0)
    """What an endpoint charges for a million tokens read and written, for the cost."""
    rules: str = DEFAULT_POLICY
    """The policy."""
    seed: int = 0
    """Seed of the bootstrap."""
    json: Path | None = None
    """Write the report here."""


def gold(options: Annotated[GoldOptions, tyro.conf.arg(name="")]) -> None:
    """Grade, compare with the labels and print."""
    if options.limit is not None and options.limit < 1:
        raise ConfigError(f"limit is {options.limit}; need 1 or more rows")
    if options.injections < 0 or options.examples < 0:
        raise ConfigError(f"injections is {options.injections} and examples {options.examples}; need 0 or more")
    rules = load_rules(options.rules)
    opened = open_grader(
        options.grader, rules, cache=options.cache, base_url=options.base_url, num_examples=options.examples,
        prices=options.prices,
    )  # fmt: skip
    names = tuple(rules.propositions)
    train = load_gold(options.gold, "train", rules)
    split = train if options.split == "train" else load_gold(options.gold, options.split, rules)
    train_rows, rows = train.rows[: options.limit], split.rows[: options.limit]
    thresholds = dict(opened.thresholds) if options.thresholds == "own" else {}
    if options.thresholds == "train":
        thresholds = choose_thresholds(train_rows, grade_rows(opened.grader, train_rows, names), names)
    grades: list[dict[str, Grade]] = grade_rows(opened.grader, rows, names)
    baselines = predict_baselines(train.rows, rows, names) if options.split == "test" else {}
    measured = measure_grader(rows, grades, thresholds, names, baselines=baselines, seed=options.seed)
    usage = opened.grader.usage
    print(
        f"{opened.grader.identity} on {len(rows)} {options.split} rows ({split.release}); thresholds: {options.thresholds}"
    )
    _print_table(measured)
    limits = describe_limits(rows, rules)
    print("what these rows cannot tell:")
    for line in limits:
        print(f"  {line}")
    print(
        f"{usage.num_grades} grades, {usage.num_cached} from the cache, {usage.num_calls} model calls, {usage.num_retries} retries, "
        f"{usage.input_tokens} tokens in, {usage.seconds:.1f} s, cost {usage.cost:.4g}"
    )
    shifts = measure_injections(
        opened.grader, [row.item for row in rows], names, num_items=options.injections, seed=options.seed
    )
    for shift in shifts:
        print(f"  injection {shift.name}: flips {shift.flips}, mean shift {shift.mean_shift}")
    if options.json:
        write_json(
            options.json,
            {
                "grader": opened.grader.identity,
                "split": options.split,
                "release": split.release,
                "num_rows": len(rows),
                "seed": options.seed,
                "policy_digest": rules.digest,
                "propositions": {item.name: item.to_json() for item in measured},
                "limits": limits,
                "injections": [shift.to_json() for shift in shifts],
                "usage": usage.to_json(),
            },
        )


def _print_table(measured: list[Measured]) -> None:
    print(
        f"{'proposition':38}{'positive':>9}{'cut':>6}{'bal. accuracy':>24}{'AUROC':>24}{'F1':>7}{'ECE':>7}  "
        "baseline (words)  verdict"
    )
    for item in measured:
        words = item.baselines.get("words", {})
        plain = "  ".join(
            f"{value:.3f}" if (value := words.get(key)) is not None else "n/a" for key in ("balanced_accuracy", "auroc")
        )
        f1 = "n/a" if item.f1.value is None else f"{item.f1.value:.3f}"
        ece = "n/a" if item.calibration_error is None else f"{item.calibration_error:.3f}"
        balanced, auroc = _short(item.balanced_accuracy), _short(item.auroc)
        share = f"{item.num_positive}/{item.balanced_accuracy.n}"
        print(
            f"{item.name:38}{share:>9}{item.threshold:>6.2f}{balanced:>24}{auroc:>24}{f1:>7}{ece:>7}  {plain:16}  "
            f"{item.verdict}"
        )
    print("positive: base rate; cut: yes at or above; balanced accuracy of the training majority: 0.500 everywhere")
    beaten = sum(item.verdict == "beats" for item in measured)
    lost = sum(item.verdict.startswith("does not") for item in measured)
    graded = sum(item.coverage.graded for item in measured)
    total = sum(item.coverage.total for item in measured)
    print(
        f"beats both baselines on {beaten}, not on {lost}, cannot tell {len(measured) - beaten - lost}; coverage {graded}/{total}"
    )


def _short(estimate) -> str:
    if estimate.value is None:
        return f"n/a (n={estimate.n})"
    if estimate.low is None:
        return f"{estimate.value:.3f}"
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
