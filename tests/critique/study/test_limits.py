"""How often one client may ask."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from vivavoce.critique.store import Store
from vivavoce.critique.study.accounts import invite
from vivavoce.critique.study.demo import add_demo, make_demo_plan
from vivavoce.critique.study.materials import create_study
from vivavoce.critique.study.web import limits as limits_module
from vivavoce.critique.study.web.app import make_app
from vivavoce.critique.study.web.limits import Allowance, Buckets, RateLimits


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def test_a_bucket_lets_a_burst_pass_and_then_its_rate() -> None:
    clock = Clock()
    buckets = Buckets(Allowance(rate_hz=2, burst=3), now=clock)
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False]
    clock.now_s += 0.5
    assert [buckets.take("a"), buckets.take("a")] == [True, False]
    clock.now_s += 1000
    assert [buckets.take("a") for _ in range(4)] == [True, True, True, False], "never more than a burst"


def test_one_client_does_not_use_up_another_and_names_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "MAX_CLIENTS", 2)
    buckets = Buckets(Allowance(rate_hz=1, burst=1), now=Clock())
    assert [buckets.take(name) for name in ("a", "b", "a", "b")] == [True, True, False, False]
    assert buckets.take("c")
    assert len(buckets._level) == 2


@pytest.fixture
def make_client(sqlite_store: Store) -> Any:
    """The demo study with the limits of a test; two labellers' clients."""
    with sqlite_store.session() as session:
        study = create_study(session, make_demo_plan(), answer_keys=add_demo(session)).study
        tokens = [invite(session, study, role="labeller")[1] for _ in range(2)]

    def make(limits: RateLimits) -> list[TestClient]:
        app = make_app(sqlite_store, limits=limits)
        clients = [TestClient(app, follow_redirects=False) for _ in tokens]
        for client, token in zip(clients, tokens):
            assert client.post(f"/enter/{token}").status_code == 303
        return clients

    return make


def test_a_sign_in_that_asks_too_often_is_told_the_bound_and_others_go_on(make_client: Any) -> None:
    slow = Allowance(rate_hz=0.001, burst=3)
    one, other = make_client(RateLimits(per_sign_in=slow))
    statuses = [one.get("/consent").status_code for _ in range(4)]
    assert statuses == [200, 200, 200, 429]
    refused = one.post("/api/item/x/save", json={})
    assert (refused.status_code, refused.json()["reason"]) == (429, "too_many")
    assert "Too many requests from one sign-in: 3 at once and 0.001 a second" in refused.json()["message"]
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["x-content-type-options"] == "nosniff"
    assert other.get("/consent").status_code == 200


def test_made_up_cookies_meet_the_bound_of_the_address(make_client: Any) -> None:
    one, _ = make_client(RateLimits(per_address=Allowance(rate_hz=0.001, burst=5)))
    statuses = []
    for number in range(4):
        one.cookies.clear()
        statuses.append(one.get("/work", headers={"Cookie": f"viva_study=guess{number}"}).status_code)
    assert statuses == [401, 401, 401, 429]
    assert one.get("/health").status_code == 200
    assert one.get("/static/item.js").status_code == 200


def test_the_default_limits_are_far_above_what_a_page_sends(make_client: Any) -> None:
    one, _ = make_client(RateLimits())
    assert {one.get("/consent").status_code for _ in range(40)} == {200}
