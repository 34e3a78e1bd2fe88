"""The second rater's pages: blinded to who wrote the flaw, in which arm, and with what help."""

from __future__ import annotations

from sqlalchemy import func, select
from starlette.responses import Response

from vivavoce.critique.study import checks
from vivavoce.critique.study.refusals import Refusal
from vivavoce.critique.study.tables import Check
from vivavoce.critique.study.web.labeller import describe_medium, find_media
from vivavoce.critique.study.web.requests import Call, embed, go, page


def show_queue(call: Call) -> Response:
    """How much there is to do."""
    given, wanted = checks.count_waiting(call.session, call.signed.person.study_id)
    mine = select(func.count()).where(Check.person_id == call.signed.person.id, Check.verdict.is_not(None))
    notices = {"done": "Handed in. Thank you.", "again": "You gave this verdict before; it counts once."}
    return page(
        "checks.html",
        signed=call.signed,
        given=given,
        wanted=wanted,
        mine=call.session.scalar(mine) or 0,
        is_empty=call.query.get("notice") == "empty",
        notice=notices.get(call.query.get("notice", "")),
    )


def take_next(call: Call) -> Response:
    """Claim a flaw to check and go to it."""
    check = checks.claim_check(call.session, call.signed)
    return go("/check?notice=empty" if check is None else f"/check/{check.public_id}")


def show_check(call: Call, *, problem: str = "", status: int = 200) -> Response:
    """The flaw, marked in the answer and the text."""
    check = checks.find_check(call.session, call.signed, call.path["id"])
    if check.is_open is None:
        return page(
            "message.html", heading="Finished", message="You gave this verdict. It counts once.", link="/check",
            link_text="Go on", signed=call.signed,
        )  # fmt: skip
    critique = check.finding.critique
    answer = check.finding.assignment.item.answer
    passage = answer.question.passage
    data = {
        "answer": describe_medium(answer, f"/check/{check.public_id}/media/answer"),
        "passage": describe_medium(passage, f"/check/{check.public_id}/media/passage"),
        "answer_spans": critique.answer_spans,
        "passage_spans": critique.passage_spans,
    }
    recorded = "; ".join(str(flaw.get("text") or "(marked, without words)") for flaw in answer.planted_flaws)
    return page(
        "check.html",
        status=status,
        signed=call.signed,
        data=embed(data),
        question=answer.question.text,
        passage_title=passage.title,
        flaw_text=critique.text,
        has_marks=bool(critique.answer_spans or critique.passage_spans),
        recorded=recorded,
        problem=problem,
        sent=call.form,
    )


def send_media(call: Call) -> Response:
    """The picture or sound of one's own check."""
    check = checks.find_check(call.session, call.signed, call.path["id"])
    return find_media(call, check.finding.assignment, call.path["thing"])


def give_verdict(call: Call) -> Response:
    """Store the verdict; with something missing, the page comes back as it was."""
    severity = call.field("severity")
    try:
        is_new = checks.give_verdict(
            call.session,
            call.signed,
            call.path["id"],
            verdict=call.field("verdict"),
            severity=int(severity) if severity.isdigit() else None,
            is_intended={"yes": True, "no": False}.get(call.field("intended")),
            note=call.field("note"),
        )
    except Refusal as refusal:
        if refusal.reason != "incomplete":
            raise
        return show_check(call, problem=refusal.message, status=422)
    return go(f"/check?notice={'done' if is_new else 'again'}")
