"""One small run of the good model and one of the bad, shared by the tests that read logs."""

from pathlib import Path

import pytest

from vivavoce.card.running import CardConfig, make_plan, run_card

ONLY = ("voice_authorization_classifier", "speaker_id", "disallowed_content", "cyber_ctf", "tts_fidelity")


def make_run(folder: Path, script: str, only: tuple[str, ...] = ONLY, limit: int | None = 3) -> Path:
    config = CardConfig(model=f"viva-fake/{script}", studio="tones", only=only, limit=limit)
    list(run_card(config, folder, make_plan(config)))
    return folder


@pytest.fixture(scope="session")
def good_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("good") / "run", "good")


@pytest.fixture(scope="session")
def bad_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_run(tmp_path_factory.mktemp("bad") / "run", "bad", only=("speaker_id", "disallowed_content"))
