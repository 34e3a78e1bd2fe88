"""`viva ask` and `viva talk`: one question to a model, from the command line."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro

from vivavoce.content import Audio, Conversation, Image, Message, Part, Text
from vivavoce.errors import ConfigError, DataError
from vivavoce.media import read_audio, read_image, read_video, write_audio, write_image
from vivavoce.omni.engine_protocol import OWN_RATE_HZ, AnswerRequest

QUESTION = Path(__file__).parent / "questions" / "two_plus_three.wav"
_PLAYERS = (("pw-play",), ("paplay",), ("aplay", "-q"), ("afplay",))
_OUTPUTS = ("text", "audio", "image")


def find_model(model: Path) -> Path:
    """The folder itself, or the one of that name that ships beside the package."""
    shipped = Path(__file__).parents[3] / model
    return shipped if not model.exists() and shipped.exists() else model


def ask(
    text: Annotated[str, tyro.conf.Positional] = "",
    /,
    *,
    audio: Path | None = None,
    image: Path | None = None,
    video: Path | None = None,
    out: str = "text",
    to: Path = Path("answer"),
    model: Path = Path("checkpoints/nano"),
    system: str = "",
    seed: int = 0,
    backend: str = "auto",
) -> None:
    """Ask once, with any mix of text, sound, picture and film; get any mix of text, sound and picture.

    Args:
        text: what to ask, in words.
        audio: a sound file (wav, flac, ogg, mp3; at most 600 s).
        image: a picture (PNG, JPEG, WebP, GIF; 8 to 8,192 pixels a side).
        video: a film (mp4, webm; at most 120 s), with or without sound.
        out: what to answer in: text, audio, image, joined by commas.
        to: files are written as TO.wav and TO.png.
        model: checkpoint folder.
        system: instructions that open the conversation.
        seed: of everything random.
        backend: auto, torch, onnx-fp32, onnx-int8 or onnx-int4.
    """
    outputs = _read_outputs(out)
    parts = tuple(_read_parts(text, audio, image, video))
    if not parts:
        raise ConfigError("nothing to ask; give TEXT, --audio, --image or --video")
    from vivavoce.omni.answer import answer, load_omni

    loaded = load_omni(find_model(model), backend=backend)
    opening = (Message("system", (Text(system),)),) if system else ()
    said = answer(loaded, Conversation((*opening, Message("user", parts))), outputs=outputs, seed=seed)
    # everything is made before anything is written
    # words beside sound are its transcript, and once is enough
    if words := " ".join(part.text for part in said.parts_of(Text)) or said.text:
        print(words)
    for sound in said.parts_of(Audio):
        if not len(sound.samples):
            print("(no sound: the model said nothing)")
            continue
        write_audio(to.with_suffix(".wav"), sound)
        print(f"wrote {to.with_suffix('.wav')} ({sound.duration_s:.1f} s)")
    for number, picture in enumerate(said.parts_of(Image)):
        path = to.with_suffix(".png") if not number else to.with_name(f"{to.stem}-{number + 1}.png")
        write_image(path, picture)
        print(f"wrote {path} ({picture.pixels.shape[1]} x {picture.pixels.shape[0]})")


def talk(
    *,
    audio: Path = QUESTION,
    to: Path = Path("answer.wav"),
    model: Path = Path("checkpoints/nano"),
    play: bool = True,
    seed: int = 0,
    backend: str = "auto",
) -> None:
    """Ask a recorded spoken question and hear the spoken answer, with its transcript and how long it took.

    Args:
        audio: the question; by default one that ships.
        to: the answer is written here.
        model: checkpoint folder.
        play: play question and answer, if the machine has a player.
        seed: of everything random.
        backend: auto, torch, onnx-fp32, onnx-int8 or onnx-int4.
    """
    question = read_audio(audio)
    from vivavoce.omni.engine import load_engine

    engine = load_engine(find_model(model), 1, backend=backend)
    request = AnswerRequest(
        conversation=Conversation((Message("user", (question,)),)), outputs=frozenset({"text", "audio"}), seed=seed
    )
    print(f"asking {engine.model_name}: {audio.name} ({question.duration_s:.1f} s)")
    started = heard = time.perf_counter()
    first_s: float | None = None
    words, sound = "", [np.zeros(0, np.float32)]
    for delta in engine.answer(request):
        heard = time.perf_counter() if delta.prompt_steps else heard
        words += delta.text
        if delta.pcm is not None:
            first_s = time.perf_counter() - heard if first_s is None else first_s
            sound.append(delta.pcm)
    answer = Audio(np.concatenate(sound), OWN_RATE_HZ)
    if first_s is None:
        raise DataError(f"{engine.model_name} said nothing to {audio}; ask something else")
    write_audio(to, answer)
    print(f"answer: {words.strip() or '(no words)'}")
    spent_s = time.perf_counter() - started
    print(
        f"wrote {to} ({answer.duration_s:.1f} s); computing took {spent_s:.1f} s for {question.duration_s:.1f} s heard "
        f"and {answer.duration_s:.1f} s said, {first_s * 1000:.0f} ms from the last sound to the first of the answer"
    )
    if play:
        _play(audio, to)


def _read_outputs(out: str) -> frozenset[str]:
    names = frozenset(name.strip() for name in out.split(",") if name.strip())
    if not names or names - set(_OUTPUTS):
        raise ConfigError(f"--out is {out!r}; give one or more of {', '.join(_OUTPUTS)}, joined by commas")
    return names


def _read_parts(text: str, audio: Path | None, image: Path | None, video: Path | None) -> Iterable[Part]:
    if image is not None:
        yield read_image(image)
    if video is not None:
        yield read_video(video)
    if text:
        yield Text(text)
    if audio is not None:
        yield read_audio(audio)


def _play(*paths: Path) -> None:
    player = next((player for player in _PLAYERS if shutil.which(player[0])), None)
    if player is None:
        return
    for path in paths:
        done = subprocess.run([*player, str(path)], capture_output=True, timeout=60, check=False)
        if done.returncode:
            print("(no sound device; listen to the file)")
            return
