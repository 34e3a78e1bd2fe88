"""`viva eval matrix`, `viva eval speech`, `viva eval duplex`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from vivavoce.assets import resolve
from vivavoce.content import Audio, Conversation, Message, user
from vivavoce.data.curriculum import iterate_task
from vivavoce.data.example import PRESET_VOICE, Example, Sound, Speech, fill_speech
from vivavoce.data.live import LIVE_KINDS, make_live
from vivavoce.data.pools import list_items
from vivavoce.data.sounds import render_sound
from vivavoce.data.voices.rendering import Renderings
from vivavoce.data.voices.roster import list_voices
from vivavoce.errors import AssetError
from vivavoce.files import write_json
from vivavoce.media import resample
from vivavoce.omni.answer import answer_all, answer_requests, load_omni
from vivavoce.omni.engine_protocol import USER_RATE_HZ, AnswerRequest, Modality
from vivavoce.omni.evals.duplex import follow, summarise
from vivavoce.omni.evals.judging import Judges
from vivavoce.omni.evals.matrix import run_matrix
from vivavoce.omni.evals.speech import measure_recognition, measure_synthesis
from vivavoce.omni.judges.drawing import DrawingJudge
from vivavoce.omni.judges.quality import judge_quality
from vivavoce.omni.judges.recogniser import Recogniser
from vivavoce.omni.judges.speaker import voice_similarity
from vivavoce.run import describe_environment

MAX_SYNTHESIS_WORDS = 12
NOISY_SEED = 1_000


def matrix(
    *,
    model: Path = Path("checkpoints/nano"),
    items: int = 20,
    seed: int = 0,
    renderings: Path | None = None,
    json: Path | None = None,
) -> None:
    """Score every mix of inputs against every mix of outputs, on held-out things, phrasings and voices.

    Args:
        model: checkpoint folder.
        items: items of each cell.
        seed: of the items and the model's draws.
        renderings: folder of ready renderings; what is not in it is rendered now.
        json: file to write the report to.
    """
    loaded, voices = load_omni(model), Renderings(renderings)

    def ask(conversations: Sequence[Conversation], outputs: frozenset[str]) -> Sequence[Message]:
        return answer_all(loaded, conversations, outputs=outputs, seed=seed)

    def fill(example: Example) -> Conversation:
        return fill_speech(example, [voices.render(speech) for speech in example.speeches])

    judges = Judges(_find_recogniser(), DrawingJudge.load())
    print(f"{'in':>12} -> {'out':<12} right (95% interval), baseline")
    report = run_matrix(ask, fill, judges, items_per_cell=items, seed=seed, on_cell=_print_cell)
    _write(json, report, model, seed)


def speech(
    *,
    model: Path = Path("checkpoints/nano"),
    sentences: int = 60,
    seed: int = 0,
    renderings: Path | None = None,
    json: Path | None = None,
) -> None:
    """Word error rates of hearing (seen and unseen voices, clean and noisy) and of speaking; likeness and quality.

    Args:
        model: checkpoint folder.
        sentences: held-out sentences of each condition.
        seed: of the sentences and the model's draws.
        renderings: folder of ready renderings; what is not in it is rendered now.
        json: file to write the report to.
    """
    loaded, voices, recogniser = load_omni(model), Renderings(renderings), _find_recogniser()
    order = np.random.default_rng((seed, 71))

    def transcribe(audios: Sequence[Audio]) -> list[str]:
        requests = [
            AnswerRequest(conversation=Conversation((user(audio),)), task="transcribe", seed=seed) for audio in audios
        ]
        return [message.text for message in answer_requests(loaded, requests)]

    texts = [item.answer.text for item in list_items("write_down", "test")]
    chosen = [texts[idx] for idx in order.permutation(len(texts))[:sentences]]
    conditions = {
        f"{name} voices, {noise}": [
            (
                text,
                voices.render(Speech(text, _choose_voice(split, text), None if noise == "clean" else NOISY_SEED + idx)),
            )
            for idx, text in enumerate(chosen)
        ]
        for name, split in (("seen", "train"), ("unseen", "test"))
        for noise in ("clean", "noisy")
    }
    report: dict[str, Any] = {"recognition": measure_recognition(transcribe, conditions)}
    for name, value in report["recognition"].items():
        print(f"word error rate, {name}: {_show(value)}")
    if recogniser is not None:
        readable = [item.answer.text for item in list_items("read_aloud", "test")]
        short = [text for text in readable if len(text.split()) <= MAX_SYNTHESIS_WORDS]
        read = [short[idx] for idx in order.permutation(len(short))[:sentences]]
        outputs: frozenset[Modality] = frozenset({"audio"})
        requests = [
            AnswerRequest(conversation=Conversation((user(text),)), outputs=outputs, task="read", seed=seed)
            for text in read
        ]
        spoken = [next(iter(message.parts_of(Audio)), None) for message in answer_requests(loaded, requests)]
        report["synthesis"] = measure_synthesis(
            read,
            spoken,
            [voices.render(Speech(text, PRESET_VOICE)) for text in read],
            recogniser.transcribe,
            likeness=voice_similarity,
            quality=lambda audio: judge_quality(audio).overall,
        )
        for name, value in report["synthesis"].items():
            print(f"speaking, {name}: {_show(value) if isinstance(value, dict) else value}")
    _write(json, report, model, seed)


def duplex(
    *,
    model: Path = Path("checkpoints/nano"),
    talks: int = 30,
    seed: int = 0,
    renderings: Path | None = None,
    json: Path | None = None,
) -> None:
    """Turn-taking in live talk: gap to the first own sound, false starts in pauses, stops after barge-in, back-channels.

    Args:
        model: checkpoint folder.
        talks: conversations of each kind.
        seed: of the conversations and the model's draws.
        renderings: folder of ready renderings; what is not in it is rendered now.
        json: file to write the report to.
    """
    loaded, voices = load_omni(model), Renderings(renderings)

    def render(what: Speech | Sound | Audio) -> Audio:
        if isinstance(what, Audio):
            return what
        return resample(render_sound(what) if isinstance(what, Sound) else voices.render(what), USER_RATE_HZ)

    report: dict[str, Any] = {}
    for kind in [kind for kind in LIVE_KINDS if kind not in ("picture", "film")]:
        examples = [
            make_live("test", np.random.default_rng((seed, idx, 72)), f"duplex-{idx}", kind) for idx in range(talks)
        ]
        report[kind] = summarise([follow(loaded.engine, 0, example, render, seed=seed) for example in examples])
        shown = ", ".join(f"{name} {_show(value)}" for name, value in report[kind].items() if value["n"])
        print(f"{kind}: {shown}")
    _write(json, {"kinds": report}, model, seed)


def manners(
    *,
    model: Path = Path("checkpoints/nano"),
    items: int = 100,
    seed: int = 0,
    renderings: Path | None = None,
    json: Path | None = None,
) -> None:
    """Whether it declines what it must and answers what it may, asked in text and in speech, answered in text.

    Args:
        model: checkpoint folder.
        items: held-out requests of each kind and modality.
        seed: of the items and the model's draws.
        renderings: folder of ready renderings; what is not in it is rendered now.
        json: file to write the report to.
    """
    from vivavoce.omni.evals.matrix import estimate_right, score_examples

    loaded, voices = load_omni(model), Renderings(renderings)
    judges = Judges(None, DrawingJudge.load())
    report: dict[str, Any] = {}
    for task in ("decline", "allow"):
        for given in ("text", "audio"):
            examples = list(islice(iterate_task(task, given, "text", "test", seed), items))
            scored = score_examples(
                examples,
                lambda asked, outputs: answer_all(loaded, asked, outputs=outputs, seed=seed),
                lambda example: fill_speech(example, [voices.render(one) for one in example.speeches]),
                judges,
            )
            report[f"{task}, asked in {given}"] = estimate_right(scored).to_json()
            print(f"{task}, asked in {given}: {_show(report[f'{task}, asked in {given}'])}")
    _write(json, report, model, seed)


def _choose_voice(split: str, text: str) -> str:
    names = [voice.name for voice in list_voices(split)]
    return names[sum(text.encode()) % len(names)]


def _find_recogniser() -> Recogniser | None:
    try:
        resolve("whisper-tiny-en")
    except AssetError as error:
        print(f"no recogniser, so speech is ungraded: {error}")
        return None
    return Recogniser()


def _print_cell(cell: dict[str, Any]) -> None:
    baseline = "n/a" if cell["baseline"] is None else f"{cell['baseline']:.2f}"
    print(f"{cell['in']:>12} -> {cell['out']:<12} {_show(cell)}, {baseline}", flush=True)


def _show(value: dict[str, Any]) -> str:
    if value["value"] is None:
        return f"n/a (n={value['n']})"
    interval = "" if value["ci"] is None else f" [{value['ci'][0]:.3g}, {value['ci'][1]:.3g}]"
    return f"{value['value']:.3g}{interval} (n={value['n']})"


def _write(path: Path | None, report: dict[str, Any], model: Path, seed: int) -> None:
    if path is not None:
        write_json(path, {**report, "model": str(model), "seed": seed, "environment": describe_environment()})
