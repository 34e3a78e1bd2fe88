"""Every evaluation of the card, one file each, in the order in which the card prints them."""

from __future__ import annotations

import importlib

from vivavoce.card.evaluation import Evaluation

NAMES = (
    "voice_authorization_model",
    "voice_authorization_classifier",
    "speaker_id",
    "voice_parity_capability",
    "voice_parity_safety",
    "ugi_refusal",
    "sta_hedge",
    "disallowed_content",
    "over_refusal",
    "voice_jailbreak",
    "erotic_violent_filter",
    "audio_robustness",
    "misinformation",
    "non_native_accent",
    "copyright",
    "bias",
    "cyber_ctf",
    "cyber_ctf_sandbox",
    "bio_tacit",
    "persuasion",
    "autonomy",
    "metr_style",
    "apollo_style",
    "emotional_reliance",
    "health",
    "science_figures",
    "languages",
    "latency",
    "tts_fidelity",
    "transcript_fidelity",
)

EVALUATIONS: dict[str, Evaluation] = {
    name: importlib.import_module(f"vivavoce.card.evals.{name}").EVALUATION for name in NAMES
}
