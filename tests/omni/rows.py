"""Random rows for tests of the network: every kind of step in them."""

import numpy as np

from vivavoce.omni.configuration import OmniConfig
from vivavoce.omni.steps import SPEAK, STAY, STOP, ClockStep, StepRow, Steps


def make_row(config: OmniConfig, seed: int, *, num_clock: int = 12) -> Steps:
    """Text, a picture, a film frame, live talk with one utterance of the model and the note before it, then a drawing's first codes."""
    generator = np.random.default_rng(seed)
    row = StepRow(config.num_books, config.num_codes_per_book)
    row.tokens([1, 3])
    row.tokens(generator.integers(32, config.num_text_ids, size=5).tolist(), weight=0.1)
    row.image(generator.normal(size=(64, 192)).astype(np.float32))
    row.frame(generator.normal(size=(16, 768)).astype(np.float32))
    start = num_clock // 2
    for idx in range(num_clock):
        is_speaking = start <= idx < num_clock - 2
        row.clock(
            ClockStep(
                mel=None if idx == 2 else generator.normal(size=(8, 80)).astype(np.float32),
                turn=SPEAK if idx == start else STOP if idx == num_clock - 2 else STAY,
                text=int(generator.integers(config.num_text_ids)) if is_speaking else 0,
                heard=int(generator.integers(config.num_text_ids)),
                codes=generator.integers(config.num_codes_per_book, size=config.num_books) if is_speaking else None,
            )
        )
        if idx == start:
            row.note([3, *generator.integers(32, config.num_text_ids, size=4).tolist(), 6, 11])
            row.say_from_here()
    row.tokens([16, *(generator.integers(config.num_image_codes, size=6) + config.num_text_ids).tolist()], weight=0.3)
    return row.finish()
