"""One drawing: 64 codes, a look at what they show and, if that is not what was said of it, another try.

What goes before a drawing says what it will be: words said aloud, or a caption that only the model sees. Once it is drawn, the
model is shown it apart from the conversation, as a picture of somebody else's would be, and asked what it drew. If those words
are likelier than not as the answer the drawing stays; else it draws again, and keeps the try for which they are likeliest. Choosing
among drawings by how well they fit the words is DALL-E's (Ramesh et al. 2021, section 2.6); here the judge is the network itself.
"""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from vivavoce.content import Message, Text
from vivavoce.omni.engine.rules import CLOSE_IMGOUT, MessageRules, MessageState
from vivavoce.omni.engine.sampling import Sampling
from vivavoce.omni.engine.voice import Painter
from vivavoce.omni.engine.work import Feed, Look, Mark, Outcome, Return, Token, Work
from vivavoce.omni.layout import RowWriter

QUESTION = "what did you draw?"
"""As rounds about pictures ask it in training (`data/phrasings.yaml`, `drawn`)."""
ACCEPTED_LOG_PROB = math.log(0.5)


@dataclass(frozen=True, slots=True)
class Drawer:
    """See the module docstring. painter None: nothing can be looked at, so the first try stays."""

    writer: RowWriter
    painter: Painter | None
    sampling: Sampling

    def draw(self, words: str) -> Generator[Work, Outcome | None, np.ndarray]:
        """What follows `<imgout>`, up to `</imgout>`: yields its work, returns its codes [64]. words: what it should show."""
        words = words.strip()
        num_tries = self.sampling.max_tries if words and self.painter is not None else 1
        marked = yield Mark()
        assert marked is not None
        assert marked.state is not None
        tries: list[tuple[float, np.ndarray]] = []
        for idx in range(num_tries):
            if idx:
                yield Return(marked.state)
            codes = yield from self._try(self.sampling.redraw_temperature if idx else self.sampling.image_temperature)
            if num_tries == 1:
                return codes
            seen = yield self._look(codes, words)
            assert seen is not None
            if seen.log_prob >= ACCEPTED_LOG_PROB:
                return codes
            tries.append((seen.log_prob, codes))
        best = max(range(len(tries)), key=lambda idx: tries[idx][0])
        if best < len(tries) - 1:
            yield Return(marked.state)
            row = self.writer.empty()
            self.writer.write_drawing(row, tries[best][1])
            yield Feed(row, is_own=True)
        return tries[best][1]

    def _try(self, temperature: float) -> Generator[Work, Outcome | None, np.ndarray]:
        config = self.writer.config
        rules = MessageRules(num_text_ids=config.num_text_ids, num_image_codes=config.num_image_codes, may_draw=True)
        state, codes = MessageState(place="drawing"), []
        while state.place == "drawing":
            outcome = yield Token(state.allowed(rules), temperature)
            assert outcome is not None
            assert outcome.token is not None
            if outcome.token != CLOSE_IMGOUT:
                codes.append(outcome.token - config.num_text_ids)
            state = state.advance(outcome.token)
        return np.array(codes)

    def _look(self, codes: np.ndarray, words: str) -> Look:
        assert self.painter is not None
        row = self.writer.begin(outputs=frozenset({"text"}))
        self.writer.write_message(row, Message("user", (self.painter.paint(codes), Text(QUESTION))))
        vocabulary = self.writer.vocabulary
        row.token(vocabulary.id_of("<assistant>"))
        return Look(row, (*vocabulary.encode(words), vocabulary.id_of("<end>")))
