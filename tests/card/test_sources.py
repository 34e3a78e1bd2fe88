"""Public sets by digest: a wrong one is refused, a right one is read; loading never splits where it must not."""

import hashlib
from pathlib import Path

import pytest

from vivavoce.card import sources
from vivavoce.card.card_command import fetch
from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.sources import DataSource, SourceFile, fetch_sources, list_source_files
from vivavoce.card.tasks import TaskOptions, choose_items, load_items
from vivavoce.cli import main
from vivavoce.errors import ConfigError, DataError, EndpointError


def _pretend(monkeypatch: pytest.MonkeyPatch, data: bytes, **changes: str) -> None:
    row = SourceFile("a/b.jsonl", "1", "MIT", "https://example.org/b", hashlib.sha256(data).hexdigest(), ("health",))
    monkeypatch.setattr(sources, "list_source_files", lambda: {"a/b.jsonl": row})


def test_a_file_with_another_digest_is_refused_with_both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, b'{"a": 1}\n')
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.jsonl").write_bytes(b'{"a": 2}\n')
    with pytest.raises(DataError, match=r"has sha256 .*; pinned is"):
        DataSource(tmp_path).read_jsonl("a/b.jsonl")


def test_rows_may_hold_line_separators(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = '{"a": "x\u2028y"}\n'.encode()
    _pretend(monkeypatch, data)
    (tmp_path / "a").mkdir()
    (tmp_path / "a/b.jsonl").write_bytes(data)
    assert DataSource(tmp_path).read_jsonl("a/b.jsonl") == [{"a": "x\u2028y"}]


def test_a_download_that_is_something_else_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pretend(monkeypatch, b"right")
    monkeypatch.setattr(sources, "_download", lambda url, timeout_s: b"wrong")
    (row,) = fetch_sources(tmp_path)
    assert row.state == "failed"
    assert row.why.endswith("the file changed or was cut short")
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr(sources, "_download", lambda url, timeout_s: b"right")
    assert [row.state for row in fetch_sources(tmp_path)] == ["fetched"]
    assert [row.state for row in fetch_sources(tmp_path)] == ["present"]


def test_a_set_that_cannot_be_had_does_not_keep_the_others_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    digest = hashlib.sha256(b"right").hexdigest()
    rows = [SourceFile(name, "1", "MIT", f"https://example.org/{name}", digest, ("health",)) for name in ("a", "b")]
    monkeypatch.setattr(sources, "list_source_files", lambda: {row.path: row for row in rows})

    def download(url: str, timeout_s: float) -> bytes:
        if url.endswith("a"):
            raise EndpointError("cannot fetch it; check the network and try again")
        return b"right"

    monkeypatch.setattr(sources, "_download", download)
    assert fetch(tmp_path) == 1
    assert capsys.readouterr().out.splitlines() == [
        "failed a (cannot fetch it; check the network and try again)",
        "fetched b (1 rows, MIT)",
        "1 files are missing, for the reasons above; the same command tries them again",
    ]
    assert (tmp_path / "b").read_bytes() == b"right"


def test_fetching_for_an_evaluation_that_is_not_there_is_refused_and_for_one_without_files_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["card", "fetch", "--out", str(tmp_path), "--only", "chess"]) == 2
    assert "evaluations ['chess'] are unknown; allowed: voice_authorization_model, " in capsys.readouterr().err
    assert main(["card", "fetch", "--out", str(tmp_path), "--only", "persuasion"]) == 0
    assert capsys.readouterr().out == "persuasion: no public file is read by it; nothing to fetch\n"
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_does_not_answer_is_named() -> None:
    with pytest.raises(EndpointError, match=r"cannot fetch http://127\.0\.0\.1:9/x"):
        sources._download("http://127.0.0.1:9/x", 2.0)


def test_every_public_file_has_a_digest_and_feeds_an_evaluation_that_exists() -> None:
    for source in list_source_files().values():
        assert len(source.sha256) == 64
        assert set(source.feeds) & set(EVALUATIONS) or set(source.feeds) == {"cyber_ctf"}, source


def test_a_subset_is_even_over_measures_fixed_by_seed_and_in_order() -> None:
    items = EVALUATIONS["speaker_id"].load(DataSource())
    chosen = choose_items(items, 6, 0)
    assert chosen == choose_items(items, 6, 0)
    assert sum(item.measure == "should_refuse" for item in chosen) == 3
    assert [item.item_id for item in chosen] == sorted(item.item_id for item in chosen)


def test_unknown_options_are_named() -> None:
    with pytest.raises(ConfigError, match="preset is 'tiny'"):
        TaskOptions(preset="tiny")
    with pytest.raises(DataError, match="does not exist"):
        load_items(EVALUATIONS["health"], TaskOptions(data="/nowhere/at/all"))
