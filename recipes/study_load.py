"""Fifty labellers at once on one study server: page times, and whether anything is lost or doubled, kill -9 included.

    python recipes/study_load.py --store postgresql://USER@/DATABASE?host=SOCKET --labellers 50 --items 4 --kills 1

Fills an empty database with invented texts of 800 words, starts `viva study serve` on the loopback, lets every labeller
sign in, take answers, save drafts and hand in, kills the server with SIGKILL in the middle and starts it again. Then it
compares the database with what the server had told the labellers was saved. Everything is bounded: labellers, items and
seconds. Hardware: 2 cores carry server, database and labellers together. Time: a minute or two.
Expected: 0 lost, 0 doubled; p95 under 300 ms on 2 cores with nothing else running (docs/study.md has what was measured).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import tyro
from sqlalchemy import func, select

from vivavoce.critique.store import Answer, Critique, Passage, Question, Store, add, open_store
from vivavoce.critique.study.accounts import invite
from vivavoce.critique.study.materials import create_study
from vivavoce.critique.study.plan import TEMPLATE, load_plan, plan_from_json, plan_to_json
from vivavoce.critique.study.tables import Assignment, Draft, Finding
from vivavoce.files import write_json

_WORDS = (
    "river",
    "mill",
    "wheel",
    "frost",
    "winter",
    "road",
    "bridge",
    "ferry",
    "harbour",
    "lamp",
    "field",
    "stone",
    "bread",
    "letter",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to run."""

    store: str = "runs/study-load.db"
    """Empty database: URL, or path of an SQLite file."""
    labellers: int = 50
    """People at once."""
    items: int = 4
    """Answers that each hands in."""
    kills: int = 0
    """How often the server is killed with SIGKILL and started again."""
    think_s: float = 1.0
    """Mean pause of a labeller between two requests."""
    port: int = 0
    """Loopback port; 0 takes a free one."""
    limit_s: float = 240.0
    """Give up after this long."""
    seed: int = 0
    """Of texts and pauses."""
    json: Path | None = None
    """Write the numbers here."""


@dataclass
class Tally:
    """What happened: seconds by kind of request, the newest draft each labeller was told is saved, and hand-ins."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    acknowledged: dict[str, str] = field(default_factory=dict)
    handed_in: Counter[str] = field(default_factory=Counter)
    num_retries: int = 0
    errors: list[str] = field(default_factory=list)


def main(config: Config) -> int:
    """Run and report; 1 if anything was lost or doubled."""
    with hold_port(config.port) as held, open_store(config.store, pool_size=4) as store:
        config = replace(config, port=held.getsockname()[1])
        links = fill(store, config)
        tally = Tally()
        asyncio.run(run(config, links, tally))
        result = verify(store, config, tally)
    report(config, tally, result)
    return int(bool(result["lost_drafts"] or result["doubled"] or result["lost_answers"] or tally.errors))


def hold_port(port: int) -> socket.socket:
    """A loopback port that is this run's until the socket is closed; 0 takes a free one.

    Bound and never listening: each server of the run may bind it too (Linux, both with SO_REUSEADDR), nobody else is given
    it while none listens, and a connection made then is refused, as from a server that is down.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", port))
    return held


def fill(store: Store, config: Config) -> list[str]:
    """A study with enough answers for everyone; the labellers' link tokens."""
    generator = random.Random(config.seed)
    values = plan_to_json(load_plan(TEMPLATE))
    plan = plan_from_json({**values, "name": "load", "items_per_labeller": config.items, "ratings_per_cell": 2})
    num_passages = max(config.items + 4, -(-config.labellers * config.items // 20))
    with store.session() as session:
        for number in range(num_passages):
            text = " ".join(generator.choices(_WORDS, k=800))
            passage = add(session, Passage(key=f"p{number}", created_by="load", source="load", split="test", text=text))
            question = add(
                session, Question(key=f"q{number}", created_by="load", passage_id=passage.id, text="What happened?")
            )
            for kind in plan.kinds:
                fill_answer(session, question, f"a{number}-{kind}", kind, generator)
        study = create_study(session, plan).study
        return [invite(session, study, role="labeller")[1] for _ in range(config.labellers)]


def fill_answer(session: Any, question: Question, key: str, kind: str, generator: random.Random) -> None:
    """An answer with eight suggestions by a model, three by people and a decoy."""
    text = " ".join(generator.choices(_WORDS, k=50))
    spans = [{"kind": "text", "begin": 0, "end": 10}]
    planted = [{"text": "planted", "answer_spans": spans}] if kind == "misleading" else []
    answer = Answer(key=key, created_by="load", question_id=question.id, author_kind=kind, author="load", text=text)
    answer.planted_flaws = planted
    add(session, answer)
    for author, count in (("model", 8), ("person", 3), ("decoy", 1)):
        for rank in range(count):
            words = f"{rank} " + " ".join(generator.choices(_WORDS, k=15))
            row = Critique(key=f"{key}-{author}{rank}", created_by="load", answer_id=answer.id, author_kind=author)
            row.author, row.text, row.rank, row.answer_spans = "load", words, rank, spans
            add(session, row)


async def run(config: Config, links: list[str], tally: Tally) -> None:
    """All labellers against a server that dies `kills` times."""
    server = start_server(config)
    try:
        await wait_for_server(config)
        people = [asyncio.create_task(work(config, link, n, tally)) for n, link in enumerate(links)]
        for _ in range(config.kills):
            while sum(tally.handed_in.values()) < config.labellers * config.items // (2 * config.kills):
                await asyncio.sleep(0.1)
                if all(person.done() for person in people):
                    break
            server.send_signal(signal.SIGKILL)
            server.wait()
            server = start_server(config)
            await wait_for_server(config)
        await asyncio.wait_for(asyncio.gather(*people), config.limit_s)
    finally:
        server.terminate()
        try:
            server.wait(timeout=60)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def start_server(config: Config) -> subprocess.Popen[bytes]:
    """`viva study serve` in a process of its own."""
    command = [
        sys.executable,
        "-m",
        "vivavoce.cli",
        "study",
        "serve",
        "--store",
        config.store,
        "--port",
        str(config.port),
    ]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


async def wait_for_server(config: Config) -> None:
    """Until it answers."""
    async with httpx.AsyncClient(trust_env=False) as client:
        for _ in range(1800):
            try:
                await client.get(f"http://127.0.0.1:{config.port}/health")
                return
            except httpx.TransportError:
                await asyncio.sleep(0.1)
    raise SystemExit("the server did not start within three minutes")


async def work(config: Config, link: str, number: int, tally: Tally) -> None:
    """One labeller's study."""
    pauses = random.Random(config.seed * 1000 + number)
    base = f"http://127.0.0.1:{config.port}"
    # without certificates, which take 40 ms to load, fifty times over in the loop that takes everybody's time
    options: dict[str, Any] = {"timeout": 30, "trust_env": False, "follow_redirects": True, "verify": False}
    async with httpx.AsyncClient(base_url=base, **options) as client:

        async def ask(kind: str, method: str, path: str, **more: Any) -> httpx.Response:
            await asyncio.sleep(pauses.uniform(0, 2 * config.think_s))
            for _ in range(200):
                begun = time.perf_counter()
                try:
                    answer = await client.request(method, path, **more)
                except httpx.TransportError:
                    tally.num_retries += 1
                    await asyncio.sleep(0.2)
                    continue
                if answer.status_code < 500:
                    tally.seconds.setdefault(kind, []).append(time.perf_counter() - begun)
                    return answer
                await asyncio.sleep(0.5)
            raise RuntimeError(f"labeller {number}: {kind} was never answered")

        try:
            await ask("sign in", "POST", f"/enter/{link}")
            page = await ask("page", "GET", "/consent")
            csrf = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
            await ask("page", "POST", "/consent", data={"csrf": csrf, "agree": "yes"})
            for _ in range(config.items):
                page = await ask("take an answer", "POST", "/work/next", data={"csrf": csrf})
                found = re.search(r'id="data">(.*?)</script>', page.text, re.S)
                if found is None:
                    break
                await judge(ask, json.loads(found[1]), pauses, tally)
        except Exception as error:
            tally.errors.append(f"labeller {number}: {error!r}")


async def judge(ask: Any, data: dict[str, Any], pauses: random.Random, tally: Tally) -> None:
    """Save a growing draft three times, then hand in; hand in twice now and then."""
    path, headers = f"/api/item/{data['id']}", {"X-CSRF": data["csrf"]}
    body: dict[str, Any] = {
        "flaws": [],
        "deleted": [],
        "editor": None,
        "verdicts": {},
        "rating": 3,
        "has_no_flaws": False,
    }
    version = data["version"]
    for number in range(3):
        flaw = {
            "uid": f"{data['id'][:20]}-flaw{number}",
            "text": f"flaw {number}",
            "category": "accuracy",
            "severity": 2,
        }
        body["flaws"].append(flaw)
        sent = {"lock": data["lock"], "base_version": version, "body": body}
        answer = (await ask("save", "POST", f"{path}/save", json=sent, headers=headers)).json()
        version = answer["version"]
        tally.acknowledged[data["id"]] = flaw["uid"]
    sent = {"lock": data["lock"], "base_version": version, "body": body}
    for _ in range(1 + (pauses.random() < 0.2)):
        answer = (await ask("hand in", "POST", f"{path}/submit", json=sent, headers=headers)).json()
        if "next" not in answer:
            raise RuntimeError(f"not handed in: {answer}")
    tally.handed_in[data["id"]] += 1


def verify(store: Store, config: Config, tally: Tally) -> dict[str, Any]:
    """The database against what labellers were told."""
    with store.session() as session:
        rows = session.execute(select(Assignment.id, Assignment.public_id, Assignment.item_id, Assignment.arm, Assignment.slot,
                                      Assignment.state)).all()  # fmt: skip
        lost_drafts = 0
        for row in rows:
            newest = session.scalar(
                select(Draft.body).where(Draft.assignment_id == row.id).order_by(Draft.version.desc()).limit(1)
            )
            told = tally.acknowledged.get(row.public_id)
            lost_drafts += told is not None and (
                newest is None or told not in {flaw["uid"] for flaw in newest["flaws"]}
            )
        counted = session.execute(select(Finding.assignment_id, func.count()).group_by(Finding.assignment_id))
        findings = dict(counted.all())
    cells = Counter((row.item_id, row.arm, row.slot) for row in rows)
    states = {row.public_id: row.state for row in rows}
    return {
        "assignments": len(rows),
        "submitted": sum(row.state == "submitted" for row in rows),
        "expected": config.labellers * config.items,
        "lost_drafts": lost_drafts,
        "lost_answers": sum(states.get(name) != "submitted" for name in tally.handed_in),
        "doubled": sum(count > 1 for count in cells.values()) + sum(count != 3 for count in findings.values()),
    }


def report(config: Config, tally: Tally, result: dict[str, Any]) -> None:
    """Percentiles with their conditions."""
    load = os.getloadavg()[0]
    kind_of_store = config.store.split(":")[0] if "://" in config.store else "sqlite"
    print(f"{config.labellers} labellers, {config.items} answers each, mean pause {config.think_s} s, {kind_of_store}, "
          f"{os.cpu_count()} cores, load average {load:.1f}, {config.kills} kills, {tally.num_retries} requests sent again")  # fmt: skip
    rows = {}
    for kind, seconds in [
        *sorted(tally.seconds.items()),
        ("all", [one for many in tally.seconds.values() for one in many]),
    ]:
        p50, p95, p99 = (float(value) * 1000 for value in np.quantile(seconds, [0.5, 0.95, 0.99]))
        rows[kind] = {"n": len(seconds), "p50_ms": p50, "p95_ms": p95, "p99_ms": p99}
        print(f"  {kind:<15} n {len(seconds):>5}   p50 {p50:6.0f} ms   p95 {p95:6.0f} ms   p99 {p99:6.0f} ms")
    print(f"  {result}")
    for error in tally.errors[:5]:
        print(f"  error: {error}")
    if config.json is not None:
        write_json(config.json, {"load_average": load, "requests": rows, **result, "errors": tally.errors})


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Config)))
