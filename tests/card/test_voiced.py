"""Inputs are voiced and read back once for all arms, and kept by what made them."""

import threading
from pathlib import Path

import numpy as np
import pytest

from vivavoce.card import media_store, voiced
from vivavoce.card.tone_studio import ToneStudio
from vivavoce.card.voiced import voice_input
from vivavoce.content import Audio
from vivavoce.errors import ConfigError


class Counting(ToneStudio):
    """Tones that count how often they are asked."""

    def __init__(self) -> None:
        self.spoken = self.read = 0

    def speak(self, text: str, voice: str, seed: int = 0) -> Audio:
        self.spoken += 1
        return super().speak(text, voice, seed)

    def recognise(self, audio: Audio) -> str | None:
        self.read += 1
        return super().recognise(audio)


@pytest.fixture(autouse=True)
def media(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(media_store.ENVIRONMENT_VARIABLE, str(tmp_path / "media"))
    monkeypatch.delenv(voiced.ENVIRONMENT_VARIABLE, raising=False)
    return tmp_path / "media"


def test_the_same_words_in_the_same_voice_are_voiced_and_read_once() -> None:
    studio = Counting()
    first, second = (voice_input(studio, "red ball", "tone-3") for _ in range(2))
    assert (studio.spoken, studio.read) == (1, 1)
    assert first.heard == second.heard == "red ball"
    assert np.array_equal(first.audio.samples, second.audio.samples)
    voice_input(studio, "red ball", "tone-4")
    voice_input(studio, "blue ball", "tone-3")
    assert studio.spoken == 3


def test_arms_that_come_at_the_same_time_wait_for_one_clip() -> None:
    studio = Counting()
    threads = [threading.Thread(target=voice_input, args=(studio, "red ball", "tone-3")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (studio.spoken, studio.read) == (1, 1)


def test_a_folder_named_by_the_environment_serves_several_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(voiced.ENVIRONMENT_VARIABLE, str(tmp_path / "shared"))
    studio = Counting()
    voice_input(studio, "red ball", "tone-3")
    monkeypatch.setenv(media_store.ENVIRONMENT_VARIABLE, str(tmp_path / "another run"))
    voice_input(studio, "red ball", "tone-3")
    assert studio.spoken == 1


def test_a_voice_that_is_not_there_leaves_nothing_behind(media: Path) -> None:
    with pytest.raises(ConfigError, match="tone voice 'bass' is unknown"):
        voice_input(ToneStudio(), "red ball", "bass")
    assert not list(media.rglob("*.json"))
