"""Shape of the omni network: a Llama configuration with the streams beside it."""

from __future__ import annotations

from dataclasses import field

from huggingface_hub.dataclasses import strict
from transformers import LlamaConfig

from vivavoce.errors import CheckpointError

FORMAT_VERSION = 8
"""Raised when a checkpoint of the past can no longer be read."""

CLOCK_HZ = 12.5
MEL_BINS = 80
MEL_FRAMES_PER_STEP = 8
IMAGE_PIXELS = 64
PATCH_PIXELS = 8
NUM_PATCHES = (IMAGE_PIXELS // PATCH_PIXELS) ** 2
FRAME_PATCH_PIXELS = 16
"""A film's frame is cut coarser: 16 steps instead of 64, since there are many."""
NUM_FRAME_PATCHES = (IMAGE_PIXELS // FRAME_PATCH_PIXELS) ** 2
NUM_IMAGE_OUT_TOKENS = 64


@strict
class OmniConfig(LlamaConfig):
    """A Llama configuration; `vocab_size` is `num_text_ids + num_image_codes`, embeddings are tied."""

    model_type = "vivavoce_omni"

    num_text_ids: int = 1024
    num_image_codes: int = 1000
    num_books: int = 4
    num_codes_per_book: int = 1000
    stem_widths: list[int] = field(default_factory=lambda: [192, 256, 320])
    stem_blocks: list[int] = field(default_factory=lambda: [2, 3, 3])
    scribe_width: int = 160
    second_pass_width: int = 256
    second_pass_blocks: int = 5
    eye_width: int = 128
    transcript_delay_steps: int = 2
    speak_bias: float = 0.0
    """Added to the logit of `<speak>` in live talks, on top of what a session asks for: how much a checkpoint has to be pushed to
    answer in time, measured for its weights (`recipes/serve_foresight.py`)."""
    format_version: int = FORMAT_VERSION

    def __post_init__(self, **kwargs):  # type: ignore[override]
        self.tie_word_embeddings = True
        self.vocab_size = self.num_text_ids + self.num_image_codes
        super().__post_init__(**kwargs)
        if self.format_version != FORMAT_VERSION:
            raise CheckpointError(
                f"checkpoint has format version {self.format_version}; this program reads {FORMAT_VERSION}; "
                "use the release that wrote it, or train again"
            )


def make_nano(**changes) -> OmniConfig:
    """About 22 M parameters: wide and shallow, because on two cores a layer costs more than its width."""
    shape = {
        "hidden_size": 512,
        "intermediate_size": 1024,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "num_key_value_heads": 4,
        "max_position_embeddings": 4096,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
    }
    return OmniConfig(**{**_ids(), **shape, **changes})


def make_small(**changes) -> OmniConfig:
    """SmolLM2-135M's trunk; its text rows are re-learned on our vocabulary, the layers start from its weights."""
    shape = {
        "hidden_size": 576,
        "intermediate_size": 1536,
        "num_hidden_layers": 30,
        "num_attention_heads": 9,
        "num_key_value_heads": 3,
        "max_position_embeddings": 8192,
        "rope_parameters": {"rope_type": "default", "rope_theta": 100_000.0},
    }
    return OmniConfig(**{**_ids(), **shape, **changes})


def make_tiny(**changes) -> OmniConfig:
    """For tests: every part, nothing learned."""
    shape = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "stem_widths": [16, 20, 24],
        "stem_blocks": [1, 1, 1],
        "scribe_width": 16,
        "second_pass_width": 16,
        "second_pass_blocks": 2,
        "eye_width": 16,
        "num_text_ids": 320,
        "num_image_codes": 20,
        "num_codes_per_book": 12,
        "max_position_embeddings": 512,
    }
    return OmniConfig(**{**_ids(), **shape, **changes})


PRESETS = {"nano": make_nano, "small": make_small, "tiny": make_tiny}


def _ids() -> dict[str, int]:
    return {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 6}
