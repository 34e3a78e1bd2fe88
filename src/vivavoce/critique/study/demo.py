"""The demo study: invented texts, answers, suggestions and decoys, so that the pages can be tried with no data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from sqlalchemy.orm import Session

from vivavoce.critique.spans import find_text_span, span_to_json
from vivavoce.critique.store import Answer, Critique, Passage, Question, add_or_skip
from vivavoce.critique.study.plan import TEMPLATE, StudyPlan, load_plan, plan_from_json, plan_to_json

DEMO = Path(__file__).with_name("demo.yaml")
_BY = "demo"


def make_demo_plan() -> StudyPlan:
    """The template, shrunk to the demo's size."""
    changes = dict(yaml.safe_load(DEMO.read_text(encoding="utf-8"))["plan"])
    k = changes.pop("k")
    values = plan_to_json(load_plan(TEMPLATE))
    arms = [{**arm, "k": k if arm["k"] else 0} for arm in values["arms"]]
    return plan_from_json({**values, **changes, "arms": arms})


def add_demo(session: Session) -> list[str]:
    """Put the demo's things into the store, once; the keys of its answers."""
    keys = []
    for row in yaml.safe_load(DEMO.read_text(encoding="utf-8"))["passages"]:
        text, title = _unwrap(row["text"]), row["title"]
        key = f"demo/{row['key']}"
        passage, _ = add_or_skip(
            session, Passage(key=key, created_by=_BY, source=_BY, split="test", title=title, text=text)
        )
        question, _ = add_or_skip(
            session, Question(key=key, created_by=_BY, passage_id=passage.id, text=row["question"])
        )
        for answer in row["answers"]:
            keys.append(_add_answer(session, question, f"{key}/{answer['kind']}", answer))
    return keys


def _add_answer(session: Session, question: Question, key: str, row: dict[str, Any]) -> str:
    text = row["text"].strip()
    planted = [
        {
            "text": flaw["text"],
            "category": "accuracy",
            "severity": 3,
            "answer_spans": _find(flaw["quote"], text),
            "passage_spans": [],
        }
        for flaw in [row.get("planted")]
        if flaw is not None
    ]
    answer, _ = add_or_skip(
        session,
        Answer(key=key, created_by=_BY, question_id=question.id, author_kind=row["kind"], author=_BY, text=text, planted_flaws=planted),
    )  # fmt: skip
    for rank, critique in enumerate(row["critiques"]):
        is_decoy = critique["by"] == "decoy"
        add_or_skip(
            session,
            Critique(
                key=f"{key}/{rank}",
                created_by=_BY,
                answer_id=answer.id,
                author_kind=critique["by"],
                author=_BY,
                text=critique["text"],
                rank=rank,
                is_valid=False if is_decoy else None,
                answer_spans=_find(critique["quote"], text),
            ),
        )
    return key


def _unwrap(text: str) -> str:
    """Paragraphs on one line each; the file wraps them."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


def _find(quote: str, text: str) -> list[dict[str, Any]]:
    span = find_text_span(quote, text)
    assert span is not None, f"demo.yaml: {quote!r} is not exactly once in {text!r}"
    return [span_to_json(span)]
