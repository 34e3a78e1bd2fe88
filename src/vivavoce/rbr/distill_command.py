"""`viva rbr distill`: a small classifier per proposition, from hand labels and from a teacher's grades."""

from __future__ import annotations

import json as json_format
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vivavoce.content_formats import from_hugging_face
from vivavoce.errors import ConfigError, DataError
from vivavoce.grading import Graded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.gold_set import load_gold
from vivavoce.rbr.graders.classifier import Example, save_classifier, train_classifier
from vivavoce.rbr.graders.interface import GradeRequest, Item, grade_all_now
from vivavoce.rbr.graders.open import open_grader
from vivavoce.rbr.rules import DEFAULT_POLICY, Rules
from vivavoce.rbr.synth import read_completions


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillOptions:
    """Train a grader that runs in a millisecond."""

    out: Annotated[Path, tyro.conf.Positional]
    """Folder to write to."""
    gold: Path | None = None
    """Folder of the gold set; its training split is used, its test split never."""
    half: Literal["all", "even", "odd"] = "all"
    """Which gold training rows: two halves make two graders that share no label."""
    completions: Path | None = None
    """completions.jsonl of `viva rbr synth`: what was asked of the writer is the label of verified completions."""
    authored_weight: float = 0.3
    """Weight of a synthetic completion beside a hand-labelled one."""
    teacher: str | None = None
    """A grader whose grades label --unlabelled (docs: `viva rbr gold`)."""
    unlabelled: Path | None = None
    """JSONL of {"prompt": [messages], "completion": text} for the teacher."""
    strength: float = 1.0
    """Inverse regularisation."""
    rules: str = DEFAULT_POLICY
    """The policy."""
    seed: int = 0
    """Seed of the folds."""


def distill(options: Annotated[DistillOptions, tyro.conf.arg(name="")]) -> None:
    """Collect examples, train, calibrate on folds, write."""
    for name in ("authored_weight", "strength"):
        if not 0 < getattr(options, name) < math.inf:
            raise ConfigError(f"{name} is {getattr(options, name)}; need a finite number above 0")
    rules = load_rules(options.rules)
    examples: list[Example] = []
    made_from: dict[str, object] = {"policy": f"{rules.name} {rules.version}", "seed": options.seed}
    if options.gold is not None:
        split = load_gold(options.gold, "train", rules)
        step = {"all": slice(None), "even": slice(0, None, 2), "odd": slice(1, None, 2)}[options.half]
        rows = split.rows[step]
        examples += [Example(item=row.item, labels=row.labels) for row in rows]
        made_from["gold"] = f"train ({split.release}), {options.half}: {len(rows)} rows"
    if options.completions is not None:
        authored = [
            Example(
                item=Item(prompt=row.prompt, completion=row.completion),
                labels=row.wanted,
                weight=options.authored_weight,
                is_authored=True,
            )
            for row in read_completions(options.completions)
            if row.is_verified
        ]
        examples += authored
        made_from["authored"] = len(authored)
    if (options.teacher is None) != (options.unlabelled is None):
        raise ConfigError("--teacher and --unlabelled belong together")
    if options.teacher is not None and options.unlabelled is not None:
        taught = _ask_teacher(options.teacher, options.unlabelled, rules)
        examples += taught
        made_from["teacher"] = f"{options.teacher}: {len(taught)} completions"
    if not examples:
        raise DataError("nothing to learn from; give --gold, --completions, or --teacher with --unlabelled")
    classifier = train_classifier(
        examples, tuple(rules.propositions), strength=options.strength, seed=options.seed, made_from=made_from
    )
    save_classifier(options.out, classifier)
    print(f"{options.out}: {len(classifier.names)} propositions from {len(examples)} completions")
    for name, why in classifier.skipped.items():
        print(f"  not trained: {name} ({why})")
    if classifier.skipped:
        others = "".join(f",{name}=checkers" for name in classifier.skipped)
        print(f"  completions that need these stay ungraded; to have them checked: classifier:{options.out}{others}")


def _ask_teacher(teacher: str, path: Path, rules: Rules) -> list[Example]:
    opened = open_grader(teacher, rules)
    if not path.is_file():
        raise DataError(f"no completions {path} for the teacher; need JSONL of prompt and completion")
    items = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json_format.loads(line)
            items.append(Item(prompt=tuple(map(from_hugging_face, row["prompt"])), completion=row["completion"]))
        except (json_format.JSONDecodeError, KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path}, line {number}: not a prompt with a completion ({error})") from error
    names = tuple(rules.propositions)
    grades = grade_all_now(opened.grader, [GradeRequest(item=item, propositions=names) for item in items])
    return [
        Example(
            item=item,
            labels={
                name: grade.value >= opened.thresholds.get(name, 0.5)
                for name, grade in row.items()
                if isinstance(grade, Graded)
            },
        )
        for item, row in zip(items, grades)
    ]
