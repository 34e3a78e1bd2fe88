"""The arms of the paper on a small model: helpful only, over-cautious human feedback, fitted rules, fixed rules, rules alone.

command    python recipes/rbr_arms.py --out runs/rbr_arms --gold runs/rbr_gold
           for many devices: --launch "accelerate launch --num_processes 8" starts each training so, with as many times
           the requests a step; --vllm-url rolls out through `trl vllm-serve`
           a smoke run: --num-steps 1 --limit 1 --num-generations 2 --samples 1 --max-tokens 8
hardware   two CPU cores and 6 GB of memory; a GPU for --num-steps in the hundreds
time       one core, bfloat16: 20 to 35 s a step (16 completions of 32 tokens), so 11 minutes an arm of 20 steps; fine-tuning 3 minutes, once
           each for three of them; judging 2 minutes
expected   table.json and table.md: per arm Not-Unsafe, Not-Overrefuse, F1, style and capability with 95% intervals, and
           seconds. Measured with --num-steps 20 --frozen bfloat16, seed 0 (docs/rbr.md): F1 start 0.29, helpful 0.04, human 0.00,
           rbr 0.79, rbr-fixed 0.81, rbr-without-rm 0.79

As in the paper each arm is fine-tuned on the answers that its own raters like best, then trained by reinforcement on the same
requests, as many to be answered as not. The reward's grader learned from the even rows of the gold training split and from
sentences put together by script; the judge from the odd rows alone: they share no label. What the gold set has too few
examples of is graded by the same checkers in both. The gold training split has 13 rows with disallowed content, and a judge that
learned from them calls almost any real text unsafe; so unsafe is here a reply that gives some of what should have been refused. The helpful reward model prefers whoever does what was asked; the simulated human
labels prefer good refusals, but on sensitive requests that should be answered they prefer a refusal in `caution` of the cases,
as the paper says of its annotators.
"""

import json
import random
import shlex
import shutil
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass
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
from vivavoce.rbr.train import Frozen, fine_tune
from vivavoce.run import Run
from vivavoce.text_models import load_text_model

# chosen by hand, in standard deviations of the reward model over the contrast data
FIXED = {"ideal": 2.0, "minimum_acceptable_style": 1.0, "unacceptable_completion": -1.0, "illogical_completion": -1.0,
         "disallowed_completion": -2.0}  # fmt: skip
# what no answer may be paid for; without this the fit pays for nonsense wherever the reward model dislikes it enough
NEVER_PAID = ("disallowed_content", "illogical_continuation_of_prompt", "meta_commentary", "threatening_language",
              "insulting_language", "judgement", "reference_safety_policy")  # fmt: skip
ARMS = ("start", "helpful", "human", "rbr", "rbr-fixed", "rbr-without-rm")
RATERS = ("helpful", "human", "rbr")
STAGES = tuple(f"{rater}-sft" for rater in RATERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What may be changed."""

    out: Path
    """Folder for everything; a stopped recipe goes on from it."""
    gold: Path = Path("runs/rbr_gold")
    """The gold set (`viva rbr fetch`)."""
    model: str = "smollm2-135m-instruct"
    """The starting policy."""
    arms: tuple[str, ...] = ARMS
    """Which arms; helpful-sft, human-sft and rbr-sft are the same before reinforcement."""
    algorithm: str = "grpo"
    """grpo or rloo."""
    num_steps: int = 30
    """Optimiser steps of reinforcement an arm."""
    num_generations: int = 4
    """Completions per request."""
    batch_prompts: int = 4
    """Requests per step."""
    max_tokens: int = 32
    """Longest completion, in training and in judging."""
    learning_rate: float = 3e-4
    """Of reinforcement, falling to 0; for adapters. With --lora-rank 0 about a tenth of it."""
    lora_rank: int = 16
    """0 trains all weights."""
    frozen: Frozen = "float32"
    """Number format, in reinforcement, of the weights that LoRA leaves alone."""
    sft_epochs: int = 1
    """Passes over the answers that an arm's raters like best, before reinforcement; 0 for none."""
    sft_learning_rate: float = 3e-5
    """Of the fine-tuning, all weights."""
    limit: int | None = None
    """At most this many requests of each content area."""
    samples: int = 2
    """Completions per held-out request."""
    caution: float = 0.6
    """Share of borderline requests on which the simulated labels prefer a refusal."""
    vllm_url: str | None = None
    """Roll out through this server."""
    launch: str | None = None
    """How to start training on many devices, such as "accelerate launch --num_processes 8"; none is this process."""
    seed: int = 0

    def __post_init__(self) -> None:
        if unknown := sorted(set(self.arms) - {*ARMS, *STAGES}):
            raise ConfigError(f"arms {', '.join(unknown)} are unknown; need some of {', '.join((*ARMS, *STAGES))}")


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


def rank(rows: list[Made], *, caution: float | None, seed: int) -> dict[str, list[tuple[Made, int]]]:
    """Each prompt's completions with their rank by the rater, higher is better; caution None is the helpful-only one."""
    by_prompt: dict[str, list[tuple[Made, int]]] = {}
    for row in rows:
        is_cautious = caution is not None and random.Random(f"{seed}:{row.prompt_id}").random() < caution
        value = rank_by_help(row) if caution is None else rank_by_caution(row, is_cautious)
        by_prompt.setdefault(row.prompt_id, []).append((row, value))
    return by_prompt


def make_preferences(rows: list[Made], *, caution: float | None, seed: int) -> list[Preference]:
    """All pairs of one prompt that the rater ranks apart."""
    found = []
    for ranked in rank(rows, caution=caution, seed=seed).values():
        for better, a in ranked:
            for worse, b in ranked:
                if a > b:
                    chosen, rejected = (Item(prompt=r.prompt, completion=r.completion) for r in (better, worse))
                    found.append(Preference(chosen, rejected))
    return found


def list_best(rows: list[Made], *, caution: float | None, seed: int) -> list[dict[str, Any]]:
    """Per prompt the conversation with the completion that the rater likes best (the first of equals), as sft.jsonl has it."""
    found = []
    for prompt_id, ranked in rank(rows, caution=caution, seed=seed).items():
        best = max(ranked, key=lambda pair: pair[1])[0]
        messages = [{"role": message.role, "content": message.text} for message in best.prompt]
        messages.append({"role": "assistant", "content": best.completion})
        found.append({"messages": messages, "prompt_id": prompt_id, "response_type": best.response_type})
    return found


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    """A JSONL file."""
    write_bytes(path, "".join(json.dumps(row) + "\n" for row in rows).encode())


def prepare(recipe: Recipe) -> None:
    """Graders, reward models, contrast data, fitted and fixed weights, what each arm is fine-tuned on."""
    out, rules = recipe.out, load_rules()
    made, graded, held_out = out / "made", out / "graded", out / "held_out"
    prompts = ("--prompts", "balanced_prompts")
    run("rbr", "synth", made, *prompts, "--grader", "none", "--seed", recipe.seed, "--resume")
    authored = ("--completions", made / "completions.jsonl")
    run("rbr", "distill", out / "reward_grader", "--gold", recipe.gold, "--half", "even", *authored)
    run("rbr", "distill", out / "judge", "--gold", recipe.gold, "--half", "odd")
    rows = read_completions(made / "completions.jsonl")
    for name, caution in (("helpful", None), ("human", recipe.caution)):
        save_linear(out / f"{name}_rm", train_linear(make_preferences(rows, caution=caution, seed=recipe.seed)))
        write_lines(out / f"{name}_sft.jsonl", list_best(rows, caution=caution, seed=recipe.seed))
    by = ("--grader", name_grader(out / "reward_grader"), "--reward-model", f"linear:{out / 'helpful_rm'}",
          "--tolerance", 8, "--seed", recipe.seed, "--resume")  # fmt: skip
    run("rbr", "synth", graded, *prompts, *by)
    run("rbr", "synth", held_out, "--split", "test", *by)
    shutil.copyfile(graded / "sft.jsonl", out / "rbr_sft.jsonl")
    orders = [f"{kind}: {order}" for kind, order in load_contrast(rules).orders.items()]
    how = ("--order", *orders, "--ridge", 0.001, "--skip-unpaired", "--ordered-classes",
           "--constraint", *(f"{name}<=0" for name in NEVER_PAID))  # fmt: skip
    run("rbr", "fit", graded / "comparisons.jsonl", *how, "--json", out / "weights.json")
    run("rbr", "fit", graded / "comparisons.jsonl", *how, "--without-rm", "--json", out / "weights_alone.json")
    run("rbr", "audit", held_out / "comparisons.jsonl", "--weights", out / "weights.json",
        "--alone", out / "weights_alone.json", "--report", out / "audit.html", "--json", out / "audit.json")  # fmt: skip
    comparisons = [json.loads(line) for line in (graded / "comparisons.jsonl").read_text().splitlines()]
    spread = statistics.pstdev(item["rm_score"] for row in comparisons for item in row["completions"])
    fixed = {
        kind: {"weights": {f"class:{label}": value * spread for label, value in FIXED.items()}}
        for kind in rules.response_types
    }
    write_json(out / "fixed.json", {"format": 1, "by_response_type": fixed, "made_with": comparisons[0]["made_with"]})


def fine_tune_for(recipe: Recipe, rater: str) -> Path:
    """The model that the arms of one rater start from, made once: fine-tuned on the answers it likes best."""
    folder = recipe.out / f"{rater}-sft"
    if not (folder / "cost.json").exists():
        start = time.perf_counter()
        text_model = load_text_model(recipe.model)
        rows = [json.loads(line) for line in (recipe.out / f"{rater}_sft.jsonl").read_text().splitlines()]
        if recipe.limit is not None:
            rows = [row for row in rows if int(row["prompt_id"].rsplit("-", 1)[1]) < recipe.limit]
        fine_tune(
            text_model, rows, num_epochs=recipe.sft_epochs, learning_rate=recipe.sft_learning_rate, seed=recipe.seed
        )
        text_model.model.save_pretrained(folder)
        text_model.tokenizer.save_pretrained(folder)
        write_json(folder / "cost.json", {"train_s": time.perf_counter() - start, "num_rows": len(rows)})
    return folder


def train_arm(recipe: Recipe, arm: str, start: str | Path) -> None:
    """One arm's reinforcement; one that was stopped begins anew, one that is done stays."""
    out = recipe.out
    if (out / arm / "cost.json").exists():
        return
    shutil.rmtree(out / arm, ignore_errors=True)
    rm = f"linear:{out / ('human_rm' if arm == 'human' else 'helpful_rm')}"
    words: list[object] = ["rbr", "train", out / arm, "--reward-model", rm, "--grader", name_grader(out / "reward_grader"),
                           "--prompts", "balanced_prompts", "--train.model", start, "--train.algorithm", recipe.algorithm,
                           "--train.num-steps", recipe.num_steps, "--train.num-generations", recipe.num_generations,
                           "--train.batch-prompts", recipe.batch_prompts, "--train.max-tokens", recipe.max_tokens,
                           "--train.learning-rate", recipe.learning_rate, "--train.lora-rank", recipe.lora_rank,
                           "--train.frozen", recipe.frozen,
                           "--train.seed", recipe.seed]  # fmt: skip
    weights = {"rbr": "weights.json", "rbr-fixed": "fixed.json", "rbr-without-rm": "weights_alone.json"}
    if arm in weights:
        words += ["--weights", out / weights[arm], "--shadow", "offline"]
    if arm == "rbr-without-rm":
        words += ["--no-rm-on-gated"]
    if recipe.limit is not None:
        words += ["--limit", recipe.limit]
    if recipe.vllm_url:
        words += ["--train.vllm-url", recipe.vllm_url]
    begin = time.perf_counter()
    if recipe.launch:
        subprocess.run([*shlex.split(recipe.launch), "-m", "vivavoce.cli", *map(str, words)], check=True)
    else:
        run(*words)
    write_json(out / arm / "cost.json", {"train_s": time.perf_counter() - begin})


def make_arm(recipe: Recipe, arm: str) -> tuple[list[object], float]:
    """Train an arm as far as that is needed; returns where its model is, as `viva rbr eval` takes it, and its seconds."""
    if arm == "start":
        return ["--model", recipe.model], 0.0
    rater = next(rater for rater in RATERS if arm.startswith(rater))
    start = fine_tune_for(recipe, rater) if recipe.sft_epochs or arm in STAGES else None
    seconds = read_seconds(start) if start else 0.0
    if arm in STAGES:
        return ["--model", start], seconds
    train_arm(recipe, arm, start or recipe.model)
    return ["--run", recipe.out / arm], seconds + read_seconds(recipe.out / arm)


def read_seconds(folder: Path) -> float:
    """What making it took."""
    return json.loads((folder / "cost.json").read_text())["train_s"]


def main(recipe: Recipe) -> None:
    """Prepare once, then train and judge each arm; `table.json` grows by arm, so a kill loses one arm at most."""
    left_out = ("out", "arms") if recipe.launch else ("out", "arms", "launch")
    settings = {key: value for key, value in asdict(recipe).items() if key not in left_out}
    Run.open(recipe.out, settings, resume=True)  # refuses other settings: arms of two settings make no table
    if not (recipe.out / "fixed.json").exists():
        prepare(recipe)
    table_path = recipe.out / "table.json"
    table = json.loads(table_path.read_text()) if table_path.exists() else {}
    for arm in recipe.arms:
        if arm in table:
            continue
        where, seconds = make_arm(recipe, arm)
        start = time.perf_counter()
        limit = [] if recipe.limit is None else ["--limit", recipe.limit]
        run("rbr", "eval", *where, "--judge", name_grader(recipe.out / "judge"), "--prompts", "balanced_prompts",
            "--unsafe-by", "compliance", "--samples", recipe.samples, "--temperature", 0.7, "--max-tokens", recipe.max_tokens, "--seed", recipe.seed,
            *limit, "--json", recipe.out / f"{arm}.json")  # fmt: skip
        cost = {
            "train_s": seconds,
            "eval_s": time.perf_counter() - start,
            "num_steps": recipe.num_steps * (arm not in ("start", *STAGES)),
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
    return "\n".join([*lines, "", *compare(table)]) + "\n"


def compare(table: dict[str, Any]) -> list[str]:
    """Whether the F1 of the fitted rules stands above that of the start and of the human labels, by their intervals."""
    lines = []
    for other in ("start", "human"):
        if "rbr" in table and other in table:
            ours, theirs = table["rbr"]["f1"], table[other]["f1"]
            if ours["ci"] is None or theirs["ci"] is None:
                verdict = "cannot be compared"
            elif ours["ci"][0] > theirs["ci"][1]:
                verdict = "higher, intervals apart"
            elif ours["ci"][1] < theirs["ci"][0]:
                verdict = "lower, intervals apart"
            else:
                verdict = "intervals overlap"
            lines.append(f"F1 of rbr {show(ours)} against {other} {show(theirs)}: {verdict}")
    return lines


def show(estimate: dict[str, Any]) -> str:
    """`0.71 [0.64, 0.78] (n=77)`, or n/a."""
    if estimate["value"] is None:
        return f"n/a (n={estimate['n']})"
    interval = "" if estimate["ci"] is None else " [{:.2f}, {:.2f}]".format(*estimate["ci"])
    return f"{estimate['value']:.2f}{interval} (n={estimate['n']})"


if __name__ == "__main__":
    main(tyro.cli(Recipe))
