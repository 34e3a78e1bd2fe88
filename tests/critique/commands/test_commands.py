"""The room's commands through the command line, fetching without a network, criticising into the store."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from sqlalchemy import select

from vivavoce.cli import main
from vivavoce.critique import fetching
from vivavoce.critique.commands import COMMANDS
from vivavoce.critique.criticising import criticise_store
from vivavoce.critique.language import LanguageModel, Sample
from vivavoce.critique.loaders.importing import import_records
from vivavoce.critique.loaders.records import AnswerRecord, LoadNotes, PassageRecord, QuestionRecord
from vivavoce.critique.pool import Sampling
from vivavoce.critique.sizes import make_model
from vivavoce.critique.store import Critique, Event, Store, current
from vivavoce.errors import AssetError, ConfigError
from vivavoce.grading import Graded


@pytest.mark.parametrize("name", [name for name in COMMANDS if name.startswith("critique ")])
def test_every_command_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*name.split(), "--help"])
    assert stopped.value.code == 0
    assert "usage" in capsys.readouterr().out.lower()


def test_a_fetched_file_must_have_the_pinned_digest(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="not the pinned"):
        fetching.fetch_set("gsm8k", tmp_path, read=lambda address: b"something else")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError, match="no public set 'poems'"):
        fetching.fetch_set("poems", tmp_path)


def test_a_file_that_is_there_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = hashlib.sha256(b"rows").hexdigest()
    sets = {"mine": {"licence": "x", "address": "https://h/{file}", "files": {"a.jsonl": digest}}}
    monkeypatch.setattr(fetching, "list_sets", lambda: sets)
    asked: list[str] = []

    def read(address: str) -> bytes:
        asked.append(address)
        return b"rows"

    for _ in range(2):
        assert fetching.fetch_set("mine", tmp_path, read=read) == [(tmp_path / "a.jsonl", digest, True)]
    assert asked == ["https://h/a.jsonl"]


def test_a_set_without_a_known_digest_is_not_fetched_but_taken_from_a_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def read(address: str) -> bytes:
        raise AssertionError(f"asked for {address}")

    with pytest.raises(
        AssetError, match=r"no sha256 is known of squality's human-eval/all-responses\.jsonl, so it is not fetc"
    ):
        fetching.fetch_set("squality", tmp_path / "data", read=read)
    (tmp_path / "mine" / "v1-3" / "txt").mkdir(parents=True)
    (tmp_path / "mine" / "all-responses.jsonl").write_text("reviews")
    with pytest.raises(AssetError, match=r"holds no v1-3/txt/test\.jsonl"):
        fetching.fetch_set("squality", tmp_path / "data", local=tmp_path / "mine")
    (tmp_path / "mine" / "v1-3" / "txt" / "test.jsonl").write_text("stories")
    main(["critique", "fetch", "squality", "--folder", str(tmp_path / "data"), "--local", str(tmp_path / "mine")])
    out = capsys.readouterr().out
    assert f"not verified: no sha256 is known; this one has {hashlib.sha256(b'reviews').hexdigest()}" in out
    assert (tmp_path / "data" / "squality" / "v1-3" / "txt" / "test.jsonl").read_text() == "stories"


def test_three_files_of_one_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl.gz").write_bytes(b"which of the three?")
    with pytest.raises(AssetError, match=r"holds no base/train\.jsonl\.gz"):
        fetching.fetch_set("openai_release", tmp_path / "data", local=tmp_path)


def test_a_local_file_with_another_digest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "example_model_solutions.jsonl").write_text("something else")
    with pytest.raises(AssetError, match="not the pinned"):
        fetching.fetch_set("gsm8k", tmp_path / "data", local=tmp_path)
    assert not (tmp_path / "data").exists()


def test_every_address_with_a_digest_is_pinned_to_a_commit() -> None:
    for about in fetching.list_sets().values():
        digests = [digest for digest in about["files"].values() if digest is not None]
        is_pinned = any(
            len(part) == 40 and set(part) <= set("0123456789abcdef") for part in about["address"].split("/")
        )
        assert is_pinned or not digests
        assert all(len(digest) == 64 for digest in digests)


def test_synthetic_problems_go_in_once_and_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = str(tmp_path / "s.db")
    assert main(["critique", "synthesise", "--store", store, "--num", "2"]) == 0
    assert main(["critique", "synthesise", "--store", store, "--num", "2"]) == 0
    assert "added    nothing" in capsys.readouterr().out
    assert main(["critique", "show", "--store", store, "--json", str(tmp_path / "c.json")]) == 0
    assert json.loads((tmp_path / "c.json").read_text())["synthetic/addition"] == 6


def test_an_import_with_a_broken_line_exits_1_and_names_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "word_sorting.jsonl"
    good = {"input": "b a", "target": "a b", "answer": "a b", "steps": ["Sort."], "mistake_index": None}
    file.write_text(json.dumps(good) + "\n{broken\n")
    report = tmp_path / "r.json"
    arguments = [
        "critique",
        "import",
        "bigbench_mistake",
        str(file),
        "--store",
        str(tmp_path / "s.db"),
        "--json",
        str(report),
    ]
    assert main(arguments) == 1
    assert "refused  word_sorting.jsonl:2: not JSON" in capsys.readouterr().out
    assert json.loads(report.read_text())["added"]["answers"] == 1


def test_a_missing_folder_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["critique", "import", "bump", str(tmp_path), "--store", str(tmp_path / "s.db")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no file" in error


def test_gdc_writes_every_value_with_n_and_interval(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    LanguageModel(make_model("2xs", seed=0)).save(tmp_path / "model")
    out = tmp_path / "gdc.json"
    arguments = ["critique", "gdc", "--model", str(tmp_path / "model"), "--tasks", "addition", "--num-items", "2"]
    assert main([*arguments, "--json", str(out)]) == 0
    report = json.loads(out.read_text())["tasks"]["addition"]
    for value in [report["generator"], report["discriminator"], report["critique"], *report["gaps"].values()]:
        assert {"value", "n", "ci"} <= set(value)
    assert "n/a" in capsys.readouterr().out


class OneCritique:
    """Says one thing about everything, twice."""

    def sample(self, prompts, n, **_):
        return [[Sample('It says "swan", which is wrong.', False, 9)] * n for _ in prompts]

    def judge(self, task, prompts):
        return [Graded(0.8) for _ in prompts]


def test_critiques_go_into_the_store_ranked_and_once(store: Store) -> None:
    answers = (
        AnswerRecord(key="a", author_kind="model", author="m", text="A swan stood."),
        AnswerRecord(key="empty", author_kind="model", author="m", text=""),
    )
    question = QuestionRecord(key="q", text="Who?", answers=answers)
    record = PassageRecord(key="p", source="s", text="A heron stood.", split="test", questions=(question,))
    import_records(store, [record], LoadNotes())
    arguments = {"author": "critic-1", "split": "test", "sampling": Sampling(num_critiques=3)}
    report = criticise_store(store, OneCritique(), **arguments)
    assert (report.num_answers, report.num_drawn, report.num_kept) == (1, 3, 1)
    assert report.refused == [("empty", "has no text to criticise")]
    again = criticise_store(store, OneCritique(), **arguments)
    assert (again.num_skipped, again.num_kept) == (1, 0)
    with store.session() as session:
        critique = session.scalars(current(Critique)).one()
        assert (critique.rank, critique.author_kind) == (0, "model")
        assert critique.answer_spans == [{"kind": "text", "begin": 2, "end": 6}]
        assert [event.kind for event in session.scalars(select(Event))] == ["import", "criticise"]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("model")
    LanguageModel(make_model("2xs", seed=0)).save(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("arguments", "key"),
    [
        (["rank", "--num-problems", "2"], "lead_over_best_trivial"),
        (["refine", "--tasks", "addition", "--num-problems", "2", "--config.max-new-tokens", "4"], "addition"),
        (
            ["planted", "--num-problems", "1", "--sampling.num-critiques", "1", "--sampling.max-new-tokens", "4"],
            "critics",
        ),
    ],
)
def test_a_measuring_command_runs_on_any_model(arguments: list[str], key: str, model: str, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    assert main(["critique", *arguments, "--model", model, "--json", str(out)]) == 0
    assert key in json.loads(out.read_text())


def test_the_matrix_command_crosses_the_models_it_is_given(model: str, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    options = ["--num-problems", "1", "--sampling.num-critiques", "1", "--sampling.max-new-tokens", "4"]
    assert main(["critique", "matrix", model, *options, "--json", str(out)]) == 0
    assert list(json.loads(out.read_text())["cells"]) == [model]


def test_training_and_criticising_from_a_store(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store, out = str(tmp_path / "s.db"), tmp_path / "run"
    assert main(["critique", "synthesise", "--store", store, "--num", "2"]) == 0
    options = ["--config.base", "2xs", "--config.num-examples", "16", "--config.batch-examples", "8"]
    assert main(["critique", "train", str(out), "--store", store, *options]) == 0
    assert "validation loss" in capsys.readouterr().out
    sampling = ["--sampling.num-critiques", "2", "--sampling.max-new-tokens", "4", "--sources", "synthetic/addition"]
    assert main(["critique", "criticise", "--store", store, "--model", str(out / "model"), *sampling]) == 0
    assert "drawn for" in capsys.readouterr().out


def test_training_from_an_empty_store_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["critique", "train", str(tmp_path / "run"), "--store", str(tmp_path / "s.db")]) == 2
    assert "has no train example" in capsys.readouterr().err
