"""The measuring itself: what counts as audible, late, and the end of a question."""

from __future__ import annotations

import base64
from types import SimpleNamespace

import numpy as np
import pytest

from vivavoce.errors import CheckpointError, DataError
from vivavoce.serve import engines
from vivavoce.serve.bench.conversation import Question, Turn, count_underruns, find_first_audible
from vivavoce.serve.bench.latency import LatencyReport
from vivavoce.serve.bench.load import Level
from vivavoce.serve.bench.questions import load_questions, make_tones, read_questions
from vivavoce.serve.scripted_engine import make_tone

TONE = make_tone(300, 0, 1920)
SILENCE = np.zeros(1920, np.float32)


def delta(at, item="a"):
    data = base64.b64encode(bytes(3840)).decode()
    return at, SimpleNamespace(type="response.output_audio.delta", item_id=item, delta=data)


def test_the_wait_ends_at_the_first_sound_that_can_be_heard_not_at_the_first_delta():
    late = np.concatenate([SILENCE[:960], TONE[:960]])
    assert find_first_audible([(1.0, SILENCE), (1.08, late)], ended_s=0.9) == pytest.approx(0.18 + 0.04)
    assert find_first_audible([(1.0, SILENCE)], ended_s=0.9) is None


def test_a_delta_is_late_when_the_player_has_run_dry():
    steady = [delta(0.08 * idx) for idx in range(20)]
    assert count_underruns(steady) == 0
    assert count_underruns([*steady[:10], *(delta(0.08 * idx + 0.15) for idx in range(10, 20))]) == 1
    assert count_underruns([delta(0.0), delta(5.0, "b")]) == 0


def test_the_end_of_a_question_is_its_last_voiced_sample():
    question = Question("q", np.concatenate([SILENCE, TONE, np.zeros(24_000, np.float32)]))
    assert question.last_voiced_s == pytest.approx(0.16)
    assert not question.has_pause
    assert Question("p", np.concatenate([TONE, np.zeros(12_000, np.float32), TONE])).has_pause


def test_the_recorded_questions_are_there_and_some_have_pauses():
    questions = load_questions()
    assert len(questions) == 16
    assert sum(question.has_pause for question in questions) >= 4
    assert all(0.5 < question.last_voiced_s < 6 for question in questions)
    assert len(load_questions("interruption")) == 2
    assert len(make_tones()) == 6


def test_shares_are_over_all_turns_so_that_silence_counts():
    turns = [Turn("q", wait_s=0.2, spoken_s=1.0), Turn("q", false_start=True, spoken_s=1.0), Turn("q")]
    report = LatencyReport(turns, [], {"q": True})
    found = report.estimate()
    assert (found["answered"].value, found["answered"].n) == (1 / 3, 3)
    assert found["false_starts_in_pauses"].value == 1 / 3
    shown = report.to_json()
    assert (shown["n"], shown["p50_ms"], shown["p95_ms"]) == (1, 200.0, 200.0)
    assert LatencyReport([], [], {}).to_json()["p50_ms"] is None


def test_a_level_passes_only_if_everyone_was_answered_without_a_gap():
    good, gap, mute = Turn("q", spoken_s=1.0), Turn("q", spoken_s=1.0, underruns=1), Turn("q")
    assert Level(2, [good, good]).passes
    assert not Level(2, [good, gap]).passes
    assert not Level(2, [good, mute]).passes
    assert not Level(2, []).passes


def test_a_folder_without_recordings_and_a_model_that_is_not_there_are_said_so(tmp_path):
    with pytest.raises(DataError, match="holds no recordings"):
        read_questions(tmp_path)
    with pytest.raises(CheckpointError, match=r"config\.json is missing"):
        engines.load(str(tmp_path / "nothing"), 2)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "0.0.0.0", "--model", "scripted"], "which others can reach, and there is no key"),
        (["--port", "70000", "--model", "scripted"], "port is 70000"),
        (["--model", "no/such/folder", "--port", "0"], "config.json is missing"),
        (["--model", "scripted", "--port", "0", "--moderation", "nowhere:nothing"], "can't be loaded"),
    ],
)
def test_wrong_flags_are_one_line_and_exit_code_2(arguments, said, capsys, monkeypatch):
    from vivavoce.cli import main

    monkeypatch.delenv("VIVA_KEY", raising=False)
    assert main(["serve", *arguments]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert said in line
