"""Claiming, saving, handing in: on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import func, select

from vivavoce.critique.store import Critique, Rating, Store
from vivavoce.critique.study import desk
from vivavoce.critique.study.draft import parse_body
from vivavoce.critique.study.refusals import Refusal
from vivavoce.critique.study.tables import Assignment, Draft, Finding, Shown


def body(*flaws: dict[str, Any], **more: Any) -> Any:
    filled = [
        {"uid": f"flaw-000{n}", "text": "wrong", "category": "accuracy", "severity": 2, **flaw}
        for n, flaw in enumerate(flaws)
    ]
    return parse_body({"flaws": filled, "rating": 3, **more})


def claim_and_open(as_person: Callable[..., Any], cookie: str) -> tuple[str, str]:
    """(public id, lock) of the next assignment."""
    with as_person(cookie) as (session, signed):
        assignment = desk.claim(session, signed)
        assert assignment is not None
        opened, _ = desk.open_assignment(session, signed, assignment.public_id)
        return opened.public_id, str(opened.lock)


def test_claiming_again_gives_the_same_assignment(make_study: Any, enrol: Any, as_person: Any) -> None:
    make_study()
    cookie = enrol()
    first, _ = claim_and_open(as_person, cookie)
    second, _ = claim_and_open(as_person, cookie)
    assert first == second


def test_many_claiming_at_once_lose_nothing_and_double_nothing(
    make_study: Any, enrol: Any, as_person: Any, store: Store
) -> None:
    make_study(num_passages=3)  # 9 answers x 4 arms = 36 places
    cookies, errors = [enrol() for _ in range(12)], []

    def work(cookie: str) -> None:
        try:
            for _ in range(3):
                public_id, lock = claim_and_open(as_person, cookie)
                with as_person(cookie) as (session, signed):
                    done = desk.submit(
                        session, signed, public_id, lock=lock, base_version=0, body=body(has_no_flaws=True)
                    )
                assert done[:2] == ([], False)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(cookie,)) for cookie in cookies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    with store.session() as session:
        rows = session.execute(select(Assignment.item_id, Assignment.arm, Assignment.state)).all()
    assert len(rows) == 36
    assert {row.state for row in rows} == {"submitted"}
    assert max(Counter((row.item_id, row.arm) for row in rows).values()) == 1


def test_a_labeller_sees_as_many_suggestions_as_the_arm_says_with_the_decoys_among_them(
    make_study: Any, enrol: Any, as_person: Any, store: Store
) -> None:
    make_study()
    for _ in range(6):
        claim_and_open(as_person, enrol())
    with store.session() as session:
        for assignment in session.scalars(select(Assignment)):
            shown = desk.list_shown(session, assignment)
            expected = {"none": (0, 0), "model": (3, 1), "human": (3, 1), "evidence": (3, 1)}[assignment.arm]
            assert (len(shown), sum(row.is_decoy for row in shown)) == expected
            assert all(row.is_text_shown == (assignment.arm != "evidence") for row in shown)


def test_a_draft_comes_back_after_leaving(make_study: Any, enrol: Any, as_person: Any) -> None:
    make_study()
    cookie = enrol()
    public_id, lock = claim_and_open(as_person, cookie)
    with as_person(cookie) as (session, signed):
        desk.save(session, signed, public_id, lock=lock, base_version=0, body=body({"text": "half a tho"}))
    with as_person(cookie) as (session, signed):
        _, draft = desk.open_assignment(session, signed, public_id)
        assert draft is not None
        assert draft.body["flaws"][0]["text"] == "half a tho"


def test_an_equal_draft_makes_no_new_version(make_study: Any, enrol: Any, as_person: Any, store: Store) -> None:
    make_study()
    cookie = enrol()
    public_id, lock = claim_and_open(as_person, cookie)
    for _ in range(3):
        with as_person(cookie) as (session, signed):
            saved, _ = desk.save(session, signed, public_id, lock=lock, base_version=1, body=body({}))
            assert saved == (1, None)
    with store.session() as session:
        assert session.scalar(select(func.count()).select_from(Draft)) == 1


def test_two_tabs_lose_nothing(make_study: Any, enrol: Any, as_person: Any) -> None:
    make_study()
    cookie = enrol()
    public_id, old_lock = claim_and_open(as_person, cookie)
    with as_person(cookie) as (session, signed):
        desk.save(
            session, signed, public_id, lock=old_lock, base_version=0, body=body({"uid": "from-both", "text": "both"})
        )
    _, new_lock = claim_and_open(as_person, cookie)
    with as_person(cookie) as (session, signed):
        late = body({"uid": "from-both", "text": "both"}, {"uid": "from-old-tab", "text": "old"})
        saved, has_lock = desk.save(session, signed, public_id, lock=old_lock, base_version=1, body=late)
        assert not has_lock
    with as_person(cookie) as (session, signed):
        mine = body({"uid": "from-both", "text": "both"}, {"uid": "from-new-tab", "text": "new"})
        saved, has_lock = desk.save(session, signed, public_id, lock=new_lock, base_version=1, body=mine)
        assert has_lock
        assert saved.body is not None
        assert {flaw["uid"] for flaw in saved.body["flaws"]} == {"from-both", "from-old-tab", "from-new-tab"}


def test_a_tab_without_the_lock_cannot_hand_in_but_its_text_is_kept(
    make_study: Any, enrol: Any, as_person: Any, store: Store
) -> None:
    make_study()
    cookie = enrol()
    public_id, old_lock = claim_and_open(as_person, cookie)
    claim_and_open(as_person, cookie)
    with as_person(cookie) as (session, signed):
        done = desk.submit(session, signed, public_id, lock=old_lock, base_version=0, body=body({"text": "kept"}))
        assert "another tab" in done.problems[0].message
    with store.session() as session:
        assert session.scalars(select(Draft.body)).all()[-1]["flaws"][0]["text"] == "kept"
        assert session.scalar(select(func.count()).select_from(Finding)) == 0


def test_handing_in_twice_counts_once(make_study: Any, enrol: Any, as_person: Any, store: Store) -> None:
    make_study()
    cookie = enrol()
    public_id, lock = claim_and_open(as_person, cookie)
    for is_repeat in (False, True):
        with as_person(cookie) as (session, signed):
            done = desk.submit(session, signed, public_id, lock=lock, base_version=0, body=body({}, {}))
            assert done[:2] == ([], is_repeat)
    with store.session() as session:
        assert session.scalar(select(func.count()).select_from(Finding)) == 2
        assert session.scalar(select(func.count()).where(Rating.scale == "quality_1_7")) == 1


@pytest.mark.parametrize("act", ["save", "beat", "decline"])
def test_a_finished_answer_cannot_be_changed(act: str, make_study: Any, enrol: Any, as_person: Any) -> None:
    make_study()
    cookie = enrol()
    public_id, lock = claim_and_open(as_person, cookie)
    with as_person(cookie) as (session, signed):
        desk.submit(session, signed, public_id, lock=lock, base_version=0, body=body({}))
    acts = {
        "save": lambda *who: desk.save(*who, public_id, lock=lock, base_version=0, body=body({})),
        "beat": lambda *who: desk.beat(*who, public_id, lock),
        "decline": lambda *who: desk.decline(*who, public_id, "too long"),
    }
    with as_person(cookie) as who, pytest.raises(Refusal, match="finished and cannot be changed"):
        acts[act](*who)


def test_another_labellers_assignment_is_not_there(make_study: Any, enrol: Any, as_person: Any) -> None:
    make_study()
    public_id, _ = claim_and_open(as_person, enrol())
    with as_person(enrol()) as (session, signed), pytest.raises(Refusal, match="no such answer for you"):
        desk.open_assignment(session, signed, public_id)


def test_a_span_out_of_range_keeps_the_draft_and_names_the_flaw(make_study: Any, enrol: Any, as_person: Any) -> None:
    make_study()
    cookie = enrol()
    public_id, lock = claim_and_open(as_person, cookie)
    bad = body({"answer_spans": [{"begin": 5, "end": 9000}]})
    with as_person(cookie) as (session, signed):
        done = desk.submit(session, signed, public_id, lock=lock, base_version=0, body=bad)
    assert [(problem.uid, problem.message) for problem in done.problems] == [
        ("flaw-0000", "“wrong”: a mark lies outside the answer; remove it and mark again.")
    ]
    with as_person(cookie) as (session, signed):
        _, draft = desk.open_assignment(session, signed, public_id)
        assert draft is not None


def test_provenance_follows_the_words(make_study: Any, enrol: Any, as_person: Any, store: Store) -> None:
    make_study(arms=[{"name": "none", "assistance": "critiques", "author": "model", "k": 3}], hypotheses=[])
    cookie = enrol()
    public_id, lock = claim_and_open(as_person, cookie)
    with as_person(cookie) as (session, signed):
        shown = desk.list_shown(session, desk.find_assignment(session, signed, public_id))
        texts = [row.critique.text for row in shown]
        mixed = body({"text": f" {texts[0]}\n", "shown": 0}, {"text": f"{texts[1]} indeed", "shown": 1}, {"text": "mine"},
                     verdicts={2: "rejected"})  # fmt: skip
        assert desk.submit(session, signed, public_id, lock=lock, base_version=0, body=mixed)[:2] == ([], False)
    with store.session() as session:
        found = session.scalars(select(Finding).order_by(Finding.id)).all()
        assert [one.provenance for one in found] == ["adopted", "edited", "own"]
        assert found[0].similarity == 1.0
        assert 0.8 < (found[1].similarity or 0) < 1.0
        verdicts = session.scalars(select(Shown.verdict).order_by(Shown.place)).all()
        assert verdicts == ["used", "used", "rejected"]
        assert session.scalars(select(Rating.value).where(Rating.scale == "is_helpful").order_by(Rating.key)).all() == [
            1,
            1,
            0,
        ]


def test_the_recorded_flaw_is_hit_by_any_overlap(make_study: Any, enrol: Any, as_person: Any, store: Store) -> None:
    make_study(kinds={"misleading": 1}, hypotheses=[])
    cookie = enrol()
    public_id, lock = claim_and_open(as_person, cookie)
    with as_person(cookie) as (session, signed):
        answer = desk.find_assignment(session, signed, public_id).item.answer
        begin = answer.text.index("flood")
        near, far = {"begin": begin + 4, "end": begin + 9}, {"begin": 0, "end": 3}
        marked = body({"answer_spans": [near]}, {"answer_spans": [far]}, {"answer_spans": []})
        desk.submit(session, signed, public_id, lock=lock, base_version=0, body=marked)
    with store.session() as session:
        assert session.scalars(select(Finding.is_span_hit).order_by(Finding.id)).all() == [True, False, False]
        assert (
            session.scalar(select(func.count()).where(Critique.author_kind == "person", Critique.key.like("study/%")))
            == 3
        )


def test_an_answer_given_back_is_given_to_someone_else(
    make_study: Any, enrol: Any, as_person: Any, store: Store
) -> None:
    make_study(
        num_passages=1, kinds={"model": 1}, arms=[{"name": "none", "assistance": "none"}], hypotheses=[], decoys=0
    )
    first, second = enrol(), enrol()
    public_id, _ = claim_and_open(as_person, first)
    with as_person(second) as (session, signed):
        assert desk.claim(session, signed) is None, "the only place is taken"
    with as_person(first) as (session, signed), pytest.raises(Refusal, match="Say in a few words"):
        desk.decline(session, signed, public_id, "  ")
    with as_person(first) as (session, signed):
        desk.decline(session, signed, public_id, "I know the author")
    with as_person(first) as (session, signed):
        assert desk.claim(session, signed) is None, "not the same answer again"
    claim_and_open(as_person, second)


def test_a_draft_that_no_page_makes_is_refused_with_the_field() -> None:
    with pytest.raises(Refusal, match=r"flaws\.0\.severity"):
        parse_body({"flaws": [{"uid": "12345678", "severity": 9}]})
