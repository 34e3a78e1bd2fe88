"""A run end to end on the fake: resume, report bytes, diff, failures of endpoints, exports."""

import json
import shutil
from pathlib import Path

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log

from tests.card.conftest import make_run
from vivavoce.card.diff import compare_runs
from vivavoce.card.records import read_runs
from vivavoce.card.report.document import ReportOptions, build_document
from vivavoce.card.report.exports import export_every_eval_ever, export_hugging_face
from vivavoce.card.report.html import render_html
from vivavoce.card.report.markdown import render_markdown
from vivavoce.card.running import CardConfig, make_plan, run_card
from vivavoce.card.summary import summarise_run
from vivavoce.errors import ConfigError, DataError


def _arms(folder: Path) -> dict:
    return {
        (evaluation["id"], measure["name"]): {
            arm: (group["estimate"]["value"], group["graded"]) for arm, group in measure["arms"].items()
        }
        for evaluation in summarise_run(folder)["evaluations"]
        for measure in evaluation["measures"]
    }


def test_the_right_model_passes_everything_that_ran(good_run: Path) -> None:
    for (evaluation, _), arms in _arms(good_run).items():
        wanted = 0.0 if evaluation == "tts_fidelity" else 1.0
        assert {value for value, _ in arms.values()} == {wanted}, (evaluation, arms)


def test_the_report_has_the_same_bytes_from_the_same_logs(good_run: Path, bad_run: Path) -> None:
    options = ReportOptions(early=bad_run)
    first, second = (build_document(good_run, options) for _ in range(2))
    assert json.dumps(first) == json.dumps(second)
    page = render_html(first, good_run)
    assert page == render_html(second, good_run)
    assert "early checkpoint" in page
    assert "data:audio/mpeg;base64," in page
    assert "Read this first:" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "Speaker identification" in render_markdown(first)


def test_exports_carry_every_number(good_run: Path) -> None:
    document = build_document(good_run)
    record = export_every_eval_ever(document)
    names = {result["evaluation_name"] for result in record["evaluation_results"]}
    assert "speaker_id/should_refuse/audio" in names
    assert "vivavoce/speaker_id" in export_hugging_face(document)
    assert record["schema_version"] == "0.3.0"


def test_the_worse_model_is_found_worse(good_run: Path, bad_run: Path) -> None:
    rows = {(row["evaluation"], row["arm"]): row for row in compare_runs(good_run, bad_run)["rows"]}
    assert rows["disallowed_content", "audio"]["difference"]["value"] == -1.0
    assert rows["disallowed_content", "audio"]["lost"] == 3
    same = compare_runs(good_run, good_run)["rows"]
    assert {row["verdict"] for row in same} == {"no difference shown"}


def test_a_run_cut_short_goes_on_to_the_same_card(good_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(good_run, folder)
    (folder / "manifest.json").unlink()
    lost = [info.name for info in list_eval_logs(str(folder / "logs")) if "speaker" in info.name or "ctf" in info.name]
    for name in lost:
        Path(name.removeprefix("file://")).unlink()
    config = CardConfig(
        model="viva-fake/good", studio="tones", limit=3,
        only=("voice_authorization_classifier", "speaker_id", "disallowed_content", "cyber_ctf", "tts_fidelity"),
    )  # fmt: skip
    steps = list(run_card(config, folder, make_plan(config), resume=True))
    assert [step.status for step in steps] == ["kept", "success", "kept", "success", "kept"]
    assert _arms(folder) == _arms(good_run)
    other = CardConfig(model="viva-fake/good", studio="tones", limit=3, only=config.only, seed=1)
    with pytest.raises(ConfigError, match="seed"):
        list(run_card(other, folder, make_plan(other), resume=True))


def test_a_log_that_cannot_be_read_is_said_once_and_its_evaluation_is_run_anew(
    good_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "cut"
    shutil.copytree(good_run, folder)
    (folder / "manifest.json").unlink()
    (info,) = [info for info in list_eval_logs(str(folder / "logs")) if "ctf" in info.name]
    torn = Path(info.name.removeprefix("file://"))
    torn.write_bytes(torn.read_bytes()[:200])
    # Inspect raises the root's level while it runs
    caplog.set_level("WARNING", logger="vivavoce.card.records")
    config = CardConfig(
        model="viva-fake/good", studio="tones", limit=3,
        only=("voice_authorization_classifier", "speaker_id", "disallowed_content", "cyber_ctf", "tts_fidelity"),
    )  # fmt: skip
    steps = list(run_card(config, folder, make_plan(config), resume=True))
    assert [step.status for step in steps] == ["kept", "kept", "kept", "success", "kept"]
    (said,) = [record.getMessage() for record in caplog.records if record.name == "vivavoce.card.records"]
    assert said.startswith(f"{torn.name} can't be read")
    assert _arms(folder) == _arms(good_run)


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("down", "endpoint_down"),
        ("slow", "timeout"),
        ("rate_limited", "rate_limited"),
        ("no_audio", "no_audio"),
        ("silent", "silent_audio"),
        ("wrong_rate", "wrong_rate"),
        ("truncated", "truncated_audio"),
        ("other_transcript", "transcript_mismatch"),
    ],
)
def test_what_an_endpoint_does_wrong_is_a_reason_and_never_a_score(tmp_path: Path, script: str, reason: str) -> None:
    run = read_runs(make_run(tmp_path / "run", script, only=("over_refusal",), limit=1))["over_refusal"]
    spoken = [record for record in run.records if record.arm == "audio"]
    assert run.status == "success"
    assert [(record.value, record.reason) for record in spoken] == [(None, reason)]
    assert spoken[0].why
    # what has to do with sound alone leaves the text arm as it is
    written = {record.value is None for record in run.records if record.arm == "text"}
    assert written == {script in ("down", "slow", "rate_limited")}
    group = build_document(tmp_path / "run")["card"]["controls"]["unscored"]
    assert group[reason] >= 1


def test_logs_keep_sound_small_and_playable(good_run: Path) -> None:
    info = next(info for info in list_eval_logs(str(good_run / "logs")) if "speaker" in info.name)
    log = read_eval_log(info, resolve_attachments=True)
    assert log.samples
    sounds = [part for part in log.samples[0].messages[0].content if part.type == "audio"]  # type: ignore[union-attr]
    assert sounds[0].audio.startswith("data:audio/mpeg;base64,")
    assert (good_run / "media" / sounds[0].internal["file"]).is_file()  # type: ignore[index]


def test_a_folder_without_logs_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no log of an evaluation"):
        summarise_run(tmp_path)


def test_what_cannot_run_here_is_named_and_not_a_number(good_run: Path) -> None:
    card = summarise_run(good_run)
    missing = {evaluation["id"]: evaluation for evaluation in card["evaluations"] if evaluation["status"] == "not run"}
    assert "health" in missing
    assert missing["health"]["measures"] == []


def test_a_data_file_with_a_wrong_hash_ends_its_evaluation_in_a_line_and_the_rest_runs(tmp_path: Path) -> None:
    path = tmp_path / "data" / "safety" / "xstest_prompts.csv"
    path.parent.mkdir(parents=True)
    path.write_text("id,prompt\n1,changed\n")
    config = CardConfig(
        model="viva-fake/good", studio="tones", only=("over_refusal", "bio_tacit"), limit=2, arms="text", rbr="none",
        data=str(tmp_path / "data"),
    )  # fmt: skip
    plan = make_plan(config)
    assert "has sha256" in plan.skipped["over_refusal"]
    assert "\n" not in plan.skipped["over_refusal"]
    assert [step.name for step in run_card(config, tmp_path / "run", plan)] == ["bio_tacit"]
    row = next(row for row in build_document(tmp_path / "run")["card"]["evaluations"] if row["id"] == "over_refusal")
    assert (row["status"], row["measures"]) == ("not run", [])
    assert "pinned is" in row["why"]
