"""The page in a real browser, with a recorded file as its microphone: speak, wait, read the answer off the page."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from vivavoce.content import Audio, Image
from vivavoce.media import write_audio, write_image
from vivavoce.serve.scripted_engine import ScriptedEngine, make_tone
from vivavoce.serve.security import ServerConfig
from vivavoce.serve.server import serve_in_thread
from vivavoce.serve.vad import EnergyVad
from vivavoce.serve.worker import Worker

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect
CHROMIUM = Path("/usr/bin/chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="Chromium is not installed"),
]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
    "--autoplay-policy=no-user-gesture-required",
]


@pytest.fixture(scope="module")
def address():
    # slow enough a speaker that an answer can be stopped on a busy machine
    worker = Worker(ScriptedEngine(4, frames_per_word=5), make_vad=EnergyVad)
    with serve_in_thread(worker, ServerConfig(port=0)) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Chromium whose microphone is a second of silence, 1.2 s of a tone, and silence."""
    tone = make_tone(300.0, 0, int(1.2 * 48_000), 48_000)
    samples = np.concatenate([np.zeros(72_000, np.float32), tone, np.zeros(48_000 * 20, np.float32)])
    recording = tmp_path_factory.mktemp("microphone") / "question.wav"
    write_audio(recording, Audio(samples, 48_000))
    with playwright.sync_playwright() as running:
        flags = [*FLAGS, f"--use-file-for-fake-audio-capture={recording}%noloop"]
        browser = running.chromium.launch(executable_path=str(CHROMIUM), args=flags)
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address):
    context = browser.new_context(viewport={"width": 1180, "height": 760})
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.wait_for_selector("[data-state=listening]", timeout=30_000)
    yield page
    context.close()
    assert complaints == []


def answers(page):
    return page.locator(".turn.assistant:not(.live) p")


def test_a_spoken_question_is_heard_and_its_answer_can_be_read(page):
    page.get_by_role("button", name="Talk").click()
    answers(page).first.wait_for(timeout=30_000)
    assert re.match(r"I heard [3-6] words\.", answers(page).first.inner_text())
    expect(page.locator(".turn.user p").first).to_contain_text("la la", timeout=30_000)
    assert re.fullmatch(r"waited \d+ ms", page.locator(".turn.assistant .note").first.inner_text())
    expect(page.locator("#mic-state")).to_contain_text("it is quiet", timeout=30_000)
    page.get_by_role("button", name="Close the microphone").click()
    assert "Press Talk" in page.locator("#mic-state").inner_text()


def test_a_typed_message_is_answered_and_a_drawing_is_shown(page):
    page.get_by_label("Message", exact=True).fill("draw a red ball")
    page.keyboard.press("Enter")
    answers(page).first.wait_for(timeout=30_000)
    assert "You wrote: draw a red ball" in answers(page).first.inner_text()
    picture = page.get_by_alt_text("A picture the model drew, asked: draw a red ball")
    assert picture.evaluate("image => image.naturalWidth") == 64


def test_a_picture_can_be_chosen_and_sent_with_words(page, tmp_path):
    write_image(tmp_path / "ball.png", Image(np.full((32, 32, 3), 200, np.uint8)))
    page.set_input_files("#file", str(tmp_path / "ball.png"))
    expect(page.locator("#attached")).to_have_text("Picture ready: ball.png")
    page.get_by_label("Message", exact=True).fill("what is it")
    page.get_by_role("button", name="Send").click()
    answers(page).first.wait_for(timeout=30_000)
    assert "what is it a picture" in answers(page).first.inner_text()


def test_everything_can_be_reached_and_done_by_keyboard(page):
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    seen = set()
    for _ in range(16):
        page.keyboard.press("Tab")
        seen.add(
            page.evaluate("document.activeElement.id || document.activeElement.name || document.activeElement.tagName")
        )
    assert {"log", "talk", "mode", "eagerness", "text", "file", "spoken"} <= seen
    page.get_by_label("only while Talk").check()
    page.locator("#talk").focus()
    page.keyboard.down("Space")
    expect(page.locator("#talk")).to_have_text("Release to send")
    expect(page.locator("#meter")).to_have_attribute("aria-valuetext", "voice", timeout=30_000)
    expect(page.locator("#meter")).not_to_have_attribute("aria-valuetext", "voice", timeout=30_000)
    page.keyboard.up("Space")
    answers(page).first.wait_for(timeout=30_000)
    assert "I heard" in answers(page).first.inner_text()


def test_the_answer_can_be_stopped(page):
    page.get_by_label("Message", exact=True).fill("one two three four five six seven eight nine ten eleven twelve")
    page.keyboard.press("Enter")
    stop = page.get_by_role("button", name="Stop the answer")
    stop.wait_for(timeout=30_000)
    page.wait_for_timeout(400)
    stop.click()
    expect(page.locator(".turn.assistant .note").first).to_have_text(re.compile("stopped"), timeout=30_000)


def test_a_refused_microphone_is_explained_and_typing_still_works(browser, address):
    context = browser.new_context()
    page = context.new_page()
    page.add_init_script(
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('denied', 'NotAllowedError'))"
    )
    page.goto(address)
    page.wait_for_selector("[data-state=listening]", timeout=30_000)
    page.get_by_role("button", name="Talk").click()
    expect(page.locator("#mic-state")).to_contain_text("Microphone is blocked")
    page.get_by_label("Message", exact=True).fill("hello")
    page.keyboard.press("Enter")
    answers(page).first.wait_for(timeout=30_000)
    context.close()


def test_controls_have_names_and_states_are_announced(page):
    tree = page.locator("body").aria_snapshot()
    for words in (
        'button "Talk"',
        'meter "Microphone level"',
        "status: Ready",
        'textbox "Message"',
        'list "What was said"',
    ):
        assert words in tree, tree
