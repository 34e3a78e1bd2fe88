"""The labeller's pages and the calls that the item page makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.responses import FileResponse, JSONResponse, Response

from vivavoce.critique.store import Answer, Passage
from vivavoce.critique.study import accounts, desk, refusals
from vivavoce.critique.study.draft import parse_body
from vivavoce.critique.study.refusals import Refusal
from vivavoce.critique.study.tables import Assignment
from vivavoce.critique.study.web.requests import Call, embed, go, page

_NOTICES = {
    "done": "Handed in. Thank you.",
    "again": "This answer was handed in before; it counts once.",
    "declined": "You gave the answer back.",
}


def start(call: Call) -> Response:
    """Everybody's own start page."""
    return go({"labeller": "/work", "validator": "/check", "admin": "/admin"}[call.signed.person.role])


def show_consent(call: Call) -> Response:
    """What taking part means."""
    return page("consent.html", signed=call.signed) if accounts.needs_consent(call.signed) else go("/")


def give_consent(call: Call) -> Response:
    """Agree; without the tick nothing happens."""
    if call.field("agree") == "yes":
        accounts.give_consent(call.session, call.signed)
    return go("/")


def withdraw(call: Call) -> Response:
    """Stop taking part."""
    if call.field("sure") != "yes":
        return go("/work")
    accounts.withdraw(call.session, call.signed)
    words = (
        "You have withdrawn. Your link does not work any more, and what you wrote is left out. Thank you for your time."
    )
    return page("message.html", heading="Goodbye", message=words, title=call.signed.plan.title)


def show_home(call: Call) -> Response:
    """Progress, and the button to the next answer."""
    done, planned = desk.count_progress(call.session, call.signed)
    open_one = desk.find_open(call.session, call.signed)
    is_out_of_answers = call.query.get("notice") == "empty" and open_one is None
    return page(
        "home.html",
        signed=call.signed,
        done=done,
        planned=planned,
        has_open=open_one is not None,
        is_finished=(done >= planned and open_one is None) or is_out_of_answers,
        is_closed=call.signed.person.study.closed_at is not None and open_one is None,
        notice=_NOTICES.get(call.query.get("notice", "")),
    )


def take_next(call: Call) -> Response:
    """Claim an answer and go to it."""
    assignment = desk.claim(call.session, call.signed)
    return go("/work?notice=empty" if assignment is None else f"/item/{assignment.public_id}")


def show_item(call: Call) -> Response:
    """The item page with the newest draft; a finished item is told to be finished."""
    assignment, draft = desk.open_assignment(call.session, call.signed, call.path["id"])
    if assignment.state != "open":
        words = "You handed this answer in. Nothing more is needed, and it was counted once."
        if assignment.state != "submitted":
            words = "This answer was given back. What you wrote is kept, but it does not count."
        return page(
            "message.html", heading="Finished", message=words, link="/work", link_text="Go on", signed=call.signed
        )
    shown = desk.list_shown(call.session, assignment)
    answer = assignment.item.answer
    passage = answer.question.passage
    done, planned = desk.count_progress(call.session, call.signed)
    plan = call.signed.plan
    data = {
        "id": assignment.public_id,
        "lock": assignment.lock,
        "csrf": call.signed.csrf,
        "version": draft.version if draft is not None else 0,
        "body": draft.body if draft is not None else None,
        "answer": describe_medium(answer, f"/item/{assignment.public_id}/media/answer"),
        "passage": describe_medium(passage, f"/item/{assignment.public_id}/media/passage"),
        "shown": [
            {
                "text": row.critique.text if row.is_text_shown else None,
                "passage_spans": row.critique.passage_spans,
                "answer_spans": row.critique.answer_spans,
            }
            for row in shown
        ],
        "categories": plan.categories,
        "severities": plan.severities,
        "ask_refinement": plan.ask_refinement,
    }
    return page(
        "item.html",
        signed=call.signed,
        data=embed(data),
        question=answer.question.text,
        passage_title=passage.title,
        num_shown=len(shown),
        is_text_shown=plan.arm(assignment.arm).assistance == "critiques",
        done=done,
        planned=planned,
    )


def describe_medium(thing: Answer | Passage, url: str) -> dict[str, Any]:
    """What the page needs to show a text, a picture or a sound; no author, no source."""
    return {
        "modality": thing.modality,
        "text": thing.text,
        "url": url,
        "width": thing.width,
        "height": thing.height,
        "duration_s": thing.duration_s,
    }


def send_media(call: Call) -> Response:
    """The picture or sound of one's own item."""
    assignment = desk.find_assignment(call.session, call.signed, call.path["id"])
    return find_media(call, assignment, call.path["thing"])


def find_media(call: Call, assignment: Assignment, thing: str) -> Response:
    """The file behind an answer or its passage, from inside the media directory only."""
    answer = assignment.item.answer
    row = answer if thing == "answer" else answer.question.passage
    folder = call.media_dir
    if thing not in ("answer", "passage") or not row.media_path or folder is None:
        raise refusals.not_found("file")
    path = (folder / row.media_path).resolve()
    if not path.is_relative_to(Path(folder).resolve()) or not path.is_file():
        raise refusals.not_found("file")
    return FileResponse(path)


def save(call: Call) -> Response:
    """Autosave. A tab that lost the lock is told so, after its text was merged."""
    body, version = parse_body(call.form.get("body")), _version(call)
    saved, has_lock = desk.save(
        call.session, call.signed, call.path["id"], lock=call.field("lock"), base_version=version, body=body
    )
    if not has_lock:
        refusal = refusals.other_tab()
        return JSONResponse({"reason": refusal.reason, "message": refusal.message}, refusal.status)
    return JSONResponse({"version": saved.version, "body": saved.body})


def beat(call: Call) -> Response:
    """A sign of life."""
    desk.beat(call.session, call.signed, call.path["id"], call.field("lock"))
    return JSONResponse({})


def submit(call: Call) -> Response:
    """Hand in, once."""
    body = parse_body(call.form.get("body"))
    done = desk.submit(
        call.session, call.signed, call.path["id"], lock=call.field("lock"), base_version=_version(call), body=body
    )
    if not done.problems:
        return JSONResponse({"next": f"/work?notice={'again' if done.is_repeat else 'done'}"})
    saved = done.saved
    return JSONResponse(
        {
            "problems": [problem._asdict() for problem in done.problems],
            "version": saved.version if saved is not None else None,
            "body": saved.body if saved is not None else None,
        }
    )


def decline(call: Call) -> Response:
    """Give the answer back."""
    desk.decline(call.session, call.signed, call.path["id"], call.field("reason"))
    return JSONResponse({"next": "/work?notice=declined"})


def _version(call: Call) -> int:
    version = call.form.get("base_version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 0:
        raise Refusal("bad_draft", "The page sent no version of the draft. Reload the page and try again.", 422)
    return version
