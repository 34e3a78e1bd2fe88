"""The page in a real browser, with a recorded file as its microphone: speak, wait, read the answer off the page."""

from __future__ import annotations

import base64
import contextlib
import re
from pathlib import Path

import numpy as np
import pytest

from vivavoce.content import Audio, Image
from vivavoce.media import write_audio, write_image
from vivavoce.serve.scripted_engine import ScriptedEngine, make_tone
from vivavoce.serve.security import ServerConfig
from vivavoce.serve.server import serve_in_thread
from vivavoce.serve.sound import encode_sound
from vivavoce.serve.vad import EnergyVad
from vivavoce.serve.worker import Worker

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
expect = playwright.expect
PATIENCE_MS = 90_000
"""How long anything may take on a machine that does much else. What is waited for must stay once it is there."""
expect.set_options(timeout=PATIENCE_MS)
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
    worker = Worker(ScriptedEngine(4), make_vad=EnergyVad)
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


@contextlib.contextmanager
def open_page(browser, address, script=None):
    """A page that is connected; what it complains about is an error."""
    context = browser.new_context(viewport={"width": 1180, "height": 760})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    if script is not None:
        page.add_init_script(script)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(address)
    page.wait_for_selector("[data-state=listening]")
    yield page
    context.close()
    assert complaints == []


@pytest.fixture
def page(browser, address):
    with open_page(browser, address) as page:
        yield page


def answers(page):
    return page.locator(".turn.assistant:not(.live) p")


def write(page, text):
    page.get_by_label("Message", exact=True).fill(text)
    page.keyboard.press("Enter")


def test_a_spoken_question_is_heard_and_its_answer_can_be_read(page):
    page.get_by_role("button", name="Talk").click()
    expect(answers(page).first).to_have_text(re.compile(r"I heard \d+ words?\."))
    expect(page.locator(".turn.user p").first).to_contain_text("la la")
    expect(page.locator(".turn.assistant .note").first).to_have_text(re.compile(r"waited \d+ ms"))
    expect(page.locator("#mic-state")).to_contain_text("it is quiet")
    page.get_by_role("button", name="Close the microphone").click()
    expect(page.locator("#mic-state")).to_have_text("Microphone is off. Press Talk to open it.")
    expect(page.locator("#status-text")).to_have_text("Ready")


BY_HAND = """
    navigator.mediaDevices.getUserMedia = async () => new AudioContext().createMediaStreamDestination().stream;
    const Real = AudioWorkletNode;
    window.AudioWorkletNode = class extends Real { constructor(...all) { super(...all); window.capture = this; } };
"""
"""A microphone that hears nothing, and gives what `send` gives it."""


def take_microphone(page):
    """Open it; what it hears by itself is heard no more."""
    page.get_by_role("button", name="Talk").click()
    page.get_by_role("button", name="Close the microphone").wait_for()
    page.evaluate("() => { window.send = window.capture.port.onmessage; window.capture.port.onmessage = null; }")


def send(page, samples):
    """As if the microphone had heard them, [S] float32 at 24 kHz."""
    data = base64.b64encode(encode_sound(samples, "audio/pcm")).decode()
    page.evaluate(
        """data => {
            const pcm = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0)).buffer;
            window.send({ data: { pcm, levelDb: -10 } });
        }""",
        data,
    )


def test_sound_that_is_still_on_its_way_when_the_microphone_is_closed_changes_nothing(browser, address):
    with open_page(browser, address, BY_HAND) as page:
        take_microphone(page)
        page.get_by_role("button", name="Close the microphone").click()
        send(page, make_tone(300.0, 0, 480))
        assert page.locator("#mic-state").inner_text() == "Microphone is off. Press Talk to open it."
        assert page.locator("#meter").get_attribute("aria-valuenow") == "-60"


def test_who_closes_the_microphone_in_the_middle_of_a_question_has_asked_it(browser, address):
    with open_page(browser, address, BY_HAND) as page:
        take_microphone(page)
        send(page, make_tone(300.0, 0, 24_000))
        expect(page.locator("#status-text")).to_have_text("Hearing you")
        page.get_by_role("button", name="Close the microphone").click()
        expect(answers(page).first).to_have_text("I heard 4 words.")
        expect(page.locator("#status-text")).to_have_text("Ready")
        expect(page.locator(".turn.live")).to_have_count(0)


def test_a_typed_message_is_answered_and_a_drawing_is_shown(page):
    write(page, "draw a red ball")
    expect(answers(page).first).to_contain_text("You wrote: draw a red ball")
    picture = page.get_by_alt_text("A picture the model drew, asked: draw a red ball")
    expect(picture).to_have_js_property("naturalWidth", 64)


def test_on_a_phone_the_newest_is_in_sight_unless_someone_scrolled_up_to_read(page, tmp_path):
    page.set_viewport_size({"width": 390, "height": 700})
    write_image(tmp_path / "tall.png", Image(np.full((64, 32, 3), 90, np.uint8)))
    for number in range(3):
        page.set_input_files("#file", str(tmp_path / "tall.png"))
        expect(page.locator("#attached")).to_have_text("Picture ready: tall.png")
        write(page, f"number {number}")
        expect(answers(page).nth(number)).to_contain_text(f"number {number}")
        expect(answers(page).nth(number)).to_be_in_viewport()
    page.evaluate("() => { document.getElementById('log').scrollTop = 0; }")
    expect(page.locator(".turn").first).to_be_in_viewport()
    write(page, "number 3")
    expect(answers(page).nth(3)).to_contain_text("number 3")
    expect(page.locator(".turn").first).to_be_in_viewport()


def test_an_answer_in_writing_shows_its_wait_too(page):
    page.get_by_label("answer aloud").uncheck()
    write(page, "hello")
    expect(answers(page).first).to_contain_text("You wrote: hello")
    expect(page.locator(".turn.assistant .note").first).to_have_text(re.compile(r"waited \d+ ms"))


def test_a_picture_can_be_chosen_taken_back_and_sent_with_words(page, tmp_path):
    write_image(tmp_path / "ball.png", Image(np.full((32, 32, 3), 200, np.uint8)))
    page.set_input_files("#file", str(tmp_path / "ball.png"))
    expect(page.locator("#attached")).to_have_text("Picture ready: ball.png")
    page.get_by_role("button", name="Remove the attachment").click()
    expect(page.locator("#attached")).to_have_text("")
    page.set_input_files("#file", str(tmp_path / "ball.png"))
    expect(page.locator("#attached")).to_have_text("Picture ready: ball.png")
    page.get_by_label("Message", exact=True).fill("what is it")
    page.get_by_role("button", name="Send").click()
    expect(answers(page).first).to_contain_text("what is it a picture")


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
    # said once something was heard and it is over, and from then on
    expect(page.locator("#mic-state")).to_contain_text("it is quiet")
    page.keyboard.up("Space")
    expect(answers(page).first).to_contain_text("I heard")


def test_the_space_bar_keeps_its_own_meaning_on_other_controls(page):
    page.get_by_label("only while Talk").check()
    page.get_by_label("answer aloud").focus()
    page.keyboard.press("Space")
    expect(page.get_by_label("answer aloud")).not_to_be_checked()
    expect(page.locator("#talk")).to_have_text("Hold to talk")


def test_the_answer_can_be_stopped(browser):
    # a speaker of some 100 s, so that there is something to stop on a machine however busy
    worker = Worker(ScriptedEngine(1, frames_per_word=400), make_vad=EnergyVad)
    with serve_in_thread(worker, ServerConfig(port=0)) as address, open_page(browser, address) as page:
        write(page, "hello")
        expect(page.locator(".turn.assistant p").first).to_contain_text("Hello")
        page.get_by_role("button", name="Stop the answer").click()
        expect(page.locator(".turn.assistant .note").first).to_have_text("stopped")
        expect(page.locator("#status-text")).to_have_text("Ready")


def test_a_refused_microphone_is_explained_and_typing_still_works(browser, address):
    refused = (
        "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('denied', 'NotAllowedError'))"
    )
    with open_page(browser, address, refused) as page:
        page.get_by_role("button", name="Talk").click()
        expect(page.locator("#mic-state")).to_contain_text("Microphone is blocked")
        write(page, "hello")
        expect(answers(page).first).to_contain_text("You wrote: hello")


def test_who_connects_again_is_told_that_the_model_has_forgotten(page):
    write(page, "hello")
    expect(answers(page).first).to_contain_text("You wrote: hello")
    page.get_by_text("Connection and timing").click()
    page.get_by_role("button", name="Reconnect").click()
    expect(page.locator(".turn.notice")).to_have_text(
        "Connected again. The model remembers nothing of what was said before."
    )
    write(page, "again")
    expect(answers(page).nth(1)).to_contain_text("You wrote: again")


def test_who_finds_all_places_taken_is_told_once_however_often_the_page_tries(browser):
    worker = Worker(ScriptedEngine(1), make_vad=EnergyVad)
    with serve_in_thread(worker, ServerConfig(port=0)) as address:
        second = browser.new_page()
        second.set_default_timeout(PATIENCE_MS)
        with open_page(browser, address):
            tries: list[object] = []
            second.on("websocket", lambda socket: tries.append(socket))
            second.goto(address)
            while len(tries) < 4:
                second.wait_for_event("websocket")
            expect(second.locator(".turn.notice")).to_have_text(
                [re.compile("all 1 places to talk are taken"), "All places to talk are taken; trying again."]
            )
        second.wait_for_selector("[data-state=listening]")
        second.close()


def test_a_server_that_goes_away_or_asks_for_a_key_is_explained(browser):
    worker = Worker(ScriptedEngine(2), make_vad=EnergyVad)
    with serve_in_thread(worker, ServerConfig(port=0, key="open sesame 1234".replace(" ", "-"))) as address:
        context = browser.new_context()
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.goto(address)
        expect(page.locator("#status-text")).to_have_text("A key is needed")
        page.get_by_label("Key, if the server asks for one").fill("open-sesame-1234")
        page.get_by_role("button", name="Reconnect").click()
        expect(page.locator("#status-text")).to_have_text("Ready")
        expect(page.locator("#mic-state")).to_have_text("Microphone is off. Press Talk to open it.")
    expect(page.locator("#mic-state")).to_have_text("Microphone is off, and the server is away.")
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
