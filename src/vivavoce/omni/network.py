"""The network: a stock Llama, and beside it the ear, the eyes and the streams of a clock step.

With `input_ids` alone it is an ordinary causal language model (`LlamaForCausalLM` unchanged), which is what TRL, PEFT and
`generate` see. With steps (`embed`, then `hear_trunk`, then the heads) it listens, speaks, sees and draws. Training and
both engines go through the same functions.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModelForCausalLM, LlamaForCausalLM

from vivavoce.omni.configuration import (
    FRAME_PATCH_PIXELS,
    IMAGE_PIXELS,
    NUM_FRAME_PATCHES,
    NUM_PATCHES,
    PATCH_PIXELS,
    OmniConfig,
)
from vivavoce.omni.eye import Eye, join_patches, pool_cells
from vivavoce.omni.packing import PackedRows, packed_attention
from vivavoce.omni.scribe import Scribe
from vivavoce.omni.second_pass import SecondPass
from vivavoce.omni.stem import SPELLING_STAGE, Stem
from vivavoce.omni.step_batch import StepBatch

_MARK_CLOCK, _MARK_MUTED, _MARK_SPEAKING, _MARK_SILENT = range(4)


class ClockInputs(NamedTuple):
    """What a clock step reads beside the mel. All [...]: heard is the transcript's word of this step, text and codes [..., K] are
    outputs of the clock step before."""

    text: Tensor
    heard: Tensor
    codes: Tensor
    is_speaking: Tensor
    is_muted: Tensor


class ClockLogits(NamedTuple):
    """turn [..., 3], text [..., text rows]."""

    turn: Tensor
    text: Tensor


class CodeHead(nn.Module):
    """Codes of one frame, book after book: each sees the hidden state, the word just chosen and the books before.

    We differ from heads in parallel: four books of one frame are not independent, and drawing them apart makes sounds
    that none of them meant. The chain is one small residual block applied K times.
    """

    def __init__(self, config: OmniConfig) -> None:
        super().__init__()
        width = config.hidden_size
        self.word = nn.Linear(width, width, bias=False)
        self.before = nn.Linear(width, width, bias=False)
        self.book = nn.Embedding(config.num_books, width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, 2 * width)
        self.narrow = nn.Linear(2 * width, width)
        self.out_norm = nn.LayerNorm(width)

    def start(self, hidden: Tensor, word: Tensor) -> Tensor:
        """hidden [..., D], word [..., D]: embedding of the text token of this very step."""
        return hidden + self.word(word)

    def read(self, z: Tensor, book: int) -> Tensor:
        """What book `book` is predicted from, given all before it: [..., D]."""
        x = z + self.book.weight[book]
        return self.out_norm(x + self.narrow(F.gelu(self.widen(self.norm(x)))))

    def advance(self, z: Tensor, chosen: Tensor) -> Tensor:
        """Add what the last book turned out to be; chosen [..., D] is its embedding."""
        return z + self.before(chosen)


class OmniForConversation(LlamaForCausalLM):
    """The omni model. See the module docstring and `docs/omni.md`."""

    config_class = OmniConfig
    config: OmniConfig

    def __init__(self, config: OmniConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.stem = Stem(config.stem_widths, config.stem_blocks)
        self.sound_in = nn.Linear(config.stem_widths[-1], width)
        self.sound_norm = nn.LayerNorm(width)
        self.scribe = Scribe(config.num_text_ids, config.stem_widths[-1], config.scribe_width)
        self.second_pass = make_second_pass(config)
        self.eye = Eye(config.eye_width, width)
        self.patch_position = nn.Embedding(NUM_PATCHES, width)
        self.frame_position = nn.Embedding(NUM_FRAME_PATCHES, width)
        self.heard_table = nn.Embedding(config.num_text_ids, width)
        # each book has one more row: silent
        self.code_table = nn.Embedding(config.num_books * (config.num_codes_per_book + 1), width)
        self.code_head = CodeHead(config)
        self.turn_out = nn.Linear(width, 3)
        self.marks = nn.Embedding(4, width)
        self.post_init()

    @property
    def silent_code(self) -> int:
        """The code of every book while the model says nothing."""
        return self.config.num_codes_per_book

    def embed(self, batch: StepBatch) -> Tensor:
        """What the trunk reads: vectors of all positions [S, D]."""
        embeds = self.model.embed_tokens(batch.ids)
        dtype = embeds.dtype
        sound = self.hear(batch.mel.to(dtype), batch.clocks)
        embeds[batch.clock_places] = self.embed_clock(sound, shift_clock(batch, self.silent_code)).to(dtype)
        if len(batch.patches):
            embeds[batch.patch_places] = self.embed_patches(batch.patches.to(dtype)).flatten(0, 1).to(dtype)
        if len(batch.frame_patches):
            embeds[batch.frame_places] = self.embed_frame(batch.frame_patches.to(dtype)).flatten(0, 1).to(dtype)
        return embeds

    def hear(self, mel: Tensor, clocks: PackedRows) -> Tensor:
        """The sound of the clock steps of whole rows, mel [C, 8, 80] to [C, D]; no row hears another."""
        if not len(mel):
            return mel.new_zeros(0, self.config.hidden_size)
        # past a row's end stands something of its own, which no step before it hears
        heard = [self.read_features(self.stem(mel[places].flatten(1, 2))).flatten(0, 1) for places in clocks.groups]
        return torch.cat(heard).index_select(0, clocks.back)

    def read_features(self, features: Tensor) -> Tensor:
        """The ear's features [..., C] as the trunk reads them, [..., D]."""
        return self.sound_norm(self.sound_in(features))

    def hear_again(self, mel: Tensor) -> tuple[Tensor, Tensor]:
        """Whole utterances, mel [B, 8 T, 80]: log-probabilities of words of the scribe [B, T, text rows] and of the second pass
        [B, 2 T, text rows]."""
        coarse, fine = self.stem.hear_finely(mel)
        return self.scribe(coarse), self.second_pass(mel, fine, coarse).said

    def embed_patches(self, patches: Tensor) -> Tensor:
        """Pictures [P, 64, 192] to vectors [P, 64, D]."""
        return self.eye(join_patches(patches, PATCH_PIXELS)).flatten(1, 2) + self.patch_position.weight

    def embed_frame(self, patches: Tensor) -> Tensor:
        """Film frames [F, 16, 768] to vectors [F, 16, D]."""
        cells = self.eye(join_patches(patches, FRAME_PATCH_PIXELS))
        return pool_cells(cells, IMAGE_PIXELS // FRAME_PATCH_PIXELS) + self.frame_position.weight

    def embed_clock(self, sound: Tensor, inputs: ClockInputs) -> Tensor:
        """Sum of a clock step's streams. sound [..., D]: see `read_features`."""
        marks = self.marks.weight
        heard_sound = torch.where(inputs.is_muted[..., None], marks[_MARK_MUTED], sound)
        state = torch.where(inputs.is_speaking[..., None], marks[_MARK_SPEAKING], marks[_MARK_SILENT])
        offsets = torch.arange(self.config.num_books, device=inputs.codes.device) * (self.config.num_codes_per_book + 1)
        codes = self.code_table(inputs.codes + offsets).sum(dim=-2)
        words = self.model.embed_tokens(inputs.text) + self.heard_table(inputs.heard)
        return heard_sound + state + codes + words + marks[_MARK_CLOCK]

    def hear_trunk(self, embeds: Tensor, rows: PackedRows) -> Tensor:
        """The trunk over whole rows laid end to end, [S, D] to [S, D]; no row sees another."""
        with packed_attention(self.config):
            out = self.model(
                inputs_embeds=embeds[None], position_ids=rows.position_ids, use_cache=False, packed_rows=rows
            )
        return out.last_hidden_state[0]

    def clock_logits(self, hidden: Tensor) -> ClockLogits:
        """The two decisions of clock steps from hidden [..., D]; the third, the transcript, is the scribe's."""
        return ClockLogits(self.turn_logits(hidden), self.text_logits(hidden))

    def turn_logits(self, hidden: Tensor) -> Tensor:
        """Who speaks, [..., 3], from the hidden state of clock steps [..., D]."""
        return self.turn_out(hidden)

    def text_logits(self, hidden: Tensor) -> Tensor:
        """The own word [..., text rows] from hidden [..., D], of a clock step or of the note that follows it."""
        return F.linear(hidden, self.lm_head.weight[: self.config.num_text_ids])

    def code_logits(self, hidden: Tensor, text: Tensor, codes: Tensor) -> Tensor:
        """Logits of all books, each given the true ones before it.

        Shapes: hidden [M, D]; text [M], the own text token of the same step; codes [M, K]; result [M, K, codes].
        """
        z = self.code_head.start(hidden, self.model.embed_tokens(text))
        books = []
        for book in range(self.config.num_books):
            books.append(F.linear(self.code_head.read(z, book), self.code_rows(book)))
            if book + 1 < self.config.num_books:
                z = self.code_head.advance(z, F.embedding(codes[:, book], self.code_rows(book)))
        return torch.stack(books, dim=1)

    def code_rows(self, book: int) -> Tensor:
        """Output rows of one book, tied to its input table, without the silent row."""
        first = book * (self.config.num_codes_per_book + 1)
        return self.code_table.weight[first : first + self.config.num_codes_per_book]


def make_second_pass(config: OmniConfig) -> SecondPass:
    """The second pass of a network of this shape, new."""
    fine, coarse = config.stem_widths[SPELLING_STAGE], config.stem_widths[-1]
    return SecondPass(config.num_text_ids, fine, coarse, config.second_pass_width, config.second_pass_blocks)


def shift_clock(batch: StepBatch, silent_code: int) -> ClockInputs:
    """What each clock step reads: the transcript's word, which is there before the trunk runs, and the outputs of the clock step
    before it; nothing before a row's first."""

    def shift(values: Tensor, fill: int) -> Tensor:
        first = batch.is_first.view(-1, *[1] * (values.ndim - 1))
        return values.roll(1, 0).masked_fill(first, fill)

    return ClockInputs(
        shift(batch.text, 0),
        batch.heard,
        shift(batch.codes_read, silent_code),
        batch.is_speaking,
        batch.is_muted,
    )


AutoConfig.register("vivavoce_omni", OmniConfig, exist_ok=True)
AutoModelForCausalLM.register(OmniConfig, OmniForConversation, exist_ok=True)
