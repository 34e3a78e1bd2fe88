"""Running a card: which evaluations can run here, what it will take, one Inspect log each, and going on after a kill.

An evaluation whose log says success is not run again; one that was cut short goes on from its finished samples. Seeds
depend on the sample alone, so a resumed card has the same answers as an uninterrupted one.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import inspect_ai
from inspect_ai.log import EvalLog
from inspect_ai.model import Model, get_model

from vivavoce.card.agreement import measure_opinions
from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.evaluation import Evaluation
from vivavoce.card.graders.propositions import DEFAULT_GRADER
from vivavoce.card.media_store import ENVIRONMENT_VARIABLE
from vivavoce.card.records import name_evaluation, read_headers, read_sample
from vivavoce.card.speech import Studio, open_studio
from vivavoce.card.tasks import TASKS, TaskOptions, load_items, make_samples, split_names
from vivavoce.errors import ConfigError, DataError, VivaError
from vivavoce.files import write_json
from vivavoce.run import Run

SECONDS_A_WORD = 0.4
"""Length of a spoken word, for estimates. chosen: 150 words a minute."""
SECONDS_AN_ANSWER = 4.0


def check_evaluations(names: Sequence[str]) -> None:
    """Raises: ConfigError for a name that is no evaluation's."""
    unknown = sorted(set(names) - set(EVALUATIONS))
    if unknown:
        raise ConfigError(f"evaluations {unknown} are unknown; allowed: {', '.join(EVALUATIONS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CardConfig:
    """What a run is: model, items, voices, seed. Equal configurations may share a folder."""

    model: str
    preset: str = "quick"
    data: str | None = None
    base_url: str | None = None
    model_args: dict[str, Any] = field(default_factory=dict)
    grader: str | None = None
    rbr: str = DEFAULT_GRADER
    partner: str | None = None
    only: tuple[str, ...] = ()
    arms: str = ""
    voices: str = ""
    studio: str = "auto"
    seed: int = 0
    limit: int | None = None

    def __post_init__(self) -> None:
        check_evaluations(self.only)
        if "/" not in self.model:
            raise ConfigError(
                f"model {self.model!r} names no provider; write viva/nano, viva-chat/NAME, openai/NAME ..."
            )
        _ = self.options  # which checks preset, arms and limit

    @property
    def options(self) -> TaskOptions:
        """The options of every task."""
        return TaskOptions(
            data=self.data,
            preset=self.preset,
            arms=self.arms,
            voices=self.voices,
            studio=self.studio,
            seed=self.seed,
            limit=self.limit,
            rbr=self.rbr,
        )


@dataclass(frozen=True, slots=True)
class Planned:
    """An evaluation that will run: its samples, and seconds of speech in and out."""

    evaluation: Evaluation
    num_samples: int
    input_s: float
    output_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What will run, and what will not and why."""

    planned: tuple[Planned, ...]
    skipped: Mapping[str, str]

    @property
    def num_samples(self) -> int:
        """Samples in all."""
        return sum(item.num_samples for item in self.planned)

    def estimate_cost(self, price_in: float, price_out: float) -> float:
        """Money for the speech, at prices a minute in and out."""
        seconds = [(item.input_s, item.output_s) for item in self.planned]
        return sum(a * price_in + b * price_out for a, b in seconds) / 60


def make_plan(config: CardConfig) -> Plan:
    """Check every evaluation against what is at hand and count its samples.

    Raises: ConfigError for a studio or a voice that is not there.
    """
    studio = open_studio(config.studio)
    known = dict.fromkeys((*studio.voices, studio.preset_voice))
    unknown = [name for name in split_names(config.voices) if name not in known]
    if unknown:
        raise ConfigError(f"voices {unknown} do not speak here; studio {studio.name} has {', '.join(known)}")
    planned, skipped = [], {}
    for name in config.only or EVALUATIONS:
        evaluation = EVALUATIONS[name]
        why = find_obstacle(evaluation, studio)
        if why:
            skipped[name] = why
            continue
        try:
            items, _ = load_items(evaluation, config.options)
            samples = make_samples(evaluation, items, config.options, studio)
        except VivaError as error:
            skipped[name] = f"its items can't be loaded: {' '.join(str(error).split())}"
            continue
        if not samples:
            skipped[name] = (
                "no item at hand; see `viva card fetch` and --data" if not items else "no arm that can be put"
            )
            continue
        planned.append(_count(evaluation, samples, config.preset))
    return Plan(tuple(planned), skipped)


def _count(evaluation: Evaluation, samples: Sequence[Any], preset: str) -> Planned:
    attempts = evaluation.epochs if preset == "full" else 1
    words = {"in": 0.0, "out": 0.0}
    for sample in samples:
        item, arm = sample.metadata["item"], sample.metadata["arm"]
        said = " ".join([item["prompt"], *item["turns"]]).split()
        words["in"] += SECONDS_A_WORD * len(said) if arm != "text" else 0.0
        words["out"] += SECONDS_AN_ANSWER * (1 + len(item["turns"])) if arm == "audio" else 0.0
    return Planned(evaluation, len(samples) * attempts, words["in"] * attempts, words["out"] * attempts)


def find_obstacle(evaluation: Evaluation, studio: Studio) -> str:
    """Why an evaluation cannot run here, or an empty string."""
    if "docker" in evaluation.needs and not has_docker():
        return "needs Docker for its sandbox, which does not run here"
    if "voices" in evaluation.needs and not studio.voices and "text" not in evaluation.arms:
        return f"needs voices; studio {studio.name} has none (install flite, or the extra `judges`)"
    if "recogniser" in evaluation.needs and not studio.has_recogniser:
        return f"needs a recogniser; studio {studio.name} has none (install the extra `judges`)"
    if "speaker_encoder" in evaluation.needs and not studio.has_speaker_encoder:
        return f"needs a speaker encoder; studio {studio.name} has none (install the extra `judges`)"
    return ""


def has_docker() -> bool:
    """Whether a Docker daemon answers."""
    if shutil.which("docker") is None:
        return False
    try:
        return subprocess.run(["docker", "info"], capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


@dataclass(frozen=True, slots=True)
class Progress:
    """After each evaluation: how far, why samples were not graded, and how long still at this pace."""

    name: str
    done: int
    total: int
    num_samples: int
    graded: int
    elapsed_s: float
    left_s: float | None
    status: str
    reasons: Mapping[str, int] = field(default_factory=dict)
    example: str = ""
    """What the first sample without a grade says of it."""


def run_card(config: CardConfig, folder: Path, plan: Plan, *, resume: bool = False) -> Iterator[Progress]:
    """Run what is planned into `folder`; yields progress after every evaluation.

    Raises: ConfigError if the folder is in use and `resume` is false, or was begun with another configuration; before
        the folder is touched, for a model that can't be had.
    """
    open_model(config)
    run = Run.open(folder, asdict(config), resume=resume)
    write_json(folder / "skipped.json", dict(plan.skipped))
    if not (folder / "graders.json").is_file():
        write_json(folder / "graders.json", measure_opinions(config.rbr, config.grader))
    logs = folder / "logs"
    started, fresh_samples = time.monotonic(), 0
    with _environment(folder):
        headers = read_headers(logs)
        finished = {name_evaluation(header): header for header in headers if header.status == "success"}
        partial = {name_evaluation(header): header.location for header in headers if header.status != "success"}
        left = sum(item.num_samples for item in plan.planned if item.evaluation.id not in finished)
        for done, item in enumerate(plan.planned, start=1):
            name = item.evaluation.id
            if name in finished:
                graded = _count_graded(finished[name], item.num_samples)
                yield Progress(name, done, len(plan.planned), item.num_samples, graded, 0.0, None, "kept")
                continue
            log = run_evaluation(config, name, logs, partial.get(name))
            records = [read_sample(sample) for sample in log.samples or []]
            graded = sum(record.value is not None for record in records)
            reasons = Counter(record.reason for record in records if record.value is None)
            example = next((record.why for record in records if record.value is None), "")
            left -= item.num_samples
            fresh_samples += item.num_samples
            elapsed_s = time.monotonic() - started
            run.log(
                evaluation=name,
                status=log.status,
                samples=item.num_samples,
                graded=graded,
                elapsed_s=round(elapsed_s, 2),
            )
            left_s = elapsed_s / fresh_samples * left
            yield Progress(
                name, done, len(plan.planned), item.num_samples, graded, elapsed_s, left_s, log.status, reasons, example
            )
    run.finish(evaluations=len(plan.planned), samples=plan.num_samples)


def _count_graded(header: EvalLog, num_samples: int) -> int:
    """How many samples of a finished log have a grade, by its header: Inspect counts those that have none."""
    scores = header.results.scores if header.results else []
    return num_samples - ((scores[0].unscored_samples or 0) if scores else num_samples)


@contextlib.contextmanager
def _environment(folder: Path) -> Iterator[None]:
    """The media folder of this run, for as long as it lasts."""
    before = os.environ.get(ENVIRONMENT_VARIABLE)
    os.environ[ENVIRONMENT_VARIABLE] = str((folder / "media").resolve())
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(ENVIRONMENT_VARIABLE)
        else:
            os.environ[ENVIRONMENT_VARIABLE] = before


def run_evaluation(config: CardConfig, name: str, logs: Path, partial: str | None = None) -> EvalLog:
    """One evaluation: anew, or on from `partial`, the place of a log that was cut short."""
    common: dict[str, Any] = {
        "log_dir": str(logs),
        "display": "none",
        "log_buffer": 4,
        "fail_on_error": False,
        "log_level": "error",
        "score_display": False,
    }
    if partial is not None:
        return inspect_ai.eval_retry(partial, **common)[0]
    roles = {role: model for role, model in (("grader", config.grader), ("partner", config.partner)) if model}
    options = {key: value for key, value in asdict(config.options).items() if value not in (None, "")}
    return inspect_ai.eval(
        TASKS[name](**options),
        model=config.model,
        model_base_url=config.base_url,
        model_args=config.model_args,
        model_roles=roles or None,
        **common,
    )[0]


def open_model(config: CardConfig) -> Model:
    """The model as Inspect opens it, without asking it anything.

    Raises: ConfigError, or what the provider says of it, for one that can't be had.
    """
    try:
        return get_model(config.model, base_url=config.base_url, **config.model_args)
    except VivaError:
        raise
    # a provider that is not there, not installed or without its key: whatever it raises, in its own words
    except Exception as error:
        words = " ".join(str(error).split())[:300]
        raise ConfigError(f"model {config.model!r} can't be used: {words}") from error


def read_config(folder: Path) -> CardConfig:
    """The configuration that a folder was begun with.

    Raises: DataError if it holds no run.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise DataError(f"{folder} holds no run (config.json is missing); name a folder made by `viva card run`")
    raw = json.loads(path.read_text())["config"]
    return CardConfig(**{**raw, "only": tuple(raw["only"])})
