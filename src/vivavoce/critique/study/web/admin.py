"""The administrator's page: progress, power at the present size, people, files. No outcome by arm while the study is open."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from vivavoce.critique.store import record_event, utc_now
from vivavoce.critique.study import accounts, desk, refusals
from vivavoce.critique.study.export import EXPORTS, to_jsonl
from vivavoce.critique.study.progress import measure_progress
from vivavoce.critique.study.refusals import Refusal
from vivavoce.critique.study.tables import Assignment, Person
from vivavoce.critique.study.web.requests import Call, go, page


def show(call: Call, *, link: str = "", link_for: str = "") -> Response:
    """The page; a new link is shown on the answer to the request that made it, and never again."""
    study = call.signed.person.study
    return page(
        "admin.html",
        signed=call.signed,
        study=study,
        progress=measure_progress(call.session, study, call.signed.plan),
        link=link,
        link_for=link_for,
        notice={"freed": "The answer is free for someone else.", "closed": "The study is closed."}.get(
            call.query.get("notice", "")
        ),
    )


def invite(call: Call) -> Response:
    """A new person and their link."""
    person, token = accounts.invite(
        call.session, call.signed.person.study, role=call.field("role"), num_days=_read_days(call)
    )
    return show(call, link=f"{call.base_url}/enter/{token}", link_for=person.key)


def renew(call: Call) -> Response:
    """A new link for someone who lost theirs; the old one stops working."""
    person = _find_person(call)
    token = accounts.renew_link(call.session, person)
    record_event(call.session, call.signed.actor, "study.link_renewed", subject=person)
    return show(call, link=f"{call.base_url}/enter/{token}", link_for=person.key)


def revoke(call: Call) -> Response:
    """Shut someone out, at once."""
    accounts.revoke(call.session, _find_person(call))
    return go("/admin")


def release(call: Call) -> Response:
    """Free an abandoned answer."""
    number = call.field("assignment")
    query = select(Assignment).where(
        Assignment.id == (int(number) if number.isdigit() else -1), Assignment.study_id == call.signed.person.study_id
    )
    assignment = call.session.scalar(query.with_for_update())
    if assignment is None:
        raise refusals.not_found("answer")
    desk.release(call.session, assignment, by=call.signed.actor)
    return go("/admin?notice=freed")


def close(call: Call) -> Response:
    """Take no more work."""
    study = call.signed.person.study
    if call.field("sure") == "yes" and study.closed_at is None:
        study.closed_at = utc_now()
        record_event(call.session, call.signed.actor, "study.closed", subject=study)
    return go("/admin?notice=closed")


def export(call: Call) -> Response:
    """One of the export files."""
    name = call.path["name"]
    study = call.signed.person.study
    if name == "plan.json":
        return JSONResponse({"plan": study.plan, "plan_digest": study.plan_digest})
    stem = name.removesuffix(".jsonl")
    if stem not in EXPORTS or not name.endswith(".jsonl"):
        raise refusals.not_found("file")
    rows: list[dict[str, Any]] = EXPORTS[stem](call.session, study)
    headers = {"content-disposition": f'attachment; filename="{study.name}-{name}"'}
    return Response(to_jsonl(rows), media_type="application/x-ndjson", headers=headers)


def _find_person(call: Call) -> Person:
    number = call.field("person")
    is_here = (Person.id == (int(number) if number.isdigit() else -1), Person.study_id == call.signed.person.study_id)
    person = call.session.scalar(select(Person).where(*is_here))
    if person is None:
        raise refusals.not_found("person")
    if person.id == call.signed.person.id:
        raise Refusal("own_account", "You cannot change your own access here; use `viva study invite`.", 422)
    return person


def _read_days(call: Call) -> float:
    days = call.field("days")
    if not days.isdigit() or not 1 <= int(days) <= 365:
        raise Refusal("bad_days", f"A link can work for 1 to 365 days, not {days!r}.", 422)
    return float(days)
