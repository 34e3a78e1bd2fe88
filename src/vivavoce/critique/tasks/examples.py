"""Training and evaluation examples of every joint task, drawn from records."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from vivavoce.critique.loaders.records import AnswerRecord, CritiqueRecord, PassageRecord, QuestionRecord
from vivavoce.critique.spans import TextSpan
from vivavoce.critique.tasks.forms import (
    Quotes,
    Rendered,
    describe_medium,
    quote_span,
    render,
    task_names,
    write_quotes,
    write_severity,
)
from vivavoce.errors import ConfigError


class Example(NamedTuple):
    """One example: its task, source, passage key (for clustering), and text."""

    task: str
    source: str
    passage_key: str
    rendered: Rendered


def make_examples(records: Iterable[PassageRecord]) -> Iterator[Example]:
    """Every example that the records give; a record may give none of some tasks."""
    for record in records:
        for question in record.questions:
            by_key = {answer.key: answer for answer in question.answers}
            for answer in question.answers:
                for task, rendered in _of_answer(record, question, answer, by_key):
                    yield Example(task, record.source, record.key, rendered)


def _of_answer(
    record: PassageRecord, question: QuestionRecord, answer: AnswerRecord, by_key: Mapping[str, AnswerRecord]
) -> Iterator[tuple[str, Rendered]]:
    text = describe_medium(answer)
    asked = {"passage": record.text, "question": question.text}
    shown = asked | {"answer": text}
    if answer.is_correct or (answer.author_kind == "person" and answer.is_correct is None):
        yield "answer", render("answer", **asked, target=text)
    good = [
        critique for critique in answer.critiques if critique.is_valid is not False and critique.is_helpful is not False
    ]
    good = [critique for critique in good if critique.text]
    is_flawed = True if answer.is_correct is False else (False if answer.is_correct else (True if good else None))
    if is_flawed is not None:
        yield "critiqueability", render("critiqueability", **shown, target=is_flawed)
    for critique in good:
        yield from _of_critique(critique, shown, text, record.text)
    planted = [flaw for flaw in answer.planted_flaws if flaw.text]
    if not good:
        for flaw in planted:
            yield "critique", render("critique", **shown, target=flaw.text)
    for critique in answer.critiques:
        is_helpful = critique.is_helpful if critique.is_helpful is not None else critique.is_valid
        if critique.text and is_helpful is not None:
            yield "helpfulness", render("helpfulness", **shown, critique=critique.text, target=is_helpful)
    yield from _direct(answer, by_key, good, shown)


def _of_critique(
    critique: CritiqueRecord, shown: Mapping[str, str], answer: str, passage: str
) -> Iterator[tuple[str, Rendered]]:
    yield "critique", render("critique", **shown, target=critique.text)
    about = {**shown, "critique": critique.text}
    if critique.answer_spans or critique.passage_spans:
        quotes = Quotes(
            passage=tuple(quote_span(span, passage) for span in critique.passage_spans),
            answer=tuple(quote_span(span, answer) for span in critique.answer_spans),
        )
        yield "corroboration", render("corroboration", **about, target=write_quotes(quotes))
    if critique.severity is not None or critique.category is not None:
        said = write_severity(critique.severity, critique.category)
        yield "severity_category", render("severity_category", **about, target=said)
    if critique.refinement is not None:
        yield "conditional_refinement", render("conditional_refinement", **about, target=critique.refinement)


def _direct(
    answer: AnswerRecord, by_key: Mapping[str, AnswerRecord], good: Sequence[CritiqueRecord], shown: Mapping[str, str]
) -> Iterator[tuple[str, Rendered]]:
    """The last refinement (they are cumulative), else the clean twin; a right answer is its own refinement."""
    refined = [critique.refinement for critique in good if critique.refinement is not None]
    twin = by_key.get(answer.parent_key or "")
    if twin is not None and answer.is_correct is False:
        yield "direct_refinement", render("direct_refinement", **shown, target=twin.text)
    elif refined:
        yield "direct_refinement", render("direct_refinement", **shown, target=refined[-1])
    elif answer.is_correct:
        yield "direct_refinement", render("direct_refinement", **shown, target=answer.text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mixture:
    """Declared share of each task in training; tasks left out have share 0."""

    weights: Mapping[str, float]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.weights) - set(task_names()))
        if unknown:
            raise ConfigError(f"no joint task {unknown}; there are {', '.join(task_names())}")
        if any(weight < 0 for weight in self.weights.values()) or not sum(self.weights.values()) > 0:
            raise ConfigError(f"weights are {dict(self.weights)}; need at least one above 0 and none below")


# chosen: answering and criticising carry the gaps that are measured, the auxiliary tasks only help
DEFAULT_WEIGHTS: dict[str, float] = {
    "answer": 2.0, "critiqueability": 2.0, "critique": 2.0, "helpfulness": 1.5, "corroboration": 0.25,
    "severity_category": 0.25, "conditional_refinement": 1.0, "direct_refinement": 1.0,
}  # fmt: skip


def mix_examples(examples: Sequence[Example], mixture: Mixture, num: int, seed: int) -> list[Example]:
    """`num` examples in the declared shares, each task's dealt round by round so that none repeats before all are used.

    Raises: ConfigError if a task with a share has no example.
    """
    pools: dict[str, list[Example]] = {}
    for example in examples:
        pools.setdefault(example.task, []).append(example)
    wanted = {task: weight for task, weight in mixture.weights.items() if weight > 0}
    absent = sorted(set(wanted) - set(pools))
    if absent:
        raise ConfigError(f"the data hold no example of {', '.join(absent)}; give these weight 0 or add data")
    rng, total = Random(seed), sum(wanted.values())
    mixed, reached = list[Example](), 0.0
    for task, weight in wanted.items():
        # rounding the running total, not each share, so that the shares add up to `num`
        share = round(num * (reached + weight) / total) - round(num * reached / total)
        reached += weight
        pool = list(pools[task])
        while share > 0:
            rng.shuffle(pool)
            mixed += pool[:share]
            share -= len(pool)
    rng.shuffle(mixed)
    return mixed


def find_quoted(quotes: Sequence[str], text: str) -> tuple[TextSpan, ...]:
    """Places of the quotes that are in the text."""
    return tuple(
        TextSpan(text.index(quote), text.index(quote) + len(quote)) for quote in quotes if quote and quote in text
    )
