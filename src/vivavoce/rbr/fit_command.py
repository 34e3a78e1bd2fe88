"""`viva rbr fit`."""

from __future__ import annotations

import itertools
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from vivavoce.errors import ConfigError, DataError
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.comparisons import Comparison, Order, parse_order, read_comparisons, refuse_shared_prompts
from vivavoce.rbr.fit import Fit, FitConfig, Solver, Weighting, fit_weights
from vivavoce.rbr.rules import DEFAULT_POLICY
from vivavoce.rbr.weights import find_made_with, write_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class FitOptions:
    """Fit the weights of the rule-based reward on ranked completions."""

    comparisons: Annotated[Path, tyro.conf.Positional]
    """JSONL, one line per prompt (docs/formats.md)."""
    order: tuple[str, ...]
    """Labels, best first: 'ideal>bad>disallowed'; '=' for labels not compared with each other; 'TYPE: a>b' for one response type."""
    json: Path | None = None
    """Write the weights file here."""
    test: Path | None = None
    """Comparisons on held-out prompts, to report their error rate."""
    margin: float = 1.0
    """What the better completion must lead by, in the reward model's units."""
    label_margin: tuple[str, ...] = ()
    """Factor on the margin by the better completion's label: ideal=1.5."""
    ridge: float = 0.0
    """Weight of |w|^2 / 2; 0 is a linear programme."""
    constraint: tuple[str, ...] = ()
    """'judgement<=0' or 'class:ideal>=class:minimum_acceptable_style'."""
    ordered_classes: bool = False
    """Constrain the class weights to the policy's order of classes."""
    weighting: Weighting = "pair"
    """Whether every pair counts the same, as published, or every prompt."""
    ignore: tuple[str, ...] = ()
    """Features to leave out."""
    without_rm: bool = False
    """Leave the reward model's scores out: the rules alone."""
    solver: Solver = "exact"
    """`released` follows the published fitter's AdamW."""
    weight_decay: float = 0.0
    """Decoupled weight decay of the `released` solver."""
    folds: int = 5
    """Folds of the cross-validation over prompts; 0 for none."""
    seed: int = 0
    """Seed of the folds."""
    skip_ungraded: bool = False
    """Leave out completions without a grade, instead of stopping."""
    skip_unpaired: bool = False
    """Leave out prompts that give no pair, instead of stopping."""
    rules: str = DEFAULT_POLICY
    """The policy that the class names belong to."""


def fit(options: Annotated[FitOptions, tyro.conf.arg(name="")]) -> None:
    """Fit, print and write."""
    rows = read_comparisons(options.comparisons)
    test = read_comparisons(options.test) if options.test else []
    refuse_shared_prompts(rows, test)
    if options.without_rm:
        rows, test = _drop_scores(rows), _drop_scores(test)
    kinds = sorted({row.response_type for row in rows})
    _refuse_unknown(options, rows)
    orders = {kind: _find_order(options.order, kind) for kind in kinds}
    classes = load_rules(options.rules).classes
    fits: dict[str, Fit] = {}
    for kind in kinds:
        start = time.perf_counter()
        own = [row for row in rows if row.response_type == kind]
        config = _make_config(
            options, orders[kind], classes, {name for row in own for c in row.completions for name in c.features}
        )
        held_out = [row for row in test if row.response_type == kind]
        fits[kind] = fit_weights(own, config, test=held_out, class_order=classes)
        _print_fit(fits[kind], time.perf_counter() - start, options)
    if options.json:
        settings = {key: str(value) if isinstance(value, Path) else value for key, value in asdict(options).items()}
        settings.pop("json")
        write_weights(options.json, fits, made_with=find_made_with(rows), settings=settings)


def _drop_scores(rows: list[Comparison]) -> list[Comparison]:
    from dataclasses import replace

    return [replace(row, completions=tuple(replace(c, rm_score=None) for c in row.completions)) for row in rows]


def _refuse_unknown(options: FitOptions, rows: list[Comparison]) -> None:
    """A misspelt name must not be passed over. Raises: ConfigError naming it and what there is."""
    features = {name for row in rows for c in row.completions for name in c.features}
    labels = {c.label for row in rows for c in row.completions}
    asked = {"--ignore": (set(options.ignore), features),
             "--label-margin": ({text.rpartition("=")[0] for text in options.label_margin}, labels)}  # fmt: skip
    for flag, (names, known) in asked.items():
        if unknown := sorted(names - known):
            raise ConfigError(
                f"{flag} names {', '.join(unknown)}, which no completion has; there are {', '.join(sorted(known))}"
            )


def _find_order(texts: tuple[str, ...], kind: str) -> Order:
    own, general = None, None
    for text in texts:
        name, colon, order = text.partition(":")
        # a colon before the first `>` gives the response type; labels may hold colons further on
        if colon and ">" not in name:
            own = parse_order(order) if name.strip() == kind else own
        else:
            general = parse_order(text)
    if own is None and general is None:
        raise DataError(f"no order for response type {kind}; add --order '{kind}: best>...>worst'")
    return own or general or ()


def _make_config(options: FitOptions, order: Order, classes: tuple[str, ...], features: set[str]) -> FitConfig:
    margins: dict[str, float] = {}
    for text in options.label_margin:
        label, _, factor = text.rpartition("=")
        try:
            margins[label] = float(factor)
        except ValueError as error:
            raise ConfigError(f"--label-margin {text!r}; need LABEL=NUMBER, such as ideal=1.5") from error
    constraints = options.constraint
    if options.ordered_classes:
        named = [f"class:{label}" for label in classes if f"class:{label}" in features]
        constraints += tuple(f"{better}>={worse}" for better, worse in itertools.pairwise(named))
    return FitConfig(
        order=order, margin=options.margin, label_margins=margins, ridge=options.ridge, weighting=options.weighting,
        constraints=constraints, ignore=frozenset(options.ignore), solver=options.solver,
        weight_decay=options.weight_decay, num_folds=options.folds, seed=options.seed,
        skip_ungraded=options.skip_ungraded, skip_unpaired=options.skip_unpaired,
    )  # fmt: skip


def _print_fit(fit: Fit, seconds: float, options: FitOptions) -> None:
    print(f"{fit.response_type}: {fit.num_pairs} pairs of {fit.num_prompts} prompts, {len(fit.weights)} features")
    print(
        f"  objective {fit.objective:.6g}, dual gap {fit.dual_gap:.2g} ({options.solver}, {seconds:.1f} s with folds)"
    )
    rates = fit.error_rate
    print(f"  error rate, reward model alone  {rates.before}")
    print(f"  error rate, with the rules      {rates.after}")
    print(f"  cross-validated                 {rates.cross_validated} (seed {options.seed})")
    if rates.test is not None:
        print(f"  on held-out prompts             {rates.test}")
    if fit.num_left_out:
        print(f"  {fit.num_left_out} completions left out")
    for name, weight in sorted(fit.weights.items(), key=lambda item: -abs(item[1])):
        print(f"  {weight:+10.4f}  {name}")
    for warning in fit.warnings:
        print(f"  warning: {warning}")
