"""The image tokenizer's network: a convolutional autoencoder around one finite-scalar-quantised book.

8 x 8 cells of 8 x 8 pixels; each cell is one of 1,000 codes (levels 8-5-5-5). It reads and writes safetensors with a JSON
configuration beside them; loading is strict.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from vivavoce.errors import CheckpointError, ConfigError, DataError
from vivavoce.files import write_json, write_whole
from vivavoce.omni.rounding import restore_weights, round_weights

FORMAT_VERSION = 1
SIDE_PIXELS = 64
SIDE_CELLS = 8
NUM_TOKENS = SIDE_CELLS**2
WEIGHTS_NAME = "image_tokenizer.safetensors"
CONFIG_NAME = "image_tokenizer.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageTokenizerConfig:
    """Shape of the network."""

    levels: tuple[int, ...] = (8, 5, 5, 5)
    """Levels of each dimension of the book; their product is the number of codes."""
    widths: tuple[int, int, int] = (32, 80, 160)
    """Channels at 32 x 32, 16 x 16 and 8 x 8."""
    encoder_blocks: int = 1
    """Residual blocks of the encoder at 8 x 8."""
    decoder_blocks: int = 2
    """Residual blocks of the decoder at 8 x 8."""

    def __post_init__(self) -> None:
        if any(level < 2 for level in self.levels) or any(width % 8 for width in self.widths):
            raise ConfigError(f"levels {self.levels} must be at least 2, widths {self.widths} multiples of 8")

    @property
    def num_codes(self) -> int:
        """Codes in the book."""
        return math.prod(self.levels)


class Quantizer(nn.Module):
    """Finite scalar quantisation of the channel axis.

    Source: round(f(z)) with a straight-through gradient, arXiv 2309.15505, sections 3.1 and 3.2 (the even-level offset
    included). Codes are mixed-radix numbers, first dimension least significant.
    """

    levels: Tensor
    basis: Tensor

    def __init__(self, levels: tuple[int, ...]) -> None:
        super().__init__()
        sizes = torch.tensor(levels, dtype=torch.float32)
        self.register_buffer("levels", sizes, persistent=False)
        self.register_buffer("basis", torch.cumprod(torch.cat([torch.ones(1), sizes[:-1]]), 0), persistent=False)

    def forward(self, latents: Tensor) -> Tensor:
        """Latents [B, dims, h, w] to quantised values in [-1, 1], with gradients passed straight through."""
        bounded = self._bound(latents.float())
        rounded = bounded + (bounded.round() - bounded).detach()
        return rounded / self._halves()

    def to_codes(self, latents: Tensor) -> Tensor:
        """Latents [B, dims, h, w] to codes [B, h, w] int64."""
        digits = self._bound(latents.float()).round() + self._halves()
        return (digits * self.basis.view(-1, 1, 1)).sum(1).long()

    def from_codes(self, codes: Tensor) -> Tensor:
        """Codes [B, h, w] to quantised values [B, dims, h, w]."""
        digits = (codes.unsqueeze(1) // self.basis.long().view(-1, 1, 1)) % self.levels.long().view(-1, 1, 1)
        return (digits - self._halves()) / self._halves()

    def _halves(self) -> Tensor:
        return (self.levels // 2).view(-1, 1, 1)

    def _bound(self, latents: Tensor) -> Tensor:
        sizes = self.levels.view(-1, 1, 1)
        half = (sizes - 1) * (1 + 1e-3) / 2
        offset = torch.where(sizes % 2 == 0, 0.5, 0.0)
        return torch.tanh(latents + torch.atanh(offset / half)) * half - offset


class Block(nn.Module):
    """A residual block of two 3 x 3 convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
        self.second = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, width, 3, padding=1))
        nn.init.zeros_(self.second[2].weight)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Same shape."""
        return x + self.second(self.first(x))


class ImageTokenizer(nn.Module):
    """Pictures to codes and back."""

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        fine, mid, wide = config.widths
        self.encoder = nn.Sequential(
            nn.Conv2d(3, fine, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(fine, mid, 4, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(mid, wide, 4, stride=2, padding=1),
            *(Block(wide) for _ in range(config.encoder_blocks)),
            nn.GroupNorm(8, wide),
            nn.SiLU(),
            nn.Conv2d(wide, len(config.levels), 1),
        )
        self.quantizer = Quantizer(config.levels)
        self.decoder = nn.Sequential(
            nn.Conv2d(len(config.levels), wide, 3, padding=1),
            *(Block(wide) for _ in range(config.decoder_blocks)),
            nn.Conv2d(wide, mid * 4, 1),
            nn.PixelShuffle(2),
            Block(mid),
            nn.Conv2d(mid, fine * 4, 1),
            nn.PixelShuffle(2),
            Block(fine),
            nn.GroupNorm(8, fine),
            nn.SiLU(),
            nn.Conv2d(fine, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Pictures [B, 3, 64, 64] in [-1, 1] to their reconstructions, through the book."""
        return self.decoder(self.quantizer(self.encoder(pictures)))

    @torch.no_grad()
    def encode(self, pixels: Tensor) -> Tensor:
        """Pixels uint8 [B, 64, 64, 3] to codes [B, 64] int64, row by row.

        Raises: DataError for another shape or type.
        """
        return self.quantizer.to_codes(self.encoder(to_signal(pixels))).flatten(1)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Codes [B, 64] to pixels uint8 [B, 64, 64, 3].

        Raises: DataError for another shape, or a code outside the book.
        """
        if codes.ndim != 2 or codes.shape[1] != NUM_TOKENS:
            raise DataError(f"image codes are {list(codes.shape)}; need [pictures, {NUM_TOKENS}]")
        if codes.numel() and (int(codes.min()) < 0 or int(codes.max()) >= self.config.num_codes):
            raise DataError(
                f"image codes span {int(codes.min())} to {int(codes.max())}; need 0 to {self.config.num_codes - 1}"
            )
        values = self.quantizer.from_codes(codes.view(-1, SIDE_CELLS, SIDE_CELLS))
        dtype = next(self.parameters()).dtype
        return to_pixels(self.decoder(values.to(dtype)))

    def save(self, folder: Path | str, *, is_rounded: bool = False) -> None:
        """Write weights, in float32 or rounded to eight bits, and configuration into `folder`."""
        folder = Path(folder)
        state = {name: tensor.detach().contiguous() for name, tensor in self.state_dict().items()}
        state = round_weights(state) if is_rounded else state
        with write_whole(folder / WEIGHTS_NAME) as temporary:
            save_file(state, temporary)
        write_json(folder / CONFIG_NAME, {"format_version": FORMAT_VERSION, **asdict(self.config)})

    @classmethod
    def load(cls, folder: Path | str) -> ImageTokenizer:
        """The tokenizer kept in `folder`, in float32, in evaluation mode.

        Raises: CheckpointError if files are missing, of another version, or tensors differ, naming them.
        """
        folder = Path(folder)
        model = cls(_read_config(folder))
        try:
            found = restore_weights(load_file(folder / WEIGHTS_NAME))
        except (OSError, RuntimeError, ValueError) as error:
            raise CheckpointError(f"{folder / WEIGHTS_NAME} cannot be read ({error})") from error
        except Exception as error:
            # safetensors raises its own type for a damaged file, which shares no base with the others
            raise CheckpointError(f"{folder / WEIGHTS_NAME} is damaged ({error}); get it again") from error
        wanted = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
        given = {name: tuple(tensor.shape) for name, tensor in found.items()}
        differing = sorted(name for name in wanted.keys() | given.keys() if wanted.get(name) != given.get(name))
        if differing:
            name = differing[0]
            raise CheckpointError(
                f"{folder / WEIGHTS_NAME}: {len(differing)} tensors differ; {name} is {given.get(name)}, "
                f"need {wanted.get(name)}"
            )
        model.load_state_dict(found)
        return model.eval()


def _read_config(folder: Path) -> ImageTokenizerConfig:
    path = folder / CONFIG_NAME
    try:
        plain = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error})") from error
    if plain.pop("format_version", None) != FORMAT_VERSION:
        raise CheckpointError(f"{path} is of another version; this program reads {FORMAT_VERSION}")
    try:
        plain |= {key: tuple(plain[key]) for key in ("levels", "widths") if key in plain}
        return ImageTokenizerConfig(**plain)
    except TypeError as error:
        raise CheckpointError(f"{path}: {error}") from error


def to_signal(pixels: Tensor) -> Tensor:
    """Pixels uint8 [B, 64, 64, 3] to signal [B, 3, 64, 64] in [-1, 1]. Raises: DataError for another shape or type."""
    if pixels.dtype != torch.uint8 or tuple(pixels.shape[1:]) != (SIDE_PIXELS, SIDE_PIXELS, 3):
        raise DataError(
            f"pictures are {pixels.dtype} {list(pixels.shape)}; need uint8 [B, 64, 64, 3]; scale them first"
        )
    return pixels.permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pixels(signal: Tensor) -> Tensor:
    """Signal [B, 3, 64, 64] to pixels uint8 [B, 64, 64, 3]."""
    return ((signal.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def measure_psnr(pixels: Tensor, other: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture in dB, uint8 [B, 64, 64, 3] each."""
    error = F.mse_loss(pixels.float(), other.float(), reduction="none").mean((1, 2, 3))
    return 10 * torch.log10(255**2 / error.clamp_min(1e-3))
