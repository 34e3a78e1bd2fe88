"""Running the server: warm up, listen, and on SIGTERM let what is being said end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Iterator
from types import FrameType

import uvicorn

from vivavoce.errors import ConfigError, VivaError
from vivavoce.serve.app import make_app
from vivavoce.serve.security import ServerConfig
from vivavoce.serve.worker import Worker


class Server(uvicorn.Server):
    """uvicorn, with a drain before the shutdown: the first signal drains, a second one ends it at once."""

    def __init__(self, worker: Worker, config: ServerConfig) -> None:
        limits = worker.limits
        super().__init__(
            uvicorn.Config(
                make_app(worker, config),
                host=config.host,
                port=config.port,
                log_level="warning",
                access_log=False,
                ws="websockets-sansio",
                ws_max_size=limits.max_message_bytes,
                ws_ping_interval=20.0,
                ws_ping_timeout=20.0,
                # sound does not compress, and compressing would cost every delta its time
                ws_per_message_deflate=False,
                timeout_graceful_shutdown=5,
                server_header=False,
            )
        )
        self._worker = worker
        self._drain_s = limits.drain_s
        self._drain_task: asyncio.Task[None] | None = None
        self._is_draining = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called by the signal; see the class."""
        if self._is_draining or sig == signal.SIGINT:
            super().handle_exit(sig, frame)
            return
        self._is_draining = True
        self._worker.drain()
        threading.Thread(target=self._wait_until_idle, name="drain", daemon=True).start()

    def _wait_until_idle(self) -> None:
        deadline_s = time.monotonic() + self._drain_s
        # idle may be left over from before the drain; the worker has seen the drain within a few turns
        time.sleep(0.25)
        self._worker.is_idle.wait(max(0.0, deadline_s - time.monotonic()))
        time.sleep(0.25)  # the last words are still on their way out
        self.should_exit = True


def bind(config: ServerConfig) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises: ConfigError if the port is taken."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    # the protocol has to be named: asyncio switches Nagle's delay off only where it is, and several small events in a row,
    # as an answer begins with, would wait for the client's next packet (measured: LOG 2026-11-29, 20 ms)
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {config.host}:{config.port} ({error.strerror}); choose another --port, or 0 for a free one"
        ) from error
    listener.listen(128)
    return listener


def start_worker(worker: Worker) -> None:
    """Start the worker and wait until it is warm. Raises: VivaError if the engine fails to warm up."""
    worker.start()
    while not worker.is_ready.wait(0.1):
        if worker.failure is not None:
            raise VivaError(f"the engine failed to warm up: {worker.failure}") from worker.failure


@contextlib.contextmanager
def serve_in_thread(worker: Worker, config: ServerConfig) -> Iterator[str]:
    """A running server on a thread of this process; yields its base address, `http://HOST:PORT`."""
    start_worker(worker)
    listener = bind(config)
    server = Server(worker, config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="server", daemon=True)
    thread.start()
    try:
        while not server.started and thread.is_alive():
            time.sleep(0.005)
        yield f"http://{config.host}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        worker.stop()
        listener.close()
