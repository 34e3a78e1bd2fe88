"""Shape of the speech codec, and its presets."""

from __future__ import annotations

from dataclasses import dataclass

from vivavoce.errors import ConfigError
from vivavoce.omni.mel import MelConfig

RATE_HZ = 24_000
HOP_SAMPLES = 240
HOPS_PER_FRAME = 8
FRAME_SAMPLES = HOP_SAMPLES * HOPS_PER_FRAME
"""80 ms: one code of each book."""
FORMAT_VERSION = 1

CODEC_MEL = MelConfig(
    rate_hz=RATE_HZ, window_samples=1024, hop_samples=HOP_SAMPLES, num_bins=100, look_ahead_samples=480
)
"""What the encoder sees. It looks 20 ms past its frame; the decoder, which is what live speech needs, not at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CodecConfig:
    """Widths and depths. Halves: 50 Hz (two hops) and 12.5 Hz (one frame)."""

    levels: tuple[int, ...] = (8, 5, 5, 5)
    """Steps of each number of a book; their product is the number of codes."""
    num_books: int = 4
    encoder_width: int = 256
    encoder_fast_blocks: int = 2
    """Blocks at 50 Hz."""
    encoder_slow_blocks: int = 2
    """Blocks at 12.5 Hz."""
    decoder_slow_width: int = 320
    decoder_slow_blocks: int = 2
    decoder_fast_width: int = 256
    decoder_fast_blocks: int = 5
    expansion: int = 3
    """Width inside a block, as a multiple of its width."""
    kernel: int = 7
    """Steps that a block's depth-wise convolution spans."""
    num_bands: int = 128
    """Bands of the filters that shape pulses and noise."""
    synthesis_samples: int = 960
    """Length of the decoder's windows."""
    num_phones: int = 0
    """Symbols of the auxiliary phone head that trains with the encoder; 0 for none. Not part of the shipped codec."""

    def __post_init__(self) -> None:
        if any(level < 2 for level in self.levels):
            raise ConfigError(f"codec levels are {self.levels}; each must be at least 2")
        if self.synthesis_samples % HOP_SAMPLES or self.synthesis_samples < 2 * HOP_SAMPLES:
            raise ConfigError(
                f"synthesis_samples is {self.synthesis_samples}; need a multiple of {HOP_SAMPLES}, two at least"
            )

    @property
    def num_codes(self) -> int:
        """Codes of one book."""
        product = 1
        for level in self.levels:
            product *= level
        return product

    @property
    def latent_width(self) -> int:
        """Numbers of one frame, all books."""
        return self.num_books * len(self.levels)


def make_nano(**changes: int) -> CodecConfig:
    """Under 5 M parameters; ships in checkpoints/nano."""
    return CodecConfig(**{**_NANO, **changes})  # type: ignore[arg-type]


def make_small(**changes: int) -> CodecConfig:
    """About 20 M parameters, for a GPU."""
    wide = {"encoder_width": 512, "decoder_slow_width": 768, "decoder_fast_width": 512, "decoder_fast_blocks": 8}
    return CodecConfig(**{**_NANO, **wide, **changes})  # type: ignore[arg-type]


def make_tiny(**changes: int) -> CodecConfig:
    """For tests."""
    narrow = {
        "encoder_width": 16,
        "encoder_fast_blocks": 1,
        "encoder_slow_blocks": 1,
        "decoder_slow_width": 16,
        "decoder_slow_blocks": 1,
        "decoder_fast_width": 16,
        "decoder_fast_blocks": 1,
        "num_bands": 16,
    }
    return CodecConfig(**{**narrow, **changes})  # type: ignore[arg-type]


_NANO = {"expansion": 2}
PRESETS = {"nano": make_nano, "small": make_small, "tiny": make_tiny}
