"""What people get wrong on the command line: one line that names it."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
import websockets.sync.client

from vivavoce.errors import ConfigError, EndpointError
from vivavoce.serve.bench.running import find_server
from vivavoce.serve.bench_command import Target, bench_latency, bench_load
from vivavoce.serve.scripted_engine import ScriptedEngine
from vivavoce.serve.security import ServerConfig
from vivavoce.serve.serve_command import Serve, serve
from vivavoce.serve.server import serve_in_thread
from vivavoce.serve.vad import EnergyVad
from vivavoce.serve.wire import WireError
from vivavoce.serve.worker import Worker

KEY = "a key of some length"


def test_a_bench_of_a_server_that_is_not_there_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    for command in (bench_latency, bench_load):
        with pytest.raises(EndpointError, match=f"no server answers at {address}"):
            command(Target(base_url=f"{address}/v1"))
    with pytest.raises(EndpointError, match="no server answers at nowhere"):
        find_server("nowhere")


def test_a_bench_without_the_servers_key_says_so():
    with serve_in_thread(Worker(ScriptedEngine(1), make_vad=EnergyVad), ServerConfig(port=0, key=KEY)) as address:
        with pytest.raises(EndpointError, match="refuses the key; set VIVA_KEY"):
            find_server(address)
        assert find_server(f"{address}/v1/", KEY) == address
        with pytest.raises(EndpointError, match="/docs/v1/models gives 404"):
            find_server(f"{address}/docs", KEY)


def test_a_bench_of_a_server_whose_places_are_taken_says_so(capsys):
    worker = Worker(ScriptedEngine(1), make_vad=EnergyVad)
    with (
        serve_in_thread(worker, ServerConfig(port=0)) as address,
        websockets.sync.client.connect(address.replace("http", "ws") + "/v1/realtime") as talker,
    ):
        talker.recv(timeout=60)
        with pytest.raises(EndpointError, match="takes no conversation: all 1 places to talk are taken"):
            bench_latency(Target(base_url=address, model="scripted"), turns=1, barge_ins=0)
        bench_load(Target(base_url=address, model="scripted"), talkers=1, turns=1)
        assert "takes no conversation: all 1 places to talk are taken" in capsys.readouterr().out


def test_a_server_that_was_late_lets_the_next_talker_in_once_nobody_talks():
    worker = Worker(ScriptedEngine(2), make_vad=EnergyVad)
    port = SimpleNamespace(deliver=lambda messages, close_code: None, unapplied=0)
    worker._scheduler.lateness_s = 1.0
    slot = worker._open(port, "realtime")
    with pytest.raises(WireError, match=r"1\.0 s late with those who talk already"):
        worker._open(port, "realtime")
    worker._talks.close(slot, port)
    assert worker._open(port, "realtime") == slot


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (lambda: bench_latency(Target(), turns=0), "turns is 0; need 1 or more"),
        (lambda: bench_latency(Target(), barge_ins=-1), "barge-ins is -1; need 0 or more"),
        (lambda: bench_load(Target(), talkers=0), "talkers is 0; need 1 or more"),
    ],
)
def test_a_bench_of_nothing_is_refused(command, said):
    with pytest.raises(ConfigError, match=said):
        command()


def test_a_server_for_nobody_is_refused(monkeypatch):
    for name in ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, {"OMP_WAIT_POLICY": "passive"}.get(name, "1"))  # the command sets what is not set
    with pytest.raises(ConfigError, match="slots is 0; need 1 or more"):
        serve(Serve(model="scripted", slots=0, port=0))
