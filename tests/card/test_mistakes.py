"""What people get wrong on the command line: one line that names it, before anything is run or written."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vivavoce.card import running
from vivavoce.card.card_command import RunArguments, run
from vivavoce.card.redteam.findings import Finding, Turn, append_finding
from vivavoce.card.redteam_command import export
from vivavoce.card.report.document import ReportOptions, build_document
from vivavoce.card.running import CardConfig, make_plan, run_card
from vivavoce.cli import main
from vivavoce.errors import CheckpointError, ConfigError, DataError


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ({"preset": "medium"}, "preset is 'medium'; allowed: quick, full"),
        ({"arms": "text,speech"}, r"arms \['speech'\] are unknown; allowed: text, audio_to_text, audio"),
        ({"limit": 0}, "limit is 0; need 1 or more"),
        ({"only": ("chess",)}, r"evaluations \['chess'\] are unknown"),
        ({"model": "nano"}, "names no provider"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused_by_name(named: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        CardConfig(**{"model": "viva-fake/good", **named})


def test_a_voice_that_does_not_speak_here_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"voices \['bob'\] do not speak here; studio tones has tone-1, "):
        make_plan(CardConfig(model="viva-fake/good", studio="tones", only=("over_refusal",), voices="tone-1,bob"))


@pytest.mark.parametrize(
    ("model", "error", "said"),
    [
        ("viva/no-such", CheckpointError, "checkpoint 'no-such' is no folder and none that ships"),
        ("viva-fake/no-such", ConfigError, "script 'no-such' is unknown"),
        ("no-such/model", ConfigError, "model 'no-such/model' can't be used: "),
    ],
)
def test_a_model_that_is_not_there_is_refused_before_the_folder_is_touched(
    tmp_path: Path, model: str, error: type[Exception], said: str
) -> None:
    config = CardConfig(model=model, studio="tones", only=("over_refusal",), limit=1)
    with pytest.raises(error, match=said):
        next(run_card(config, tmp_path / "run", make_plan(config)))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("model", "more", "said"),
    [
        (
            "viva-chat/x",
            {"base_url": "127.0.0.1:8000/v1"},
            r"base url is '127\.0\.0\.1:8000/v1'; need http:// or https://",
        ),
        ("viva-realtime/x", {"base_url": "ws://127.0.0.1/v1"}, "base url is 'ws://127"),
        ("viva-realtime/x", {"model_args": {"endpointing": "vad"}}, "is 'vad'; allowed: server_vad, push_to_talk"),
        ("viva-realtime/x", {"model_args": {"pace": 0}}, "pace is 0; need more than 0"),
        (
            "viva-chat/x",
            {"model_args": {"speed": 3}},
            r"\['speed'\] are unknown; allowed: stream, rate_hz, voice, timeout_s",
        ),
        ("viva/nano", {"model_args": {"dir": "x"}}, r"\['dir'\] are unknown; allowed: path"),
        ("viva-fake/good", {"model_args": {"delay": 1}}, r"\['delay'\] are unknown; allowed: studio, reply, delay_s"),
        (
            "viva-cascade/viva-fake/echo",
            {"model_args": {"args": {}}},
            r"\['args'\] are unknown; allowed: studio, inner_args",
        ),
    ],
)
def test_what_a_provider_does_not_know_is_refused_before_the_folder_is_touched(
    tmp_path: Path, model: str, more: dict, said: str
) -> None:
    config = CardConfig(model=model, studio="tones", only=("over_refusal",), limit=1, **more)
    with pytest.raises(ConfigError, match=said):
        next(run_card(config, tmp_path / "run", make_plan(config)))
    assert not (tmp_path / "run").exists()


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command sets what is not set; this takes it back."""
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, {"OMP_WAIT_POLICY": "passive"}.get(name, "1"))


@pytest.mark.usefixtures("threads")
def test_progress_says_why_samples_were_not_graded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = RunArguments(
        model="viva-fake/down", out=tmp_path / "run", studio="tones", only=(("over_refusal",),), arms="text", limit=1, rbr="none",
    )  # fmt: skip
    assert run(arguments) == 1
    said = capsys.readouterr().out
    assert "over_refusal: success, graded 0 of 1 (endpoint_down 1)" in said
    assert "      none was graded; the first says: nothing listens at this address; is the server up?\n" in said
    assert said.endswith("nothing was measured: none of 1 samples was graded, for the reasons above\n")
    # what is kept of it is no better
    assert run(replace(arguments, resume=True)) == 1
    assert "over_refusal: kept, graded 0 of 1" in capsys.readouterr().out


@pytest.mark.usefixtures("threads")
def test_a_run_in_which_something_was_graded_or_nothing_could_be_run_says_which(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    arguments = RunArguments(
        model="viva-fake/good", out=tmp_path / "run", studio="tones", only=(("over_refusal",),), arms="text", limit=1, rbr="none",
    )  # fmt: skip
    assert run(arguments) == 0
    assert run(replace(arguments, resume=True)) == 0
    assert "over_refusal: kept, graded 1 of 1" in capsys.readouterr().out
    monkeypatch.setattr(running, "has_docker", lambda: False)
    assert run(replace(arguments, only=(("cyber_ctf_sandbox",),), out=tmp_path / "other")) == 1
    assert "nothing was measured: no evaluation could be run" in capsys.readouterr().out


def test_making_items_of_no_findings_says_so_and_what_makes_none_is_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match="holds no findings"):
        export(tmp_path, tmp_path / "data")
    turns = [Turn(role="user", text="Who is this?"), Turn(role="assistant", text="No idea.")]
    finding = Finding(
        finding_id="f-1", model="m", at="2026-01-01T00:00:00+00:00", phase="3 candidates", severity="none",
        category="identifying people", violates=False, turns=turns,
    )  # fmt: skip
    append_finding(tmp_path, finding)
    assert export(tmp_path, tmp_path / "data") == 0
    assert capsys.readouterr().out.startswith("1 findings made no item: ")


@pytest.mark.usefixtures("threads")
def test_the_estimate_says_time_speech_and_cost_where_there_are_prices(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "card", "run", "--model", "viva-fake/good", "--out", "nowhere", "--studio", "tones", "--dry", "--only", "over_refusal",
        "--arms", "audio", "--limit", "2",
    ]  # fmt: skip
    assert main([*words, "--seconds-a-sample", "90"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("1 evaluations, 2 samples, about 3 min, minutes of speech ")
    assert said.endswith(" 0.1 out, no prices given (--price-in, --price-out)\n")
    # two answers of four seconds
    assert main([*words, "--price-out", "30"]) == 0
    assert capsys.readouterr().out.endswith("cost 4.00\n")


@pytest.mark.parametrize("name", ["change_log", "labels", "early", "cascade", "before"])
def test_what_is_set_beside_a_card_must_be_there(good_run: Path, tmp_path: Path, name: str) -> None:
    beside: dict[str, Any] = {name: tmp_path / "nowhere"}
    with pytest.raises(DataError, match=str(tmp_path / "nowhere")):
        build_document(good_run, ReportOptions(**beside))


@pytest.mark.usefixtures("threads")
def test_a_flag_that_is_given_twice_counts_twice(capsys: pytest.CaptureFixture[str]) -> None:
    words = [
        "card", "run", "--model", "viva-fake/good", "--out", "nowhere", "--studio", "tones", "--limit", "1", "--dry",
        "--only", "over_refusal", "copyright", "--only", "misinformation", "--only", "copyright",
    ]  # fmt: skip
    assert main(words) == 0
    assert capsys.readouterr().out.startswith("3 evaluations, ")
    # an early name is checked as the last one is
    assert main([*words[:-3], "chess", "--only", "copyright"]) == 2
    assert "evaluations ['chess'] are unknown" in capsys.readouterr().err
