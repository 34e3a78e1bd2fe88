"""Values that cross rooms: checked on construction, compared by value, unharmed by round trips."""

import copy

import numpy as np
import pytest

from vivavoce.content import Audio, Conversation, Image, Message, Text, Video, assistant, user
from vivavoce.content_formats import (
    from_hugging_face,
    from_inspect,
    from_openai,
    read_data_uri,
    to_hugging_face,
    to_inspect,
    to_openai,
)
from vivavoce.errors import DataError


def tone(seconds: float = 0.1, rate_hz: int = 16_000) -> Audio:
    wave = np.sin(np.arange(int(seconds * rate_hz)) / 10)
    # whole 16-bit values, which every format can hold
    return Audio((np.round(wave * 20_000) / 32_768).astype(np.float32), rate_hz)


def picture(seed: int = 0) -> Image:
    return Image(np.random.default_rng(seed).integers(0, 256, (8, 6, 3)).astype(np.uint8))


MESSAGE = user("what is", tone(), picture())


def test_equality_is_by_value() -> None:
    assert user("hm", tone()) == user("hm", tone())
    assert user("hm", tone()) != user("hm", tone(0.2))
    assert picture(0) == copy.deepcopy(picture(0))
    assert picture(0) != picture(1)
    assert picture(0) != "picture"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Audio(np.zeros((2, 5), np.float32), 16_000), r"float32 \[2, 5\]"),
        (lambda: Audio(np.zeros(5), 16_000), "float64"),
        (lambda: Audio(np.zeros(5, np.float32), 0), "0 Hz"),
        (lambda: Image(np.zeros((4, 4), np.uint8)), r"\[4, 4\]"),
        (lambda: Image(np.zeros((4, 4, 3), np.float32)), "float32"),
        (lambda: Video(np.zeros((0, 4, 4, 3), np.uint8), 2.0), "no frames"),
        (lambda: Video(np.zeros((1, 4, 4, 3), np.uint8), 0.0), "0.0 frames a second"),
    ],
)
def test_what_is_malformed_is_refused_with_its_value(make, words: str) -> None:
    with pytest.raises(DataError, match=words):
        make()


def test_text_of_a_message_includes_what_is_said() -> None:
    said = Audio(np.zeros(5, np.float32), 16_000, "three balls")
    assert assistant("there are", said, picture()).text == "there are three balls"


def test_append_leaves_the_conversation_as_it_was() -> None:
    one = Conversation((user("a"),))
    two = one.append(assistant("b"))
    assert (len(one.messages), len(two.messages)) == (1, 2)


@pytest.mark.parametrize("message", [MESSAGE, user("only text"), assistant("answer", picture(3))])
def test_openai_round_trip(message: Message) -> None:
    assert from_openai(to_openai(message)) == message


@pytest.mark.parametrize("message", [MESSAGE, user("only text")])
def test_inspect_round_trip(message: Message) -> None:
    pytest.importorskip("inspect_ai")
    assert from_inspect(message.role, to_inspect(message)) == message


@pytest.mark.parametrize("message", [MESSAGE, user(Video(np.zeros((3, 4, 4, 3), np.uint8), 2.0, tone()))])
def test_hugging_face_round_trip(message: Message) -> None:
    assert from_hugging_face(to_hugging_face(message)) == message


def test_a_film_survives_openai_nearly() -> None:
    frames = np.stack([np.full((32, 32, 3), shade, np.uint8) for shade in (20, 120, 220)])
    film = Video(frames, 2.0, tone(1.5))
    (part,) = from_openai(to_openai(user(film))).parts
    assert isinstance(part, Video)
    assert part.frames.shape == frames.shape
    assert np.abs(part.frames.astype(int) - frames).max() <= 6
    assert part.audio is not None
    assert part.audio.duration_s == pytest.approx(1.5, abs=0.1)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "hologram"}, "part 0 has type 'hologram'"),
        ({"type": "input_audio", "input_audio": {}}, "lacks 'data'"),
        ({"type": "input_audio", "input_audio": {"data": "***", "format": "wav"}}, "part 0 is not base64"),
        ({"type": "image_url", "image_url": {"url": "http://127.0.0.1/secret.png"}}, "only base64 data URIs"),
    ],
)
def test_a_broken_part_is_named_by_its_place(part: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        from_openai({"role": "user", "content": [part]})


def test_a_data_uri_gives_its_bytes() -> None:
    assert read_data_uri("data:image/png;base64,aGk=") == b"hi"


def test_plain_strings_are_text_everywhere() -> None:
    for reader in (from_openai, from_hugging_face):
        assert reader({"role": "user", "content": "hi"}) == Message("user", (Text("hi"),))
