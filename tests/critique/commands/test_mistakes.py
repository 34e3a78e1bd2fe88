"""What a person gets wrong on the command line: one line that says what is wrong and what is allowed, and exit code 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.cli import main
from vivavoce.critique import work_command
from vivavoce.critique.language import LanguageModel
from vivavoce.critique.sizes import make_model


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("train run --num-problems 0", "num_problems is 0; need 1 or more"),
        ("matrix nowhere/a nowhere/b", "no text model 'nowhere/a'"),
        ("matrix nowhere/a --num-problems 0", "num_problems is 0"),
        ("refine --num-problems 0", "num_problems is 0"),
        ("planted --max-twins -1", "max_twins is -1"),
        ("criticise --store s.db --limit 0", "limit is 0"),
        ("criticise --store s.db --sources poems", "has no answer of the test split of poems"),
        ("synthesise --store s.db --num 0", "num is 0; need 1 or more problems"),
        ("import openai_release empty.jsonl --store s.db", "empty.jsonl holds no row of the format openai_release"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(
        work_command, "open_respondent", _open if "nowhere" not in arguments else work_command.open_respondent
    )
    (tmp_path / "empty.jsonl").write_text("")
    assert main(["critique", *arguments.split()]) == 2
    error = capsys.readouterr().err
    assert expected in error
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("train run --config.lora-rank -1", "lora_rank is -1"),
        ("refine --config.num-refinements 0", "num_refinements is 0; need 1 or more"),
        ("refine --config.max-new-tokens 0", "max_new_tokens is 0; need 1 or more"),
        ("refine --config.temperature -1", r"temperature is -1.0; need 0 (greedy) to 10"),
        ("planted --sampling.temperature -1", r"temperature is -1.0; need 0 (greedy) to 10"),
        ("criticise --split nowhere", "invalid choice 'nowhere'"),
    ],
)
def test_a_setting_out_of_range_is_refused_before_anything_is_loaded(
    arguments: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["critique", *arguments.split()])
    assert stopped.value.code == 2
    assert expected in capsys.readouterr().err


def test_an_empty_store_says_that_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["critique", "show", "--store", str(tmp_path / "s.db")]) == 0
    assert "holds nothing yet" in capsys.readouterr().out


def test_answers_longer_than_the_context_are_left_out_of_every_critics_number_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import json

    short = _open()
    monkeypatch.setattr(work_command, "open_respondent", lambda *_: short)
    arguments = ["critique", "planted", "--num-problems", "2", "--sampling.num-critiques", "1"]
    short.context_tokens = 60  # room for some of the tasks' prompts and a critique of 30 tokens
    out = tmp_path / "planted.json"
    assert main([*arguments, "--sampling.max-new-tokens", "30", "--untrained", "2xs", "--json", str(out)]) == 0
    report = json.loads(out.read_text())
    counts = report["counts"]
    assert counts["left_out"] > 0
    assert counts["twins"] + counts["left_out"] == 10
    assert f"{counts['left_out']} of 10 answers do not fit the context" in capsys.readouterr().out
    assert {row["recall"]["n"] for row in report["critics"].values()} == {counts["passages"]}
    short.context_tokens = 20
    assert main(arguments) == 2
    assert "none of 10 answers fits the context" in capsys.readouterr().err


def _open(*_: str) -> LanguageModel:
    return LanguageModel(make_model("2xs", seed=0))
