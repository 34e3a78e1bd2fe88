"""The store on SQLite and PostgreSQL: append-only, versions, spans, splits, migrations."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from vivavoce.critique.store import (
    Answer,
    Critique,
    Event,
    Passage,
    Question,
    Rating,
    Refinement,
    Store,
    add,
    add_or_skip,
    current,
    find,
    history,
    open_store,
    record_event,
    retract,
    revise,
)
from vivavoce.critique.store.database import migrate
from vivavoce.critique.store.tables import APPEND_ONLY, Base
from vivavoce.errors import ConfigError, DataError


def _passage(key: str = "p1", text: str = "A heron stood in the mill pond.", split: str = "train") -> Passage:
    return Passage(key=key, created_by="test", source="test", text=text, split=split)


def _answer(session: Session, key: str = "a1", **columns: object) -> Answer:
    passage = find(session, Passage, "p1") or add(session, _passage())
    question = find(session, Question, "q1") or add(
        session, Question(key="q1", created_by="test", passage_id=passage.id, text="What stood there?")
    )
    values = {"text": "A swan stood there.", "author_kind": "person", "author": "w1"} | columns
    return add(session, Answer(key=key, created_by="test", question_id=question.id, **values))


def _critique(answer: Answer, key: str = "c1", **columns: object) -> Critique:
    values = {"author_kind": "person", "author": "w2", "text": "It was a heron."} | columns
    return Critique(key=key, created_by="test", answer_id=answer.id, **values)


def test_a_whole_chain_is_written_and_read_back(store: Store) -> None:
    with store.session() as session:
        answer = _answer(session)
        span = {"kind": "text", "begin": 2, "end": 6}
        critique = add(session, _critique(answer, severity=3, answer_spans=[span]))
        add(
            session,
            Refinement(
                key="r1", created_by="t", answer_id=answer.id, critique_id=critique.id, mode="conditional",
                author_kind="person", author="w2", text="A heron stood there.",
            ),
        )  # fmt: skip
        add(session, Rating(key="g1", created_by="t", answer_id=answer.id, rater="w3", scale="quality_1_7", value=2))
        record_event(session, "w3", "rated", subject=answer, payload={"value": 2})
    with store.session() as session:
        refinement = session.scalars(current(Refinement)).one()
        assert refinement.critique is not None
        assert refinement.critique.answer_spans == [span]
        assert refinement.answer.question.passage.text.startswith("A heron")
        happened = session.scalars(Event.__table__.select()).all()
        assert len(happened) == 1
        assert refinement.created_at.tzinfo is not None


def test_a_revision_leaves_the_old_version_and_its_references(store: Store) -> None:
    with store.session() as session:
        answer = _answer(session)
        critique = add(session, _critique(answer))
        newer = revise(session, answer, by="editor", text="A heron stood there.")
        assert (newer.version, newer.key, newer.created_by) == (2, "a1", "editor")
    with store.session() as session:
        assert [row.text for row in history(session, Answer, "a1")] == ["A swan stood there.", "A heron stood there."]
        assert [row.version for row in session.scalars(current(Answer))] == [2]
        assert session.get_one(Critique, critique.id).answer.text == "A swan stood there."


def test_a_retracted_thing_is_not_current_but_kept(store: Store) -> None:
    with store.session() as session:
        retract(session, _answer(session), by="editor")
        assert session.scalars(current(Answer)).all() == []
        assert len(session.scalars(current(Answer, with_retracted=True)).all()) == 1
        assert len(history(session, Answer, "a1")) == 2


def test_the_database_itself_refuses_changes(store: Store) -> None:
    with store.session() as session:
        answer = _answer(session)
        critique = add(session, _critique(answer))
        add(session, Rating(key="g1", created_by="t", critique_id=critique.id, rater="w", scale="is_valid", value=1))
        author = {"author_kind": "model", "author": "m"}
        add(session, Refinement(key="r", created_by="t", answer_id=answer.id, mode="direct", text="x", **author))
        record_event(session, "w", "opened")
    for table in APPEND_ONLY:
        for statement in (f"DELETE FROM {table}", f"UPDATE {table} SET id = id + 100"):
            with pytest.raises(DBAPIError, match=f"{table} is append-only"), store.engine.begin() as connection:
                connection.execute(text(statement))


def test_a_session_refuses_to_change_a_row(sqlite_store: Store) -> None:
    with sqlite_store.session() as session:
        _answer(session).text = "changed"
        with pytest.raises(DataError, match="append-only; add a version"):
            session.flush()
        session.rollback()


def test_a_stale_revision_is_refused(store: Store) -> None:
    with store.session() as session:
        first = _answer(session)
        revise(session, first, by="one", text="one")
        with pytest.raises(DataError, match="at version 2, not 1: someone revised it"):
            revise(session, first, by="two", text="two")


def test_two_writers_of_one_version_cannot_both_win(store: Store) -> None:
    with store.session() as session:
        key = _answer(session).key
    outcomes: list[str] = []
    gate = threading.Barrier(2)

    def write(name: str) -> None:
        gate.wait()
        try:
            with store.session() as session:
                row = find(session, Answer, key)
                assert row is not None
                revise(session, row, by=name, text=name)
            outcomes.append("won")
        except DataError:
            outcomes.append("refused")

    threads = [threading.Thread(target=write, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.session() as session:
        assert len(history(session, Answer, key)) == 1 + outcomes.count("won")
    assert "won" in outcomes


def test_a_repeated_import_is_skipped_and_a_changed_one_refused(store: Store) -> None:
    with store.session() as session:
        _, was_added = add_or_skip(session, _passage())
        _, was_added_again = add_or_skip(session, _passage())
        assert (was_added, was_added_again) == (True, False)
        with pytest.raises(DataError, match="passage 'p1' is there already with other content"):
            add_or_skip(session, _passage(text="Another text."))


def test_a_key_in_use_is_refused_and_the_session_goes_on(store: Store) -> None:
    with store.session() as session:
        add(session, _passage())
        with pytest.raises(DataError, match="ids must be unique"):
            add(session, _passage(text="Another text."))
        add(session, _passage(key="p2", text="Another text."))
        assert len(session.scalars(current(Passage)).all()) == 2


def test_one_text_cannot_stand_in_two_splits(sqlite_store: Store) -> None:
    with sqlite_store.session() as session:
        add(session, _passage())
        with pytest.raises(DataError, match="stands in train as 'p1'; one text must be in one split"):
            add(session, _passage(key="p2", text="  a HERON stood in\nthe mill pond.", split="test"))


@pytest.mark.parametrize(
    ("spans", "message"),
    [
        ([{"begin": 5, "end": 99}], "need 0 <= begin < end <= 19"),
        ([{"begin": 5, "end": 5}], "out of range"),
        ([{"begin": -1, "end": 5}], "out of range"),
        ([{"begin": 1}], "lacks a number"),
        ([{"begin": "x", "end": "y"}], "lacks a number"),
        (["nonsense"], "need an object"),
        ([{"kind": "region", "x": 0, "y": 0, "width": 2, "height": 2}], "it is no picture"),
        ([{"kind": "smell", "begin": 0, "end": 1}], "need text, region or time"),
    ],
)
def test_a_span_out_of_range_is_refused(sqlite_store: Store, spans: list, message: str) -> None:
    with sqlite_store.session() as session:
        answer = _answer(session)
        with pytest.raises(DataError, match=message):
            add(session, _critique(answer, answer_spans=spans))


def test_pictures_and_utterances_take_regions_and_times(store: Store) -> None:
    with store.session() as session:
        picture = _answer(
            session,
            "a-image",
            modality="image",
            text="",
            media_path="a.png",
            media_digest="0" * 64,
            width=64,
            height=48,
        )
        utterance = _answer(
            session,
            "a-audio",
            modality="audio",
            text="a swan",
            media_path="a.wav",
            media_digest="1" * 64,
            duration_s=1.5,
        )
        region = {"kind": "region", "x": 32, "y": 0, "width": 32, "height": 48}
        moment = {"kind": "time", "begin_s": 0.25, "end_s": 1.5}
        add(session, _critique(picture, "c-image", answer_spans=[region]))
        add(session, _critique(utterance, "c-audio", answer_spans=[moment, {"kind": "text", "begin": 2, "end": 6}]))
        with pytest.raises(DataError, match="inside 64 x 48 pixels"):
            add(session, _critique(picture, "c-bad", answer_spans=[region | {"x": 40}]))
        with pytest.raises(DataError, match=r"end_s <= 1\.5"):
            add(session, _critique(utterance, "c-bad", answer_spans=[moment | {"end_s": 1.6}]))
        with pytest.raises(DataError, match="breaks a rule of the store"):
            _answer(session, "a-nofile", modality="image", text="")


@pytest.mark.parametrize(
    ("columns", "message"),
    [({"severity": 5}, "breaks a rule"), ({"author_kind": "nobody"}, "breaks a rule"), ({"text": " "}, "neither text")],
)
def test_a_critique_outside_the_rules_is_refused(store: Store, columns: dict, message: str) -> None:
    with store.session() as session:
        answer = _answer(session)
        with pytest.raises(DataError, match=message):
            add(session, _critique(answer, **columns))


def test_a_nul_character_is_refused_on_both_databases(store: Store) -> None:
    with store.session() as session, pytest.raises(DataError, match="NUL character in text"):
        add(session, _passage(text="a\0b"))


def test_a_conditional_refinement_needs_a_critique_of_the_same_answer(sqlite_store: Store) -> None:
    with sqlite_store.session() as session:
        answer, other = _answer(session), _answer(session, "a2")
        critique = add(session, _critique(other))
        author = {"author_kind": "model", "author": "m", "text": "better", "created_by": "t", "answer_id": answer.id}
        with pytest.raises(DataError, match="breaks a rule"):
            add(session, Refinement(key="r1", mode="conditional", **author))
        with pytest.raises(DataError, match="of another answer"):
            add(session, Refinement(key="r2", mode="conditional", critique_id=critique.id, **author))


def test_a_missing_parent_is_named(sqlite_store: Store) -> None:
    with sqlite_store.session() as session, pytest.raises(DataError, match="answer 77 is not in the store"):
        add(session, Critique(key="c", created_by="t", answer_id=77, author_kind="model", author="m", text="wrong"))


def test_the_migrations_make_exactly_the_tables_of_the_models(store: Store) -> None:
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        ours = {table.name for table in Base.metadata.sorted_tables}
        differences = [
            difference
            for difference in compare_metadata(context, Base.metadata)
            # tables of a room that is not imported here (the study's) are not ours to compare
            if not (difference[0] in ("remove_table", "remove_index") and _table_of(difference) not in ours)
        ]
    assert differences == []


def _table_of(difference: tuple) -> str:
    subject = difference[1]
    return subject.name if difference[0] == "remove_table" else subject.table.name


def test_migrations_go_down_and_up_again(store: Store) -> None:
    from alembic import command

    from vivavoce.critique.store.database import alembic_config

    config = alembic_config()
    with store.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert "passages" not in inspect(store.engine).get_table_names()
    migrate(store.engine)
    assert "passages" in inspect(store.engine).get_table_names()


def test_opening_an_old_store_again_keeps_what_is_there(store_url: str) -> None:
    with open_store(store_url) as first, first.session() as session:
        add(session, _passage())
    with open_store(store_url) as second, second.session() as session:
        assert find(session, Passage, "p1") is not None


@pytest.mark.parametrize("url", ["nonsense://x", "mysql://localhost/x", "postgresql://nobody@/none?host=/nonexistent"])
def test_a_store_that_cannot_be_opened_is_a_configuration_error(url: str) -> None:
    with pytest.raises(ConfigError):
        open_store(url)


def test_a_path_that_is_no_database_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("not a database, but long enough to look like a broken header" * 4)
    with pytest.raises(ConfigError, match="cannot open the store"):
        open_store(path)
