"""`viva eval guards`: flags and tables."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from vivavoce.errors import ConfigError, VivaError
from vivavoce.files import write_json

if TYPE_CHECKING:
    from vivavoce.serve.guards.voice_calibration import Recording, VoiceScore

OTHER_VOICES = ("slt", "rms", "awb", "kal", "ked", "joe", "heart-low", "heart-high", "espeak-us")
SENTENCES = (
    "there are three red balls on the table.",
    "the opposite of day is night, and the opposite of hot is cold.",
    "i can see a small house beside a green tree.",
    "after monday comes tuesday, and after that comes wednesday.",
    "a triangle has three sides, and a square has four.",
    "i heard a bell and then somebody laughed.",
    "water turns into ice when it is cold enough.",
    "you asked me to count from one to seven.",
)


@dataclass(frozen=True, kw_only=True)
class EvalGuards:
    """What is measured."""

    json: Path | None = None
    """Write the report here."""
    moderation: str = "classifier"
    """Judge of transcripts: classifier (with the rules), rules, a YAML file of rules, or module:function."""
    moderation_set: Path | None = None
    """Your own set, as JSON lines of text and is_bad, in place of the package's."""
    identity_set: Path | None = None
    """The same for the guard against naming speakers."""
    voice: bool = True
    """Measure the voice guard too, on voices rendered here (needs their programs and the speaker encoder)."""
    count: int = 16
    """Recordings of the preset, and about as many of other voices, one voice after another."""
    threshold: float | None = None
    """Cosine below which the voice guard cuts; chosen on one half of the recordings if not given."""
    show_wrong: bool = False
    """Print the numbers of the rows that were judged wrongly."""


def eval_guards(flags: Annotated[EvalGuards, tyro.conf.arg(name="")]) -> int:
    """Measure the guards on their labelled sets."""
    from vivavoce.serve.guards.evaluation import load_labelled, read_labelled, score_text_guard
    from vivavoce.serve.guards.moderation import load_moderation
    from vivavoce.serve.guards.text_rules import load_rule_guard

    judge = load_moderation(flags.moderation)
    if judge is None:
        raise ConfigError("moderation is off; name a judge to measure")
    judges = {"moderation": judge, "identity": load_rule_guard("identity")}
    report: dict[str, Any] = {}
    for name, path in (("moderation", flags.moderation_set), ("identity", flags.identity_set)):
        rows = read_labelled(path) if path else load_labelled(name)
        scored, wrong = score_text_guard(judges[name], rows)
        report[name] = scored.to_json()
        _print(name, scored)
        for row in wrong if flags.show_wrong else ():
            print(
                f"    {'missed' if row.is_bad else 'false alarm'}: row {rows.index(row) + 1}, {row.category or 'none'}"
            )
    if flags.voice:
        report["voice"] = _eval_voice(flags.count, flags.threshold)
    if flags.json is not None:
        write_json(flags.json, report)
    return 0


def _eval_voice(count: int, threshold: float | None) -> dict[str, Any]:
    from vivavoce.serve.guards.voice import VoiceGuardSettings
    from vivavoce.serve.guards.voice_calibration import choose_threshold, divide, look, score_looks

    settings = VoiceGuardSettings()
    try:
        from vivavoce.serve.guards.preset import load_preset

        reference = load_preset("heart")
        recordings, missing = render_voices(count)
        chosen_on, reported_on = divide([look(reference, settings, recording) for recording in recordings])
    except VivaError as error:
        print(f"voice        not measured: {error}")
        return {"not_measured": str(error)}
    if missing:
        print(f"voices not to be had here: {', '.join(missing)}")
    best = choose_threshold(chosen_on)
    print(f"voice: threshold {best:.3f} chosen on {len(chosen_on)} recordings; reported on {len(reported_on)} others")
    scored = score_looks(reported_on, best if threshold is None else threshold)
    _print_voice(scored)
    shipped = score_looks(reported_on, settings.threshold)
    print(f"at the threshold that ships, {settings.threshold}:")
    _print_voice(shipped)
    voices = {
        name: sorted({item.voice for item in half}) for name, half in (("chosen", chosen_on), ("rest", reported_on))
    }
    return {
        **scored.to_json(),
        "chosen_threshold": best,
        "shipped": shipped.to_json(),
        "voices_chosen_on": voices["chosen"],
        "voices_reported_on": voices["rest"],
        "missing": missing,
    }


def render_voices(count: int) -> tuple[list[Recording], list[str]]:
    """`count` utterances of the preset and of other voices, these by turns; and the voices that are missing here.

    Raises: VivaError if the preset's own program is missing.
    """
    from vivavoce.data.voices.roster import load_roster
    from vivavoce.data.voices.speaking import speak
    from vivavoce.serve.guards.voice_calibration import Recording

    roster = load_roster()
    texts = [f"{first} {second}" for first in SENTENCES for second in SENTENCES]
    recordings = [
        Recording(speak(texts[idx % len(texts)], roster["heart"], 24_000).samples, "heart", False)
        for idx in range(min(count, len(texts)))
    ]
    missing: list[str] = []
    for idx in range(count):
        name = OTHER_VOICES[idx % len(OTHER_VOICES)]
        if name in missing:
            continue
        try:
            text = texts[(idx // len(OTHER_VOICES)) * 5 % len(texts)]
            recordings.append(Recording(speak(text, roster[name], 24_000).samples, name, True))
        except VivaError:
            missing.append(name)
    return recordings, missing


def _print(name: str, scored) -> None:
    print(f"{name}")
    print(f"    precision            {scored.precision}")
    print(f"    recall               {scored.recall}")
    print(f"    false positive rate  {scored.false_positive_rate}")


def _print_voice(scored: VoiceScore) -> None:
    _print(f"  utterances, cut below {scored.threshold:.3f}", scored.utterances)
    _print("  windows", scored.windows)
    print(
        f"    equal error rate     {scored.equal_error_rate:.3f} of utterances, at {scored.equal_error_threshold:.3f}"
    )
    if scored.escaped_s:
        median, longest = np.median(scored.escaped_s), max(scored.escaped_s)
        print(f"    sent before the cut  median {median:.2f} s, longest {longest:.2f} s (n={len(scored.escaped_s)})")
