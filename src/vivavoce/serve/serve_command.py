"""`viva serve`: the flags of the server, and what it prints."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from vivavoce.errors import ConfigError

# one thread per stage, no spinning: two spinning pools on two cores slow each other down twentyfold
# (reference: omni, fact 9); it has to be set before a numeric library is loaded
_THREADS = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0"}


@dataclass(frozen=True, kw_only=True)
class Serve:
    """Flags of `viva serve`."""

    model: str = "checkpoints/nano"
    """Checkpoint folder or Hub name; `scripted` serves a scripted engine that needs no weights."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than loopback demands a key."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    slots: int = 4
    """How many people can talk at once."""
    backend: str = "auto"
    """What computes: auto, torch, onnx-fp32, onnx-int8 or onnx-int4."""
    key_file: Path | None = None
    """File with the key that clients have to send; or set VIVA_KEY."""
    origin: tuple[str, ...] = ()
    """Other sites whose pages may connect, as scheme://host."""
    vad: Literal["silero", "energy"] = "silero"
    """Voice activity: Silero's network, or loudness (for clean synthetic sound)."""
    moderation: str = "classifier"
    """Judge of transcripts: classifier (with the rules), rules, off, a YAML file of rules, or module:function of your own."""
    identity: bool = True
    """Cut answers that name a speaker by the voice."""
    voice_guard: Literal["off", "watch", "hold"] = "watch"
    """Compare speech with the preset voice: cut it once it departs, or send nothing that has not passed."""
    self_check: bool = False
    """Put one recorded question through the API after start, and print transcript, answer and latency. If that fails the
    server goes on, and ends with 1."""
    log_level: str = "warning"
    """Logging of the server's own running; it never holds sound or text of talkers."""


def serve(flags: Annotated[Serve, tyro.conf.arg(name="")]) -> int:
    """Serve a model."""
    for name, value in _THREADS.items():
        os.environ.setdefault(name, value)
    from vivavoce.serve.security import ServerConfig
    from vivavoce.serve.server import Server, bind, start_worker
    from vivavoce.serve.setup import make_worker

    if flags.slots < 1:
        raise ConfigError(f"slots is {flags.slots}; need 1 or more, one for each talker at a time")
    config = ServerConfig(host=flags.host, port=flags.port, key=_read_key(flags), origins=flags.origin)
    listener = bind(config)
    address = f"http://{config.host}:{listener.getsockname()[1]}"
    print(f"loading {flags.model} ...", flush=True)
    worker, notes = make_worker(
        flags.model,
        slots=flags.slots,
        backend=flags.backend,
        vad=flags.vad,
        moderation=flags.moderation,
        identity=flags.identity,
        voice_guard=flags.voice_guard,
    )
    for note in notes:
        print(f"note: {note}", flush=True)
    start_worker(worker)
    print(f"{worker.engine.model_name} is ready for {worker.engine.num_slots} talkers", flush=True)
    print(f"  talk to it in a browser:  {address}/", flush=True)
    print(f"  or by any OpenAI client:  base_url={address}/v1", flush=True)
    server = Server(worker, config)
    failures: list[Exception] = []
    if flags.self_check:
        _check_in_background(address, config.key, failures)
    server.run(sockets=[listener])
    worker.stop()
    print("stopped", flush=True)
    return 1 if failures else 0


def _read_key(flags: Serve) -> str | None:
    if flags.key_file is None:
        return os.environ.get("VIVA_KEY") or None
    try:
        key = flags.key_file.read_text().strip()
    except OSError as error:
        raise ConfigError(f"cannot read the key file {flags.key_file}: {error.strerror}") from error
    if len(key) < 16:
        raise ConfigError(f"the key in {flags.key_file} has {len(key)} characters; need at least 16")
    return key


def _check_in_background(address: str, key: str | None, failures: list[Exception]) -> None:
    """Ask once while the server runs; what goes wrong is said, and left in `failures`."""
    import threading

    from vivavoce.serve.bench.self_check import check_server

    def check() -> None:
        try:
            print(check_server(address, key), flush=True)
        except Exception as error:
            failures.append(error)
            print(f"self-check failed: {error}", file=sys.stderr, flush=True)

    threading.Thread(target=check, name="self-check", daemon=True).start()
