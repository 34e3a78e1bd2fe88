"""The scribe: what the ear hears, in words, and how likely words are to follow one another.

Connectionist temporal classification (Graves et al. 2006) over the ear's features says what sounds like what; a small
recurrent language model says what people say. A search over both (`engine.transcriber`) writes the transcript that the trunk
reads: shallow fusion (arXiv 1503.03535).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vivavoce.omni.vocabulary import BLANK, START_ROW


class Scribe(nn.Module):
    """Two ways to words [V]: a layer from the ear's features [C], and a recurrent one (GRU) of width W from the words before.

    Row 0 is blank; row `START_ROW` stands before the first word of whatever somebody says.
    """

    def __init__(self, num_text_ids: int, num_features: int, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(num_features)
        self.hear = nn.Linear(num_features, num_text_ids)
        self.rows = nn.Embedding(num_text_ids, width)
        self.memory = nn.GRU(width, width, batch_first=True)
        self.bias = nn.Parameter(torch.zeros(num_text_ids))
        nn.init.normal_(self.rows.weight, std=width**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """Log-probabilities of rows at each clock step, blank included: features [..., C] to [..., V] float32."""
        return self.hear(self.norm(features)).float().log_softmax(-1)

    def expect(self, ids: Tensor) -> Tensor:
        """Log-probabilities of the next row after each of `ids` [B, N], the first of which is `START_ROW`: [B, N, V] float32."""
        states, _ = self.memory(self.rows(ids))
        return F.linear(states, self.rows.weight, self.bias).float().log_softmax(-1)


def expectation_loss(scribe: Scribe, transcripts: list[list[int]]) -> Tensor:
    """Mean of -log p over all words of all transcripts, each given those before it, nats."""
    longest = max(map(len, transcripts), default=0)
    if not longest:
        return scribe.bias.sum() * 0
    ids = torch.zeros(len(transcripts), longest + 1, dtype=torch.long)
    for row, transcript in zip(ids, transcripts):
        row[0] = START_ROW
        row[1 : len(transcript) + 1] = torch.tensor(transcript)
    ids = ids.to(scribe.rows.weight.device)
    said = scribe.expect(ids[:, :-1]).flatten(0, 1)
    return F.nll_loss(said, ids[:, 1:].flatten(), ignore_index=BLANK)
