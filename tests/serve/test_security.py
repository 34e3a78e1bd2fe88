"""Who gets in."""

from __future__ import annotations

import socket

import httpx
import pytest
import websockets.sync.client

from vivavoce.errors import ConfigError
from vivavoce.serve.scripted_engine import ScriptedEngine
from vivavoce.serve.security import ServerConfig, is_loopback
from vivavoce.serve.server import bind, serve_in_thread
from vivavoce.serve.vad import EnergyVad
from vivavoce.serve.worker import Worker


@pytest.fixture(scope="module")
def address():
    worker = Worker(ScriptedEngine(2), make_vad=EnergyVad)
    config = ServerConfig(port=0, key="secret", origins=("https://friend.example",))
    with serve_in_thread(worker, config) as address:
        yield address


def test_any_other_address_demands_a_key():
    with pytest.raises(ConfigError, match=r"host is 0\.0\.0\.0, which others can reach, and there is no key"):
        ServerConfig(host="0.0.0.0")
    assert ServerConfig(host="0.0.0.0", key="k").key == "k"
    assert ServerConfig().host == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "is_local"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("10.0.0.1", False), ("example.org", False)],
)
def test_loopback_is_known_by_its_address(host, is_local):
    assert is_loopback(host) is is_local


def test_a_port_that_is_taken_is_said_so():
    listener = bind(ServerConfig(port=0))
    with pytest.raises(ConfigError, match=r"cannot listen on 127\.0\.0\.1"):
        bind(ServerConfig(port=listener.getsockname()[1]))
    listener.close()


def test_small_events_in_a_row_are_sent_at_once():
    # asyncio sets TCP_NODELAY on what is accepted where the listener names its protocol
    with bind(ServerConfig(port=0)) as listener:
        assert listener.proto == socket.IPPROTO_TCP


def test_without_the_key_there_is_only_the_page_and_health(address):
    assert httpx.get(address).status_code == 200
    assert httpx.get(f"{address}/healthz").status_code == 200
    for path in ("/v1/models", "/metrics", "/openapi.json"):
        response = httpx.get(address + path)
        assert response.status_code == 401
        assert response.json()["error"]["code"] == "invalid_api_key"
    assert httpx.get(f"{address}/v1/models", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert httpx.get(f"{address}/v1/models", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_a_page_of_another_site_gets_nothing_unless_it_is_allowed(address):
    headers = {"Authorization": "Bearer secret", "Origin": "https://evil.example"}
    response = httpx.get(f"{address}/v1/models", headers=headers)
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "origin_not_allowed"
    for origin in ("https://friend.example", address):
        assert httpx.get(f"{address}/v1/models", headers={**headers, "Origin": origin}).status_code == 200


def test_another_host_name_is_refused_so_that_no_name_can_be_rebound_to_us(address):
    response = httpx.get(f"{address}/healthz", headers={"Host": "evil.example"})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "host_not_allowed"


def open_socket(address, **more):
    return websockets.sync.client.connect(address.replace("http", "ws") + "/v1/realtime", **more)


def test_the_socket_asks_for_the_same(address):
    for more in ({}, {"additional_headers": {"Authorization": "Bearer wrong"}}, {"origin": "https://evil.example"}):
        with pytest.raises(websockets.InvalidStatus) as refused:
            open_socket(address, **more)
        assert refused.value.response.status_code == 403
    with open_socket(address, subprotocols=["realtime", "openai-insecure-api-key.secret"]) as socket:
        assert "session.created" in socket.recv(timeout=30)
    with open_socket(address, additional_headers={"Authorization": "Bearer secret"}) as socket:
        assert "session.created" in socket.recv(timeout=30)
