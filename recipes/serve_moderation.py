"""Make the moderation classifier that ships, and its report on prompts that trained nothing.

command    python recipes/serve_moderation.py --data runs/rbr_gold --xstest xstest_prompts.csv
hardware   one CPU core
time       about half a minute
expected   docs/serve.md, "The moderation classifier"; seed 0

--data is the gold set released with "Rule Based Rewards for Language Model Safety" (MIT; `viva rbr fetch`). Only its prompts
are used: a last user turn that was to be refused is bad, one that was to be complied with is not. Wishes to die without a
request (SH-R1) are left out: they are to be answered with care, not cut. XSTest trains nothing and chooses nothing.
Prints counts only, never a text.
"""

import csv
import json
from dataclasses import dataclass
from pathlib import Path

import tyro

from vivavoce.serve.guards.evaluation import score
from vivavoce.serve.guards.linear_training import fit_with_threshold, score_held_out
from vivavoce.serve.guards.moderation import EitherGuard
from vivavoce.serve.guards.text_rules import load_rule_guard
from vivavoce.stats import estimate_auroc

LEFT_OUT = ("SH-R1",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What may be changed."""

    data: Path
    """Folder with train.jsonl and test.jsonl of the gold set."""
    xstest: Path | None = None
    """XSTest's prompts (CSV), to report on."""
    out: Path = Path("src/vivavoce/serve/guards/moderation.npz")
    """Where the weights go."""
    false_positive_rate: float = 0.0
    """Share of held-out harmless training prompts that the threshold lets be found: none, as cutting costs more."""
    seed: int = 0
    """Seed of the folds."""


def read_gold(path: Path) -> list[tuple[str, bool]]:
    """Distinct last user turns, and whether each was to be refused."""
    prompts: dict[str, bool] = {}
    for line in path.read_text().splitlines():
        row = json.loads(line)
        if row["category"] not in LEFT_OUT:
            asked = [message["content"] for message in row["prompt"] if message["role"] == "user"][-1]
            prompts[asked] = row["response_type"] != "Comply"
    return list(prompts.items())


def read_xstest(path: Path) -> list[tuple[str, bool]]:
    """Prompts, and whether each is unsafe."""
    with path.open(newline="") as file:
        return [(row["prompt"], row["label"] == "unsafe") for row in csv.DictReader(file)]


def report(name: str, rows: list[tuple[str, bool]], guards: dict[str, object], scores: list[float]) -> None:
    """Counts and intervals on one set."""
    bad = [is_bad for _, is_bad in rows]
    print(f"{name}: n={len(rows)}, {sum(bad)} bad; AUROC of the classifier {estimate_auroc(scores, bad)}")
    for kind, guard in guards.items():
        scored = score([guard.judge(text, "input") is not None for text, _ in rows], bad)
        print(f"  {kind:10} precision {scored.precision}  recall {scored.recall}  fpr {scored.false_positive_rate}")


def main(recipe: Recipe) -> None:
    """Fit, save, report."""
    train, test = read_gold(recipe.data / "train.jsonl"), read_gold(recipe.data / "test.jsonl")
    seen = {text for text, _ in train}
    test = [row for row in test if row[0] not in seen]
    texts, bad = [text for text, _ in train], [is_bad for _, is_bad in train]
    linear = fit_with_threshold(texts, bad, false_positive_rate=recipe.false_positive_rate, seed=recipe.seed)
    linear.save(recipe.out)
    print(f"wrote {recipe.out}, {recipe.out.stat().st_size} bytes; threshold {linear.threshold:.3f}")
    held_out = estimate_auroc(score_held_out(texts, bad, seed=recipe.seed), bad)
    print(f"train: n={len(train)}, {sum(bad)} bad; AUROC held out by folds {held_out}")
    rules = load_rule_guard("moderation")
    guards = {"rules": rules, "classifier": linear, "both": EitherGuard((rules, linear))}
    report("test", test, guards, [linear.score(text) for text, _ in test])
    if recipe.xstest is not None:
        rows = read_xstest(recipe.xstest)
        report("xstest", rows, guards, [linear.score(text) for text, _ in rows])


if __name__ == "__main__":
    main(tyro.cli(Recipe))
