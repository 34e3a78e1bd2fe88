"""The `viva study` commands that set up, serve and export a study."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Literal

import tyro

from vivavoce.critique.store import open_store
from vivavoce.critique.study import accounts
from vivavoce.critique.study.demo import add_demo, make_demo_plan
from vivavoce.critique.study.export import EXPORTS, to_jsonl
from vivavoce.critique.study.materials import Prepared, create_study, find_study
from vivavoce.critique.study.plan import TEMPLATE, digest_plan, load_plan
from vivavoce.errors import ConfigError
from vivavoce.files import write_bytes, write_json

_STORE = "runs/critique.db"
_BASE_URL = "http://127.0.0.1:8040"


def write_plan(file: tyro.conf.Positional[Path]) -> None:
    """Write the template of a preregistration, to be edited before the study is created.

    Args:
        file: Where to write it; an existing file is not overwritten.
    """
    if file.exists():
        raise ConfigError(f"{file} is there already; name another file")
    write_bytes(file, TEMPLATE.read_bytes())
    print(
        f"{file}: edit it, then `viva study create --plan {file}`; plan digest now {digest_plan(load_plan(file))[:12]}"
    )


def create(*, plan: Path, store: str = _STORE, split: str | None = None, base_url: str = _BASE_URL) -> None:
    """Create a study over the answers in a store, and print the administrator's link.

    Args:
        plan: The preregistration file.
        store: Database URL, or path of an SQLite file.
        split: Take answers of this split only (train, validation, test).
        base_url: Where labellers will reach the server; links are printed with it.
    """
    with open_store(store) as opened, opened.session() as session:
        prepared = create_study(session, load_plan(plan), split=split)
        _, token = accounts.invite(session, prepared.study, role="admin")
        _print_prepared(prepared)
    print(f"administrator: {base_url}/enter/{token}")


def demo(*, store: str = "runs/study-demo.db", num_labellers: int = 2, base_url: str = _BASE_URL) -> None:
    """Create a small study over invented texts, and print everyone's links.

    Args:
        store: Database URL, or path of an SQLite file.
        num_labellers: How many labellers to invite; one second rater and one administrator come with them.
        base_url: Where the server will be reached.
    """
    with open_store(store) as opened, opened.session() as session:
        prepared = create_study(session, make_demo_plan(), answer_keys=add_demo(session))
        roles = ["admin", "validator", *["labeller"] * num_labellers]
        links = [(role, *accounts.invite(session, prepared.study, role=role)) for role in roles]
        _print_prepared(prepared)
        for role, person, token in links:
            print(f"{role} {person.key}: {base_url}/enter/{token}")
    print(f"now: viva study serve --store {store}")


def invite(
    *,
    study: str,
    store: str = _STORE,
    role: Literal["labeller", "validator", "admin"] = "labeller",
    count: int = 1,
    days: float = 30.0,
    base_url: str = _BASE_URL,
) -> None:
    """Invite people; print one personal link a line. The links are shown now and never again.

    Args:
        study: Name of the study.
        store: Database URL, or path of an SQLite file.
        role: What they may do.
        count: How many people.
        days: How long the links work.
        base_url: Where the server is reached.
    """
    if not 1 <= count <= 1000 or not 0 < days <= 365:
        raise ConfigError(f"count is {count} and days {days}; need 1 to 1000 people and up to 365 days")
    with open_store(store) as opened, opened.session() as session:
        found = find_study(session, study)
        for _ in range(count):
            person, token = accounts.invite(session, found, role=role, num_days=days)
            print(f"{person.key}\t{base_url}/enter/{token}")


def serve(
    *,
    store: str = _STORE,
    host: str = "127.0.0.1",
    port: int = 8040,
    media: Path | None = None,
    https: bool = False,
    allow_remote: bool = False,
) -> None:
    """Serve the study's pages.

    Args:
        store: Database URL, or path of an SQLite file.
        host: Address to bind; the loopback by default.
        port: Port to bind; 0 takes a free one, which is printed.
        media: Directory of the pictures and sounds that answers and passages name.
        https: A proxy in front speaks HTTPS: cookies go over HTTPS alone.
        allow_remote: Needed with a host other than the loopback; put HTTPS in front of it.
    """
    import uvicorn

    from vivavoce.critique.study.web.app import make_app

    if host not in ("127.0.0.1", "localhost", "::1") and not allow_remote:
        raise ConfigError(f"host is {host}; personal links would travel in the clear; add --allow-remote behind HTTPS")
    if media is not None and not media.is_dir():
        raise ConfigError(f"media directory {media} is not there")
    with _listen(host, port) as listener, open_store(store, pool_size=20) as opened:
        shown = f"[{host}]" if ":" in host else host
        print(f"serving on http://{shown}:{listener.getsockname()[1]}; stop with Ctrl+C", flush=True)
        config = uvicorn.Config(
            make_app(opened, media_dir=media, is_https=https),
            # the address of a personal link is a secret, so requests are not logged
            access_log=False,
            log_level="warning",
            # chosen: well above 50 labellers with a few connections each; beyond it pages get 503 and try again
            limit_concurrency=400,
            timeout_graceful_shutdown=5,
        )
        uvicorn.Server(config).run(sockets=[listener])


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises: ConfigError if the address cannot be had."""
    if not 0 <= port <= 65535:
        raise ConfigError(f"port is {port}; need 0 (any free one) to 65535")
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise ConfigError(f"cannot serve on {host}, port {port}: {error.strerror}; name another with --port") from error


def export(*, study: str, out: Path, store: str = _STORE) -> None:
    """Write a study's files: assignments, findings, the release's critiques and helpfulness, and the plan.

    Args:
        study: Name of the study.
        out: Directory to write to.
        store: Database URL, or path of an SQLite file.
    """
    with open_store(store) as opened, opened.session() as session:
        found = find_study(session, study)
        write_json(out / "plan.json", {"plan": found.plan, "plan_digest": found.plan_digest})
        for name, read in EXPORTS.items():
            rows = read(session, found)
            write_bytes(out / f"{name}.jsonl", to_jsonl(rows))
            print(f"{out / name}.jsonl: {len(rows)} rows")


def _print_prepared(prepared: Prepared) -> None:
    counts = ", ".join(f"{count} {kind}" for kind, count in prepared.num_items.items())
    print(f"study {prepared.study.name}: {counts} answers; plan digest {prepared.study.plan_digest[:12]}")
    reasons: dict[str, int] = {}
    for reason in prepared.left_out.values():
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items(), key=lambda pair: -pair[1]):
        print(f"  left out {count}: {reason}")
