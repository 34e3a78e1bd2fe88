"""A model's critiques of the store's answers, written back into the store: what the study shows to people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vivavoce.critique.language import Respondent
from vivavoce.critique.pool import Sampling, Scored, Target, draw_pools, select
from vivavoce.critique.spans import TextSpan, span_to_json
from vivavoce.critique.store import Answer, Critique, Passage, Question, Store, add, current, record_event
from vivavoce.critique.tasks.examples import find_quoted
from vivavoce.critique.tasks.forms import describe_medium
from vivavoce.errors import DataError
from vivavoce.grading import Coverage, Graded, Ungraded, count_coverage


class CriticismReport(NamedTuple):
    """What was drawn and kept; `refused` names answers that could not be criticised, and why."""

    num_answers: int
    num_drawn: int
    num_kept: int
    num_skipped: int
    coverage: Coverage
    refused: list[tuple[str, str]]


def criticise_store(
    store: Store, model: Respondent, *, author: str, split: str, sources: Sequence[str] = (), sampling: Sampling,
    threshold: float = 0.5, length_modifier: float = 0.0, limit: int = 8,
) -> CriticismReport:  # fmt: skip
    """Criticise every current answer of a split once per author; answers with this author's critiques are skipped.

    One transaction per answer, so that a kill loses nothing that was drawn before it.
    """
    with store.session() as session:
        rows = session.execute(
            current(Answer)
            .join(Question, Answer.question_id == Question.id)
            .join(Passage, Question.passage_id == Passage.id)
            .where(Passage.split == split)
            .add_columns(Question.text, Passage.text, Passage.source)
            .order_by(Answer.id)
        ).all()
        done = set(
            session.scalars(current(Critique).with_only_columns(Critique.answer_id).where(Critique.author == author))
        )
    wanted = [row for row in rows if not sources or any(row[3].startswith(source) for source in sources)]
    fresh = [row for row in wanted if row[0].id not in done]
    grades, refused, num_drawn, num_kept = list[Graded | None](), list[tuple[str, str]](), 0, 0
    for answer, question, passage, _ in fresh:
        text = describe_medium(answer)
        if not text.strip():
            refused.append((answer.key, "has no text to criticise"))
            continue
        try:
            (pool,) = draw_pools(model, [Target(passage, question, text)], sampling)
        except DataError as error:
            refused.append((answer.key, str(error)))
            continue
        failures = [
            scored.text for scored in pool if isinstance(scored.text, Ungraded) and scored.text.reason == "endpoint"
        ]
        if len(failures) == len(pool):
            refused.append((answer.key, f"the endpoint gave nothing: {failures[0].detail}"))
            continue
        num_drawn += len(pool)
        grades += [scored.helpfulness for scored in pool]  # type: ignore[arg-type]
        kept = select(
            pool,
            max_similarity=sampling.max_similarity,
            threshold=threshold,
            length_modifier=length_modifier,
            limit=limit,
        )
        num_kept += len(kept)
        _write(store, answer, kept, author, len(pool))
    return CriticismReport(
        len(fresh) - len(refused), num_drawn, num_kept, len(wanted) - len(fresh), count_coverage(grades), refused  # type: ignore[arg-type]
    )  # fmt: skip


def _write(store: Store, answer: Answer, kept: Sequence[Scored], author: str, num_drawn: int) -> None:
    with store.session() as session:
        for rank, scored in enumerate(kept):
            text = str(scored.text)
            quoted = [part for part in text.split('"')[1::2] if part in answer.text]
            spans: tuple[TextSpan, ...] = find_quoted(quoted, answer.text)
            assert isinstance(scored.helpfulness, Graded)
            add(
                session,
                Critique(
                    key=f"{answer.key}.{author}.{rank}"[:200], created_by=author, answer_id=answer.id, author_kind="model",
                    author=author, text=text, rank=rank, answer_spans=[span_to_json(span) for span in spans],
                    details={"prob_helpful": scored.helpfulness.value},
                ),
            )  # fmt: skip
        payload = {"drawn": num_drawn, "kept": len(kept)}
        record_event(session, author, "criticise", subject=answer, payload=payload)
