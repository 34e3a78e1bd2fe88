"""`viva eval guards`: flags and tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vivavoce.errors import VivaError
from vivavoce.files import write_json

OTHER_VOICES = ("slt", "rms", "awb", "kal", "ked", "joe", "heart-low", "heart-high", "espeak-us")
SENTENCES = (
    "there are three red balls on the table.",
    "the opposite of day is night, and the opposite of hot is cold.",
    "i can see a small house beside a green tree.",
    "after monday comes tuesday, and after that comes wednesday.",
)


def eval_guards(
    json: Path | None = None,
    moderation: str = "rules",
    moderation_set: Path | None = None,
    identity_set: Path | None = None,
    voice: bool = True,
    threshold: float | None = None,
    show_wrong: bool = False,
) -> int:
    """Measure the guards on their labelled sets.

    Args:
        json: Write the report here.
        moderation: Judge of transcripts: rules, a YAML file of rules, or module:function.
        moderation_set: Your own set, as JSON lines of text and is_bad, in place of the package's.
        identity_set: The same for the guard against naming speakers.
        voice: Measure the voice guard too, on voices rendered here (needs their programs and the speaker encoder).
        threshold: Cosine below which the voice guard cuts; its own if not given.
        show_wrong: Print the sentences that were judged wrongly.
    """
    from vivavoce.serve.guards.evaluation import load_labelled, read_labelled, score_text_guard
    from vivavoce.serve.guards.text_rules import load_rule_guard, load_text_guard

    judges = {
        "moderation": load_rule_guard("moderation") if moderation == "rules" else load_text_guard(moderation),
        "identity": load_rule_guard("identity"),
    }
    report: dict[str, Any] = {}
    for name, path in (("moderation", moderation_set), ("identity", identity_set)):
        rows = read_labelled(path) if path else load_labelled(name)
        scored, wrong = score_text_guard(judges[name], rows)
        report[name] = scored.to_json()
        _print(name, scored)
        for row in wrong if show_wrong else ():
            print(f"    {'missed' if row.is_bad else 'false alarm'}: {row.text}")
    if voice:
        report["voice"] = _eval_voice(threshold)
    if json is not None:
        write_json(json, report)
    return 0


def _eval_voice(threshold: float | None) -> dict[str, Any]:
    from vivavoce.serve.guards.evaluation import score_voice_guard
    from vivavoce.serve.guards.voice import VoiceGuardSettings

    settings = VoiceGuardSettings() if threshold is None else VoiceGuardSettings(threshold=threshold)
    try:
        from vivavoce.serve.guards.preset import load_preset

        reference = load_preset("heart")
        recordings, missing = render_voices()
    except VivaError as error:
        print(f"voice        not measured: {error}")
        return {"not_measured": str(error)}
    if missing:
        print(f"voices not to be had here: {', '.join(missing)}")
    scored = score_voice_guard(reference, settings, recordings)
    _print(f"voice (utterances, cut below {settings.threshold})", scored.utterances)
    _print("voice (windows)", scored.windows)
    print(f"    equal error rate {scored.equal_error_rate:.3f} at cosine {scored.equal_error_threshold:.3f}")
    if scored.escaped_s:
        median, longest = np.median(scored.escaped_s), max(scored.escaped_s)
        print(
            f"    speech sent before the cut: median {median:.2f} s, longest {longest:.2f} s (n={len(scored.escaped_s)})"
        )
    return {**scored.to_json(), "threshold": settings.threshold, "voices": list(OTHER_VOICES), "missing": missing}


def render_voices() -> tuple[list[tuple[np.ndarray, bool]], list[str]]:
    """Utterances of the preset and of other voices, as ([S] at 24 kHz, whether it is another voice); what is missing."""
    from vivavoce.data.voices.roster import load_roster
    from vivavoce.data.voices.speaking import speak

    roster = load_roster()
    texts = [f"{first} {second}" for first in SENTENCES for second in SENTENCES if first != second]
    recordings = [(speak(text, roster["heart"], 24_000).samples, False) for text in texts]
    missing = []
    for name in OTHER_VOICES:
        try:
            recordings += [(speak(text, roster[name], 24_000).samples, True) for text in SENTENCES]
        except VivaError:
            missing.append(name)
    return recordings, missing


def _print(name: str, scored) -> None:
    print(f"{name}")
    print(f"    precision            {scored.precision}")
    print(f"    recall               {scored.recall}")
    print(f"    false positive rate  {scored.false_positive_rate}")
