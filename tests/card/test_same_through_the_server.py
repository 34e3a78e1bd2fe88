"""The same items get the same scores in process and through our own server, over the OpenAI API."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from vivavoce.card.diff import compare_runs
from vivavoce.card.records import Record, read_runs
from vivavoce.card.running import CardConfig, make_plan, run_card
from vivavoce.media import read_audio

CHECKPOINT = Path(__file__).parents[2] / "checkpoints" / "nano"
ONLY = ("over_refusal",)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not (CHECKPOINT / "config.json").is_file(), reason="the shipped checkpoint is not here"),
]


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    from vivavoce.serve.engines import load
    from vivavoce.serve.security import ServerConfig
    from vivavoce.serve.server import serve_in_thread
    from vivavoce.serve.vad import EnergyVad
    from vivavoce.serve.worker import Worker

    worker = Worker(load(str(CHECKPOINT), 2), make_vad=EnergyVad)
    with serve_in_thread(worker, ServerConfig(port=0)) as address:
        yield address


def _run(folder: Path, model: str, base_url: str | None = None) -> dict[tuple[str, str], Record]:
    config = CardConfig(model=model, base_url=base_url, studio="tones", only=ONLY, limit=3, rbr="none")
    list(run_card(config, folder, make_plan(config)))
    return {(name, record.sample_id): record for name, run in read_runs(folder).items() for record in run.records}


def test_the_openai_api_gives_what_the_model_gives_in_process(address: str, tmp_path: Path) -> None:
    own = _run(tmp_path / "own", f"viva/{CHECKPOINT}")
    served = _run(tmp_path / "served", "viva-chat/nano", f"{address}/v1")
    assert own.keys() == served.keys()
    assert any(record.output_sound for record in own.values())
    for key, record in own.items():
        other = served[key]
        assert (record.answer, record.value, record.reason) == (other.answer, other.value, other.reason), key
        if record.output_sound:
            own_sound = read_audio(tmp_path / "own" / "media" / record.output_sound)
            served_sound = read_audio(tmp_path / "served" / "media" / other.output_sound)
            # decoded whole here and piece by piece there, each rounded to 16 bits
            np.testing.assert_allclose(own_sound.samples, served_sound.samples, atol=1e-3, err_msg=str(key))
    rows = compare_runs(tmp_path / "own", tmp_path / "served")["rows"]
    assert {row["verdict"] for row in rows} == {"no difference shown"}
