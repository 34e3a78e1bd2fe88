"""What readers of a card read: numbers that can be told apart, and cautions where they can't be compared."""

from vivavoce.card.derived import estimate_share_difference
from vivavoce.card.report.wording import say_caution, say_published

MEASURES = [{"name": "refuse", "title": "Refuses"}, {"name": "comply", "title": "Complies"}]


def _published(*rows: dict) -> str:
    return say_published({"measures": MEASURES, "published": rows})


def test_published_numbers_are_named_by_what_sets_them_apart() -> None:
    early = {"measure": "refuse", "label": "early", "value": 0.83, "edition": "B"}
    assert _published(early) == "early: 0.83 [B]"
    assert _published(early, {**early, "measure": "comply"}) == "Refuses, early: 0.83 [B]; Complies, early: 0.83 [B]"
    text, audio = ({"measure": "refuse", "value": 1.0, "edition": "W", "arm": arm} for arm in ("text", "audio"))
    assert _published(text, audio) == "text → text: 1 [W]; audio → audio: 1 [W]"
    assert _published({"measure": "refuse", "value": None, "edition": "B"}) == "not published as text [B]"


def test_a_number_from_another_task_carries_a_caution() -> None:
    evaluation = {"published": [{}], "comparable": "Another set.", "authored_only": True}
    assert say_caution(evaluation) == "Not the same task: Another set. This run used the authored sample."
    assert say_caution({**evaluation, "comparable": ""}) == "Not the same task: This run used the authored sample."
    assert say_caution({**evaluation, "published": []}) == "Another set."
    assert say_caution({**evaluation, "comparable": "", "authored_only": False}) == ""


def test_no_interval_of_a_difference_of_shares_reaches_past_one() -> None:
    found = estimate_share_difference([0, 0, 0, 0, 0, 1], [1, 1, 1, 1, 1, 1], list("abcdef"))
    assert found.low == -1.0
    assert found.value is not None
    assert found.high is not None
    assert -1 < found.value < found.high < 0
