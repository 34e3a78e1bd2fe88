"""What an evaluation is: items, measures, a grade, and the words that a reader of the card needs.

Torch-free and Inspect-free: an evaluation is data and two functions (`load` items, `grade` a reply). `tasks` turns it into
an Inspect task, `results` turns logs into numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from vivavoce.content import Audio
from vivavoce.errors import ConfigError
from vivavoce.grading import Grade

if TYPE_CHECKING:
    from vivavoce.card.sources import DataSource
    from vivavoce.card.speech import Studio

Arm = Literal["text", "audio_to_text", "audio"]
"""How an item is put: text to text, audio to text, audio to audio."""
ARMS: tuple[Arm, ...] = ("text", "audio_to_text", "audio")
ARM_TITLES = {"text": "text → text", "audio_to_text": "audio → text", "audio": "audio → audio"}

Area = Literal["speech_safety", "preparedness", "third_party", "society", "product", "control"]
AREA_TITLES: dict[Area, str] = {
    "speech_safety": "Speech-specific safety",
    "preparedness": "Preparedness",
    "third_party": "Third-party style assessments",
    "society": "Society",
    "product": "Product claim",
    "control": "Controls",
}

Need = Literal["voices", "recogniser", "speaker_encoder", "docker", "realtime", "people", "download", "figures"]
"""What an evaluation cannot do without; what is missing makes it "not run", never a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One number of an evaluation."""

    name: str
    title: str
    kind: Literal["proportion", "mean", "quantiles"] = "proportion"
    """proportion: 0 or 1 a sample; mean: any number; quantiles: reported as min, mean, p50, p90, p95."""
    better: Literal["higher", "lower", "neither"] = "higher"
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing to ask. JSON all through, so that it lies in the log as it was."""

    item_id: str
    measure: str
    """Name of the measure that its grade counts in."""
    prompt: str = ""
    """What the user says first."""
    turns: tuple[str, ...] = ()
    """What the user says after each answer."""
    system: str = ""
    target: tuple[str, ...] = ()
    """Right answers, any of them."""
    choices: tuple[str, ...] = ()
    category: str = ""
    cluster: str = ""
    """Unit of independence; the item itself when empty."""
    speakable: bool = True
    """False where the meaning is in symbols or white space: not voiced."""
    voice: str = ""
    """A fixed voice, where the item is about one."""
    sound: str = ""
    """A sound other than speech to send (`noise`, `cough`, `silence`, ...), or a preamble to the prompt."""
    perturbation: str = ""
    image: str = ""
    """A picture to send: the name of one drawn by `figures`."""
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As a log keeps it."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Item:
        """The inverse of `to_json`; also reads authored rows, where a lone string stands for a tuple of one.

        Raises: ConfigError for a key that is not a field.
        """
        unknown = sorted(set(value) - set(cls.__dataclass_fields__))
        if unknown:
            raise ConfigError(f"item {value.get('item_id')!r} has unknown keys {unknown}; see card/evaluation.py")
        plain = dict(value)
        for key in ("turns", "target", "choices"):
            if key in plain:
                plain[key] = (plain[key],) if isinstance(plain[key], str) else tuple(plain[key])
        return cls(**plain)

    @property
    def unit(self) -> str:
        """The cluster of this item."""
        return self.cluster or self.item_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a grader sees of one sample."""

    item: Item
    arm: Arm
    text: str
    """The words that are graded: the model's own transcript, or the recogniser's reading where it gave none."""
    texts: tuple[str, ...] = ()
    """The same of every turn."""
    heard: str | None = None
    """The recogniser's reading of the last answer's sound."""
    audios: tuple[Audio, ...] = ()
    inputs: tuple[Audio, ...] = ()
    timings: Mapping[str, float] = field(default_factory=dict)
    studio: Studio | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """What a solver of this evaluation measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """An evaluation of the card. `load` and `grade` are its code; the rest is what the card prints about it."""

    id: str
    title: str
    area: Area
    section: str
    """Section of the GPT-4o System Card that it follows, or `extension`."""
    question: str
    """What it asks, in one sentence."""
    does_not_show: str
    measures: tuple[Measure, ...]
    load: Callable[[DataSource], Sequence[Item]]
    grade: Callable[[Reply], Grade]
    arms: tuple[Arm, ...] = ("text", "audio")
    needs: tuple[Need, ...] = ()
    sources: tuple[str, ...] = ()
    """Public files that it reads when `--data` holds them; else its authored items."""
    quick_items: int = 12
    """Items of the quick preset, spread over measures and categories."""
    quick_voices: int = 1
    full_voices: int = 1
    """Voices an item is put in; with one, the items take turns over all voices, so that every voice is heard."""
    perturbations: tuple[str, ...] = ("",)
    quick_perturbations: tuple[str, ...] | None = None
    solver: str = "converse"
    """Which solver asks: `converse`, `simulated_shell`, `sandbox_shell`, `no_model`, `game`."""
    epochs: int = 1
    """Attempts an item in the full preset (pass@k, consensus@k)."""
    comparable: str = ""
    """Why the published number is not the same task; empty where there is none."""
    grader: str = "rules"
    indicator_only: bool = False
    """True where a number says something only to a person (Preparedness)."""
    imports: bool = False
    """True where results of people are imported."""
    max_tokens: int = 160

    def measure(self, name: str) -> Measure:
        """The measure of that name."""
        return next(measure for measure in self.measures if measure.name == name)

    def check(self, item: Item) -> Item:
        """`item`, if its measure is declared.

        Raises: ConfigError otherwise.
        """
        names = [measure.name for measure in self.measures]
        if item.measure not in names:
            raise ConfigError(f"{self.id}: item {item.item_id} has measure {item.measure!r}; declared: {names}")
        return item
