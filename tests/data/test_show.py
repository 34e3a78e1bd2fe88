"""Looking at data from the command line."""

from pathlib import Path

import pytest

from vivavoce.cli import main


def test_examples_are_shown_with_their_media(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["data", "show", "--num", "2", "--group", "image -> image", "--out", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert shown.count("image -> image") == 2
    assert len(list(tmp_path.glob("*.png"))) == 4


def test_an_unknown_group_is_one_line_and_code_2(capsys: pytest.CaptureFixture[str]):
    assert main(["data", "show", "--group", "smell -> text"]) == 2
    assert capsys.readouterr().err.startswith("viva data show: group is 'smell -> text'; there are reading")


def test_a_fault_in_real_data_is_one_line_that_names_the_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = tmp_path / "chat.jsonl"
    path.write_text('{"messages": []}\n')
    assert main(["data", "check", str(path), "--kind", "chat"]) == 2
    assert "chat.jsonl line 1 has no list" in capsys.readouterr().err
