"""Teaching the ear and its scribe alone, before the trunk: connectionist temporal classification of transcripts.

A trunk that learns to hear from nothing spends most of its time on a plateau: it can guess a transcript's next token from
the last, so little pushes the stem. The ear alone costs a tenth of the trunk and has nothing to guess from. What it learns
serves three times: the trunk hears with its stem, its scribe writes the transcript, and its best path says when each token of a
transcript was over (`align`), which is when the trunk learns to read it. The scribe's language model learns from the same
transcripts.

Source: Graves et al. 2006 (CTC); its blank is row 0, <pad>.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import AdamW, Muon, Optimizer
from torch.utils.data import Dataset

from vivavoce.data.voices.shards import Item, Shards
from vivavoce.errors import ConfigError, DataError
from vivavoce.omni.configuration import MEL_BINS, MEL_FRAMES_PER_STEP, PRESETS, OmniConfig
from vivavoce.omni.layout import MEL_FLOOR
from vivavoce.omni.scribe import Scribe, expectation_loss
from vivavoce.omni.stem import SPELLING_STAGE, Stem
from vivavoce.omni.training.batches import load_batches
from vivavoce.omni.training.loop import Loop, LoopConfig, WriteSample, step_generator
from vivavoce.omni.training.noise import (
    change_voice,
    draw_gain,
    draw_room,
    draw_voice_change,
    lose_moments,
    put_in_room,
)
from vivavoce.omni.training.parallel import average_gradients
from vivavoce.omni.training.splicing import Splicer
from vivavoce.omni.vocabulary import BLANK, Vocabulary
from vivavoce.run import Run

logger = logging.getLogger(__name__)

LETTERS = "abcdefghijklmnopqrstuvwxyz' 0123456789"
"""What the spelling layer writes, after blank."""
_POOLED_STEPS = 8
_MAX_LEAD_FRAMES = 30
_TAIL_FRAMES = 8
"""Quiet after the last word, of which trimming leaves half a step more. The ear says a word as late as it can: with 24 the last of a
sentence came 280 ms after its end, and whoever talks to it has been answered by then (experiments/LOG.md). Trimming the tail makes
all words sooner (Song et al. 2022, arXiv 2211.00522)."""


class Quiet(NamedTuple):
    """Frames of quiet around an utterance, at most."""

    max_lead: int = _MAX_LEAD_FRAMES
    max_tail: int = _TAIL_FRAMES


_USUAL_QUIET = Quiet()


@dataclass(frozen=True, slots=True, kw_only=True)
class EarTrainConfig:
    """Everything that decides what the trained ear is."""

    preset: str = "nano"
    """nano, small or tiny"""
    start_from: str = ""
    """digest of the trunk whose stem starts it; empty: none"""
    data: str = ""
    """digest of the rendered data"""
    loop: LoopConfig = field(default_factory=lambda: LoopConfig(steps=1500, warmup_steps=50, decay_share=0.4))
    utterances: int = 64
    """utterances of one optimiser step, over all processes"""
    rate: float = 2e-3
    """peak learning rate"""
    is_stem_held: bool = False
    """only the scribe learns: a trunk has been trained with this stem"""
    spelling_weight: float = 0.5
    """of the letters half way up, which teach the fine frames directly (hierarchical CTC, arXiv 1807.07104)"""
    is_spelling_apart: bool = False
    """the spelling layer is new and the stem is not: its first lessons would undo what the stem knows, so it learns alone"""
    is_bf16: bool = True
    """matrix products in bfloat16"""

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"preset is {self.preset!r}; there are {', '.join(PRESETS)}")
        if self.utterances < 1:
            raise ConfigError(f"utterances is {self.utterances}; need at least 1")


class Ear(nn.Module):
    """The trunk's stem and scribe, and one linear layer to letters half way up."""

    def __init__(self, config: OmniConfig) -> None:
        super().__init__()
        self.stem = Stem(config.stem_widths, config.stem_blocks)
        self.scribe = Scribe(config.num_text_ids, config.stem_widths[-1], config.scribe_width)
        self.spelling = nn.Linear(config.stem_widths[SPELLING_STAGE], len(LETTERS) + 1)

    def forward(self, mel: Tensor) -> Tensor:
        """Log-probabilities of text rows, blank included: mel [B, 8 T, 80] to [B, T, rows] float32."""
        return self.scribe(self.stem(mel))

    def spell(self, mel: Tensor, *, is_apart: bool = False) -> tuple[Tensor, Tensor]:
        """As `forward`, and log-probabilities of letters at 25 Hz, blank first, [B, 2 T, letters + 1] float32. is_apart: the letters
        teach the stem nothing."""
        heard, fine = self.stem.hear_finely(mel)
        fine = fine.detach() if is_apart else fine
        return self.scribe(heard), self.spelling(fine).float().log_softmax(-1)


class EarBatch(NamedTuple):
    """mel [B, 8 T, 80]; lengths [B] in clock steps; ids of all transcripts one after another; id_lengths [B]; the same
    for letters."""

    mel: Tensor
    lengths: Tensor
    ids: Tensor
    id_lengths: Tensor
    letters: Tensor
    letter_lengths: Tensor

    def to(self, device: torch.device) -> EarBatch:
        """What is computed with on `device`; lengths stay, since the loss reads them on the CPU."""
        mel, ids, letters = (tensor.to(device, non_blocking=True) for tensor in (self.mel, self.ids, self.letters))
        return self._replace(mel=mel, ids=ids, letters=letters)


class Utterances(Dataset[EarBatch]):
    """`self[step]` is this process's share of that step's batch: every recording once an epoch, in an order by seed, with room,
    gain, voice and the quiet around it drawn anew. With a splicer, `splice_share` of them have something as long in their place
    that nobody says.

    Raises: DataError if there are no recordings, or `size` does not divide among the processes.
    """

    def __init__(
        self,
        shards: Sequence[Shards],
        vocabulary: Vocabulary,
        size: int,
        *,
        seed: int,
        rank: int = 0,
        world: int = 1,
        quiet: Quiet = _USUAL_QUIET,
        splicer: Splicer | None = None,
        splice_share: float = 0.0,
    ) -> None:
        self.shards, self.vocabulary, self.size, self.seed = list(shards), vocabulary, size, seed
        self.rank, self.world, self.quiet = rank, world, quiet
        self.splicer, self.splice_share = splicer, splice_share
        if size % world:
            raise DataError(f"utterances is {size} for {world} processes; need as many each")
        self.places = [(idx, number) for idx, one in enumerate(self.shards) for number in range(len(one))]
        if not self.places:
            raise DataError("no recordings to learn to hear from; render some: viva data render runs/data/user")
        self._epoch, self._order = -1, np.empty(0, int)

    def __getitem__(self, step: int) -> EarBatch:
        """The batch of one step."""
        seed = step_generator(self.seed, step, "ear").initial_seed()
        # a place of its own in the stream for each process: what one draws is no other's
        generator = np.random.default_rng(seed if self.world == 1 else (seed, self.rank))
        return self._collate(self._choose(step)[self.rank :: self.world], generator)

    def take_clean(self, size: int) -> Iterator[EarBatch]:
        """All recordings as they are, in batches."""
        for start in range(0, len(self.places), size):
            yield self._collate(self.places[start : start + size], None)

    def _choose(self, step: int) -> list[tuple[int, int]]:
        """Recordings of about one length, so that little of a batch is padding: those of `_POOLED_STEPS` steps are sorted
        and dealt out, in an order by seed."""
        pool, number = divmod(step, _POOLED_STEPS)
        first, count = pool * _POOLED_STEPS * self.size, _POOLED_STEPS * self.size
        places = [self.places[self._shuffled(first + idx)] for idx in range(count)]
        places.sort(key=lambda place: self.shards[place[0]].about(place[1])["length"])
        batch = int(np.random.default_rng((self.seed, pool, 82)).permutation(_POOLED_STEPS)[number])
        return places[batch * self.size : (batch + 1) * self.size]

    def _shuffled(self, position: int) -> int:
        epoch, place = divmod(position, len(self.places))
        if epoch != self._epoch:
            self._epoch = epoch
            self._order = np.random.default_rng((self.seed, epoch, 81)).permutation(len(self.places))
        return int(self._order[place])

    def _collate(self, chosen: Sequence[tuple[int, int]], generator: np.random.Generator | None) -> EarBatch:
        taken = [self._take(self.shards[shard][number], generator) for shard, number in chosen]
        tracks = [place_on_clock(mel, generator, self.quiet) for mel, _ in taken]
        return collate_utterances(tracks, [text for _, text in taken], self.vocabulary)

    def _take(self, item: Item, generator: np.random.Generator | None) -> tuple[np.ndarray, str]:
        if self.splicer is not None and generator is not None and generator.random() < self.splice_share:
            return self.splicer.splice(len(item.array), generator)
        return item.array.astype(np.float32), item.about["text"]


def place_on_clock(
    mel: np.ndarray, generator: np.random.Generator | None = None, quiet: Quiet = _USUAL_QUIET
) -> np.ndarray:
    """A recording [F, 80] in a room, whole clock steps long; without a generator, at once and in silence."""
    lead, tail = 0, _TAIL_FRAMES
    if generator is not None:
        lead = int(generator.integers(quiet.max_lead))
        tail = int(generator.integers(_TAIL_FRAMES, quiet.max_tail + 1))
        mel = change_voice(mel, draw_voice_change(generator)) + draw_gain(generator)
        mel = lose_moments(mel, generator)
    num_frames = -(-(lead + len(mel) + tail) // MEL_FRAMES_PER_STEP) * MEL_FRAMES_PER_STEP
    track = np.full((num_frames, MEL_BINS), MEL_FLOOR, np.float32)
    track[lead : lead + len(mel)] = np.maximum(mel, MEL_FLOOR)
    return track if generator is None else put_in_room(track, draw_room(generator), generator)


def collate_utterances(tracks: Sequence[np.ndarray], texts: Sequence[str], vocabulary: Vocabulary) -> EarBatch:
    """Mels [8 T, 80] on the clock, and what is said in each, as one batch."""
    ids, letters = [vocabulary.encode(text) for text in texts], [spell_out(text) for text in texts]
    return EarBatch(
        stack_mels(tracks),
        torch.tensor([len(track) // MEL_FRAMES_PER_STEP for track in tracks]),
        torch.tensor(list(itertools.chain.from_iterable(ids))),
        torch.tensor([len(one) for one in ids]),
        torch.tensor(list(itertools.chain.from_iterable(letters))),
        torch.tensor([len(one) for one in letters]),
    )


def stack_mels(mels: Sequence[np.ndarray]) -> Tensor:
    """Mels [F, 80] of differing length as one tensor [B, longest F, 80], silent at the end."""
    out = np.full((len(mels), max(map(len, mels)), MEL_BINS), MEL_FLOOR, np.float32)
    for row, mel in zip(out, mels):
        row[: len(mel)] = mel
    return torch.from_numpy(out)


def spell_out(text: str) -> list[int]:
    """Letters of a text as rows of the spelling layer, from 1; marks are left out."""
    return [found + 1 for letter in text.lower() if (found := LETTERS.find(letter)) >= 0]


def ear_loss(log_probs: Tensor, batch: EarBatch) -> Tensor:
    """Mean over all tokens of -log p(transcript), nats. A transcript with more tokens than steps has no path: 0."""
    return ctc_loss(log_probs, batch.lengths, batch.ids, batch.id_lengths)


def spelling_loss(log_probs: Tensor, batch: EarBatch) -> Tensor:
    """The same of letters, at two frames a clock step."""
    return ctc_loss(log_probs, batch.lengths * 2, batch.letters, batch.letter_lengths)


def ctc_loss(log_probs: Tensor, lengths: Tensor, ids: Tensor, id_lengths: Tensor) -> Tensor:
    """Mean over all of `ids` of -log p, nats: log_probs [B, T, rows], of which the first `lengths` [B] count."""
    losses = F.ctc_loss(
        log_probs.transpose(0, 1), ids, lengths, id_lengths, blank=BLANK, reduction="sum", zero_infinity=True
    )
    return losses / id_lengths.sum()


def train_ear(
    ear: Ear,
    run: Run,
    config: EarTrainConfig,
    batches: Utterances,
    *,
    num_workers: int = 1,
    write_sample: WriteSample | None = None,
) -> None:
    """Train `ear` in place until `config.loop.steps`; resumes from the run's newest state."""
    ear.stem.requires_grad_(not config.is_stem_held)
    ear.spelling.requires_grad_(not config.is_stem_held)
    named = [(name, tensor) for name, tensor in ear.named_parameters() if tensor.requires_grad]
    optimizers = make_optimizers(named, config.rate, matrices_in="stem.")
    loop = Loop(run, config.loop, {"ear": ear}, optimizers, is_main=batches.rank == 0)
    device = next(ear.parameters()).device
    stream = load_batches(batches, range(loop.step, config.loop.steps), num_workers=num_workers, device=device)
    ear.train()

    def take_step(step: int) -> Mapping[str, float | Tensor]:
        batch = next(stream).to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=config.is_bf16):
            log_probs, spelled = ear.spell(batch.mel, is_apart=config.is_spelling_apart)
        loss, spelling = ear_loss(log_probs, batch), spelling_loss(spelled, batch)
        expected = expectation_loss(ear.scribe, [ids.tolist() for ids in batch.ids.split(batch.id_lengths.tolist())])
        total = loss + expected + (0.0 if config.is_stem_held else config.spelling_weight * spelling)
        norm = update_all(optimizers, total, [tensor for _, tensor in named], batches.world)
        return {
            "loss/ctc_nats": loss.detach(),
            "loss/spelling_nats": spelling.detach(),
            "loss/expected_nats": expected.detach(),
            "train/gradient_norm": norm,
        }

    loop.train(take_step, write_sample)


def make_optimizers(
    named: Sequence[tuple[str, nn.Parameter]], rate: float, *, matrices_in: str
) -> dict[str, Optimizer]:
    """Muon for the matrices whose names hold `matrices_in`, AdamW for all else."""
    matrices = [tensor for name, tensor in named if tensor.ndim == 2 and matrices_in in name]
    muons = {id(tensor) for tensor in matrices}
    others = [tensor for _, tensor in named if id(tensor) not in muons]
    optimizers: dict[str, Optimizer] = {"adamw": AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.02)}
    if matrices:
        optimizers["muon"] = Muon(matrices, lr=rate, weight_decay=0.02, adjust_lr_fn="match_rms_adamw")
    return optimizers


def update_all(
    optimizers: Mapping[str, Optimizer], loss: Tensor, learned: Sequence[nn.Parameter], world: int
) -> Tensor:
    """Backward and one step of all optimisers, gradients being the mean over `world` processes; returns their norm before clipping
    to 1."""
    for optimizer in optimizers.values():
        optimizer.zero_grad(set_to_none=True)
    loss.backward()
    if world > 1:
        average_gradients(learned)
    norm = nn.utils.clip_grad_norm_(learned, 1.0)
    for optimizer in optimizers.values():
        optimizer.step()
    return norm


@torch.no_grad()
def measure_ear(ear: Ear, batches: Iterator[EarBatch]) -> float:
    """Token error rate of the greedy path: edits over reference tokens, all utterances together."""
    was_training, device = ear.training, next(ear.parameters()).device
    ear.eval()
    errors = tokens = 0
    for batch in batches:
        found = count_token_edits(ear(batch.mel.to(device)), batch.lengths, batch)
        errors, tokens = errors + found[0], tokens + found[1]
    ear.train(was_training)
    return errors / max(1, tokens)


def count_token_edits(log_probs: Tensor, lengths: Tensor, batch: EarBatch) -> tuple[int, int]:
    """Edits of the greedy paths of log_probs [B, T, rows], the first `lengths` [B] of each, and how many tokens were said."""
    errors = tokens = 0
    transcripts = batch.ids.cpu().split(batch.id_lengths.tolist())
    for path, length, ids in zip(log_probs.argmax(-1).cpu(), lengths, transcripts):
        heard = [int(idx) for idx in torch.unique_consecutive(path[:length]) if idx != BLANK]
        errors += _count_edits(ids.tolist(), heard)
        tokens += len(ids)
    return errors, tokens


def _count_edits(true: Sequence[int], heard: Sequence[int]) -> int:
    costs = list(range(len(heard) + 1))
    for row, wanted in enumerate(true, 1):
        before, costs[0] = costs[0], row
        for column, got in enumerate(heard, 1):
            before, costs[column] = (
                costs[column],
                min(costs[column] + 1, costs[column - 1] + 1, before + (wanted != got)),
            )
    return costs[-1]


def align(
    log_probs: np.ndarray, lengths: Sequence[int], transcripts: Sequence[Sequence[int]]
) -> list[np.ndarray | None]:
    """Step at which the best path says each token for the last time, rising; None where no path is that short.

    Shapes: log_probs [B, T, rows], of which the first `lengths` [B] steps count; one array [tokens] a transcript.
    """
    counts = np.array([len(ids) for ids in transcripts])
    states = np.full((len(counts), 2 * counts.max(initial=0) + 1), BLANK)
    for row, ids in zip(states, transcripts):
        row[1 : 2 * len(ids) : 2] = ids
    can_skip = np.zeros(states.shape, bool)
    can_skip[:, 2:] = (states[:, 2:] != BLANK) & (states[:, 2:] != states[:, :-2])
    said = np.take_along_axis(log_probs, states[:, None], axis=2)
    said[np.broadcast_to((np.arange(states.shape[1]) > 2 * counts[:, None])[:, None], said.shape)] = -np.inf
    score = np.full(states.shape, -np.inf)
    score[:, :2] = said[:, 0, :2]
    came = np.zeros(said.shape, np.int8)
    is_past = np.arange(log_probs.shape[1])[:, None] >= np.asarray(lengths)
    for step in range(1, log_probs.shape[1]):
        ways = np.full((3, *states.shape), -np.inf)
        ways[0] = score
        ways[1, :, 1:] = score[:, :-1]
        ways[2, :, 2:] = np.where(can_skip[:, 2:], score[:, :-2], -np.inf)
        is_over = is_past[step][:, None]
        came[:, step] = np.where(is_over, 0, ways.argmax(0))
        score = np.where(is_over, score, ways.max(0) + said[:, step])
    rows = np.arange(len(counts))
    end = 2 * counts
    end = np.where(score[rows, end] >= score[rows, np.maximum(end - 1, 0)], end, end - 1)
    is_found = score[rows, end] > -np.inf
    last = np.full(states.shape, -1)
    for step in range(log_probs.shape[1] - 1, -1, -1):
        is_new = (last[rows, end] < 0) & ~is_past[step]
        last[rows[is_new], end[is_new]] = step
        end = end - came[rows, step, end]
    return [row[1 : 2 * count : 2] if found else None for row, count, found in zip(last, counts, is_found)]
