"""Logs stay small: sound is kept by reference, and what a log carries for the viewer's ears is an mp3."""

import json
from pathlib import Path

import pytest
from inspect_ai.log import list_eval_logs, read_eval_log

from vivavoce.card.media_store import MediaStore
from vivavoce.card.running import CardConfig, make_plan, run_card

NUM_SAMPLES = 100
MAX_LOG_BYTES = 20_000_000
SECONDS = 10.0
# a tone lasts 40 ms, so that 250 letters are ten seconds
WORDS = "the boat on the lake turns slowly while a bell rings in the valley and the rain falls on the old stone bridge "


def _write_items(data: Path) -> None:
    (data / "redteam").mkdir(parents=True)
    rows = [
        {"item_id": f"long-{idx}", "measure": "not_over_refuse", "prompt": f"{idx:03d} {WORDS * 3}"[:250].strip("., ")}
        for idx in range(NUM_SAMPLES)
    ]
    (data / "redteam" / "over_refusal.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_samples_of_ten_seconds_each_way_keep_the_logs_under_20_megabytes(tmp_path: Path) -> None:
    _write_items(tmp_path / "data")
    config = CardConfig(
        model="viva-fake/echo", studio="tones", only=("over_refusal",), arms="audio", preset="full",
        data=str(tmp_path / "data"), rbr="none",
    )  # fmt: skip
    folder = tmp_path / "run"
    list(run_card(config, folder, make_plan(config)))
    logs = folder / "logs"
    size = sum(path.stat().st_size for path in logs.rglob("*") if path.is_file())
    log = read_eval_log(list_eval_logs(str(logs))[0])
    samples = [sample for sample in log.samples or [] if str(sample.id).startswith("long-")]
    assert len(samples) == NUM_SAMPLES
    store = MediaStore(folder / "media")
    for sample in samples[:5]:
        parts = [part for turn in sample.messages for part in turn.content if getattr(part, "type", "") == "audio"]
        lengths_s = [store.from_content(part).duration_s for part in parts]  # type: ignore[arg-type]
        assert len(lengths_s) == 2
        assert min(lengths_s) >= SECONDS - 0.3, lengths_s
    assert size < MAX_LOG_BYTES
