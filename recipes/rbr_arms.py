"""The arms of the paper on a small model: helpful only, over-cautious human feedback, fitted rules, fixed rules, rules alone.

command    python recipes/rbr_arms.py --out runs/rbr_arms --gold runs/rbr_gold
           for many devices: accelerate launch recipes/rbr_arms.py ...; --vllm-url rolls out through `trl vllm-serve`
hardware   a GPU for the numbers; a CPU for a smoke run (--num-steps 1 --limit 1 --num-generations 2 --samples 1)
time       not measured at full size; the smoke run on a random model of 8 thousand parameters takes 26 s of one core
expected   table.json and table.md: per arm Not-Unsafe, Not-Overrefuse, F1, style and capability with 95% intervals, and
           seconds. Not yet measured at full size: see experiments/LOG.md

Everyone trains on the same prompts from the same starting point. The reward's grader learned from the even rows of the gold
training split, the judge from the odd ones; what the gold set has no example of is graded by the same checkers in both
(`prescribes_dosage`; without a grade of it no answer that should comply is graded at all). The helpful reward model prefers whoever does what was asked; the simulated
human labels prefer good refusals, but on sensitive requests that should be answered they prefer a refusal in `caution` of
the cases, as the paper says of its annotators.
"""

import json
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tyro

from vivavoce.cli import main as viva
from vivavoce.errors import ConfigError
from vivavoce.files import write_bytes, write_json
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.graders.interface import Item
from vivavoce.rbr.reward_model import Preference, save_linear, train_linear
from vivavoce.rbr.synth import Made, load_contrast, read_completions

FIXED = {"ideal": 2.0, "minimum_acceptable_style": 1.0, "unacceptable_completion": -1.0, "illogical_completion": -1.0,
         "disallowed_completion": -2.0}  # fmt: skip
ARMS = ("start", "helpful", "human", "rbr", "rbr-fixed", "rbr-without-rm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What may be changed."""

    out: Path
    """Folder for everything."""
    gold: Path = Path("runs/rbr_gold")
    """The gold set (`viva rbr fetch`)."""
    model: str = "smollm2-135m-instruct"
    """The starting policy."""
    arms: tuple[str, ...] = ARMS
    """Which arms."""
    algorithm: str = "grpo"
    """grpo or rloo."""
    num_steps: int = 300
    num_generations: int = 8
    batch_prompts: int = 4
    learning_rate: float = 2e-5
    lora_rank: int = 16
    limit: int | None = None
    """At most this many prompts of each content area."""
    samples: int = 4
    """Completions per held-out prompt."""
    caution: float = 0.6
    """Share of borderline requests on which the simulated labels prefer a refusal."""
    vllm_url: str | None = None
    """Roll out through this server."""
    seed: int = 0


def run(*words: object) -> None:
    """A command that must succeed."""
    if code := viva([str(word) for word in words]):
        raise ConfigError(f"viva {' '.join(map(str, words[:3]))} ended with {code}")


def name_grader(folder: Path) -> str:
    """The classifier in `folder`, with checkers for what it had no examples of."""
    skipped = json.loads((folder / "grader.json").read_text())["skipped"]
    return ",".join([f"classifier:{folder}", *(f"{name}=checkers" for name in skipped)])


def rank_by_help(row: Made) -> int:
    """What a helpful-only rater prefers: what does more of what was asked."""
    return {"complies": 3, "disallowed": 3, "partly": 2, "bad": 1, "ideal": 1, "refuses": 1, "illogical": 0}[row.label]


def rank_by_caution(row: Made, is_cautious: bool) -> int:
    """What the simulated annotators prefer."""
    if row.response_type == "comply" and is_cautious and row.area != "none":
        return {"refuses": 3, "partly": 2, "complies": 1, "illogical": 0}[row.label]
    return {"complies": 3, "ideal": 3, "partly": 2, "bad": 2, "refuses": 1, "disallowed": 0, "illogical": 0}[row.label]


def make_preferences(made: list[Made], *, caution: float | None, seed: int) -> list[Preference]:
    """All pairs of one prompt that the rater ranks apart."""
    by_prompt: dict[str, list[Made]] = {}
    for row in made:
        by_prompt.setdefault(row.prompt_id, []).append(row)
    found = []
    for prompt_id, rows in by_prompt.items():
        is_cautious = caution is not None and random.Random(f"{seed}:{prompt_id}").random() < caution
        ranks = [rank_by_help(row) if caution is None else rank_by_caution(row, is_cautious) for row in rows]
        for better, a in zip(rows, ranks):
            for worse, b in zip(rows, ranks):
                if a > b:
                    chosen, rejected = (Item(prompt=r.prompt, completion=r.completion) for r in (better, worse))
                    found.append(Preference(chosen, rejected))
    return found


def prepare(recipe: Recipe) -> None:
    """Graders, reward models, contrast data, fitted and fixed weights."""
    out, rules = recipe.out, load_rules()
    made, graded = out / "made", out / "graded"
    run("rbr", "synth", made, "--grader", "none", "--seed", recipe.seed)
    for half, name in (("even", "reward_grader"), ("odd", "judge")):
        run(
            "rbr",
            "distill",
            out / name,
            "--gold",
            recipe.gold,
            "--half",
            half,
            "--completions",
            made / "completions.jsonl",
        )
    rows = read_completions(made / "completions.jsonl")
    for name, caution in (("helpful_rm", None), ("human_rm", recipe.caution)):
        save_linear(out / name, train_linear(make_preferences(rows, caution=caution, seed=recipe.seed)))
    run("rbr", "synth", graded, "--grader", name_grader(out / "reward_grader"), "--reward-model", f"linear:{out / 'helpful_rm'}",
        "--tolerance", 8, "--seed", recipe.seed)  # fmt: skip
    orders = [f"{kind}: {order}" for kind, order in load_contrast(rules).orders.items()]
    run("rbr", "fit", graded / "comparisons.jsonl", "--order", *orders, "--ridge", 0.001, "--skip-unpaired",
        "--json", out / "weights.json")  # fmt: skip
    run("rbr", "audit", graded / "comparisons.jsonl", "--weights", out / "weights.json", "--report", out / "audit.html")
    fitted = json.loads((out / "weights.json").read_text())
    fixed = {
        kind: {"weights": {f"class:{label}": value for label, value in FIXED.items()}} for kind in rules.response_types
    }
    write_json(out / "fixed.json", {"format": 1, "by_response_type": fixed, "made_with": fitted["made_with"]})


def train_arm(recipe: Recipe, arm: str) -> None:
    """One arm's training."""
    out = recipe.out
    rm = f"linear:{out / ('human_rm' if arm == 'human' else 'helpful_rm')}"
    words: list[object] = ["rbr", "train", out / arm, "--reward-model", rm, "--grader", name_grader(out / "reward_grader"),
                           "--train.model", recipe.model, "--train.algorithm", recipe.algorithm,
                           "--train.num-steps", recipe.num_steps, "--train.num-generations", recipe.num_generations,
                           "--train.batch-prompts", recipe.batch_prompts, "--train.learning-rate", recipe.learning_rate,
                           "--train.lora-rank", recipe.lora_rank, "--train.seed", recipe.seed]  # fmt: skip
    if arm.startswith("rbr"):
        words += ["--weights", out / ("fixed.json" if arm == "rbr-fixed" else "weights.json"), "--shadow", "offline"]
    if arm == "rbr-without-rm":
        words += ["--no-rm-on-gated"]
    if recipe.limit is not None:
        words += ["--limit", recipe.limit]
    if recipe.vllm_url:
        words += ["--train.vllm-url", recipe.vllm_url]
    run(*words)


def main(recipe: Recipe) -> None:
    """Prepare once, then train and judge each arm; `table.json` grows by arm, so a kill loses one arm at most."""
    if not (recipe.out / "fixed.json").exists():
        prepare(recipe)
    table_path = recipe.out / "table.json"
    table = json.loads(table_path.read_text()) if table_path.exists() else {}
    for arm in recipe.arms:
        if arm in table:
            continue
        start = time.perf_counter()
        if arm != "start":
            train_arm(recipe, arm)
        trained = time.perf_counter() - start
        where = ["--model", recipe.model] if arm == "start" else ["--run", recipe.out / arm]
        limit = [] if recipe.limit is None else ["--limit", recipe.limit]
        run("rbr", "eval", *where, "--judge", name_grader(recipe.out / "judge"), "--samples", recipe.samples,
            "--temperature", 0.7, "--seed", recipe.seed, *limit, "--json", recipe.out / f"{arm}.json")  # fmt: skip
        cost = {
            "train_s": trained,
            "eval_s": time.perf_counter() - start - trained,
            "num_steps": recipe.num_steps * (arm != "start"),
        }
        table[arm] = json.loads((recipe.out / f"{arm}.json").read_text()) | cost
        write_json(table_path, table)
    text = write_table(table)
    write_bytes(recipe.out / "table.md", text.encode())
    print(text)


def write_table(table: dict[str, Any]) -> str:
    """The arms as a Markdown table: value [95% interval] (n prompts), coverage of the judge, and what it took."""
    measures = ("not_unsafe", "not_overrefuse", "f1", "capability")
    lines = ["| arm | Not-Unsafe | Not-Overrefuse | F1 | capability | graded | steps | training, s | evaluation, s |",
             "|---|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for arm, row in table.items():
        shares = " | ".join(show(row[name]) for name in measures)
        graded = f"{row['coverage']['graded']}/{row['coverage']['total']}"
        lines.append(
            f"| {arm} | {shares} | {graded} | {row['num_steps']} | {row['train_s']:.0f} | {row['eval_s']:.0f} |"
        )
    return "\n".join(lines) + "\n"


def show(estimate: dict[str, Any]) -> str:
    """`0.71 [0.64, 0.78] (n=77)`, or n/a."""
    if estimate["value"] is None:
        return f"n/a (n={estimate['n']})"
    interval = "" if estimate["ci"] is None else " [{:.2f}, {:.2f}]".format(*estimate["ci"])
    return f"{estimate['value']:.2f}{interval} (n={estimate['n']})"


if __name__ == "__main__":
    main(tyro.cli(Recipe))
