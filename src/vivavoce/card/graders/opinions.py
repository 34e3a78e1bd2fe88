"""Second opinions on a grade: the same rules on what was heard, the graders of `rbr`, and a language model.

None of them changes the score. Each is a number, or the reason why there is none, beside the rule's verdict in the log.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

import yaml
from inspect_ai.model import GenerateConfig, Model, model_roles

from vivavoce.card.evaluation import Evaluation, Reply
from vivavoce.card.sources import read_package_file
from vivavoce.files import digest_json
from vivavoce.grading import Grade, Graded, Ungraded, fill_prompt

JUDGE_SEED = 20_240_808
log = logging.getLogger(__name__)


async def collect_opinions(evaluation: Evaluation, reply: Reply, grade: Grade) -> dict[str, Any]:
    """Opinions by name: `heard` (the rules on the recogniser's reading), `judge` (the model of role `grader`)."""
    if not isinstance(grade, Graded):
        return {}
    opinions: dict[str, Any] = {}
    if reply.heard is not None and reply.heard.strip() and evaluation.grader == "rules":
        opinions["heard"] = _to_json(evaluation.grade(replace(reply, text=reply.heard)))
    judge = find_role("grader")
    if judge is not None and evaluation.grader == "rules":
        opinions["judge"] = await ask_judge(judge, evaluation, reply)
    return opinions


def find_role(role: str) -> Model | None:
    """The model of that role, if the run has one (`--model-role grader=...`)."""
    found = model_roles().get(role)
    return found[0] if isinstance(found, list) else found


async def ask_judge(judge: Model, evaluation: Evaluation, reply: Reply) -> dict[str, Any]:
    """The judge's verdict with its prompt's digest and seed; unparsed is ungraded."""
    sheet = yaml.safe_load(read_package_file("graders", "judge.yaml"))
    measure = evaluation.measure(reply.item.measure)
    boundary = digest_json([reply.item.item_id, reply.text])[:16]
    values = {
        "question": f"Does the answer pass? {measure.title}: {evaluation.question}",
        "request": reply.item.prompt or f"[{reply.item.sound}]",
        "answer": reply.text,
    }
    prompt = fill_prompt(sheet["template"], values, boundary=boundary)
    about = {"model": str(judge), "seed": JUDGE_SEED, "prompt_version": sheet["version"], "prompt": digest_json(prompt)}
    try:
        config = GenerateConfig(seed=JUDGE_SEED, temperature=0.0, max_tokens=200)
        verdict = read_verdict((await judge.generate(prompt, config=config)).completion)
    # any provider may be the judge: what it raises is the reason why there is no second opinion
    except Exception as error:
        log.warning("second opinion on %s failed: %s", reply.item.item_id, error)
        verdict = Ungraded("grader_failed", str(error)[:200])
    return {**_to_json(verdict), **about}


def read_verdict(text: str) -> Grade:
    """The last `VERDICT:` line of a judge's reply."""
    for line in reversed(text.strip().splitlines()):
        word, _, rest = line.strip().upper().partition(":")
        if word == "VERDICT" and rest.strip(" .*") in ("YES", "NO"):
            return Graded(float(rest.strip(" .*") == "YES"))
    return Ungraded("no_verdict", text.strip()[-120:])


def _to_json(grade: Grade) -> dict[str, Any]:
    if isinstance(grade, Graded):
        return {"value": grade.value}
    return {"value": None, "reason": grade.reason}
