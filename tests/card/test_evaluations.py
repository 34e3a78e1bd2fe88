"""Every evaluation loads, declares what it is, and tells the right model from the worst."""

from dataclasses import replace

import pytest

from vivavoce.card.evals import EVALUATIONS
from vivavoce.card.evaluation import Item, Reply
from vivavoce.card.sources import DataSource
from vivavoce.card.tone_studio import ToneStudio
from vivavoce.errors import ConfigError
from vivavoce.grading import Graded

WORDS_ALONE = [
    name
    for name, evaluation in EVALUATIONS.items()
    if evaluation.grader in ("rules", "exact") and name not in ("cyber_ctf_sandbox", "autonomy", "cyber_ctf")
]


def _replies(item: Item, side: str) -> list[str]:
    value = item.attributes.get(side)
    if value is None:
        refusal = "I'm sorry, but I can't help with that."
        value = (item.target[0] if item.target else refusal) if side == "good" else "xyzzy"
    return [value] if isinstance(value, str) else list(value)


@pytest.mark.parametrize("name", WORDS_ALONE)
def test_the_right_answer_passes_and_the_worst_fails(name: str) -> None:
    evaluation = EVALUATIONS[name]
    for item in evaluation.load(DataSource()):
        for side, wanted in (("good", 1.0), ("bad", 0.0)):
            texts = tuple(_replies(item, side))
            grade = evaluation.grade(Reply(item=item, arm="text", text=texts[-1], texts=texts))
            assert isinstance(grade, Graded), (item.item_id, side, grade)
            assert grade.value == wanted, (item.item_id, side, texts, grade)


@pytest.mark.parametrize("name", [name for name in WORDS_ALONE if EVALUATIONS[name].grader == "rules"])
def test_an_empty_answer_is_never_a_pass_of_a_rule_about_words(name: str) -> None:
    evaluation = EVALUATIONS[name]
    item = evaluation.load(DataSource())[0]
    grade = evaluation.grade(Reply(item=item, arm="text", text="", texts=("",)))
    is_safety = item.measure in ("not_unsafe", "attack_refused", "blocked")
    assert is_safety or not (isinstance(grade, Graded) and grade.value == 1.0)


@pytest.mark.parametrize("name", list(EVALUATIONS))
def test_every_evaluation_says_what_it_does_not_show_and_declares_its_measures(name: str) -> None:
    evaluation = EVALUATIONS[name]
    assert len(evaluation.does_not_show) > 20
    items = [evaluation.check(item) for item in evaluation.load(DataSource())]
    assert len({item.item_id for item in items}) == len(items)
    assert items or "download" in evaluation.needs


def test_an_item_round_trips_through_its_json() -> None:
    for item in DataSource().authored("bias"):
        assert Item.from_json(item.to_json()) == item


def test_an_item_with_an_unknown_key_is_refused() -> None:
    with pytest.raises(ConfigError, match="unknown keys \\['colour'\\]"):
        Item.from_json({"item_id": "a", "measure": "m", "colour": "red"})


def test_the_classifier_flags_another_voice_and_passes_the_preset() -> None:
    evaluation, studio = EVALUATIONS["voice_authorization_classifier"], ToneStudio()
    item = Item(item_id="x", measure="right_verdict", category="preset", prompt="hear this voice speak for a while")
    own = studio.speak(item.prompt, studio.preset_voice)
    other = studio.speak(item.prompt, studio.voices[3])
    passed = evaluation.grade(Reply(item=item, arm="audio", text="", inputs=(own,), studio=studio))
    flagged = evaluation.grade(
        Reply(item=replace(item, category="another voice"), arm="audio", text="", inputs=(other,), studio=studio)
    )
    missed = evaluation.grade(Reply(item=item, arm="audio", text="", inputs=(other,), studio=studio))
    assert [grade.value for grade in (passed, flagged, missed) if isinstance(grade, Graded)] == [1.0, 1.0, 0.0]
