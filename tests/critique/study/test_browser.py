"""The pages in headless Chromium, against a real server: two labellers at once, the keyboard alone, and kill -9."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from vivavoce.critique.store import Answer, Critique, Passage, Question, Store, add, open_store, utc_now
from vivavoce.critique.study.accounts import invite
from vivavoce.critique.study.demo import add_demo, make_demo_plan
from vivavoce.critique.study.materials import create_study, find_study
from vivavoce.critique.study.plan import StudyPlan
from vivavoce.critique.study.tables import Assignment, Draft, Finding, Person, SignIn

CHROMIUM = Path("/usr/bin/chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed (Debian: chromium)"),
]
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PATIENCE_MS = 20_000


class Server:
    """`viva study serve` on a free loopback port, with a study; it can be killed and started again."""

    def __init__(self, folder: Path, fill: Callable[[Session], Any] | None = None) -> None:
        self.path, self.media = folder / "study.db", folder
        # bound and never listening: ours until the end, also while no server listens (Linux, both with SO_REUSEADDR)
        self.held = socket.socket()
        self.held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.held.bind(("127.0.0.1", 0))
        self.port = self.held.getsockname()[1]
        self.base = f"http://127.0.0.1:{self.port}"
        with open_store(self.path) as store, store.session() as session:
            (fill or fill_demo)(session)
        self.process = self.start()

    def start(self) -> subprocess.Popen[bytes]:
        """Run it and wait until it answers."""
        command = [
            sys.executable,
            "-m",
            "vivavoce.cli",
            "study",
            "serve",
            "--store",
            str(self.path),
            "--port",
            str(self.port),
            "--media",
            str(self.media),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{self.base}/health", timeout=5).close()
                return self.process
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the server did not start within a minute")

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Kill it and give the port back."""
        self.kill()
        self.held.close()

    def link(self, role: str = "labeller") -> str:
        """A new person's link."""
        with open_store(self.path) as store, store.session() as session:
            return f"{self.base}/enter/{invite(session, find_study(session, 'demo'), role=role)[1]}"

    def store(self) -> Store:
        """The study's store."""
        return open_store(self.path)


def fill_demo(session: Session) -> None:
    create_study(session, make_demo_plan(), answer_keys=add_demo(session))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    started = Server(tmp_path)
    yield started
    started.close()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        playwright.expect.set_options(timeout=PATIENCE_MS)
        opened = driver.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[[], Any]]:
    """A page of its own browser profile; an error in a script fails the test."""
    contexts, errors = [], []

    def make() -> Any:
        context = browser.new_context(viewport={"width": 1280, "height": 860})
        context.set_default_timeout(PATIENCE_MS)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        return page

    yield make
    for context in contexts:
        context.close()
    assert errors == []


def enter(page: Any, link: str) -> None:
    page.goto(link)
    page.locator("main button").first.press("Enter")
    page.wait_for_url("**/consent")
    page.check("input[name=agree]")
    page.click("text=Go on")
    page.wait_for_url("**/work")


def take(page: Any) -> None:
    page.click("main form button.primary >> nth=0")
    page.wait_for_url("**/item/*")
    page.wait_for_selector("html[data-ready=yes]")


def write_flaw(page: Any, text: str) -> None:
    page.fill("#flaw-text", text)
    page.check("#categories input[value=accuracy]")
    page.check("#severities input[value='3']")
    page.click("#add")


def wait_until_saved(page: Any) -> None:
    # polled from here: the page's content policy forbids scripts made of strings, which wait_for_function needs
    playwright.expect(page.locator("#saved")).to_have_text(re.compile("^Saved"))


def hand_in(page: Any) -> None:
    page.check("#rating input[value='5']")
    page.click("#submit")
    page.wait_for_url("**/work?notice=done")


def tab_to(page: Any, selector: str) -> None:
    """Press Tab until the element has the focus, as someone without a mouse does."""
    for _ in range(120):
        if page.evaluate("(selector) => document.activeElement?.matches(selector)", selector):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches {selector}")


def test_two_labellers_at_once_do_not_see_or_disturb_each_other(server: Server, open_page: Any) -> None:
    pages = [open_page(), open_page()]
    for page in pages:
        enter(page, server.link())
    for number in range(2):
        for page in pages:
            take(page)
        for name, page in zip("AB", pages):
            write_flaw(page, f"{name} says {number}")
        for name, page in zip("AB", pages):
            assert page.locator("#flaws li").count() == 1
            assert f"{name} says {number}" in page.inner_text("#flaws")
            hand_in(page)
    with server.store() as store, store.session() as session:
        rows = session.execute(select(Person.key, Assignment.item_id, Critique.text).select_from(Finding)
                               .join(Assignment, Finding.assignment_id == Assignment.id).join(Person, Assignment.person_id == Person.id)
                               .join(Critique, Finding.critique_id == Critique.id)).all()  # fmt: skip
    assert sorted(row.text for row in rows) == ["A says 0", "A says 1", "B says 0", "B says 1"]
    assert len({(row.key, row.text[0]) for row in rows}) == 2


def test_an_item_can_be_finished_with_the_keyboard_alone(server: Server, open_page: Any) -> None:
    page = open_page()
    page.goto(server.link())
    tab_to(page, "main button")
    page.keyboard.press("Enter")
    page.wait_for_url("**/consent")
    tab_to(page, "input[name=agree]")
    page.keyboard.press("Space")
    tab_to(page, "main button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/work")
    tab_to(page, "main form button.primary")
    page.keyboard.press("Enter")
    page.wait_for_url("**/item/*")
    page.wait_for_selector("html[data-ready=yes]")
    tab_to(page, "#answer .text")
    page.keyboard.press("Control+Home")
    for _ in range(3):
        page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("x")  # no input goes into the text
    page.keyboard.press("Enter")
    marked = page.inner_text("#answer .text")[:3]
    assert f"answer: {marked}" in page.inner_text("#marks")
    tab_to(page, "#flaw-text")
    page.keyboard.type("Typed without a mouse")
    tab_to(page, "#categories input")
    page.keyboard.press("Space")
    tab_to(page, "#severities input")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Control+Enter")
    tab_to(page, "#rating input")
    page.keyboard.press("ArrowRight")
    tab_to(page, "#submit")
    page.keyboard.press("Enter")
    page.wait_for_url("**/work?notice=done")
    with server.store() as store, store.session() as session:
        critique = session.scalars(select(Critique).where(Critique.key.like("study/%"))).one()
        assert (critique.text, critique.answer_spans) == (
            "Typed without a mouse",
            [{"kind": "text", "begin": 0, "end": 3}],
        )


def test_a_killed_server_loses_nothing_that_was_saved_and_the_page_goes_on(server: Server, open_page: Any) -> None:
    page = open_page()
    enter(page, server.link())
    take(page)
    write_flaw(page, "before the crash")
    wait_until_saved(page)
    server.kill()
    page.fill("#flaw-text", "while it was down")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "kept in this browser" in page.inner_text("#trouble")
    with server.store() as store, store.session() as session:
        assert session.scalars(select(Draft.body)).all()[-1]["flaws"][0]["text"] == "before the crash"
    server.start()
    page.wait_for_selector("#trouble[hidden]", state="attached")
    wait_until_saved(page)
    with server.store() as store, store.session() as session:
        assert (
            session.scalars(select(Draft.body).order_by(Draft.version)).all()[-1]["editor"]["text"]
            == "while it was down"
        )


def test_a_save_that_typing_overtook_does_not_say_that_all_is_saved(server: Server, open_page: Any) -> None:
    page, held, saves = open_page(), [], "**/api/item/*/save"
    enter(page, server.link())
    take(page)
    page.route(saves, lambda route: held.append(route))
    with page.expect_request(saves):
        page.fill("#flaw-text", "first")
    page.fill("#flaw-text", "second")
    with page.expect_request(saves):  # sent when the first was answered
        held[0].continue_()
    assert page.inner_text("#saved") == "Not saved yet"
    held[1].continue_()
    wait_until_saved(page)
    with server.store() as store, store.session() as session:
        drafts = session.scalars(select(Draft.body).order_by(Draft.version)).all()
    assert drafts[-1]["editor"]["text"] == "second"


def test_an_expired_session_keeps_what_was_typed_and_brings_it_back(server: Server, open_page: Any) -> None:
    page, link = open_page(), server.link()
    enter(page, link)
    take(page)
    write_flaw(page, "saved in time")
    wait_until_saved(page)
    with server.store() as store, store.session() as session:
        session.execute(update(SignIn).values(expires_at=utc_now()))
    page.fill("#flaw-text", "typed too late")
    page.wait_for_selector("#trouble:not([hidden])")
    assert "You are signed out" in page.inner_text("#trouble")
    page.goto(link)
    # pressed where it is, not where the focus will be in a moment
    page.locator("main button").first.press("Enter")
    page.wait_for_url("**/work")
    take(page)
    assert page.input_value("#flaw-text") == "typed too late"
    assert page.inner_text("#flaws li p >> nth=0") == "saved in time"


def test_the_older_of_two_tabs_can_take_over_with_everything(server: Server, open_page: Any) -> None:
    old = open_page()
    enter(old, server.link())
    take(old)
    new = old.context.new_page()
    new.goto(old.url)
    new.wait_for_selector("html[data-ready=yes]")
    write_flaw(new, "from the new tab")
    wait_until_saved(new)
    old.fill("#flaw-text", "from the old tab")
    old.wait_for_selector("#trouble:not([hidden])")
    old.click("text=Take over here")
    old.wait_for_selector("#flaws li")
    assert old.inner_text("#flaws li > p") == "from the new tab"
    assert old.input_value("#flaw-text") == "from the old tab"
    write_flaw(old, "from the old tab")
    hand_in(old)
    with server.store() as store, store.session() as session:
        assert len(session.scalars(select(Finding.id)).all()) == 2


def test_going_back_after_handing_in_shows_that_it_is_finished(server: Server, open_page: Any) -> None:
    page = open_page()
    enter(page, server.link())
    take(page)
    page.check("#no-flaws")
    address = page.url
    hand_in(page)
    page.go_back()
    page.goto(address)
    assert "counted once" in page.inner_text("main")
    with server.store() as store, store.session() as session:
        assert session.scalars(select(Assignment.state)).all() == ["submitted"]


def test_offsets_count_characters_behind_an_emoji(server: Server, open_page: Any) -> None:
    page = open_page()
    page.goto(f"{server.base}/enter/none")
    found = page.evaluate(
        """async () => {
          const { MarkedText } = await import("/static/marks.js");
          const holder = document.createElement("div");
          document.body.append(holder);
          const marked = new MarkedText(holder, "\\u{1F33B} mill and \\u{1F33B} wheel", () => {});
          const range = document.createRange();
          range.setStart(marked.element.firstChild, 3);
          range.setEnd(marked.element.firstChild, 7);
          document.getSelection().removeAllRanges();
          document.getSelection().addRange(range);
          const span = marked.selection();
          marked.render([{ ...span, name: "current" }, { begin: 11, end: 12, name: "other" }]);
          return [span.begin, span.end, marked.slice(span.begin, span.end), marked.element.innerHTML];
        }"""
    )
    assert found[:3] == [2, 6, "mill"]
    assert found[3] == '🌻 <mark class="current">mill</mark> and <mark class="other">🌻</mark> wheel'


def fill_media(folder: Path, plan: StudyPlan) -> Callable[[Session], None]:
    """A study of two answers, one drawn and one spoken, whose files lie in `folder`."""
    import numpy as np
    import soundfile
    from PIL import Image as Picture

    Picture.new("RGB", (60, 40), "navy").save(folder / "boat.png")
    soundfile.write(folder / "said.wav", np.zeros(2 * 16_000, np.float32), 16_000)
    media: dict[str, dict[str, Any]] = {
        "image": {"media_path": "boat.png", "width": 60, "height": 40},
        "audio": {"media_path": "said.wav", "duration_s": 2.0, "text": "a boat is red"},
    }

    def fill(session: Session) -> None:
        for modality, columns in media.items():
            passage = add(session, Passage(key=modality, created_by="t", text="A red boat.", source="t", split="test"))
            question = add(session, Question(key=modality, created_by="t", passage_id=passage.id, text="What is it?"))
            add(session, Answer(key=modality, created_by="t", question_id=question.id, author_kind="model", author="m",
                                modality=modality, **columns))  # fmt: skip
        create_study(session, plan, answer_keys=list(media))

    return fill


@pytest.fixture
def media_server(tmp_path: Path, shrink_plan: Callable[..., StudyPlan]) -> Iterator[Server]:
    plan = shrink_plan(
        name="demo", kinds={"model": 2}, items_per_labeller=2, hypotheses=[], decoys=0,
        arms=[{"name": "none", "assistance": "none"}],
    )  # fmt: skip
    started = Server(tmp_path, fill_media(tmp_path, plan))
    yield started
    started.close()


def mark_region(page: Any) -> None:
    """Drag a box with the mouse, then set another with the keyboard alone."""
    layer = page.locator("#answer svg")
    box = layer.bounding_box()
    scale = box["width"] / 60
    page.mouse.move(box["x"] + 10 * scale, box["y"] + 10 * scale)
    page.mouse.down()
    page.mouse.move(box["x"] + 30 * scale, box["y"] + 20 * scale, steps=4)
    page.mouse.up()
    tab_to(page, "#answer svg")
    for key in ("Enter", "ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        page.keyboard.press(key)


def mark_stretch(page: Any) -> None:
    """Fill in one stretch of time, with the keyboard; one that ends before it begins is refused first."""
    tab_to(page, "#answer input")
    page.keyboard.press("Control+a")
    page.keyboard.type("1.5")
    tab_to(page, "#answer label + button + label input")
    page.keyboard.press("Control+a")
    page.keyboard.type("0.5")
    mark = page.locator("#answer button", has_text="Mark this stretch")
    mark.click()
    assert page.locator("#marks .chip").count() == 0
    # the refusal puts the focus on the field to be corrected
    page.keyboard.press("Control+a")
    page.keyboard.type("9")  # past the end: the sound has 2 s
    mark.click()


def test_regions_of_a_picture_and_stretches_of_an_utterance_are_marked_and_saved(
    media_server: Server, open_page: Any
) -> None:
    page = open_page()
    enter(page, media_server.link())
    for _ in range(2):
        take(page)
        if page.locator("#answer svg").count():
            mark_region(page)
            playwright.expect(page.locator("#marks .chip")).to_have_count(2)
            assert "pixels at" in page.inner_text("#marks")
        else:
            # the page's policy lets the file through, and the player knows its length
            playwright.expect(page.locator("#answer audio")).to_have_js_property("duration", 2)
            assert "Transcript: a boat is red" in page.inner_text("#answer")
            mark_stretch(page)
            playwright.expect(page.locator("#marks .chip")).to_have_count(1)
            assert "1.5 s to 2 s" in page.inner_text("#marks")
        write_flaw(page, "not what was asked for")
        hand_in(page)
    with media_server.store() as store, store.session() as session:
        rows = session.execute(
            select(Answer.modality, Critique.answer_spans)
            .select_from(Finding)
            .join(Critique, Finding.critique_id == Critique.id)
            .join(Answer, Critique.answer_id == Answer.id)
        ).all()
    spans = {row.modality: row.answer_spans for row in rows}
    dragged, typed = spans["image"]
    assert [round(dragged[name]) for name in ("x", "y", "width", "height")] == pytest.approx([10, 10, 20, 10], abs=1)
    assert (typed["kind"], typed["width"], typed["height"]) == ("region", 2, 1)
    assert spans["audio"] == [{"kind": "time", "begin_s": 1.5, "end_s": 2.0}]
