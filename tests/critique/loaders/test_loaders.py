"""Each loader on rows of our own writing in the public format, and on the public files where they lie beside us."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from vivavoce.critique.loaders import bigbench_mistake, bump, gsm8k, openai_release, squality, summedits
from vivavoce.critique.loaders.importing import import_path, import_records
from vivavoce.critique.loaders.records import AnswerRecord, LoadNotes, PassageRecord, QuestionRecord
from vivavoce.critique.spans import TextSpan
from vivavoce.critique.store import Answer, Critique, Event, Passage, Question, Rating, Refinement, Store, current, find
from vivavoce.errors import ConfigError, DataError

SHARED = Path(__file__).resolve().parents[4] / "shared" / "data" / "critique"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the public data sets do not lie beside the repository")

PASSAGE = "The ferry left at nine. It carried two goats and a piano. The piano was out of tune."


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def envelope(row_id: str, questions: list[dict], split: str = "train", text: str = PASSAGE) -> dict:
    return {
        "id": row_id, "source_id": "s", "split": split, "time": 1, "labeler": "w1",
        "is_topic_based_summarization": True, "data": {"passage": {"text": text, "title": None}, "questions": questions},
    }  # fmt: skip


BASE = envelope("b1", [{"question": "What does the text say about goats?", "answer": "Two goats travelled."}])
CRITIQUES = envelope(
    "c1",
    [
        {
            "question": "Answer the following question based on the above passage:\n\nWhat does the text say about goats?",
            "answers": [
                {"answer": "Three goats travelled.", "feedback": {"rating": 3, "critiques": [
                    {"text": "There were two goats.", "category": "accuracy", "severity": 3,
                     "text_quotes": [{"begin": 35, "end": 44}], "response_quotes": [{"begin": 0, "end": 11}],
                     "refinement": "Two goats travelled."},
                    {"text": "It omits the piano.", "refinement": "Two goats and a piano travelled.",
                     "response_quotes": [{"begin": 0, "end": 500}]},
                ]}},
                {"answer": "Two goats travelled by ferry.", "feedback": {"rating": 7, "critiques": []}},
            ],
            "rankings": [0, 1],
        }
    ],
)  # fmt: skip
HELPFULNESS = envelope(
    "h1",
    [
        {
            "question": "How was the piano?",
            "answers": [{"answer": "It was new.", "critiques": [
                {"critique": "It was out of tune, not new.", "feedback": {"helpful": True}},
                {"critique": "The answer is long.", "feedback": {"helpful": False}},
                {"critique": "Nothing says that it was new.", "feedback": {"helpful": True}},
            ]}],
            "rankings": [0, None, None],
            "is_critiqueable": None, "has_better_critique": True,
            "new_critique": {"text": "The piano was out of tune.", "category": "other", "category_text": "wrong",
                             "severity": 2},
        }
    ],
)  # fmt: skip


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    write_lines(folder / "base" / "train.jsonl.gz", [BASE])
    write_lines(folder / "critiques" / "train.jsonl.gz", [CRITIQUES])
    write_lines(folder / "helpfulness" / "train.jsonl.gz", [HELPFULNESS])
    return folder


def count(store: Store, table: type) -> int:
    with store.session() as session:
        return session.scalar(select(func.count()).select_from(current(table).subquery())) or 0


def test_the_release_becomes_one_passage_with_everything_under_it(store: Store, release: Path) -> None:
    report = import_path(store, "openai_release", release)
    assert report.refused == []
    assert report.oddities == {"quote out of range dropped": 1, "helpful critique without rank": 1}
    assert [count(store, table) for table in (Passage, Question, Answer, Critique, Refinement)] == [1, 2, 4, 6, 2]
    with store.session() as session:
        flawed = session.scalars(current(Answer).where(Answer.text == "Three goats travelled.")).one()
        clean = session.scalars(current(Answer).where(Answer.text == "Two goats travelled by ferry.")).one()
        assert (flawed.is_correct, clean.is_correct) == (False, True)
        second = session.scalars(current(Refinement).where(Refinement.text.contains("and a piano"))).one()
        assert second.parent_id is not None
        best = session.scalars(current(Critique).where(Critique.rank == 0)).one()
        assert (best.text, best.is_helpful, best.author_kind) == ("It was out of tune, not new.", True, "model")
        scales = Counter(session.scalars(select(Rating.scale)))
        assert scales == {"quality_1_7": 2, "answer_rank_high_best": 2, "is_helpful": 3, "has_better_critique": 1}


def test_importing_twice_adds_nothing(store: Store, release: Path) -> None:
    import_path(store, "openai_release", release)
    before = [count(store, table) for table in (Passage, Question, Answer, Critique, Refinement, Rating)]
    again = import_path(store, "openai_release", release)
    assert again.added == {}
    assert [count(store, table) for table in (Passage, Question, Answer, Critique, Refinement, Rating)] == before


def test_broken_lines_are_named_and_the_rest_is_imported_once(sqlite_store: Store, tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "base" / "train.jsonl",
        [BASE, "{broken", "[1]", {"id": "x"}, envelope("b2", [{"question": " ", "answer": "y"}]), BASE],
    )
    report = import_path(sqlite_store, "openai_release", file)
    places = [place for place, _ in report.refused]
    assert places == ["train.jsonl:2", "train.jsonl:3", "base/train.jsonl:4", "base/train.jsonl:5"]
    assert "not JSON" in report.refused[0][1]
    assert "field question is ' '; need a text" in report.refused[3][1]
    assert count(sqlite_store, Answer) == 1


def test_one_id_with_two_contents_is_refused(sqlite_store: Store, tmp_path: Path) -> None:
    changed = envelope("b1", [{"question": "What does the text say about goats?", "answer": "No goats."}])
    report = import_path(
        sqlite_store, "openai_release", write_lines(tmp_path / "base" / "train.jsonl", [BASE, changed])
    )
    assert [reason for _, reason in report.refused] == [
        "answer 'openai:b1.0.0' is there already with other content; give it another id, or revise it"
    ]
    assert count(sqlite_store, Answer) == 1


def test_a_passage_of_train_is_refused_in_test(sqlite_store: Store, tmp_path: Path) -> None:
    write_lines(tmp_path / "base" / "train.jsonl", [BASE])
    again = envelope("t1", BASE["data"]["questions"], "test", PASSAGE.upper())
    write_lines(tmp_path / "base" / "test.jsonl", [again])
    report = import_path(sqlite_store, "openai_release", tmp_path)
    # test.jsonl sorts first: the second file is the one refused
    assert len(report.refused) == 1
    assert count(sqlite_store, Passage) == 1


def test_a_refused_record_leaves_nothing_behind(sqlite_store: Store) -> None:
    answers = (
        AnswerRecord(key="a1", author_kind="person", author="w", text="fine"),
        AnswerRecord(key="a2", author_kind="person", author="w", text="bad", parent_key="absent"),
    )
    question = QuestionRecord(key="q", text="why?", answers=answers)
    record = PassageRecord(key="p", source="s", text="text", split="train", questions=(question,), place="here:1")
    report = import_records(sqlite_store, [record], LoadNotes())
    assert report.refused == [("here:1", "answer 'a2' names a parent 'absent' that does not come before it")]
    assert report.added == {}
    assert count(sqlite_store, Passage) == 0


def test_a_file_cut_short_in_its_compression_writes_nothing(sqlite_store: Store, tmp_path: Path) -> None:
    rows = [envelope(f"b{number}", BASE["data"]["questions"]) for number in range(200)]
    whole = write_lines(tmp_path / "base" / "train.jsonl.gz", rows)
    whole.write_bytes(whole.read_bytes()[:-60])
    with pytest.raises(DataError, match="breaks off after line"):
        import_path(sqlite_store, "openai_release", whole)
    assert count(sqlite_store, Passage) == 0


def test_a_missing_file_and_an_unknown_format_are_said(sqlite_store: Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds none of base/train"):
        import_path(sqlite_store, "openai_release", tmp_path)
    with pytest.raises(DataError, match="no file"):
        import_path(sqlite_store, "squality", tmp_path)
    with pytest.raises(ConfigError, match="is not one of openai_release"):
        import_path(sqlite_store, "csv", tmp_path)


def test_an_import_leaves_an_event(sqlite_store: Store, release: Path) -> None:
    import_path(sqlite_store, "openai_release", release, by="me")
    with sqlite_store.session() as session:
        happened = session.scalars(select(Event)).one()
        assert (happened.actor, happened.kind, happened.payload["added"]["passages"]) == ("me", "import", 1)


def test_squality_keeps_labels_apart_from_critiques(sqlite_store: Store, tmp_path: Path) -> None:
    row = {
        "passage_id": "7", "question": "What is the plot?", "system": "bart", "worker": "2", "correctness": 40,
        "answer": "A goat sails. A goat sings.", "overall": 30, "overall_rank": 2,
    }  # fmt: skip
    rows = [
        row | {"critique": "It is a piano", "selection": "sails", "start": 7},
        row | {"critique": "", "selection": "sings", "start": 21},
        row | {"critique": "which one?", "selection": "goat", "start": 2},
        row | {"critique": "", "selection": "absent", "start": -1},
    ]
    write_lines(tmp_path / "human_critiques.jsonl", [*rows, rows[0]])
    write_lines(tmp_path / "passages.jsonl", [{"passage_id": "7", "document": PASSAGE, "license": "x"}])
    report = import_path(sqlite_store, "squality", tmp_path)
    assert report.refused == []
    assert report.oddities["duplicate row dropped"] == 1
    assert report.oddities["neither comment nor place: left out"] == 1
    with sqlite_store.session() as session:
        critiques = {row.details["selection"]: row for row in session.scalars(current(Critique))}
        assert set(critiques) == {"sails", "sings", "goat"}
        assert critiques["goat"].answer_spans == []
        assert critiques["sails"].answer_spans == [{"kind": "text", "begin": 7, "end": 12}]
    assert count(sqlite_store, Rating) == 3


def test_squalitys_own_files_give_the_rows_of_the_table(tmp_path: Path) -> None:
    def review(worker: str, *notes: tuple[str, str]) -> dict[str, Any]:
        annotations = [{"annotation": [text] if text else [], "selection": words} for text, words in notes]
        return {"worker_id": worker, "annotations": annotations, "correctness-rating": 40, "overall-rating": 30,
                "overall-rank": 2}  # fmt: skip

    reviews = [review("2", ("It is a piano", "sails"), ("", "sings")), review("5")]
    bart = {"response": "A goat sails. A goat sings.", "reviews": reviews}
    whole = {"passage-id": "7", "questions": {"1": {"bart": bart}}}
    unknown = {"passage-id": "8", "questions": {}}
    out_of_list = {"passage-id": "7", "questions": {"5": {"bart": bart}}}
    (tmp_path / "raw" / "human-eval").mkdir(parents=True)
    (tmp_path / "raw" / "v1-3" / "txt").mkdir(parents=True)
    write_lines(tmp_path / "raw" / "human-eval" / "all-responses.jsonl", [whole, unknown, out_of_list])
    questions = [{"question_number": n, "question_text": text} for n, text in enumerate(["Who?", "What happens?"], 1)]
    story = {"metadata": {"passage_id": "7", "license": "x"}, "document": PASSAGE, "questions": questions}
    write_lines(tmp_path / "raw" / "v1-3" / "txt" / "test.jsonl", [story, story])
    row = {
        "passage_id": "7", "question": "What happens?", "system": "bart", "worker": "2", "correctness": 40,
        "answer": bart["response"], "overall": 30, "overall_rank": 2,
    }  # fmt: skip
    rows = [row | {"critique": "It is a piano", "selection": "sails"}, row | {"critique": "", "selection": "sings"}]
    (tmp_path / "table").mkdir()
    write_lines(tmp_path / "table" / "human_critiques.jsonl", rows)
    write_lines(tmp_path / "table" / "passages.jsonl", [{"passage_id": "7", "document": PASSAGE, "license": "x"}])
    notes = LoadNotes()
    (ours,) = squality.load(tmp_path / "raw", notes)
    (table,) = squality.load(tmp_path / "table", LoadNotes())
    assert replace(ours, place="") == replace(table, place="")
    assert len(ours.questions[0].answers[0].critiques) == 2
    assert notes.refused == [
        ("test.jsonl:2", "story 7 is there already (test.jsonl:1)"),
        ("all-responses.jsonl:2", "story 8 is not in v1-3/txt/test.jsonl"),
        ("all-responses.jsonl:3", "lacks or breaks a field (IndexError('list index out of range'))"),
    ]


def test_summedits_makes_twins_from_labels_not_from_edit_types(sqlite_store: Store, tmp_path: Path) -> None:
    seed = "The ferry left at nine with two goats."
    row = {"doc": PASSAGE, "original_summary": seed, "split": "test"}
    rows = [
        row | {"id": "1", "summary": seed, "label": 1, "edit_types": []},
        row | {"id": "2", "summary": "The ferry left at ten with two goats.", "label": 0, "edit_types": []},
        row | {"id": "3", "summary": "The boat left at nine with two goats.", "label": 1, "edit_types": ["entity"]},
        row | {"id": "3", "summary": "another with the same id", "label": 1, "edit_types": []},
        row | {"id": "4", "summary": "x", "label": 2, "edit_types": []},
    ]
    (tmp_path / "summedits_boats.json").write_text(json.dumps(rows))
    report = import_path(sqlite_store, "summedits", tmp_path)
    assert [reason for _, reason in report.refused] == [
        "id '3' stands at summedits_boats.json[2] already", "label is 2; need 0 or 1",
    ]  # fmt: skip
    with sqlite_store.session() as session:
        flawed = session.scalars(current(Answer).where(Answer.author_kind == "misleading")).one()
        flaw = flawed.planted_flaws[0]
        assert flaw["answer_spans"] == [{"kind": "text", "begin": 18, "end": 21}]
        assert flaw["text"] == 'It says "ten", but it should say "nine".'
        assert flawed.parent is not None
        assert (flawed.parent.text, flawed.parent.is_correct) == (seed, True)
        assert session.scalars(select(Passage)).one().split == "test"


def test_bump_uses_the_adjudicated_type(tmp_path: Path) -> None:
    row = {
        "id": "0", "article_id": "1", "article": PASSAGE, "reference_summary": "Two goats went .",
        "edited_summary": "Two went .", "error_type": "Extrinsic Entity Error",
        "corrected_error_type": "Intrinsic Predicate Error", "scores": {},
    }  # fmt: skip
    (tmp_path / "task1_dataset.json").write_text(json.dumps([row]))
    notes = LoadNotes()
    (passage,) = bump.load(tmp_path / "task1_dataset.json", notes)
    reference, edited = passage.questions[0].answers
    (flaw,) = edited.planted_flaws
    assert (flaw.category, flaw.text) == ("intrinsic predicate", 'It leaves out "goats".')
    assert flaw.answer_spans == (TextSpan(4, 8),)
    assert (reference.is_correct, edited.is_correct, edited.parent_key) == (True, False, reference.key)
    assert notes.oddities == {"adjudicated type differs from the requested one": 1}


@pytest.mark.parametrize(("mistake", "answer", "is_correct"), [(None, "4", True), (1, "4", False), (None, "5", False)])
def test_bigbench_mistake_points_at_the_wrong_step(
    tmp_path: Path, mistake: int | None, answer: str, is_correct: bool
) -> None:
    row = {"input": "2 + 2 =", "target": "4", "answer": answer, "steps": ["Two.", "Add."], "mistake_index": mistake}
    file = write_lines(tmp_path / "multistep_arithmetic.jsonl", [row, row | {"mistake_index": 2}, {"input": "x"}])
    notes = LoadNotes()
    (passage,) = bigbench_mistake.load(file, notes)
    (record,) = passage.questions[0].answers
    assert record.is_correct is is_correct
    if mistake is not None:
        (span,) = record.critiques[0].answer_spans
        assert isinstance(span, TextSpan)
        assert record.text[span.begin : span.end] == "2. Add."
    assert notes.refused[0] == ("multistep_arithmetic.jsonl:2", "mistake_index is 2; need 0 to 1, or null")
    assert len(notes.refused) == 2


def test_gsm8k_loads_as_test(tmp_path: Path) -> None:
    solution = {"is_correct": False, "solution": "A: 5"}
    row = {"question": "How many?", "ground_truth": "A: 4"} | dict.fromkeys(gsm8k.SYSTEMS, solution)
    (passage,) = gsm8k.load(write_lines(tmp_path / "example_model_solutions.jsonl", [row]), LoadNotes())
    assert passage.split == "test"
    assert [answer.is_correct for answer in passage.questions[0].answers] == [True, False, False, False, False]


@needs_shared
@pytest.mark.parametrize(
    ("loader", "folder", "num_passages", "num_answers"),
    [
        (squality, "squality", 20, 295),
        (summedits, "summedits", 162, 4651),
        (bump, "bump", 198, 1076),
        (bigbench_mistake, "bigbench_mistake", 2186, 2186),
        (gsm8k, "gsm8k", 1319, 1319 * 5),
    ],
)
def test_the_public_files_load_without_a_refusal(loader: Any, folder: str, num_passages: int, num_answers: int) -> None:
    notes = LoadNotes()
    passages = list(loader.load(SHARED / folder, notes))
    assert notes.refused == []
    assert len(passages) == num_passages
    assert sum(len(question.answers) for passage in passages for question in passage.questions) == num_answers


@needs_shared
def test_gsm8k_flags_count_as_published() -> None:
    counts = Counter(
        answer.author
        for passage in gsm8k.load(SHARED / "gsm8k", LoadNotes())
        for answer in passage.questions[0].answers
        if answer.is_correct
    )
    assert [counts[system] for system in gsm8k.SYSTEMS] == [286, 515, 458, 742]


@needs_shared
def test_summedits_documents_keep_the_published_split() -> None:
    splits = Counter(passage.split for passage in summedits.load(SHARED / "summedits", LoadNotes()))
    assert splits["test"] > 0
    assert splits["train"] > 0
    assert sum(splits.values()) == 162


def test_find_names_the_first_import(sqlite_store: Store, release: Path) -> None:
    import_path(sqlite_store, "openai_release", release)
    with sqlite_store.session() as session:
        answer = find(session, Answer, "openai:b1.0.0")
        assert answer is not None
        assert (answer.text, answer.author_kind) == ("Two goats travelled.", "person")


def test_the_release_loader_accepts_a_single_file(release: Path) -> None:
    (passage,) = openai_release.load(release / "base" / "train.jsonl.gz", LoadNotes())
    assert passage.questions[0].answers[0].text == "Two goats travelled."
