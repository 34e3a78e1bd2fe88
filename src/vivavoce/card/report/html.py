"""The card as one self-contained HTML page: no script from anywhere, sound and plots inside."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from vivavoce.card.evaluation import AREA_TITLES, ARM_TITLES, ARMS
from vivavoce.card.media_store import encode_preview
from vivavoce.card.report import wording
from vivavoce.card.report.plots import plot_arms, plot_breakdown
from vivavoce.card.sources import read_package_file
from vivavoce.errors import DataError
from vivavoce.media import read_audio

MAX_SOUNDS = 60
QUIET_EVALUATIONS = frozenset(
    {"disallowed_content", "voice_jailbreak", "erotic_violent_filter", "voice_parity_safety", "audio_robustness"}
)
"""Their examples are counted, not shown, where they come from public sets: their prompts are harmful by design."""


def render_html(document: Mapping[str, Any], folder: Path) -> str:
    """The page of a document; sounds come from the run folder's media, as far as they are there."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters.update(
        estimate=wording.say_estimate,
        number=wording.say_number,
        coverage=wording.say_coverage,
        agreement=wording.say_agreement,
        p=wording.say_p,
        level=wording.say_level,
        published=wording.say_published,
        caution=wording.say_caution,
        derived=wording.say_derived,
    )
    card = document["card"]
    template = environment.from_string(read_package_file("report", "card.html"))
    return template.render(
        document=document,
        say_opinion=wording.say_opinion,
        card=card,
        early=document["comparisons"].get("early"),
        cascade=document["comparisons"].get("cascade"),
        used_arms=lambda evaluation: [arm for arm in ARMS if any(arm in m["arms"] for m in evaluation["measures"])],
        arms=ARMS,
        arm_titles=ARM_TITLES,
        areas=AREA_TITLES,
        overview=Markup(plot_arms(card)),
        breakdowns=_plot_breakdowns(card),
        sounds=embed_sounds(card, folder / "media"),
        is_shown=lambda evaluation: evaluation["id"] not in QUIET_EVALUATIONS or evaluation["authored_only"],
    )


def _plot_breakdowns(card: Mapping[str, Any]) -> dict[tuple[str, str, str], Any]:
    plots = {}
    for evaluation in card["evaluations"]:
        for measure in evaluation["measures"]:
            for by in ("by_voice", "by_channel"):
                if measure["kind"] == "proportion" and evaluation["id"] in _PLOTTED[by]:
                    svg = plot_breakdown(measure, by)
                    if svg:
                        plots[evaluation["id"], measure["name"], by] = Markup(svg)
    return plots


_PLOTTED = {
    "by_voice": {"voice_parity_capability", "voice_parity_safety", "voice_authorization_classifier"},
    "by_channel": {"audio_robustness"},
}


def embed_sounds(card: Mapping[str, Any], media: Path) -> dict[str, str]:
    """Data URIs of the examples' sounds, at most `MAX_SOUNDS`, by file name."""
    sounds: dict[str, str] = {}
    for evaluation in card["evaluations"]:
        for example in evaluation["examples"]:
            for name in (example["input_sound"], example["output_sound"]):
                if name and name not in sounds and len(sounds) < MAX_SOUNDS and (media / name).is_file():
                    try:
                        preview = encode_preview(read_audio(media / name))
                    except DataError:
                        continue
                    sounds[name] = f"data:audio/mpeg;base64,{base64.b64encode(preview).decode()}"
    return sounds
