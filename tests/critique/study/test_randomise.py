"""Blocked randomisation: balance, blinding of the order, quotas."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.critique.study.randomise import Candidate, choose_slot, draw_in_block, draw_share, shuffle_shown

ARMS = {"none": 1, "model": 1, "human": 1, "evidence": 1}
KINDS = {"model": 1, "person": 1, "misleading": 2}


@given(seed=st.integers(0, 2**32), length=st.integers(1, 40))
@settings(max_examples=50, deadline=None)
def test_any_prefix_of_a_sequence_holds_each_arm_equally_often_up_to_one_block(seed: int, length: int) -> None:
    counts = Counter(draw_in_block(seed, "L1", "arm", "model", idx=idx, weights=ARMS) for idx in range(length))
    assert max(counts.values()) - min(counts.get(arm, 0) for arm in ARMS) <= 1


def test_a_weight_of_two_comes_twice_in_every_block() -> None:
    for block in range(10):
        drawn = Counter(draw_in_block(7, "L1", "kind", idx=4 * block + place, weights=KINDS) for place in range(4))
        assert drawn == KINDS


def test_labellers_get_different_orders_and_the_same_one_when_drawn_again() -> None:
    def draw(labeller: str) -> list[str]:
        return [draw_in_block(7, labeller, "arm", "model", idx=idx, weights=ARMS) for idx in range(24)]

    orders = {tuple(draw(f"L{number}")) for number in range(30)}
    assert len(orders) == 30
    assert draw("L3") == draw("L3")


def _run(num_labellers: int, num_items: int, quota: int, per_labeller: int) -> list[tuple[str, str, str, object]]:
    """Labellers take turns; every row is (labeller, kind, arm, item)."""
    candidates = [Candidate(f"{kind}{n}", kind, f"p{n}") for kind in KINDS for n in range(num_items)]
    given_: Counter = Counter()
    rows, drawn = [], {f"L{n}": Counter() for n in range(num_labellers)}
    for position in range(per_labeller):
        for labeller, used in drawn.items():
            mine = [row for row in rows if row[0] == labeller]
            passages = {str(row[3])[len(row[1]) :] for row in mine}
            slot = choose_slot(
                candidates, seed=1, labeller=labeller, position=position, kinds=KINDS, arms=ARMS, num_drawn=used,
                seen_items={row[3] for row in mine}, seen_passages={f"p{n}" for n in passages}, num_given=given_, quota=quota,
            )  # fmt: skip
            if slot is not None:
                given_[slot.candidate.item, slot.arm] += 1
                used[slot.candidate.kind] = slot.kind_idx + 1
                rows.append((labeller, slot.candidate.kind, slot.arm, slot.candidate.item))
    return rows


def test_every_labeller_gets_the_arms_of_every_kind_in_equal_numbers() -> None:
    rows = _run(num_labellers=6, num_items=40, quota=3, per_labeller=32)
    for labeller in {row[0] for row in rows}:
        for kind in KINDS:
            counts = Counter(row[2] for row in rows if row[:2] == (labeller, kind))
            assert max(counts.values()) - min(counts.values()) <= 1, (labeller, kind, counts)


def test_no_cell_is_filled_beyond_its_quota_and_a_full_study_ends() -> None:
    rows = _run(num_labellers=5, num_items=3, quota=1, per_labeller=20)
    cells = Counter((row[3], row[2]) for row in rows)
    assert max(cells.values()) == 1
    assert Counter(row[0] for row in rows).most_common(1)[0][1] <= 3, "three passages, each seen once"


def test_nobody_sees_two_answers_about_one_passage() -> None:
    rows = _run(num_labellers=4, num_items=10, quota=2, per_labeller=10)
    seen = Counter((row[0], str(row[3])[len(row[1]) :]) for row in rows)
    assert max(seen.values()) == 1


def test_the_order_of_suggestions_is_a_permutation_and_differs_between_labellers() -> None:
    orders = {tuple(shuffle_shown(range(8), seed=1, assignment=f"L{n}/5")) for n in range(20)}
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len(orders) > 15


def test_a_share_is_drawn_for_about_that_part_of_the_names() -> None:
    hits = sum(draw_share(3, f"finding{n}", share=0.2) for n in range(2000))
    assert 340 <= hits <= 460
