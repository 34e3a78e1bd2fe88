"""Second opinions on a grade: the same rules on what was heard, the graders of `rbr`, and a language model.

None of them changes the score. Each is a number, or the reason why there is none, beside the rule's verdict in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio.to_thread
import yaml
from inspect_ai.model import GenerateConfig, Model, model_roles

from vivavoce.card.evaluation import Evaluation, Item, Reply
from vivavoce.card.graders.propositions import open_proposition_grader
from vivavoce.card.sources import read_package_file
from vivavoce.files import digest_json
from vivavoce.grading import Grade, Graded, Ungraded, fill_prompt

JUDGE_SEED = 20_240_808
JUDGE_TIMEOUT_S = 60
JUDGE_RETRIES = 2
log = logging.getLogger(__name__)


async def collect_opinions(evaluation: Evaluation, reply: Reply, grade: Grade, rbr: str) -> dict[str, Any]:
    """Opinions by name, of what the rules graded.

    `heard`: the rules on the recogniser's reading; `rbr`: the grader that `rbr` names, where propositions stand for the
    measure; `judge`: the model of role `grader`, where the run has one.
    """
    if not isinstance(grade, Graded) or evaluation.grader != "rules":
        return {}
    opinions: dict[str, Any] = {}
    if reply.heard is not None and reply.heard.strip():
        opinions["heard"] = _to_json(evaluation.grade(replace(reply, text=reply.heard)))
    grader = open_proposition_grader(rbr)
    if grader is not None and grader.knows(reply.item.measure):
        found = (await anyio.to_thread.run_sync(grader.grade, [(reply.item, reply.text)]))[0]
        opinions["rbr"] = {**_to_json(found), "model": grader.identity}
    judge = find_role("grader")
    if judge is not None:
        opinions["judge"] = await ask_judge(judge, evaluation, reply)
    return opinions


def find_role(role: str) -> Model | None:
    """The model of that role, if the run has one (`--model-role grader=...`)."""
    found = model_roles().get(role)
    return found[0] if isinstance(found, list) else found


async def ask_judge(judge: Model, evaluation: Evaluation, reply: Reply) -> dict[str, Any]:
    """The judge's verdict with its prompt's digest and seed; what can't be read, or fails, is ungraded."""
    prompt, version = write_judge_prompt(evaluation, reply.item, reply.text)
    about = {"model": str(judge), "seed": JUDGE_SEED, "prompt_version": version, "prompt": digest_json(prompt)}
    return {**_to_json(await judge_answer(judge, prompt, reply.item.item_id)), **about}


async def judge_answers(judge: Model, evaluation: Evaluation, pairs: Sequence[tuple[Item, str]]) -> list[Grade]:
    """The judge's grades of (item, answer) pairs, one after the other."""
    prompts = [write_judge_prompt(evaluation, item, answer)[0] for item, answer in pairs]
    return [await judge_answer(judge, prompt, item.item_id) for prompt, (item, _) in zip(prompts, pairs)]


def write_judge_prompt(evaluation: Evaluation, item: Item, answer: str) -> tuple[str, int]:
    """The prompt of judge.yaml for one answer, and the sheet's version."""
    sheet = yaml.safe_load(read_package_file("graders", "judge.yaml"))
    values = {
        "question": f"Does the answer pass? {evaluation.measure(item.measure).title}: {evaluation.question}",
        "request": item.prompt or f"[{item.sound}]",
        "answer": answer,
    }
    boundary = digest_json([item.item_id, answer])[:16]
    return fill_prompt(sheet["template"], values, boundary=boundary), sheet["version"]


async def judge_answer(judge: Model, prompt: str, name: str) -> Grade:
    """One verdict, `Ungraded` where the judge fails or gives none."""
    config = GenerateConfig(
        seed=JUDGE_SEED, temperature=0.0, max_tokens=200, max_retries=JUDGE_RETRIES, timeout=JUDGE_TIMEOUT_S
    )
    try:
        return read_verdict((await judge.generate(prompt, config=config)).completion)
    # any provider may be the judge: what it raises is the reason why there is no second opinion
    except Exception as error:
        log.warning("second opinion on %s failed: %s", name, error)
        return Ungraded("grader_failed", str(error)[:200])


def read_verdict(text: str) -> Grade:
    """The last `VERDICT:` line of a judge's reply."""
    for line in reversed(text.strip().splitlines()):
        word, _, rest = line.strip().upper().partition(":")
        if word == "VERDICT" and rest.strip(" .*") in ("YES", "NO"):
            return Graded(float(rest.strip(" .*") == "YES"))
    return Ungraded("no_verdict", text.strip()[-120:])


def _to_json(grade: Grade) -> dict[str, Any]:
    if isinstance(grade, Graded):
        probabilities = grade.detail.get("probabilities")
        return {"value": grade.value, **({"probabilities": probabilities} if probabilities else {})}
    return {"value": None, "reason": grade.reason}
