"""The measuring itself: what counts as audible, late, and the end of a question."""

from __future__ import annotations

import asyncio
import base64
from types import SimpleNamespace

import numpy as np
import pytest

from vivavoce.errors import CheckpointError, DataError
from vivavoce.serve import engines
from vivavoce.serve.bench.conversation import Conversation, Question, Turn, measure
from vivavoce.serve.bench.latency import LatencyReport
from vivavoce.serve.bench.listening import count_underruns, gather_replies, measure_parts, measure_stop, measure_wait
from vivavoce.serve.bench.load import Level
from vivavoce.serve.bench.questions import load_questions, make_tones, read_questions
from vivavoce.serve.scripted_engine import make_tone
from vivavoce.serve.sound import encode_sound

TONE = make_tone(300, 0, 1920)
SILENCE = np.zeros(1920, np.float32)


def delta(at, item="a", pcm=None, response="r"):
    data = base64.b64encode(bytes(3840) if pcm is None else encode_sound(pcm, "audio/pcm")).decode()
    return at, SimpleNamespace(type="response.output_audio.delta", item_id=item, response_id=response, delta=data)


def done(at, response="r", reason=None):
    details = SimpleNamespace(reason=reason) if reason else None
    return at, SimpleNamespace(type="response.done", response=SimpleNamespace(id=response, status_details=details))


def test_the_wait_ends_at_the_first_sound_that_can_be_heard_not_at_the_first_delta():
    late = np.concatenate([SILENCE[:960], TONE[:960]])
    heard = gather_replies([delta(1.0, pcm=SILENCE), delta(1.08, pcm=late)])
    assert measure_wait(heard, ended_s=0.9) == pytest.approx(0.18 + 0.04)
    assert measure_wait(gather_replies([delta(1.0, pcm=SILENCE)]), ended_s=0.9) is None


def test_a_turn_that_was_begun_too_soon_may_still_be_answered_and_only_the_answer_is_waited_for():
    too_soon = [delta(1.0, pcm=TONE), done(1.25, reason="turn_detected")]
    turn = Turn("q")
    measure(turn, [*too_soon, delta(2.5, pcm=TONE, response="s", item="b"), done(3.0, "s")], ended_s=2.25, onset_s=None)
    assert (turn.false_start, turn.wait_s, turn.first_delta_s) == (True, 0.25, 0.25)
    turn = Turn("q")
    measure(turn, [delta(1.0, pcm=TONE), delta(2.5, pcm=TONE), done(3.0)], ended_s=2.25, onset_s=None)
    assert (turn.false_start, turn.wait_s) == (True, None)


def test_only_a_reply_that_an_interruption_met_and_ended_has_a_stop_time():
    first = [delta(1.0, pcm=TONE), done(2.0, reason="turn_detected")]
    later = [delta(3.5, pcm=TONE, response="s", item="b"), done(4.75, "s", "turn_detected")]
    assert measure_stop(gather_replies(first), onset_s=1.5) == 0.5
    # over before the interruption began: this was once printed as a stop after -569 ms
    assert measure_stop(gather_replies(first), onset_s=2.5) is None
    assert measure_stop(gather_replies([*first, *later]), onset_s=4.0) == 0.75
    assert measure_stop(gather_replies([delta(1.0, pcm=TONE), done(2.0)]), onset_s=1.5) is None, "it ended by itself"
    assert measure_stop(gather_replies([delta(1.0, pcm=TONE)]), onset_s=1.5) is None, "it never stopped"
    met = [Turn("q", met_speech=True, stop_s=0.5), Turn("q", met_speech=True), Turn("q")]
    found = LatencyReport([], met, {}).estimate()
    assert (found["stopped"].value, found["stopped"].n) == (0.5, 2)
    assert found["barge_ins_that_met_speech"].n == 3


def test_the_parts_of_a_wait_add_up_to_it():
    # voice until 1.5 s of the stream; the model had heard 1.64 s, which was sent 3 ms late; half the first delta is silence
    sent = [(100.0 + 0.02 * idx + 0.003, 0.02 * idx) for idx in range(1, 100)]
    stopped = (101.65, SimpleNamespace(type="input_audio_buffer.speech_stopped", audio_end_ms=1640))
    late = np.concatenate([SILENCE[:960], TONE[:960]])
    events = [stopped, delta(101.66, pcm=late)]
    parts = measure_parts(events, sent, ended_s=101.5, voiced_s=1.5)
    assert parts is not None
    found = (parts.heard_s, parts.sending_s, parts.serving_s, parts.silence_s)
    assert found == pytest.approx((0.14, 0.003, 0.017, 0.04))
    assert sum(found) == pytest.approx(measure_wait(gather_replies(events), ended_s=101.5))
    assert measure_parts(events[1:], sent, 101.5, 1.5) is None, "a server that does not say what was heard"
    assert measure_parts([stopped], sent, 101.5, 1.5) is None, "no answer"


def test_a_delta_is_late_when_the_player_has_run_dry():
    steady = [delta(0.08 * idx) for idx in range(20)]
    assert count_underruns(steady) == 0
    assert count_underruns([*steady[:10], *(delta(0.08 * idx + 0.15) for idx in range(10, 20))]) == 1
    assert count_underruns([delta(0.0), delta(5.0, "b")]) == 0


class PlayedServer:
    """A connection in which what happens is fixed: each chunk that comes sets off the events planned for it."""

    def __init__(self, plan):
        self.realtime = self.session = self.input_audio_buffer = self
        self._plan, self._events, self.chunks = plan, asyncio.Queue(), 0

    def connect(self, model):
        return self

    async def __aenter__(self):
        return self

    async def __aexit__(self, *error):
        pass

    async def update(self, session):
        self._events.put_nowait(SimpleNamespace(type="session.updated"))

    async def append(self, audio):
        for event in self._plan.get(self.chunks, ()):
            self._events.put_nowait(event)
        self.chunks += 1

    async def __aiter__(self):
        while True:
            yield await self._events.get()


def test_the_microphone_stays_open_after_a_false_start_until_the_question_is_answered(monkeypatch):
    monkeypatch.setattr("vivavoce.serve.bench.conversation.TRANSCRIPT_S", 0.0)
    question = Question(
        "q", np.concatenate([make_tone(300, 0, 4800), np.zeros(4800, np.float32), make_tone(300, 0, 4800)])
    )
    too_soon = [delta(0, pcm=TONE)[1], done(0, reason="turn_detected")[1]]
    answer = [delta(0, pcm=TONE, response="s", item="b")[1], done(0, "s")[1]]
    server = PlayedServer({14: too_soon, 34: answer})  # the question's last voiced sample is in chunk 29

    async def run():
        async with Conversation(server, turn_detection={"type": "semantic_vad"}) as conversation:
            return await conversation.ask(question)

    turn = asyncio.run(run())
    assert server.chunks >= 35
    assert turn.false_start
    assert turn.wait_s is not None
    assert turn.wait_s >= 0.1  # chunk 34 is complete at 700 ms, the question at 600


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
