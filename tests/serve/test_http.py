"""The HTTP surfaces, by the stock client over a real socket and by bare requests."""

from __future__ import annotations

import base64
import io

import httpx
import numpy as np
import pytest
import soundfile
from openai import AsyncOpenAI, BadRequestError, OpenAI

from vivavoce.content import Audio, Image, Video, user
from vivavoce.content_formats import to_openai
from vivavoce.media import encode_wav, read_audio, read_image
from vivavoce.serve.limits import Limits
from vivavoce.serve.scripted_engine import ScriptedEngine, make_tone
from vivavoce.serve.security import ServerConfig
from vivavoce.serve.server import serve_in_thread
from vivavoce.serve.vad import EnergyVad
from vivavoce.serve.worker import Worker

WAV = encode_wav(Audio(make_tone(300, 0, 16_000, 16_000), 16_000))


@pytest.fixture(scope="module")
def address():
    limits = Limits(max_body_bytes=4 * 2**20, max_media_s=20.0)
    worker = Worker(ScriptedEngine(2), make_vad=EnergyVad, limits=limits)
    with serve_in_thread(worker, ServerConfig(port=0)) as address:
        yield address


@pytest.fixture(scope="module")
def client(address):
    return OpenAI(base_url=f"{address}/v1", api_key="x", max_retries=0)


def ask(client, *content, **more):
    messages = [
        {"role": "user", "content": list(content) if content[1:] or not isinstance(content[0], str) else content[0]}
    ]
    return client.chat.completions.create(model="any", messages=messages, **more)


def test_the_models_are_listed(client, address):
    assert [model.id for model in client.models.list()] == ["vivavoce-scripted"]
    assert client.models.retrieve("vivavoce-scripted").object == "model"
    assert httpx.get(f"{address}/v1/models/gpt-9").status_code == 404


def test_a_typed_question_is_answered(client):
    done = ask(client, "good day")
    assert done.choices[0].message.content == "Hello. You wrote: good day"
    assert done.choices[0].finish_reason == "stop"
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.total_tokens) == (1, 5, 6)


def test_a_streamed_answer_is_the_whole_answer(client):
    chunks = list(ask(client, "good day", stream=True, stream_options={"include_usage": True}))
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text.strip() == "Hello. You wrote: good day"
    assert chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage.completion_tokens == 5


def test_a_bound_on_tokens_ends_the_answer_and_says_so(client):
    done = ask(client, "good day", max_completion_tokens=2)
    assert done.choices[0].message.content == "Hello. You"
    assert done.choices[0].finish_reason == "length"


def test_any_mix_goes_in(client):
    film = Video(np.zeros((4, 16, 16, 3), np.uint8), 2.0)
    picture = Image(np.zeros((8, 8, 3), np.uint8))
    sound = Audio(make_tone(300, 0, 16_000, 16_000), 16_000)
    message = to_openai(user("look", picture, film, sound))
    done = client.chat.completions.create(model="any", messages=[message])
    text = done.choices[0].message.content
    assert "heard 3 words" in text
    assert "look a picture" in text
    assert "frames" in text
    num_frames = int(text.split(" frames")[0].split()[-1])
    assert done.usage.prompt_tokens_details.image_tokens == 66 + 2 + 16 * num_frames
    assert done.usage.prompt_tokens_details.text_tokens == 1
    assert done.usage.completion_tokens_details.text_tokens == done.usage.completion_tokens


def test_a_spoken_answer_has_sound_and_transcript(client):
    audio = {"voice": "alloy", "format": "wav"}
    message = ask(client, "hi", modalities=["text", "audio"], audio=audio).choices[0].message
    assert message.content is None
    assert message.audio.transcript == "Hello. You wrote: hi"
    sound = read_audio(base64.b64decode(message.audio.data))
    assert sound.rate_hz == 24_000
    assert sound.duration_s == pytest.approx(4 * 3 * 0.08)


def test_streamed_speech_is_pcm16_and_equals_the_whole(client):
    chunks = ask(client, "hi", modalities=["text", "audio"], audio={"voice": "alloy", "format": "pcm16"}, stream=True)
    deltas = [chunk.choices[0].delta.to_dict().get("audio") or {} for chunk in chunks]
    data = b"".join(base64.b64decode(delta.get("data", "")) for delta in deltas)
    whole = ask(client, "hi", modalities=["text", "audio"], audio={"voice": "alloy", "format": "pcm16"})
    assert data == base64.b64decode(whole.choices[0].message.audio.data)
    assert "".join(delta.get("transcript", "") for delta in deltas).strip() == whole.choices[0].message.audio.transcript


def test_pictures_come_back_as_content_parts(client):
    content = ask(client, "draw a ball", modalities=["text", "image"]).choices[0].message.content
    assert [part["type"] for part in content] == ["text", "image_url"]
    picture = read_image(base64.b64decode(content[1]["image_url"]["url"].partition(",")[2]))
    assert picture.pixels.shape == (64, 64, 3)


def test_pictures_are_drawn_on_request(client):
    images = client.images.generate(prompt="draw a red ball", model="any", n=2)
    pictures = [read_image(base64.b64decode(image.b64_json)) for image in images.data]
    assert [picture.pixels.shape for picture in pictures] == [(64, 64, 3)] * 2
    assert images.size == "64x64"
    assert images.usage.input_tokens_details.text_tokens == images.usage.input_tokens == 2
    assert images.usage.output_tokens_details.image_tokens == images.usage.output_tokens == 2 * 66
    larger = client.images.generate(prompt="a ball", model="any", size="256x128", output_format="webp")
    assert read_image(base64.b64decode(larger.data[0].b64_json)).pixels.shape == (128, 256, 3)


def test_a_stream_of_pictures_ends_each_with_completed(client):
    events = list(client.images.generate(prompt="a ball", model="any", n=2, stream=True))
    assert [event.type for event in events] == ["image_generation.completed"] * 2
    assert [event.usage.output_tokens for event in events] == [66, 66]


@pytest.mark.parametrize("size", ["10x10", "100x100", "16x4096", "512x16", "big"])
def test_a_size_that_cannot_be_is_refused_by_name(client, size):
    with pytest.raises(BadRequestError, match="size is"):
        client.images.generate(prompt="a ball", model="any", size=size)


@pytest.mark.parametrize("sound_format", ["wav", "flac", "mp3", "opus", "aac", "pcm"])
def test_text_is_read_aloud_in_every_format(client, sound_format):
    data = client.audio.speech.create(
        input="one two three", model="any", voice="alloy", response_format=sound_format
    ).content
    if sound_format == "pcm":
        samples, rate_hz = np.frombuffer(data, "<i2") / 32768, 24_000
    elif sound_format == "aac":
        import av

        with av.open(io.BytesIO(data)) as container:
            frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        samples, rate_hz = np.concatenate(frames), 24_000
    else:
        samples, rate_hz = soundfile.read(io.BytesIO(data))
    assert len(samples) / rate_hz == pytest.approx(3 * 3 * 0.08, abs=0.1)
    spectrum = np.abs(np.fft.rfft(samples))
    assert np.argmax(spectrum) * rate_hz / len(samples) == pytest.approx(220, abs=4)


def test_speech_streams_as_events_too(client):
    with client.audio.speech.with_streaming_response.create(
        input="one two", model="any", voice="alloy", response_format="pcm", stream_format="sse"
    ) as response:
        lines = [line for line in response.iter_lines() if line]
    assert all(line.startswith("data: ") for line in lines)
    assert "speech.audio.done" in lines[-1]


def test_a_recording_is_written_down_in_every_format(client):
    heard = client.audio.transcriptions.create(file=("a.wav", WAV), model="any")
    assert heard.text == "la la la"
    verbose = client.audio.transcriptions.create(file=("a.wav", WAV), model="any", response_format="verbose_json")
    assert verbose.duration == pytest.approx(1.0)
    text = client.audio.transcriptions.create(file=("a.wav", WAV), model="any", response_format="text")
    assert text.strip() == "la la la"
    srt = client.audio.transcriptions.create(file=("a.wav", WAV), model="any", response_format="srt")
    assert "00:00:00,000 --> 00:00:01,000" in srt
    events = list(client.audio.transcriptions.create(file=("a.wav", WAV), model="any", stream=True))
    assert events[-1].type == "transcript.text.done"
    assert events[-1].text == "la la la"


async def test_the_async_client_works_as_well(address):
    client = AsyncOpenAI(base_url=f"{address}/v1", api_key="x")
    done = await client.chat.completions.create(model="any", messages=[{"role": "user", "content": "hi"}])
    assert done.choices[0].message.content == "Hello. You wrote: hi"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": "x" * 30_000}]}, "max_text_chars"),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}]}
                ]
            },
            "data URI",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}],
                    }
                ]
            },
            "picture",
        ),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "input_audio", "input_audio": {"data": "!!", "format": "wav"}}],
                    }
                ]
            },
            "base64",
        ),
        ({"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function"}]}, "tools"),
        (
            {
                "messages": [{"role": "user", "content": "hi"}],
                "modalities": ["audio", "text"],
                "audio": {"voice": "clone"},
            },
            "preset voices: tone",
        ),
        ({"messages": [{"role": "user", "content": "hi"}], "n": 3}, "n is 3"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(address, body, said):
    response = httpx.post(f"{address}/v1/chat/completions", json={"model": "any", **body})
    assert response.status_code == 400
    assert said in response.json()["error"]["message"]


def test_bodies_and_recordings_are_bounded_and_the_bound_is_named(address, client):
    response = httpx.post(f"{address}/v1/chat/completions", content=b"x" * (5 * 2**20))
    assert response.status_code == 413
    assert "max_body_bytes" in response.json()["error"]["message"]
    long = encode_wav(Audio(np.zeros(16_000 * 21, np.float32), 16_000))
    with pytest.raises(BadRequestError, match="at most 20 s"):
        client.audio.transcriptions.create(file=("a.wav", long), model="any")
    with pytest.raises(BadRequestError, match="not sound that can be read"):
        client.audio.transcriptions.create(file=("a.wav", WAV[:30]), model="any")


def test_health_metrics_and_the_description_of_the_api(address):
    assert httpx.get(f"{address}/healthz").json() == {
        "status": "ok",
        "model": "vivavoce-scripted",
        "talkers": 0,
        "slots": 2,
    }
    assert httpx.get(f"{address}/v1/models").status_code == 200
    metrics = httpx.get(f"{address}/metrics").text
    assert "vivavoce_slots 2.0" in metrics
    assert 'vivavoce_http_requests_total{path="/v1/models",status="200"}' in metrics
    paths = httpx.get(f"{address}/openapi.json").json()["paths"]
    assert {"/v1/chat/completions", "/v1/images/generations", "/v1/audio/speech", "/v1/audio/transcriptions"} < set(
        paths
    )


def test_the_page_is_served_with_a_policy_that_lets_nothing_else_in(address):
    response = httpx.get(address)
    assert "vivavoce" in response.text
    assert "default-src 'self'" in response.headers["content-security-policy"]
