"""Setting a study up from the store: which answers are in it, and what each arm would show for them.

Chosen once, before anyone is assigned, so that what an arm shows depends on no labeller.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from vivavoce.critique.store import Answer, Critique, Passage, Question, current, record_event
from vivavoce.critique.study.plan import Arm, StudyPlan, digest_plan, plan_to_json
from vivavoce.critique.study.tables import Item, Material, Study
from vivavoce.errors import ConfigError, DataError


class Prepared(NamedTuple):
    """A study that is ready, how many answers of each kind it has, and which answers were left out and why."""

    study: Study
    num_items: dict[str, int]
    left_out: dict[str, str]


def create_study(
    session: Session, plan: StudyPlan, *, answer_keys: Iterable[str] | None = None, split: str | None = None
) -> Prepared:
    """A study over the named answers, or over all of the store (of one split).

    An answer is left out when its kind is not in the plan or an arm has nothing to show for it: with an empty arm,
    being assigned to it would not mean being helped.

    Raises: ConfigError if the name is in use or no answer of some kind is left.
    """
    if session.scalar(select(Study.id).where(Study.name == plan.name)) is not None:
        raise ConfigError(f"study {plan.name!r} is there already; name the new one differently in its plan")
    study = Study(name=plan.name, plan=plan_to_json(plan), plan_digest=digest_plan(plan))
    session.add(study)
    session.flush()
    counts, left_out = dict.fromkeys(plan.kinds, 0), dict[str, str]()
    for answer in _find_answers(session, answer_keys, split):
        try:
            materials = _choose_materials(session, plan, answer)
        except DataError as error:
            left_out[answer.key] = str(error)
            continue
        passage = answer.question.passage
        item = Item(study_id=study.id, answer_id=answer.id, kind=answer.author_kind, passage_key=passage.key)
        session.add(item)
        session.flush()
        session.add_all(Material(item_id=item.id, **material) for material in materials)
        counts[item.kind] += 1
    empty = [kind for kind, count in counts.items() if count == 0]
    if empty:
        why = "; ".join(f"{key}: {reason}" for key, reason in list(left_out.items())[:3]) or "the store has none"
        raise ConfigError(f"no answer of kind {', '.join(empty)} can be used ({why}); import some, or change the plan")
    record_event(session, "study", "study.created", subject=study, payload={"plan_digest": study.plan_digest})
    return Prepared(study, counts, left_out)


def find_study(session: Session, name: str) -> Study:
    """The study of that name.

    Raises: ConfigError naming the studies that there are.
    """
    study = session.scalar(select(Study).where(Study.name == name))
    if study is None:
        names = sorted(session.scalars(select(Study.name)))
        raise ConfigError(f"no study {name!r} in this store; there are: {', '.join(names) or 'none'}")
    return study


def _find_answers(session: Session, keys: Iterable[str] | None, split: str | None) -> Sequence[Answer]:
    query = (
        current(Answer)
        .join(Question, Answer.question_id == Question.id)
        .join(Passage, Question.passage_id == Passage.id)
    )
    if split is not None:
        query = query.where(Passage.split == split)
    answers = list(session.scalars(query.order_by(Answer.key)))
    if keys is None:
        return answers
    wanted = set(keys)
    missing = sorted(wanted - {answer.key for answer in answers})
    if missing:
        raise ConfigError(f"answers {missing[:5]} are not in the store; import them first")
    return [answer for answer in answers if answer.key in wanted]


def _choose_materials(session: Session, plan: StudyPlan, answer: Answer) -> list[dict[str, object]]:
    if answer.author_kind not in plan.kinds:
        raise DataError(f"its kind {answer.author_kind} is not in the plan")
    if answer.modality == "text" and not answer.text.strip():
        raise DataError("it has no text")
    critiques = [
        critique
        for critique in session.scalars(current(Critique).where(Critique.answer_id == answer.id))
        if not critique.details.get("study")
    ]
    decoys = [critique for critique in critiques if critique.author_kind == "decoy"][: plan.decoys]
    rows: list[dict[str, object]] = []
    for arm in plan.arms:
        chosen = _choose_for(arm, critiques, decoys)
        rows += [
            {"arm": arm.name, "rank": rank, "critique_id": critique.id, "is_decoy": critique.author_kind == "decoy"}
            for rank, critique in enumerate(chosen)
        ]
    return rows


def _choose_for(arm: Arm, critiques: Sequence[Critique], decoys: Sequence[Critique]) -> list[Critique]:
    """The best by rank, the decoys in place of the last of them; critiques without words cannot be shown as text."""
    if arm.assistance == "none":
        return []
    pool = [critique for critique in critiques if critique.author_kind == arm.author]
    if arm.assistance == "critiques":
        pool = [critique for critique in pool if critique.text.strip()]
        planted = [decoy for decoy in decoys if decoy.text.strip()]
    else:
        pool = [critique for critique in pool if critique.passage_spans or critique.answer_spans]
        planted = [decoy for decoy in decoys if decoy.passage_spans or decoy.answer_spans]
    if not pool:
        raise DataError(f"arm {arm.name} has nothing to show for it")
    ranked = sorted(pool, key=lambda critique: (critique.rank is None, critique.rank or 0, critique.id))
    distinct: dict[str, Critique] = {}
    for critique in ranked:
        distinct.setdefault(_sameness(critique), critique)
    return [*list(distinct.values())[: arm.k - len(planted)], *planted]


def _sameness(critique: Critique) -> str:
    words = " ".join(critique.text.casefold().split())
    return words or repr((critique.passage_spans, critique.answer_spans))
