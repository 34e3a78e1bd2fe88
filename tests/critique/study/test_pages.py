"""The pages over HTTP, in process."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update
from starlette.testclient import TestClient

from vivavoce.cli import main
from vivavoce.critique.loaders.importing import import_path
from vivavoce.critique.store import Answer, Critique, Passage, Question, Store, add, utc_now
from vivavoce.critique.study.accounts import invite
from vivavoce.critique.study.demo import add_demo, make_demo_plan
from vivavoce.critique.study.export import EXPORTS
from vivavoce.critique.study.materials import create_study, find_study
from vivavoce.critique.study.tables import Finding, Person, SignIn
from vivavoce.critique.study.web.app import make_app


class Visitor:
    """A browser without scripts: one cookie jar."""

    def __init__(self, app: Any, token: str) -> None:
        self.client = TestClient(app, base_url="http://127.0.0.1:8040")
        self.client.post(f"/enter/{token}")
        self.csrf = ""
        page = self.client.get("/consent")
        if "csrf" in page.text:
            self.csrf = re.findall(r'name="csrf" value="([^"]+)"', page.text)[0]
            self.post("/consent", agree="yes")

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def post(self, path: str, **fields: Any) -> Any:
        return self.client.post(path, data={"csrf": self.csrf, **fields})

    def take(self) -> dict[str, Any]:
        """The data of the next item's page."""
        page = self.post("/work/next")
        return {**json.loads(re.findall(r'id="data">(.*?)</script>', page.text, re.S)[0]), "html": page.text}

    def call(self, data: dict[str, Any], what: str, **values: Any) -> Any:
        return self.client.post(
            f"/api/item/{data['id']}/{what}", json={"lock": data["lock"], **values}, headers={"X-CSRF": self.csrf}
        )


def make_body(*texts: str, **more: Any) -> dict[str, Any]:
    flaws = [
        {"uid": f"uid-{n:05d}", "text": text, "category": "accuracy", "severity": 2} for n, text in enumerate(texts)
    ]
    return {"flaws": flaws, "rating": 4, "has_no_flaws": not flaws, **more}


@pytest.fixture
def app(sqlite_store: Store, tmp_path: Path) -> Any:
    """The demo study."""
    with sqlite_store.session() as session:
        create_study(session, make_demo_plan(), answer_keys=add_demo(session))
    return make_app(sqlite_store, media_dir=tmp_path)


@pytest.fixture
def visit(app: Any, sqlite_store: Store) -> Callable[..., Visitor]:
    """Invites a person and signs them in."""

    def make(role: str = "labeller") -> Visitor:
        with sqlite_store.session() as session:
            _, token = invite(session, find_study(session, "demo"), role=role)
        return Visitor(app, token)

    return make


def test_opening_a_link_signs_nobody_in(app: Any, sqlite_store: Store) -> None:
    with sqlite_store.session() as session:
        _, token = invite(session, find_study(session, "demo"), role="labeller")
    client = TestClient(app)
    assert client.get(f"/enter/{token}").status_code == 200
    assert client.get("/work").status_code == 401


def test_a_wrong_link_says_what_to_do(app: Any) -> None:
    answer = TestClient(app).get("/enter/guess")
    assert answer.status_code == 403
    assert "Ask whoever invited you for a new one" in answer.text


def test_nothing_is_shown_before_consent(app: Any, sqlite_store: Store) -> None:
    with sqlite_store.session() as session:
        _, token = invite(session, find_study(session, "demo"), role="labeller")
    client = TestClient(app)
    client.post(f"/enter/{token}")
    assert str(client.get("/work").url).endswith("/consent")


def test_a_form_without_the_token_or_from_elsewhere_changes_nothing(visit: Any, sqlite_store: Store) -> None:
    person = visit()
    assert person.client.post("/work/next").status_code == 403
    foreign = person.client.post("/work/next", data={"csrf": person.csrf}, headers={"Origin": "http://evil.example"})
    assert foreign.status_code == 403
    crossed = person.client.post("/work/next", data={"csrf": person.csrf}, headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 403
    with sqlite_store.session() as session:
        assert EXPORTS["assignments"](session, find_study(session, "demo")) == []


def test_the_page_tells_no_author_no_arm_and_no_decoy(visit: Any, sqlite_store: Store) -> None:
    person = visit()
    for _ in range(5):
        data = person.take()
        assert set(data) == {"id", "lock", "csrf", "version", "body", "answer", "passage", "shown", "categories", "severities",
                             "ask_refinement", "html"}  # fmt: skip
        assert all(set(one) == {"text", "passage_spans", "answer_spans"} for one in data["shown"])
        for word in ("decoy", "misleading", "planted", "human"):
            assert word not in data["html"].lower()
        person.call(data, "submit", base_version=0, body=make_body())
    with sqlite_store.session() as session:
        rows = EXPORTS["assignments"](session, find_study(session, "demo"))
    assert len({row["arm"] for row in rows}) >= 2


def test_a_signed_out_page_is_told_so_and_the_draft_comes_back(visit: Any, sqlite_store: Store) -> None:
    person = visit()
    data = person.take()
    assert person.call(data, "save", base_version=0, body=make_body("first")).status_code == 200
    with sqlite_store.session() as session:
        session.execute(update(SignIn).values(expires_at=utc_now() - timedelta(minutes=1)))
    refused = person.call(data, "save", base_version=1, body=make_body("first", "second"))
    assert (refused.status_code, refused.json()["reason"]) == (401, "signed_out")
    assert "nothing that was saved is lost" in refused.json()["message"]
    assert person.get("/work").status_code == 401
    with sqlite_store.session() as session:
        session.execute(update(SignIn).values(expires_at=utc_now() + timedelta(minutes=1)))
    assert person.take()["body"]["flaws"][0]["text"] == "first"


def test_another_person_finds_neither_page_nor_file_nor_call(visit: Any) -> None:
    data, other = visit().take(), visit()
    assert other.get(f"/item/{data['id']}").status_code == 404
    assert other.get(f"/item/{data['id']}/media/answer").status_code == 404
    for what in ("save", "submit", "beat", "decline"):
        answer = other.call(data, what, base_version=0, body=make_body(), reason="x")
        assert answer.status_code == 404, what


@pytest.mark.parametrize("path", ["/admin", "/check", "/admin/export/findings.jsonl"])
def test_a_labeller_has_no_way_to_other_roles_pages(path: str, visit: Any) -> None:
    assert visit().get(path).status_code == 404


def test_a_double_submit_and_the_back_button_count_once(visit: Any, sqlite_store: Store) -> None:
    person = visit()
    data = person.take()
    first = person.call(data, "submit", base_version=0, body=make_body("one", "two"))
    second = person.call(data, "submit", base_version=0, body=make_body("one", "two"))
    assert (first.json(), second.json()) == ({"next": "/work?notice=done"}, {"next": "/work?notice=again"})
    back = person.get(f"/item/{data['id']}")
    assert "counted once" in back.text
    assert back.headers["cache-control"] == "no-store"
    with sqlite_store.session() as session:
        assert session.scalar(select(func.count()).select_from(Finding)) == 2


def test_the_older_of_two_tabs_is_told_and_its_text_is_kept(visit: Any) -> None:
    person = visit()
    old, new = person.take(), person.take()
    assert old["id"] == new["id"]
    refused = person.call(old, "save", base_version=0, body=make_body("from the old tab"))
    assert (refused.status_code, refused.json()["reason"]) == (409, "other_tab")
    body = make_body("from the new tab")
    body["flaws"][0]["uid"] = "uid-of-new-tab"
    saved = person.call(new, "save", base_version=0, body=body).json()
    assert {flaw["text"] for flaw in saved["body"]["flaws"]} == {"from the old tab", "from the new tab"}
    assert person.call(old, "beat").status_code == 409


@pytest.mark.parametrize(
    ("sent", "status", "message"),
    [
        ({"base_version": 0, "body": {"flaws": [{"uid": "x"}]}}, 422, "flaws.0.uid"),
        ({"base_version": "new", "body": {}}, 422, "no version"),
        ({"base_version": 0, "body": {"flaws": [], "note": "x" * 500_000}}, 413, "shorten"),
    ],
)
def test_what_cannot_be_read_gets_a_message_and_changes_nothing(
    sent: dict[str, Any], status: int, message: str, visit: Any
) -> None:
    person = visit()
    data = person.take()
    refused = person.call(data, "save", **sent)
    assert refused.status_code == status
    assert message in refused.json()["message"]
    assert person.take()["body"] is None


def test_an_incomplete_hand_in_names_every_problem_and_keeps_the_draft(visit: Any) -> None:
    person = visit()
    data = person.take()
    body = {"flaws": [{"uid": "uid-00000", "text": "so so"}], "rating": None}
    answer = person.call(data, "submit", base_version=0, body=body).json()
    assert [problem["message"] for problem in answer["problems"]] == [
        "“so so”: choose a category.",
        "“so so”: choose how serious it is.",
        "Rate the answer from 1 to 7.",
    ]
    assert answer["version"] == 1


def test_every_answer_carries_the_security_headers(visit: Any) -> None:
    for path in ("/work", "/nowhere", "/static/item.js", "/health"):
        headers = visit().get(path).headers
        assert headers["content-security-policy"].startswith("default-src 'self'")
        assert headers["x-content-type-options"] == "nosniff"


def test_a_text_cannot_break_out_of_the_page(visit: Any) -> None:
    from vivavoce.critique.study.web.requests import embed

    assert "</script" not in embed({"text": "</script><script>alert(1)</script>"})
    assert json.loads(embed({"text": "<a> & \u2028"})) == {"text": "<a> & \u2028"}


def test_a_second_rater_sees_no_labeller_and_no_arm_and_counts_once(visit: Any, sqlite_store: Store) -> None:
    labeller, rater = visit(), visit("validator")
    for _ in range(5):
        labeller.call(labeller.take(), "submit", base_version=0, body=make_body("a real flaw"))
    page = rater.post("/check/next")
    assert "a real flaw" in page.text
    with sqlite_store.session() as session:
        keys = session.scalars(select(Person.key).where(Person.role == "labeller")).all()
    assert not [key for key in keys if key in page.text]
    path = str(page.url).removeprefix("http://127.0.0.1:8040")
    incomplete = rater.post(path, verdict="valid")
    assert (incomplete.status_code, "Choose how serious" in incomplete.text) == (422, True)
    for notice in ("done", "again"):
        answer = rater.post(path, verdict="valid", severity="3", intended="yes")
        assert str(answer.url).endswith(f"notice={notice}")
    with sqlite_store.session() as session:
        rows = EXPORTS["findings"](session, find_study(session, "demo"))
        checks = [check for row in rows for check in row["checks"]]
        assert [(check["verdict"], check["severity"]) for check in checks] == [("valid", 3)]
        revised = session.scalars(select(Critique.is_valid).where(Critique.version == 2)).all()
        assert revised in ([True], []), "settled unless a second rater is still wanted"


def test_exports_hold_each_thing_once_and_the_release_format_loads_again(
    visit: Any, open_sqlite: Callable[[str], Store], tmp_path: Path
) -> None:
    admin, people = visit("admin"), [visit(), visit()]
    for person in people:
        for _ in range(5):
            data = person.take()
            body = make_body("one", "two")
            body["flaws"][0]["answer_spans"] = [{"kind": "text", "begin": 0, "end": 3}]
            if data["shown"] and data["shown"][0]["text"]:
                body["flaws"][0].update(text=data["shown"][0]["text"], shown=0)
                body["verdicts"] = {"1": "rejected"}
            assert "next" in person.call(data, "submit", base_version=0, body=body).json()
    for name, key, count in (("assignments", "assignment", 10), ("findings", "finding", 20), ("critiques", "id", 10)):
        rows = [json.loads(line) for line in admin.get(f"/admin/export/{name}.jsonl").text.splitlines()]
        assert len(rows) == len({row[key] for row in rows}) == count
        if name == "critiques":
            (tmp_path / "critiques.jsonl").write_text("\n".join(map(json.dumps, rows)))
    helpful = [json.loads(line) for line in admin.get("/admin/export/helpfulness.jsonl").text.splitlines()]
    assert {
        one["feedback"]["helpful"] for row in helpful for one in row["data"]["questions"][0]["answers"][0]["critiques"]
    } == {True, False}
    with open_sqlite("fresh") as fresh:
        report = import_path(fresh, "openai_release", tmp_path / "critiques.jsonl")
    assert report.refused == []
    assert (report.added["answers"], report.added["critiques"]) == (10, 20)


def test_someone_who_withdraws_is_left_out_and_locked_out(visit: Any, sqlite_store: Store) -> None:
    person = visit()
    person.call(person.take(), "submit", base_version=0, body=make_body("mine"))
    person.post("/withdraw", sure="yes")
    assert person.get("/work").status_code == 401
    with sqlite_store.session() as session:
        study = find_study(session, "demo")
        assert [EXPORTS[name](session, study) for name in EXPORTS] == [[], [], [], []]


def test_the_administrator_sees_power_but_no_outcome_by_arm(visit: Any) -> None:
    admin, person = visit("admin"), visit()
    for _ in range(3):
        person.call(person.take(), "submit", base_version=0, body=make_body("x"))
    page = admin.get("/admin").text
    assert "hits_model" in page
    assert "flaws per answer: 1" in page
    assert (
        admin.client.post("/admin/invite", data={"csrf": _csrf(page), "role": "labeller", "days": "400"}).status_code
        == 422
    )
    invited = admin.client.post("/admin/invite", data={"csrf": _csrf(page), "role": "labeller", "days": "3"})
    assert re.search(r"http://127\.0\.0\.1:8040/enter/[\w-]{40,}", invited.text)


def test_closing_lets_people_finish_what_they_began_and_takes_nothing_new(visit: Any) -> None:
    admin, busy, late = visit("admin"), visit(), visit()
    data = busy.take()
    admin.client.post("/admin/close", data={"csrf": _csrf(admin.get("/admin").text), "sure": "yes"})
    assert "next" in busy.call(data, "submit", base_version=0, body=make_body("x")).json()
    assert late.post("/work/next").status_code == 403
    assert "The study is closed" in late.get("/work").text


def test_a_picture_is_shown_and_its_regions_come_back(
    app: Any, sqlite_store: Store, tmp_path: Path, shrink_plan: Callable[..., Any]
) -> None:
    from PIL import Image as Picture

    Picture.new("RGB", (60, 40), "navy").save(tmp_path / "answer.png")
    with sqlite_store.session() as session:
        passage = add(session, Passage(key="draw", created_by="t", text="Draw a boat.", source="t", split="test"))
        question = add(session, Question(key="draw", created_by="t", passage_id=passage.id, text="Draw it."))
        add(session, Answer(key="drawn", created_by="t", question_id=question.id, author_kind="model", author="m", modality="image",
                            media_path="answer.png", width=60, height=40))  # fmt: skip
        plan = shrink_plan(
            name="pictures", kinds={"model": 1}, hypotheses=[], decoys=0, arms=[{"name": "none", "assistance": "none"}]
        )
        study = create_study(session, plan, answer_keys=["drawn"]).study
        _, token = invite(session, study, role="labeller")
    person = Visitor(app, token)
    data = person.take()
    assert data["answer"]["modality"] == "image"
    assert person.get(data["answer"]["url"]).headers["content-type"] == "image/png"
    body = make_body("no boat")
    body["flaws"][0]["answer_spans"] = [{"kind": "region", "x": 50, "y": 0, "width": 20, "height": 5}]
    refused = person.call(data, "submit", base_version=0, body=body).json()
    assert "a mark lies outside the answer" in refused["problems"][0]["message"]
    body["flaws"][0]["answer_spans"][0]["width"] = 10
    assert "next" in person.call(data, "submit", base_version=1, body=body).json()


def _csrf(page: str) -> str:
    return re.findall(r'name="csrf" value="([^"]+)"', page)[0]


def test_a_free_port_is_taken_and_told_and_one_in_use_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import uvicorn

    monkeypatch.setattr(uvicorn.Server, "run", lambda self, sockets: None)
    main(["study", "serve", "--store", str(tmp_path / "s.db"), "--port", "0"])
    told = re.findall(r"http://127\.0\.0\.1:(\d+);", capsys.readouterr().out)
    assert int(told[0]) > 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["study", "serve", "--store", str(tmp_path / "s.db"), "--port", str(port)]) == 2
    assert f"cannot serve on 127.0.0.1, port {port}: Address already in use" in capsys.readouterr().err
    assert main(["study", "serve", "--store", str(tmp_path / "s.db"), "--port", "70000"]) == 2
    assert "need 0 (any free one) to 65535" in capsys.readouterr().err
