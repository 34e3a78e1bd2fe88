"""`viva card redteam` and `viva card items`."""

from __future__ import annotations

import json as json_module
from collections.abc import Callable
from pathlib import Path

import tyro

from vivavoce.card.names import Names, join_names, read_pairs
from vivavoce.card.redteam.app import RedTeamConfig, make_app
from vivavoce.card.redteam.findings import make_items, read_findings
from vivavoce.card.running import CardConfig, open_model
from vivavoce.card.speech import open_studio
from vivavoce.errors import DataError
from vivavoce.files import write_bytes
from vivavoce.media import read_audio


def serve(
    model: str,
    out: Path,
    base_url: str | None = None,
    model_args: Names = (),
    port: int = 8020,
) -> int:
    """Open a page to talk to a model, tag what is found, and keep it in a run folder.

    Args:
        model: Provider and model, as of `viva card run`.
        out: Run folder; findings.jsonl is appended to.
        base_url: Address of the endpoint.
        model_args: Model arguments as name=value; the flag may be repeated.
        port: Port on this machine; the page is served to nobody else.
    """
    import uvicorn

    # before the page is offered: a model that can't be had is refused here, not at the first question
    opened = open_model(CardConfig(model=model, base_url=base_url, model_args=read_pairs(join_names(model_args))))
    app = make_app(RedTeamConfig(model=model, folder=out, base_url=base_url), opened)
    print(f"red teaming {model} at http://127.0.0.1:{port}/ ; findings go to {out / 'findings.jsonl'}", flush=True)
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning")
    return 0


def export(folder: tyro.conf.Positional[Path], data: Path) -> int:
    """Turn findings that violate policy into evaluation items; what was spoken is read by the recogniser, where it is there.

    Args:
        folder: Run folder with findings.jsonl.
        data: Data folder; items go to redteam/EVALUATION.jsonl below it and run with --data.
    """
    findings = read_findings(folder)
    if not findings:
        raise DataError(f"{folder} holds no findings; `viva card redteam --out {folder}` keeps them there")
    made = make_items(findings, _open_ears(folder / "media"))
    for evaluation_id, items in made.items():
        path = data / "redteam" / f"{evaluation_id}.jsonl"
        lines = [json_module.dumps(item.to_json(), ensure_ascii=False) for item in items]
        write_bytes(path, ("\n".join(lines) + "\n").encode())
        print(f"{len(items)} items: {path}")
    left = len(findings) - sum(map(len, made.values()))
    if left:
        print(
            f"{left} findings made no item: no violation, no words of the user's (spoken ones need the extra `judges`), "
            "or a category without an evaluation"
        )
    return 0


def _open_ears(media: Path) -> Callable[[str], str]:
    """What the recogniser of package judges reads in a sound of `media`: nothing where it or the sound is missing."""

    def hear(name: str) -> str:
        studio = open_studio("packages")
        path = media / name
        return (studio.recognise(read_audio(path)) or "") if studio.has_recogniser and path.is_file() else ""

    return hear
