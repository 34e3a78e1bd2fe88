"""METR-style: success against the time that people need. Micro-tasks here; results of people and long tasks are imported."""

from __future__ import annotations

from vivavoce.card.evaluation import Evaluation, Item, Measure, Reply
from vivavoce.card.graders.verdicts import judge
from vivavoce.card.graders.words import names_any, normalise
from vivavoce.card.sources import DataSource
from vivavoce.grading import Grade


def load(source: DataSource) -> list[Item]:
    """Authored micro-tasks with estimated human minutes."""
    return source.authored("metr_style")


def grade(reply: Reply) -> Grade:
    """1 if a right answer stands in the reply; the human minutes go with it."""
    plain = normalise(reply.text)
    right = any(normalise(target) in plain for target in reply.item.target) and (
        any(len(target) > 3 for target in reply.item.target) or names_any(reply.text, reply.item.target) is not None
    )
    minutes = float(reply.item.attributes["human_minutes"])
    return judge(right, "right" if right else "not right", human_minutes=minutes)


EVALUATION = Evaluation(
    id="metr_style",
    title="Long tasks against human time (METR-style)",
    area="third_party",
    section="4.1",
    question="How long a task, measured in a person's minutes, does the model finish?",
    does_not_show="METR's tasks: ours take minutes, and their human times are the authors' estimates until people's are imported.",
    measures=(Measure(name="success", title="Micro-tasks done", better="neither"),),
    load=load,
    grade=grade,
    arms=("text",),
    grader="exact",
    indicator_only=True,
    imports=True,
    comparable="METR's chart is not published as text.",
)
