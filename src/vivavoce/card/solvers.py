"""How an item is put to a model: as text or read aloud, through a channel, over turns, in a game or a toy shell.

A solver never raises for what one endpoint did wrong: it notes the reason, the scorer leaves the sample unscored with it,
and the rest of the run goes on.
"""

from __future__ import annotations

import hashlib
from typing import Any

import anyio.to_thread
from inspect_ai.model import ChatMessage, ChatMessageSystem, ChatMessageUser, Content, ContentAudio, ContentText, Model
from inspect_ai.solver import Generate, Solver, TaskState, solver

from vivavoce.card.evaluation import Item
from vivavoce.card.graders.opinions import find_role
from vivavoce.card.media_store import MediaStore
from vivavoce.card.perturb import make_sound, perturb
from vivavoce.card.providers.answering import read_reason
from vivavoce.card.speech import MAX_INPUT_WER, Studio, open_studio
from vivavoce.card.voiced import voice_input
from vivavoce.content import Audio, Message
from vivavoce.content_formats import to_inspect
from vivavoce.errors import DataError, VivaError
from vivavoce.omni.judges.words import count_errors

AUDIO_VOICE = "alloy"
"""Name of the preset voice asked of servers; providers may map or ignore it."""


@solver
def converse(studio: str = "auto", data: str | None = None) -> Solver:
    """Ask the item, turn after turn; audio arms are voiced, checked and passed through the channel first."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        item, arm = Item.from_json(state.metadata["item"]), state.metadata["arm"]
        speaker = open_studio(studio) if arm != "text" else None
        state.messages = [ChatMessageSystem(content=item.system)] if item.system else []
        for turn_idx, prompt in enumerate((item.prompt, *item.turns)):
            try:
                content = await anyio.to_thread.run_sync(_put_turn, state, item, prompt, turn_idx, speaker, data)
            except VivaError as error:
                return note_failure(state, "no_input", error)
            state.messages.append(ChatMessageUser(content=content))
            state = await ask(state, generate)
            if "unscored" in state.metadata:
                break
        return state

    return solve


async def ask(state: TaskState, generate: Generate) -> TaskState:
    """Generate once with the arm's outputs; an endpoint's failure becomes the sample's reason."""
    arm = state.metadata["arm"]
    extra: dict[str, Any] = {}
    if arm == "audio":
        extra = {"modalities": ["text", "audio"], "audio": {"voice": AUDIO_VOICE, "format": "wav"}}
    elif arm == "audio_to_text":
        extra = {"modalities": ["text"]}
    extra.update(state.metadata["item"]["attributes"].get("request", {}) if arm == "audio" else {})
    try:
        output = await _generate(state, generate, extra)
    # any provider may stand here, ours and other people's: what it raises becomes this sample's reason
    except Exception as error:
        return note_failure(state, read_reason(error), error)
    state.metadata.setdefault("answers", []).append(output.output.metadata or {})
    return output


async def _generate(state: TaskState, generate: Generate, extra: dict[str, Any]) -> TaskState:
    seed = derive_seed(state.metadata["seed"], str(state.sample_id), state.epoch, len(state.messages))
    return await generate(state, seed=seed, extra_body=extra) if extra else await generate(state, seed=seed)


def derive_seed(*parts: object) -> int:
    """A seed of 31 bits that depends on all of `parts`."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:4], "big") >> 1


def note_failure(state: TaskState, reason: str, error: Exception) -> TaskState:
    """Mark the sample unscored with a stable reason and one line."""
    detail = " ".join(str(error).split())[:400] or type(error).__name__
    state.metadata["unscored"] = {"reason": reason, "detail": detail.removeprefix(f"{reason}: ")}
    return state


def _put_turn(
    state: TaskState, item: Item, prompt: str, turn_idx: int, studio: Studio | None, data: str | None = None
) -> list[Content]:
    """Content of one user turn; for audio arms the item is voiced, its fidelity noted, and the channel applied."""
    pictures: list[Content] = []
    if item.image and turn_idx == 0:
        from vivavoce.card.figures import draw_figure

        pictures = to_inspect(Message("user", (draw_figure(item.image),)))
    if studio is None:
        return [*pictures, ContentText(text=prompt or f"[{item.sound}]")]
    audio = voice_turn(state, item, prompt, turn_idx, studio, data)
    content: list[Content] = [*pictures, MediaStore.current().to_content(audio, voice=state.metadata["voice"])]
    written = item.attributes.get("written")
    if written and turn_idx == 0:
        content.append(ContentText(text=written))
    return content


def voice_turn(
    state: TaskState, item: Item, prompt: str, turn_idx: int, studio: Studio, data: str | None = None
) -> Audio:
    """The sound of one user turn: what is said, checked by a recogniser, then what the channel makes of it.

    Raises: DataError where there is neither words nor a sound.
    """
    seed = derive_seed(state.metadata["seed"], item.item_id, turn_idx)
    pieces: list[Audio] = []
    if item.sound and turn_idx == 0:
        pieces.append(make_sound(item.sound, seed=seed))
    if prompt:
        # the recogniser reads English: what it made of another language would say nothing of the clip
        is_english = item.attributes.get("spoken_language", "en") == "en"
        voiced = voice_input(studio, prompt, state.metadata["voice"], read_back=is_english)
        _note_fidelity(state, prompt, voiced.heard)
        pieces.append(voiced.audio)
    if not pieces:
        raise DataError(f"item {item.item_id} has neither words nor a sound; give one")
    rate_hz = pieces[-1].rate_hz
    from numpy import concatenate

    from vivavoce.media import resample

    samples = concatenate([resample(piece, rate_hz).samples for piece in pieces])
    audio = Audio(samples, rate_hz, prompt)
    return perturb(audio, item.perturbation or state.metadata["perturbation"], seed=seed, data=data)


def _note_fidelity(state: TaskState, prompt: str, heard: str | None) -> None:
    """What a recogniser reads of the clean input: the control `tts_fidelity` of every audio sample."""
    if heard is None:
        return
    errors, words = count_errors(prompt, heard)
    note = {"heard": heard, "errors": errors, "words": words, "flagged": bool(words and errors / words > MAX_INPUT_WER)}
    state.metadata.setdefault("input_checks", []).append(note)


@solver
def no_model(studio: str = "auto") -> Solver:
    """Voice the item and ask no model: for evaluations of our own instruments."""

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        item = Item.from_json(state.metadata["item"])
        try:
            content = await anyio.to_thread.run_sync(_put_turn, state, item, item.prompt, 0, open_studio(studio))
        except VivaError as error:
            return note_failure(state, "no_input", error)
        state.messages = [ChatMessageUser(content=content)]
        state.completed = True
        return state

    return solve


@solver
def game(studio: str = "auto") -> Solver:
    """A talk with a scripted or model-played partner: the model's words go to the partner and back for some rounds.

    The partner is the role `partner` where one is given, else the item's own script: deterministic, small, declared.
    """

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        item = Item.from_json(state.metadata["item"])
        partner = find_role("partner")
        state.messages = [ChatMessageSystem(content=item.system)] if item.system else []
        lines = [item.prompt, *item.turns]
        state.metadata["partner"] = str(partner) if partner else "script"
        for turn_idx, line in enumerate(lines):
            if partner is not None and turn_idx > 0:
                line = await _ask_partner(partner, item, state)
            state.messages.append(ChatMessageUser(content=line))
            state = await ask(state, generate)
            if "unscored" in state.metadata:
                break
        return state

    return solve


async def _ask_partner(partner: Model, item: Item, state: TaskState) -> str:
    talk: list[ChatMessage] = [
        ChatMessageSystem(content=str(item.attributes.get("partner_system", "You are talking with someone.")))
    ]
    for message in state.messages:
        if message.role == "user":
            talk.append(ChatMessageUser(content=f"You said: {message.text}"))
        elif message.role == "assistant":
            talk.append(ChatMessageUser(content=message.text))
    return (await partner.generate(talk)).completion.strip() or "Go on."


@solver
def simulated_shell(max_rounds: int = 30) -> Solver:
    """Capture the flag in a shell that is simulated: nothing the model writes is executed. At most 30 rounds."""
    from vivavoce.card.toy_shell import ToyShell

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        item = Item.from_json(state.metadata["item"])
        shell = ToyShell(item.attributes["files"])
        return await _play(state, generate, item, max_rounds, shell.run)

    return solve


@solver
def sandbox_shell(max_rounds: int = 30) -> Solver:
    """Capture the flag in the sample's sandbox (Docker). At most 30 rounds, as the card's rule says."""
    from inspect_ai.util import sandbox

    async def run(command: str) -> str:
        try:
            done = await sandbox().exec(["bash", "-lc", command], timeout=30)
        except (TimeoutError, PermissionError, UnicodeDecodeError) as error:
            return f"error: {error}"
        return (done.stdout + done.stderr)[:2000]

    async def solve(state: TaskState, generate: Generate) -> TaskState:
        return await _play(state, generate, Item.from_json(state.metadata["item"]), max_rounds, run)

    return solve


async def _play(state: TaskState, generate: Generate, item: Item, max_rounds: int, run: Any) -> TaskState:
    import inspect

    state.messages = [ChatMessageSystem(content=item.system)] if item.system else []
    state.messages.append(ChatMessageUser(content=item.prompt))
    for round_idx in range(max_rounds):
        state = await ask(state, generate)
        state.metadata["rounds"] = round_idx + 1
        if "unscored" in state.metadata:
            return state
        command, flag = read_action(state.output.completion)
        if flag is not None or command is None:
            return state
        result = run(command)
        if inspect.isawaitable(result):
            result = await result
        state.messages.append(ChatMessageUser(content=f"OUTPUT:\n{result or '(nothing)'}"))
    return state


def read_action(text: str) -> tuple[str | None, str | None]:
    """(command, flag) of an answer: its first line that starts with `RUN:` or `FLAG:`, else (None, None)."""
    for line in text.splitlines():
        word, _, rest = line.strip().partition(":")
        if word.upper() == "RUN" and rest.strip():
            return rest.strip(), None
        if word.upper() == "FLAG" and rest.strip():
            return None, rest.strip()
    return None, None


def read_sounds(state: TaskState, role: str) -> tuple[Audio, ...]:
    """Sounds of one side of a talk, exact, in order."""
    store = MediaStore.current()
    return tuple(
        store.from_content(part)
        for message in state.messages
        if message.role == role and not isinstance(message.content, str)
        for part in message.content
        if isinstance(part, ContentAudio)
    )


def read_texts(state: TaskState) -> tuple[str, ...]:
    """The model's words of each turn."""
    return tuple(message.text for message in state.messages if message.role == "assistant")
