"""Loaders of real data: right examples, and errors that name the file and the row."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from vivavoce.content import Audio, Image, Text, assistant, user
from vivavoce.content_formats import to_openai
from vivavoce.data.curriculum import iterate_examples
from vivavoce.data.example import Example
from vivavoce.data.import_command import import_recordings
from vivavoce.data.loaders.audio_folder import load_audio_folder
from vivavoce.data.loaders.caption_parquet import load_captions
from vivavoce.data.loaders.chat_jsonl import load_chat
from vivavoce.data.loaders.real import RealData
from vivavoce.data.voices.shards import Shards
from vivavoce.errors import ConfigError, DataError
from vivavoce.media import encode_png, write_audio

TONE = Audio(0.1 * np.sin(np.arange(4410) / 7).astype(np.float32), 44_100)
RED = Image(np.full((20, 30, 3), (200, 0, 0), np.uint8))


def test_recordings_of_a_table_come_at_16_khz_with_folded_words(tmp_path: Path):
    write_audio(tmp_path / "a.wav", TONE)
    (tmp_path / "metadata.csv").write_text('file_name,transcription\na.wav,"Hello, World!"\n')
    (example,) = load_audio_folder(tmp_path)
    audio = example.messages.messages[1].parts_of(Audio)[0]
    assert audio.rate_hz == 16_000
    assert audio.duration_s == pytest.approx(0.1, abs=0.002)
    assert audio.transcript == example.answer.text == "hello, world!"
    assert example.cell == "audio -> text"


@pytest.mark.parametrize("layout", ["jsonl", "trans", "beside"])
def test_every_layout_of_transcripts_gives_the_same_words(tmp_path: Path, layout: str):
    write_audio(tmp_path / "a.flac", TONE)
    if layout == "jsonl":
        (tmp_path / "metadata.jsonl").write_text(json.dumps({"file_name": "a.flac", "text": "one two"}))
    elif layout == "trans":
        (tmp_path / "x.trans.txt").write_text("a ONE TWO\n")
    else:
        (tmp_path / "a.txt").write_text("One two\n")
    assert [example.answer.text for example in load_audio_folder(tmp_path)] == ["one two"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file_name,text\nb.wav,hello\n", r"metadata\.csv line 2: cannot read .*b\.wav"),
        ("file_name,text\na.wav,\n", r"metadata\.csv line 2: the transcript of a\.wav is empty"),
        ("name,text\na.wav,hello\n", r"metadata\.csv line 2 has \['name', 'text'\]; need file_name"),
        ("file_name,text\nbad.wav,hello\n", r"metadata\.csv line 2: .*bad\.wav is not sound"),
    ],
)
def test_a_bad_row_of_recordings_is_named(tmp_path: Path, table: str, message: str):
    write_audio(tmp_path / "a.wav", TONE)
    (tmp_path / "bad.wav").write_bytes(b"RIFF nothing")
    (tmp_path / "metadata.csv").write_text(table)
    with pytest.raises(DataError, match=message):
        list(load_audio_folder(tmp_path))


def test_an_empty_folder_and_a_recording_without_words_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match="holds no recordings"):
        list(load_audio_folder(tmp_path))
    write_audio(tmp_path / "a.wav", TONE)
    with pytest.raises(DataError, match=r"a\.wav has no transcript"):
        list(load_audio_folder(tmp_path))


def write_parquet(path: Path, rows: list[dict]) -> Path:
    pa = pytest.importorskip("pyarrow", reason="needs the extra `train`")
    import pyarrow.parquet as parquet

    parquet.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_captioned_pictures_are_described_or_drawn(tmp_path: Path):
    rows = [{"image": {"bytes": encode_png(RED), "path": None}, "caption": "A red field"}]
    path = write_parquet(tmp_path / "c.parquet", rows)
    (described,) = load_captions(path)
    assert described.messages.messages[0].parts_of(Image) == [RED]
    assert described.messages.messages[1].text == "a red field"
    (drawn,) = load_captions(path, direction="draw")
    assert (drawn.messages.messages[0].text, drawn.caption) == ("draw a red field", "a red field")
    assert drawn.messages.messages[1].parts_of(Image)[0].pixels.shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"image": b"no picture", "text": "x"}, r"c\.parquet row 1: .*not a picture"),
        ({"image": encode_png(RED), "text": " "}, r"c\.parquet row 1 has an empty caption"),
    ],
)
def test_a_bad_row_of_pictures_is_named(tmp_path: Path, row: dict, message: str):
    path = write_parquet(tmp_path / "c.parquet", [{"image": encode_png(RED), "text": "fine"}, row])
    with pytest.raises(DataError, match=message):
        list(load_captions(path))


def test_a_table_without_pictures_and_a_file_that_is_none_are_refused(tmp_path: Path):
    path = write_parquet(tmp_path / "c.parquet", [{"url": "x", "text": "y"}])
    with pytest.raises(DataError, match="has columns url, text; need image"):
        list(load_captions(path))
    (tmp_path / "d.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"d\.parquet is no Parquet file"):
        list(load_captions(tmp_path / "d.parquet"))


def test_conversations_keep_their_parts_and_end_with_the_answer(tmp_path: Path):
    path = tmp_path / "chat.jsonl"
    messages = [to_openai(user(RED, Text("What is it?"))), to_openai(assistant("A red field."))]
    path.write_text(json.dumps({"messages": messages}) + "\n\n")
    (example,) = load_chat(path)
    assert example.cell == "text+image -> text"
    assert example.messages.messages[0].parts == (RED, Text("what is it?"))
    assert example.answer.check("a red field")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", r"chat\.jsonl line 2 is not JSON"),
        ("[]", r"line 2 has no list `messages`"),
        (
            '{"messages": [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]}',
            r"line 2 ends with user",
        ),
        (
            '{"messages": [{"role": "me", "content": "a"}, {"role": "assistant", "content": "b"}]}',
            r"message 0 has no role",
        ),
        (
            '{"messages": [{"role": "user", "content": [{"type": "smell"}]}, {"role": "assistant", "content": "b"}]}',
            r"line 2 message 0: .*smell",
        ),
    ],
)
def test_a_bad_conversation_is_named(tmp_path: Path, line: str, message: str):
    path = tmp_path / "chat.jsonl"
    good = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    path.write_text(f"{json.dumps(good)}\n{line}\n")
    with pytest.raises(DataError, match=message):
        list(load_chat(path))


def make_real(folder: Path) -> list[Path]:
    (folder / "recordings" / "ann").mkdir(parents=True)
    write_audio(folder / "recordings" / "ann" / "a.wav", TONE)
    (folder / "recordings" / "ann" / "a.txt").write_text("One two")
    rows = [{"image": encode_png(RED), "text": f"field {number}"} for number in range(3)]
    pictures = write_parquet(folder / "c.parquet", rows)
    lines = [{"messages": [to_openai(user(f"{number}?")), to_openai(assistant("yes."))]} for number in range(2)]
    (folder / "chat.jsonl").write_text("\n\n".join(map(json.dumps, lines)))
    return [folder / "recordings", pictures, folder / "chat.jsonl"]


def test_real_data_of_all_kinds_is_one_sequence_in_any_order(tmp_path: Path):
    paths = make_real(tmp_path)
    real = RealData(paths)
    found = {position: real[position] for position in reversed(range(len(real)))}
    said = [(found[position].task, found[position].answer.text) for position in range(len(real))]
    assert said == [
        ("write_down", "one two"),
        *[
            pair
            for number in range(3)
            for pair in ((f"caption_{how}", f"field {number}") for how in ("describe", "draw"))
        ],
        ("chat", "yes."),
        ("chat", "yes."),
    ]
    assert [example.messages.messages[0].text for example in load_chat(paths[2])] == ["0?", "1?"]
    for position in (-1, len(real)):
        with pytest.raises(IndexError):
            real[position]
    before = real.digest
    assert RealData(paths).digest == before
    (tmp_path / "recordings" / "ann" / "a.txt").write_text("one three")
    assert RealData(paths).digest != before


def test_real_data_takes_its_share_of_the_curriculum_and_the_same_by_seed(tmp_path: Path):
    real = RealData(make_real(tmp_path))
    small = list(islice(iterate_examples("train", 0, {"text -> text": 1.0}), 400))

    def mix(share: float) -> list[Example]:
        return list(real.mix_into(small, share, np.random.default_rng(5)))

    assert mix(0.0) == small
    assert not any(example in small for example in mix(1.0)[:40])
    taken = [example.task for example in mix(0.25) if example.task.startswith(("caption", "chat", "write_down"))]
    # 0.25 of 400, four standard deviations
    assert 65 < len(taken) < 135
    assert set(taken) == {"caption_describe", "caption_draw", "chat", "write_down"}
    assert [example.example_id for example in mix(0.25)] == [example.example_id for example in mix(0.25)]


def test_what_is_no_real_data_is_named(tmp_path: Path):
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(ConfigError, match=r"a\.txt is no folder of recordings, \.parquet"):
        RealData([tmp_path / "a.txt"])
    (tmp_path / "empty.jsonl").write_text("\n")
    with pytest.raises(DataError, match=r"empty\.jsonl holds no examples"):
        RealData([tmp_path / "empty.jsonl"])


def test_imported_recordings_are_renderings_of_their_talkers(tmp_path: Path):
    folder = make_real(tmp_path)[0]
    import_recordings(folder, out=tmp_path / "data" / "user-mine")
    (item,) = Shards(tmp_path / "data" / "user-mine")
    assert item.about["text"] == "one two"
    assert item.about["voice"] == "recorded ann"
    assert item.about["rate_hz"] == 16_000
    (example,) = load_audio_folder(folder)
    samples = example.messages.messages[1].parts_of(Audio)[0].samples
    assert np.abs(item.array / 32767 - samples).max() < 1 / 32767
    with pytest.raises(ConfigError, match="user-mine is there already"):
        import_recordings(folder, out=tmp_path / "data" / "user-mine")


def test_a_broken_recording_leaves_no_renderings(tmp_path: Path):
    folder = make_real(tmp_path)[0]
    (folder / "b.wav").write_bytes(b"RIFF nothing")
    (folder / "b.txt").write_text("three")
    with pytest.raises(DataError, match=r"b\.txt: .*b\.wav is not sound"):
        import_recordings(folder, out=tmp_path / "data" / "user-mine")
    assert list((tmp_path / "data").iterdir()) == []


def test_a_table_may_name_recordings_anywhere_and_an_empty_one_is_refused(tmp_path: Path):
    make_real(tmp_path)
    table = tmp_path / "table"
    table.mkdir()
    (table / "metadata.csv").write_text("file_name,text\n../recordings/ann/a.wav,hello\n")
    import_recordings(table, out=tmp_path / "data" / "user-mine")
    (item,) = Shards(tmp_path / "data" / "user-mine")
    assert item.about["voice"] == "recorded ../recordings/ann"
    (table / "metadata.csv").write_text("file_name,text\n")
    with pytest.raises(DataError, match="lists no recordings"):
        import_recordings(table, out=tmp_path / "data" / "user-none")
    assert not (tmp_path / "data" / "user-none").exists()
