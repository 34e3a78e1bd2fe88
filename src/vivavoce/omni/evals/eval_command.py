"""`viva eval matrix`, `viva eval bars`, `viva eval speech`, `viva eval duplex`, `viva eval turns`, `viva eval manners`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice, product
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import tyro

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
from vivavoce.omni.answer import answer_all, answer_requests, load_omni, transcribe_all
from vivavoce.omni.checkpoint import load_checkpoint
from vivavoce.omni.engine_protocol import USER_RATE_HZ, AnswerRequest, Modality
from vivavoce.omni.evals.cascade import type_what_is_heard
from vivavoce.omni.evals.duplex import follow, summarise
from vivavoce.omni.evals.judging import Judges
from vivavoce.omni.evals.matrix import AnswerAll, FillSpeech, estimate_right, run_matrix, score_examples
from vivavoce.omni.evals.speech import measure_recognition, measure_synthesis
from vivavoce.omni.evals.turns import RenderedSounds, measure_onsets, sweep
from vivavoce.omni.judges.drawing import DrawingJudge
from vivavoce.omni.judges.quality import judge_quality
from vivavoce.omni.judges.recogniser import Recogniser
from vivavoce.omni.judges.speaker import voice_similarity
from vivavoce.omni.layout import RowWriter
from vivavoce.omni.training.pictures import PictureCodes
from vivavoce.omni.training.rows import RowMaker
from vivavoce.run import describe_environment

MAX_SYNTHESIS_WORDS = 12
BARS = (
    ("spoken question, spoken answer", "fact", "audio", "audio", 0.85),
    ("naming what is in a picture", "name", "text+image", "text", 0.9),
    ("counting in a picture", "count", "text+image", "text", 0.9),
    ("naming what is in a film", "film_name", "text+video", "text", 0.9),
    ("counting in a film", "film_count", "text+video", "text", 0.9),
    ("drawing, asked in text: thing and colour", "draw", "text", "image", 0.8),
    ("drawing, asked in speech: thing and colour", "draw", "audio", "image", 0.8),
)
"""What the small world's tasks should reach: name, task, inputs, outputs, share of right answers."""
NOISY_SEED = 1_000
TURN_KINDS = ("turns", "pause", "hesitation")
"""Live talk in which the user is answered, with and without a pause before the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What every evaluation of a checkpoint can be told."""

    model: Path = Path("checkpoints/nano")
    """checkpoint folder"""
    seed: int = 0
    """of the items and of the model's draws"""
    renderings: Path | None = None
    """folder of ready renderings; what is not in it is rendered now"""
    json: Path | None = None
    """file to write the report to"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MatrixOptions(Evaluation):
    """Score every mix of inputs against every mix of outputs, on held-out things, phrasings and voices."""

    items: int = 20
    """items of each cell"""


@dataclass(frozen=True, slots=True, kw_only=True)
class BarsOptions(Evaluation):
    """The tasks that the small world's bars are set on, each in its main modalities, on held-out items."""

    items: int = 100
    """items of each task"""
    cascade: bool = False
    """only what is asked in speech, heard by the recogniser and typed to the model: what a cascade of the two would reach"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeechOptions(Evaluation):
    """Word error rates of hearing (seen and unseen voices, clean and noisy) and of speaking; likeness and quality."""

    sentences: int = 60
    """held-out sentences of each condition"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DuplexOptions(Evaluation):
    """Turn-taking in live talk: gap to the first own sound, false starts in pauses, stops after barge-in, back-channels."""

    talks: int = 30
    """conversations of each kind"""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnsOptions(Evaluation):
    """When the model would take the turn, for each bias on `<speak>`: false starts against the wait for an answer."""

    talks: int = 100
    """talks of each kind"""
    split: Literal["train", "test"] = "train"
    """whose voices and wordings; a bias is chosen on train and shown on test"""
    biases: tuple[float, ...] = (-2.0, -1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
    """added to the logit of `<speak>`"""


@dataclass(frozen=True, slots=True, kw_only=True)
class MannersOptions(Evaluation):
    """Whether it declines what it must and answers what it may, asked in text and in speech, answered in text."""

    items: int = 100
    """held-out requests of each kind and modality"""
    cascade: bool = False
    """only what is asked in speech, heard by the recogniser and typed to the model: what a cascade of the two would reach"""


def matrix(options: Annotated[MatrixOptions, tyro.conf.arg(name="")]) -> None:
    """Score every mix of inputs against every mix of outputs, on held-out things, phrasings and voices."""
    ask, fill = _make_asker(options)
    judges = Judges(_find_recogniser(), DrawingJudge.load())
    print(f"{'in':>12} -> {'out':<12} right (95% interval), baseline")
    report = run_matrix(ask, fill, judges, items_per_cell=options.items, seed=options.seed, on_cell=_print_cell)
    _write(options, report)


def bars(options: Annotated[BarsOptions, tyro.conf.arg(name="")]) -> None:
    """The tasks that the small world's bars are set on, each in its main modalities, on held-out items."""
    ask, fill = _make_asker(options, _load_recogniser() if options.cascade else None)
    judges = Judges(_find_recogniser(), DrawingJudge.load())
    report: list[dict[str, Any]] = []
    for name, task, given, wanted, bar in BARS:
        if options.cascade and given != "audio":
            continue
        examples = list(islice(iterate_task(task, given, wanted, "test", options.seed), options.items))
        estimate = estimate_right(score_examples(examples, ask, fill, judges)).to_json()
        report.append({"name": name, "task": task, "in": given, "out": wanted, "bar": bar, **estimate})
        print(f"{name}: {_show(estimate)}, bar {bar}", flush=True)
    _write(options, {"bars": report})


def speech(options: Annotated[SpeechOptions, tyro.conf.arg(name="")]) -> None:
    """Word error rates of hearing (seen and unseen voices, clean and noisy) and of speaking; likeness and quality."""
    loaded, voices, recogniser = load_omni(options.model), Renderings(options.renderings), _find_recogniser()
    order = np.random.default_rng((options.seed, 71))

    texts = [item.answer.text for item in list_items("write_down", "test")]
    chosen = [texts[idx] for idx in order.permutation(len(texts))[: options.sentences]]
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
    transcribe = partial(transcribe_all, loaded, seed=options.seed)
    report: dict[str, Any] = {"recognition": measure_recognition(transcribe, conditions)}
    for name, value in report["recognition"].items():
        print(f"word error rate, {name}: {_show(value)}")
    if recogniser is not None:
        readable = [item.answer.text for item in list_items("read_aloud", "test")]
        short = [text for text in readable if len(text.split()) <= MAX_SYNTHESIS_WORDS]
        read = [short[idx] for idx in order.permutation(len(short))[: options.sentences]]
        outputs: frozenset[Modality] = frozenset({"audio"})
        requests = [
            AnswerRequest(conversation=Conversation((user(text),)), outputs=outputs, task="read", seed=options.seed)
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
    _write(options, report)


def duplex(options: Annotated[DuplexOptions, tyro.conf.arg(name="")]) -> None:
    """Turn-taking in live talk: gap to the first own sound, false starts in pauses, stops after barge-in, back-channels."""
    loaded, voices = load_omni(options.model), Renderings(options.renderings)
    # its own wish alone: the push is for a server that lets nobody answer silence, and nothing here holds it back
    loaded.engine.speak_bias = 0.0

    def render(what: Speech | Sound | Audio) -> Audio:
        if isinstance(what, Audio):
            return what
        return resample(render_sound(what) if isinstance(what, Sound) else voices.render(what), USER_RATE_HZ)

    report: dict[str, Any] = {}
    for kind in [kind for kind in LIVE_KINDS if kind not in ("picture", "film", "too_soon", "typed", "drawing")]:
        examples = [
            make_live("test", np.random.default_rng((options.seed, idx, 72)), f"duplex-{idx}", kind)
            for idx in range(options.talks)
        ]
        report[kind] = summarise([follow(loaded.engine, 0, example, render, seed=options.seed) for example in examples])
        shown = ", ".join(f"{name} {_show(value)}" for name, value in report[kind].items() if value["n"])
        print(f"{kind}: {shown}")
    _write(options, {"kinds": report})


def turns(options: Annotated[TurnsOptions, tyro.conf.arg(name="")]) -> None:
    """When the model would take the turn, for each bias on `<speak>`: false starts against the wait for an answer."""
    loaded = load_checkpoint(options.model)
    sounds = RenderedSounds(Renderings(options.renderings), loaded.model.config.num_books)
    rows = RowMaker(RowWriter(loaded.vocabulary, loaded.model.config), sounds, PictureCodes(None))
    report: dict[str, Any] = {}
    for kind in TURN_KINDS:
        examples = [
            make_live(options.split, np.random.default_rng((options.seed, idx, 74)), f"turns-{idx}", kind)
            for idx in range(options.talks)
        ]
        swept = sweep(measure_onsets(loaded.model, rows, examples, seed=options.seed), options.biases)
        report[kind] = [row.to_json() for row in swept]
        for row in report[kind]:
            shown = ", ".join(f"{name} {_show(row[name])}" for name in row if name != "bias")
            print(f"{kind}, bias {row['bias']:+.1f}: {shown}", flush=True)
    _write(options, {"split": options.split, "kinds": report})


def manners(options: Annotated[MannersOptions, tyro.conf.arg(name="")]) -> None:
    """Whether it declines what it must and answers what it may, asked in text and in speech, answered in text."""
    ask, fill = _make_asker(options, _load_recogniser() if options.cascade else None)
    judges = Judges(None, DrawingJudge.load())
    report: dict[str, Any] = {}
    for task, given in product(("decline", "allow"), ("audio",) if options.cascade else ("text", "audio")):
        examples = list(islice(iterate_task(task, given, "text", "test", options.seed), options.items))
        name = f"{task}, asked in {given}"
        report[name] = estimate_right(score_examples(examples, ask, fill, judges)).to_json()
        print(f"{name}: {_show(report[name])}", flush=True)
    _write(options, report)


def _make_asker(options: Evaluation, hears_for_it: Recogniser | None = None) -> tuple[AnswerAll, FillSpeech]:
    """How the checkpoint is asked, and how what is spoken becomes sound, or what the recogniser hears in that."""
    loaded, voices = load_omni(options.model), Renderings(options.renderings)

    def ask(conversations: Sequence[Conversation], outputs: frozenset[str]) -> Sequence[Message]:
        return answer_all(loaded, conversations, outputs=outputs, seed=options.seed)

    def fill(example: Example) -> Conversation:
        filled = fill_speech(example, [voices.render(speech) for speech in example.speeches])
        return filled if hears_for_it is None else type_what_is_heard(filled, hears_for_it.transcribe)

    return ask, fill


def _choose_voice(split: str, text: str) -> str:
    names = [voice.name for voice in list_voices(split)]
    return names[sum(text.encode()) % len(names)]


def _find_recogniser() -> Recogniser | None:
    try:
        return _load_recogniser()
    except AssetError as error:
        print(f"no recogniser, so speech is ungraded: {error}")
        return None


def _load_recogniser() -> Recogniser:
    """Raises: AssetError if its weights can't be had."""
    resolve("whisper-tiny-en")
    return Recogniser()


def _print_cell(cell: dict[str, Any]) -> None:
    baseline = "n/a" if cell["baseline"] is None else f"{cell['baseline']:.2f}"
    print(f"{cell['in']:>12} -> {cell['out']:<12} {_show(cell)}, {baseline}", flush=True)


def _show(value: dict[str, Any]) -> str:
    if value["value"] is None:
        return f"n/a (n={value['n']})"
    interval = "" if value["ci"] is None else f" [{value['ci'][0]:.3g}, {value['ci'][1]:.3g}]"
    return f"{value['value']:.3g}{interval} (n={value['n']})"


def _write(options: Evaluation, report: dict[str, Any]) -> None:
    if options.json is not None:
        about = {"model": str(options.model), "seed": options.seed, "environment": describe_environment()}
        write_json(options.json, {**report, **about})
