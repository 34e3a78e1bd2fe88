"""A small study: six invented passages, three answers each, suggestions by a model and by people, and decoys."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy.orm import Session

from vivavoce.critique.store import Answer, Critique, Passage, Question, Store, add
from vivavoce.critique.study.accounts import Signed, find_signed, invite, sign_in
from vivavoce.critique.study.materials import create_study, find_study
from vivavoce.critique.study.plan import TEMPLATE, StudyPlan, load_plan, plan_from_json, plan_to_json


def small_plan(**changes: object) -> StudyPlan:
    """The shipped template, shrunk."""
    values = plan_to_json(load_plan(TEMPLATE))
    for arm in values["arms"]:
        if arm["k"]:
            arm["k"] = 3
    return plan_from_json({**values, "name": "t", "items_per_labeller": 4, **changes})


@pytest.fixture
def shrink_plan() -> Callable[..., StudyPlan]:
    """Makes small plans."""
    return small_plan


def fill_store(session: Session, num_passages: int = 6) -> None:
    """Passages with an emoji in them, so that offsets count characters and not UTF-16 units."""
    for number in range(num_passages):
        text = f"\U0001f33b Mill {number} stood by the river. Its wheel turned until the frost came in {1800 + number}."
        passage = add(
            session,
            Passage(key=f"p{number}", created_by="t", text=text, source="t", split="test", title=f"Mill {number}"),
        )
        question = add(
            session, Question(key=f"q{number}", created_by="t", passage_id=passage.id, text="What became of the mill?")
        )
        for kind in ("model", "person", "misleading"):
            words = f"The {kind} says the wheel turned until the flood of {1700 + number}."
            begin = words.index("flood")
            flaw = {"text": "It was frost, not a flood.", "category": "accuracy", "severity": 3, "passage_spans": [],
                    "answer_spans": [{"kind": "text", "begin": begin, "end": begin + 5}]}  # fmt: skip
            planted = [flaw] if kind == "misleading" else []
            answer = add(session, Answer(key=f"a{number}-{kind}", created_by="t", question_id=question.id, author_kind=kind,
                                         author="someone", text=words, planted_flaws=planted))  # fmt: skip
            _add_critiques(session, answer, begin)


def _add_critiques(session: Session, answer: Answer, begin: int) -> None:
    for author, count in (("model", 4), ("person", 3), ("decoy", 2)):
        for rank in range(count):
            session.flush()
            add(session, Critique(key=f"{answer.key}-{author}{rank}", created_by="t", answer_id=answer.id, author_kind=author,
                                  author=f"secret-{author}", text=f"{author} remark {rank} on the flood", rank=rank,
                                  category="accuracy", severity=2, passage_spans=[{"kind": "text", "begin": 2, "end": 8}],
                                  answer_spans=[{"kind": "text", "begin": begin, "end": begin + 5}]))  # fmt: skip


@pytest.fixture
def make_study(store: Store) -> Callable[..., StudyPlan]:
    """Fills the store and creates a study in it; takes changes to the plan."""

    def make(num_passages: int = 6, **changes: object) -> StudyPlan:
        plan = small_plan(**changes)
        with store.session() as session:
            fill_store(session, num_passages)
            create_study(session, plan)
        return plan

    return make


@pytest.fixture
def enrol(store: Store) -> Callable[..., str]:
    """Invites someone and signs them in; gives their cookie."""

    def make(role: str = "labeller") -> str:
        with store.session() as session:
            _, token = invite(session, find_study(session, "t"), role=role)
            return sign_in(session, token)

    return make


@pytest.fixture
def as_person(store: Store) -> Callable[[str], Iterator[tuple[Session, Signed]]]:
    """A transaction of one request: a session and who is signed in."""
    from contextlib import contextmanager

    @contextmanager
    def begin(cookie: str) -> Iterator[tuple[Session, Signed]]:
        with store.session() as session:
            yield session, find_signed(session, cookie)

    return begin
