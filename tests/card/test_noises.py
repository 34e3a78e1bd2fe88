"""Sounds behind a speaker: recordings by digest where there are any, made ones otherwise."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from vivavoce.card import noises, sources
from vivavoce.card.evals.audio_robustness import CHANNELS, load
from vivavoce.card.noises import RECORDINGS, load_recordings, make_noise
from vivavoce.card.perturb import perturb
from vivavoce.card.sources import DataSource, SourceFile
from vivavoce.card.tone_studio import ToneStudio
from vivavoce.content import Audio
from vivavoce.errors import DataError
from vivavoce.media import encode_wav

RATE_HZ = 16_000


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data folder with a recording of people talking: half a second at full level, then half of silence."""
    recording = np.r_[np.full(8000, 0.5), np.zeros(8000)].astype(np.float32)
    wav = encode_wav(Audio(recording, RATE_HZ))
    (tmp_path / "noise").mkdir()
    (tmp_path / RECORDINGS["babble"]).write_bytes(wav)
    row = SourceFile(RECORDINGS["babble"], "1 s", "MIT", "https://example.org/a", hashlib.sha256(wav).hexdigest())
    monkeypatch.setattr(sources, "list_source_files", lambda: {row.path: row})
    load_recordings.cache_clear()
    return tmp_path


@pytest.mark.parametrize("kind", sorted(RECORDINGS))
def test_a_made_sound_is_finite_audible_and_the_same_for_the_same_seed(kind: str) -> None:
    first, second = (make_noise(kind, RATE_HZ, RATE_HZ, np.random.default_rng(3), {}) for _ in range(2))
    assert np.array_equal(first, second)
    assert np.isfinite(first).all()
    assert float(np.mean(first**2)) > 1e-4
    assert f"{kind}@5" in CHANNELS


def test_a_recording_stands_behind_the_speaker_where_the_data_folder_holds_it(data: Path) -> None:
    spoken = ToneStudio().speak("the cat sat on the mat and looked at the rain", "tone-2")
    with_data = perturb(spoken, "babble@5", seed=1, data=str(data)).samples - spoken.samples
    assert {round(float(level), 3) for level in np.unique(np.round(np.abs(with_data), 3))} <= {0.0, *_levels(with_data)}
    made = perturb(spoken, "babble@5", seed=1).samples
    assert not np.allclose(made - spoken.samples, with_data)


def _levels(added: np.ndarray) -> set[float]:
    """The one level of the recording, where nothing is clipped."""
    middle = float(np.median(np.abs(added[np.abs(added) > 1e-3])))
    return {round(middle + step, 3) for step in (-0.002, -0.001, 0.0, 0.001, 0.002)}


def test_recordings_that_were_used_are_named_with_their_digest(data: Path) -> None:
    source = DataSource(data)
    load(source)
    assert RECORDINGS["babble"] in source.used


def test_a_recording_with_a_wrong_digest_is_refused(data: Path) -> None:
    (data / RECORDINGS["babble"]).write_bytes(b"something else")
    with pytest.raises(DataError, match=r"has sha256 .*; pinned is"):
        noises.check_recordings(DataSource(data))
