"""Answers one by one and side by side; and the command line on good and bad input."""

import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image as Pillow

from tests.omni.engine.models import make_checkpoint
from vivavoce.cli import main
from vivavoce.content import Audio, Conversation, Image, Message, Text, Video, system, user
from vivavoce.errors import DataError
from vivavoce.media import write_video
from vivavoce.omni.answer import OmniModel, answer, answer_all, answer_requests
from vivavoce.omni.checkpoint import save_checkpoint
from vivavoce.omni.engine.answering import place_sounds, trim
from vivavoce.omni.engine.loading import make_engine
from vivavoce.omni.engine_protocol import AnswerRequest, Task
from vivavoce.omni.steps import STOP

CHECKPOINT = make_checkpoint()
PICTURE = Image(np.random.default_rng(0).integers(0, 255, size=(80, 40, 3)).astype(np.uint8))
TONE = Audio(0.3 * np.sin(np.arange(12_000) / 5).astype(np.float32), 16_000)


@pytest.fixture(scope="module")
def model() -> OmniModel:
    engine = make_engine(CHECKPOINT, backend="torch")
    engine.generation.limits = type(engine.generation.limits)(max_steps=12)
    return OmniModel(engine, "tiny")


def test_an_answer_has_the_parts_that_were_asked_for(model: OmniModel) -> None:
    said = answer(model, Conversation((system("be kind"), user("hello", TONE))), outputs={"text", "audio"}, seed=1)
    assert said.role == "assistant"
    (sound,) = said.parts_of(Audio)
    assert (sound.rate_hz, len(sound.samples) % 1920) == (24_000, 0)
    assert answer(model, Conversation((user("draw"),)), outputs={"image"}).parts_of(Image)[0].pixels.shape == (
        64,
        64,
        3,
    )


@pytest.mark.parametrize("task", ["answer", "read"])
def test_an_answer_made_piece_by_piece_is_that_made_at_once(task: Task) -> None:
    checkpoint = make_checkpoint()
    with torch.no_grad():
        # it stops only when it must
        checkpoint.model.turn_out.bias[STOP] = -50.0
    engine = make_engine(checkpoint, backend="torch")
    engine.generation.limits = type(engine.generation.limits)(max_steps=5)
    asked = AnswerRequest(
        conversation=Conversation((user("how many", TONE),)), outputs=frozenset({"text", "audio"}), task=task, seed=1
    )
    (sound,) = answer_requests(OmniModel(engine, "tiny"), [asked])[0].parts_of(Audio)
    assert len(sound.samples) == 5 * 1920
    deltas = list(engine.answer(asked))
    pcm = np.concatenate([delta.pcm for delta in deltas if delta.pcm is not None])
    np.testing.assert_allclose(pcm, sound.samples, atol=1e-4)
    assert "".join(delta.text for delta in deltas).strip() == sound.transcript


def test_answers_made_together_are_those_made_alone(model: OmniModel) -> None:
    asked = [
        Conversation((user("how many"),)),
        Conversation((user(PICTURE, "what is it"),)),
        Conversation((system("be kind"), user(TONE))),
        Conversation((user("say one two three"),)),
    ]
    counts: list[int] = []
    together = answer_all(model, asked, outputs={"audio"}, seed=3, num_together=3, on_done=counts.append)
    assert counts == [1, 2, 3, 4]
    for conversation, said in zip(asked, together):
        alone = answer(model, conversation, outputs={"audio"}, seed=3)
        assert said.text == alone.text
        np.testing.assert_allclose(said.parts_of(Audio)[0].samples, alone.parts_of(Audio)[0].samples, atol=1e-3)


def test_transcribing_gives_text_of_what_was_heard(model: OmniModel) -> None:
    request = AnswerRequest(conversation=Conversation((user(TONE),)), task="transcribe")
    (said,) = answer_requests(model, [request])
    assert said.parts_of(Audio) == []


def test_a_text_longer_than_the_context_is_refused_by_number(model: OmniModel) -> None:
    with pytest.raises(DataError, match=r"input is \d+ steps long; at most \d+ fit in the context of 512"):
        answer(model, Conversation((user("how many balls are there " * 200),)))


def test_silence_at_the_ends_of_a_recording_is_cut_off_but_for_a_margin() -> None:
    quiet = np.zeros(16_000, np.float32)
    padded = Audio(np.concatenate([quiet, TONE.samples, quiet]), 16_000)
    assert abs(len(trim(padded).samples) - len(TONE.samples) - 1_600) <= 640
    assert len(trim(Audio(quiet, 16_000)).samples) == 16_000


def test_sounds_lie_on_whole_clock_steps_after_a_lead() -> None:
    track = place_sounds([TONE, TONE])
    assert track.shape[1:] == (8, 80)
    assert track[:6].max() < track[7].max()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny")
    save_checkpoint(path, CHECKPOINT.model, CHECKPOINT.vocabulary, codec=CHECKPOINT.codec, images=CHECKPOINT.images)
    return path


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "in").mkdir()
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(folder: Path, *arguments: str) -> int:
    return main(["ask", *arguments, "--model", str(folder), "--backend", "torch", "--to", "out/answer"])


def write_pcm(path: Path, samples: np.ndarray, rate_hz: int = 16_000, subtype: str = "PCM_16") -> None:
    soundfile.write(path, samples, rate_hz, subtype=subtype)


def test_ask_writes_what_it_names(folder: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(folder, "draw a red star", "--out", "image") == 0
    assert "wrote out/answer.png (64 x 64)" in capsys.readouterr().out
    assert Pillow.open("out/answer.png").size == (64, 64)


@pytest.mark.parametrize(
    ("channels", "rate_hz", "subtype"), [(2, 16_000, "PCM_16"), (1, 16_000, "PCM_U8"), (1, 96_000, "PCM_24")]
)
def test_stereo_8_bit_and_96_khz_are_heard(folder: Path, work: Path, channels: int, rate_hz: int, subtype: str) -> None:
    samples = np.repeat(0.3 * np.sin(np.arange(rate_hz // 2) / 7)[:, None], channels, axis=1)
    write_pcm(work / "in" / "q.wav", samples, rate_hz, subtype)
    assert ask(folder, "--audio", "in/q.wav") == 0


def test_an_animated_picture_is_seen_by_its_first_frame_and_a_film_needs_no_sound(folder: Path, work: Path) -> None:
    frames = [Pillow.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save("in/a.gif", save_all=True, append_images=frames[1:])
    write_video(work / "in" / "f.mp4", Video(np.zeros((4, 64, 64, 3), np.uint8), 2.0))
    assert ask(folder, "what is it", "--image", "in/a.gif") == 0
    assert ask(folder, "what is it", "--video", "in/f.mp4") == 0


@pytest.mark.parametrize(("parts", "words"), [((Text("three."),), "three."), ((), "four."), ((Text("a b"),), "a b")])
def test_words_that_come_with_their_sound_are_printed_once(
    folder: Path, work: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, parts, words: str
) -> None:
    sound = Audio(np.zeros(2400, np.float32), 24_000, "four.")
    made = Message("assistant", (*parts, sound))
    monkeypatch.setattr("vivavoce.omni.answer.answer", lambda *_, **__: made)
    assert ask(folder, "hello you", "--out", "text,audio") == 0
    assert capsys.readouterr().out.splitlines() == [words, "wrote out/answer.wav (0.1 s)"]


def make_bad_inputs() -> None:
    """All of the bad files in ./in."""
    Path("in/empty.wav").write_bytes(b"")
    write_pcm(Path("in/none.wav"), np.zeros(0))
    write_pcm(Path("in/one.wav"), np.zeros(1))
    write_pcm(Path("in/whole.wav"), np.zeros(1000))
    Path("in/cut.wav").write_bytes(Path("in/whole.wav").read_bytes()[:20])
    with wave.open("in/hour.wav", "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(1000)
        sound.writeframes(bytes(3_600_000))
    Pillow.new("RGB", (1, 1)).save("in/dot.png")
    Pillow.new("RGB", (40_000, 1)).save("in/wide.png")
    write_pcm(Path("in/sound.wav"), 0.1 * np.ones(16_000))
    Path("in/film.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42")


BAD = [
    (["--audio", "in/missing.wav"], "cannot read in/missing.wav"),
    (["--audio", "in/empty.wav"], "in/empty.wav is not sound that can be read"),
    (["--audio", "in/cut.wav"], "in/cut.wav is not sound that can be read"),
    (["--audio", "in/none.wav"], "in/none.wav holds 0 samples; need at least 2"),
    (["--audio", "in/one.wav"], "in/one.wav holds 1 samples; need at least 2"),
    (["--audio", "in/hour.wav"], "in/hour.wav lasts 3600 s; at most 600 s"),
    (["--image", "in/dot.png"], "picture is 1 x 1 pixels; need at least 8 a side"),
    (["--image", "in/wide.png"], "in/wide.png is 40000 x 1 pixels; at most 8192 a side"),
    (["--image", "in/one.wav"], "is not a picture that can be read"),
    (["--video", "in/film.mp4"], "in/film.mp4 is not a film that can be read"),
    (["--video", "in/sound.wav"], "in/sound.wav has no pictures"),
    (["how many balls are there " * 300], "at most 509 fit in the context of 512"),
    ([""], "nothing to ask; give TEXT, --audio, --image or --video"),
    (["hello", "--out", "smell"], "--out is 'smell'; give one or more of text, audio, image"),
    (["hello", "--backend", "abacus"], "no backend 'abacus'; there are auto, torch"),
]


def test_bad_input_is_one_line_that_names_the_bound_and_leaves_nothing_behind(
    folder: Path, work: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_bad_inputs()
    for arguments, message in BAD:
        extra = [] if "--out" in arguments else ["--out", "text,audio,image"]
        backend = [] if "--backend" in arguments else ["--backend", "torch"]
        code = main(["ask", *arguments, *extra, *backend, "--model", str(folder), "--to", "out/answer"])
        said = capsys.readouterr()
        assert code == 2, arguments
        assert message in said.err
        assert said.err.count("\n") == 1
        assert said.out == ""
        assert list((work / "out").iterdir()) == []


def test_talk_asks_the_question_that_ships(folder: Path, work: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["talk", "--model", str(folder), "--to", "out/a.wav", "--no-play", "--backend", "torch"]) == 0
    assert "asking vivavoce-tiny" in capsys.readouterr().out
    assert soundfile.info("out/a.wav").samplerate == 24_000


def test_bench_clock_reports_quantiles_with_intervals_and_conditions(work: Path) -> None:
    import json

    assert (
        main(["bench", "clock", "--untrained", "tiny", "--backend", "torch", "--steps", "40", "--json", "out/c.json"])
        == 0
    )
    report = json.loads(Path("out/c.json").read_text())
    assert report["p95_ms"]["n"] == 40
    assert report["conditions"]["backend"] == "torch"
    # made to speak on every step; random weights may stop in between
    assert 0.3 < report["conditions"]["speaking_share"] <= 1.0
