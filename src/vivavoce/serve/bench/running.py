"""A server to measure: one that is given, or one of our own, in its own process so that client and server share no lock."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vivavoce.errors import EndpointError

_START_S = 180.0


@contextlib.contextmanager
def run_server(model: str, *, slots: int, extra: tuple[str, ...] = ()) -> Iterator[str]:
    """`viva serve` on a free port; yields its address, stops it on the way out. Raises: EndpointError if it does not start."""
    command = [
        sys.executable,
        "-m",
        "vivavoce.cli",
        "serve",
        "--model",
        model,
        "--port",
        "0",
        "--slots",
        str(slots),
        *extra,
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield _read_address(process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _read_address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    said: list[str] = []
    deadline = time.monotonic() + _START_S
    for line in process.stdout:
        said.append(line.strip())
        found = re.search(r"base_url=(http://\S+)/v1", line)
        if found:
            return found[1]
        if time.monotonic() > deadline:
            break
    raise EndpointError(f"the server did not start: {' | '.join(said[-4:]) or 'it said nothing'}")


def find_server(base_url: str, key: str | None = None) -> str:
    """The address of a server that runs. Raises: EndpointError if none answers there, or it refuses the key."""
    import httpx

    address = base_url.removesuffix("/").removesuffix("/v1")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        status = httpx.get(f"{address}/v1/models", headers=headers, timeout=20).status_code
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise EndpointError(
            f"no server answers at {address} ({error or type(error).__name__}); start `viva serve`, or leave --base-url out"
        ) from None
    if status == 401:
        raise EndpointError(f"the server at {address} refuses the key; set VIVA_KEY to its key")
    if status != 200:
        raise EndpointError(f"what answers at {address} is no server of ours: {address}/v1/models gives {status}")
    return address


def describe_hardware() -> dict[str, Any]:
    """What the numbers were measured on."""
    name = platform.processor() or platform.machine()
    with contextlib.suppress(OSError):
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
        name = found[1] if found else name
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {"processor": name, "cores": os.cpu_count(), "load_before": load, "python": platform.python_version()}


def read_metrics(address: str, key: str | None = None) -> dict[str, float]:
    """The server's own counters, by their names."""
    import httpx

    headers = {"Authorization": f"Bearer {key}"} if key else {}
    text = httpx.get(f"{address}/metrics", headers=headers, timeout=10).text
    rows = (line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#"))
    return {name: float(value) for name, value in rows}
