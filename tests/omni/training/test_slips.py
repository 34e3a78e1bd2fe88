"""Slips change what is read back, at the stated rate, and nothing that is to be predicted."""

from dataclasses import fields

import numpy as np
import pytest

from tests.omni.rows import make_row
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.engine.rules import PAD
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.step_batch import collate
from vivavoce.omni.steps import Steps
from vivavoce.omni.training.slips import MAX_RATE, SLIPPING_SHARE, add_slips, come_late
from vivavoce.omni.vocabulary import NUM_CONTROL_ROWS

CONFIG = make_tiny()
SILENT = CONFIG.num_codes_per_book


@pytest.fixture(scope="module")
def row() -> Steps:
    return make_row(CONFIG, 2, num_clock=200)


def slip(row: Steps, seed: int) -> Steps:
    return add_slips(row, np.random.default_rng(seed), num_text_ids=CONFIG.num_text_ids, silent_code=SILENT)


def test_only_what_is_read_back_changes(row: Steps) -> None:
    for seed in range(20):
        slipped = slip(row, seed)
        for item in fields(Steps):
            if item.name not in ("ids", "heard", "codes_read"):
                assert getattr(slipped, item.name) is getattr(row, item.name)


def test_slips_come_at_their_rate_and_never_in_silence(row: Steps) -> None:
    num_words, voiced = (row.heard != PAD).sum(), row.codes != SILENT
    words = row.noted[row.ids[row.noted] >= NUM_CONTROL_ROWS]
    assert len(words) == 4
    lost, wrong_codes, wrong_cells, misread = [], [], [], []
    for seed in range(400):
        slipped = slip(row, seed)
        assert (np.isin(slipped.heard, row.heard) | (slipped.heard == PAD) | (slipped.heard >= NUM_CONTROL_ROWS)).all()
        assert (slipped.codes_read[~voiced] == SILENT).all()
        others = np.setdiff1d(np.flatnonzero(row.ids < CONFIG.num_text_ids), words)
        assert (slipped.ids[others] == row.ids[others]).all()
        assert (slipped.ids[words] >= NUM_CONTROL_ROWS).all()
        misread.append(np.mean(slipped.ids[words] != row.ids[words]))
        wrong_cells.append(np.mean((slipped.ids != row.ids)[row.ids >= CONFIG.num_text_ids]))
        for book in range(row.codes.shape[1]):
            assert np.isin(slipped.codes_read[:, book], row.codes[:, book]).all()
        lost.append(1 - (slipped.heard != PAD).sum() / num_words)
        wrong_codes.append(np.mean(slipped.codes_read[voiced] != row.codes[voiced]))
    # of words that slip, half are lost
    assert np.mean(lost) == pytest.approx(SLIPPING_SHARE * MAX_RATE / 4, abs=0.01)
    # a note slips half as often
    assert np.mean(misread) == pytest.approx(SLIPPING_SHARE * MAX_RATE / 4, abs=0.02)
    assert 0 < np.mean(wrong_codes) < SLIPPING_SHARE * MAX_RATE / 2 + 0.02
    assert 0 < np.mean(wrong_cells) < SLIPPING_SHARE * MAX_RATE / 2 + 0.02
    assert np.mean(np.array(lost) == 0) == pytest.approx(1 - SLIPPING_SHARE, abs=0.08)


def test_a_transcript_comes_late_whole_and_in_order() -> None:
    heard = np.zeros(60, np.int64)
    heard[[4, 5, 9, 20, 21, 22, 40, 58]] = np.arange(40, 48)
    due, lateness = np.flatnonzero(heard), []
    for seed in range(300):
        late = come_late(heard, np.random.default_rng(seed))
        written = np.flatnonzero(late)
        np.testing.assert_array_equal(late[written], np.arange(40, 48))
        assert len(late) == 60
        lateness.append(written[:-1] - due[:-1])
    assert np.min(lateness) == 0
    assert np.max(lateness) <= 6 + 2
    # 1.25 steps for all, a seventh of two more for each, and what waits for those
    assert 1.4 < np.mean(lateness) < 2.1
    assert not come_late(np.zeros(5, np.int64), np.random.default_rng(0)).any()


def test_the_network_reads_the_slips_and_predicts_the_truth(row: Steps) -> None:
    model = OmniForConversation(CONFIG).eval()
    slipped = next(one for seed in range(20) if ((one := slip(row, seed)).heard != row.heard).any())
    before, after = (model.embed(collate([one])) for one in (row, slipped))
    said = np.flatnonzero((slipped.codes_read != row.codes).any(axis=1))
    clock = np.flatnonzero(row.kinds == 3)
    wanted = np.zeros(len(row), bool)
    wanted[slipped.ids != row.ids] = True
    # a word is read on the step that gives it out, what it said itself on the next
    wanted[clock[slipped.heard != row.heard]] = True
    wanted[clock[said[said + 1 < len(clock)] + 1]] = True
    np.testing.assert_array_equal(((before - after).abs().amax(-1) > 0).numpy(), wanted)
