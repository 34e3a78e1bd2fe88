"""Opens a grader by a short text, as the commands take it.

offline                       the classifier that ships, checkers for what it was not trained on
checkers                      patterns only
classifier:FOLDER             a distilled classifier
local:NAME_OR_FOLDER          a causal model on this machine
endpoint:PROVIDER/MODEL       an endpoint through inspect_ai
A,proposition=B               A, with B for some propositions
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vivavoce.errors import ConfigError
from vivavoce.rbr.graders.cache import CachedGrader
from vivavoce.rbr.graders.endpoint import EndpointConfig
from vivavoce.rbr.graders.interface import Grader
from vivavoce.rbr.graders.mixture import MixtureGrader
from vivavoce.rbr.rules import Rules

OFFLINE_FOLDER = Path(__file__).resolve().parents[4] / "checkpoints" / "rbr_grader"


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A grader and the thresholds that turn its probabilities into labels (0.5 where none is known)."""

    grader: Grader
    thresholds: Mapping[str, float]


def open_grader(
    text: str,
    rules: Rules,
    *,
    cache: Path | None = None,
    base_url: str | None = None,
    api_key: str | None = None,
    num_examples: int = 0,
    prices: tuple[float, float] = (0.0, 0.0),
) -> Opened:
    """The grader that `text` names, behind a cache when one is given (classifiers and checkers need none).

    prices: of a million tokens read and written by an endpoint.
    Raises: ConfigError if the text names no kind of grader or an unknown proposition.
    """
    first, *rest = text.split(",")
    endpoint = partial(
        EndpointConfig, base_url=base_url, api_key=api_key, input_price=prices[0], output_price=prices[1]
    )
    opened = _open_one(first, rules, endpoint, num_examples)
    grader, thresholds = opened.grader, dict(opened.thresholds)
    if rest:
        parts: dict[str, Grader] = {}
        known: dict[str, Opened] = {}
        for entry in rest:
            name, equals, kind = entry.partition("=")
            if not equals or name not in rules.propositions:
                raise ConfigError(f"grader {entry!r}; need PROPOSITION=GRADER with a proposition of {rules.name}")
            if kind not in known:
                known[kind] = _open_one(kind, rules, endpoint, num_examples)
            parts[name] = known[kind].grader
            thresholds[name] = known[kind].thresholds.get(name, 0.5)
        grader = MixtureGrader(grader, parts)
    if cache is not None:
        grader = CachedGrader(grader, rules, cache)
    return Opened(grader=grader, thresholds=thresholds)


def _open_one(text: str, rules: Rules, endpoint: Callable[..., EndpointConfig], num_examples: int) -> Opened:
    from vivavoce.rbr.graders.prompts import load_template

    kind, _, name = text.partition(":")
    if kind == "offline":
        return _open_offline(Path(os.environ.get("VIVA_RBR_GRADER", OFFLINE_FOLDER)))
    if kind == "checkers":
        from vivavoce.rbr.graders.checkers import CheckerGrader, load_checkers

        return Opened(grader=CheckerGrader(load_checkers(name or "checkers")), thresholds={})
    if kind == "classifier" and name:
        from vivavoce.rbr.graders.classifier import ClassifierGrader, load_classifier

        classifier = load_classifier(Path(name))
        return Opened(grader=ClassifierGrader(classifier), thresholds=classifier.thresholds)
    if kind == "local" and name:
        from vivavoce.rbr.graders.local import LocalGrader
        from vivavoce.text_models import load_text_model

        template = load_template(num_examples=num_examples)
        local = LocalGrader(load_text_model(name), rules.propositions, name=Path(name).name, template=template)
        return Opened(grader=local, thresholds={})
    if kind == "endpoint" and name:
        from vivavoce.rbr.graders.endpoint import EndpointGrader

        grader = EndpointGrader(
            endpoint(model=name), rules.propositions, template=load_template(num_examples=num_examples)
        )
        return Opened(grader=grader, thresholds={})
    raise ConfigError(
        f"grader {text!r}; need offline, checkers, classifier:FOLDER, local:MODEL or endpoint:PROVIDER/MODEL"
    )


def _open_offline(folder: Path) -> Opened:
    from vivavoce.rbr.graders.checkers import CheckerGrader, load_checkers
    from vivavoce.rbr.graders.classifier import ClassifierGrader, load_classifier

    classifier = load_classifier(folder)
    checkers = load_checkers()
    untrained = {name: CheckerGrader(checkers) for name in classifier.skipped if name in checkers}
    return Opened(grader=MixtureGrader(ClassifierGrader(classifier), untrained), thresholds=classifier.thresholds)
