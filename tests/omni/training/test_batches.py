"""What can't be laid out is passed over, and counted by task."""

import numpy as np
import pytest

from vivavoce.content import Conversation, assistant, user
from vivavoce.data.answers import Answer
from vivavoce.data.curriculum import iterate_examples
from vivavoce.data.example import Example, Speech, unrendered
from vivavoce.errors import DataError
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.layout import RowWriter
from vivavoce.omni.training.batches import BatchConfig, StepBatches
from vivavoce.omni.training.features import PreparedSounds
from vivavoce.omni.training.pictures import PictureCodes
from vivavoce.omni.training.rows import RowMaker
from vivavoce.omni.vocabulary import train_vocabulary


@pytest.fixture(scope="module")
def rows() -> RowMaker:
    words = train_vocabulary(["the red ball is on the left."] * 30, num_text_ids=320, num_image_codes=20)
    return RowMaker(RowWriter(words, make_tiny()), PreparedSounds(), PictureCodes(None))


def draw_half_spoken(seed: int):
    """Typed and spoken questions in turn; nothing is rendered."""
    for idx, example in enumerate(iterate_examples("train", seed, {"text -> text": 1.0})):
        if idx % 2:
            said = Speech("never rendered", "any-train-0")
            messages = Conversation((user(unrendered(said)), assistant("yes")))
            spoken = frozenset({"audio"}), frozenset({"text"})
            yield Example(f"s{idx}", "spoken", "train", *spoken, messages, Answer("words", "yes"), (said,))
        else:
            yield example


def test_batches_hold_what_can_be_laid_out_and_the_rest_is_counted(rows: RowMaker) -> None:
    batches = StepBatches(draw_half_spoken, rows, BatchConfig(rows=6), seed=0)
    assert sum(int((batch.rows.position_ids == 0).sum()) for batch in batches[0]) == 6
    assert dict(batches.count_left_out(40)) == {"spoken": 20}
    first, again = batches[3], batches[3]
    assert all(np.array_equal(a.ids, b.ids) for a, b in zip(first, again, strict=True))


def test_nothing_to_learn_from_is_an_error(rows: RowMaker) -> None:
    def draw_spoken(seed: int):
        return (example for example in draw_half_spoken(seed) if example.task == "spoken")

    with pytest.raises(DataError, match="could not be laid out"):
        StepBatches(draw_spoken, rows, BatchConfig(rows=2), seed=0)[0]


def test_rows_that_do_not_divide_by_the_processes_are_refused(rows: RowMaker) -> None:
    with pytest.raises(DataError, match="rows is 5 for 2 processes"):
        StepBatches(draw_half_spoken, rows, BatchConfig(rows=5), seed=0, world=2)
