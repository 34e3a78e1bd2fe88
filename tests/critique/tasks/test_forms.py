"""Rendering and parsing the joint tasks; fitting them into a context; drawing them from records."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.critique.loaders.exporting import export_records
from vivavoce.critique.loaders.importing import import_records
from vivavoce.critique.loaders.records import (
    AnswerRecord,
    CritiqueRecord,
    LoadNotes,
    PassageRecord,
    PlantedFlaw,
    QuestionRecord,
    RatingRecord,
)
from vivavoce.critique.spans import RegionSpan, TextSpan, TimeSpan
from vivavoce.critique.store import Store
from vivavoce.critique.synthetic.registry import generate_problems, make_record, make_tasks
from vivavoce.critique.tasks.examples import DEFAULT_WEIGHTS, Mixture, make_examples, mix_examples
from vivavoce.critique.tasks.fitting import GAP, fit, split_sentences
from vivavoce.critique.tasks.forms import (
    EMPTY,
    Quotes,
    describe_medium,
    escape,
    find_loop,
    list_fields,
    locate_quote,
    parse_quotes,
    parse_severity,
    parse_text,
    quote_span,
    render,
    task_names,
    unescape,
    write_quotes,
    write_severity,
)
from vivavoce.errors import ConfigError, DataError
from vivavoce.grading import Ungraded

FIELDS = {"question": "Who?", "answer": "A swan.", "critique": "It was a heron."}


def encode(text: str) -> list[int]:
    return list(text.encode())


@pytest.mark.parametrize("task", task_names())
def test_every_task_renders_with_exactly_its_fields(task: str) -> None:
    fields = {name: FIELDS[name] for name in list_fields(task)}
    rendered = render(task, passage="A heron.", **fields)
    assert rendered.prompt.startswith("### Passage\nA heron.\n\n### Question\nWho?")
    assert rendered.prompt.endswith("\n")
    assert rendered.completion is None
    with pytest.raises(DataError, match="needs the fields"):
        render(task, passage="A heron.", **fields, extra="x")


def test_yes_no_tasks_take_a_bool_and_others_a_text() -> None:
    shown = {"question": "Who?", "answer": "A swan."}
    assert render("critiqueability", passage="p", **shown, target=True).completion == "Yes"
    assert render("critiqueability", passage="p", **shown, target=False).completion == "No"
    with pytest.raises(DataError, match="need bool"):
        render("critiqueability", passage="p", **shown, target="Yes")
    with pytest.raises(DataError, match="need text"):
        render("critique", passage="p", **shown, target=True)
    with pytest.raises(DataError, match="is not one of"):
        render("sing", passage="p")


@given(st.text())
def test_escaping_is_undone_by_unescaping(text: str) -> None:
    assert unescape(escape(text)) == text


@given(st.lists(st.sampled_from(["### Critique", "\\### Answer", "x", "", " ###", "\\\\### y"]), max_size=5))
def test_no_field_can_forge_a_heading(lines: list[str]) -> None:
    rendered = render("critique", passage="p", question="q", answer="\n".join(["a", *lines]))
    headings = [line for line in rendered.prompt.split("\n") if line.startswith("### ")]
    assert headings == ["### Passage", "### Question", "### Answer", "### Critique"]


def test_an_empty_answer_is_written_and_read_back_as_empty() -> None:
    rendered = render("critiqueability", passage="p", question="q", answer=" ", target=False)
    assert EMPTY in rendered.rest
    assert render("answer", passage="p", question="q", target="").completion == EMPTY
    assert parse_text(EMPTY, is_cut=False) == ""


def test_a_reading_stops_at_the_next_heading_and_failures_have_reasons() -> None:
    assert parse_text(" It is wrong.\n\n### Question\nmore", is_cut=False) == "It is wrong."
    assert parse_text("It is", is_cut=True) == Ungraded("cut", "It is")
    looped = parse_text("It is wrong. " + "wrong wrong " * 9, is_cut=True)
    assert isinstance(looped, Ungraded)
    assert looped.reason == "looped"
    assert parse_text(" \n", is_cut=False) == Ungraded("empty")


@pytest.mark.parametrize("text", ["a normal sentence, said once.", "ha ha ha", "1 000 000 000 000", ""])
def test_ordinary_text_is_not_a_loop(text: str) -> None:
    assert find_loop(text) is None


@given(
    st.lists(st.text(min_size=1, max_size=20).filter(str.strip), max_size=3),
    st.lists(st.text(min_size=1, max_size=20).filter(str.strip), max_size=3),
)
def test_quotes_are_read_back_as_written(passage: list[str], answer: list[str]) -> None:
    from hypothesis import assume

    hostile = ('passage: "', 'answer: "', "###")
    assume(not any(mark in quote for mark in hostile for quote in [*passage, *answer]))
    assume(not any("\r" in quote or find_loop(quote) for quote in [*passage, *answer]))
    quotes = Quotes(passage=tuple(passage), answer=tuple(answer))
    written = write_quotes(quotes)
    assume(find_loop(written) is None)
    assert parse_quotes(written) == quotes


def test_quotes_out_of_form_are_ungraded() -> None:
    assert isinstance(parse_quotes("the whole text"), Ungraded)
    assert isinstance(parse_quotes('passage: "open'), Ungraded)
    assert parse_quotes("none") == Quotes()


@pytest.mark.parametrize(("severity", "category"), [(3, "accuracy"), (None, "other"), (1, None), (None, None)])
def test_severity_and_category_are_read_back(severity: int | None, category: str | None) -> None:
    assert parse_severity(write_severity(severity, category)) == (severity, category)


@pytest.mark.parametrize("text", ["5 accuracy", "accuracy", "", "0 x"])
def test_a_severity_out_of_form_is_ungraded(text: str) -> None:
    assert isinstance(parse_severity(text), Ungraded)


def test_spans_of_every_kind_are_quoted_and_located() -> None:
    for span in (TextSpan(2, 6), RegionSpan(1, 2, 30, 40), TimeSpan(0.5, 1.25)):
        assert locate_quote(quote_span(span, "a swan"), "a swan") == span
    assert locate_quote("absent", "a swan") is None


def test_a_picture_and_an_utterance_are_described_for_a_text_model() -> None:
    picture = {"modality": "image", "text": "a red kite", "width": 64, "height": 48}
    utterance = {"modality": "audio", "text": "a red kite", "duration_s": 1.5}
    assert describe_medium(picture) == "[image, 64 x 48 pixels] a red kite"
    assert describe_medium(utterance) == "[audio, 1.50 s] a red kite"


@pytest.mark.parametrize("keep", ["head", "relevant"])
@given(passage=st.text(max_size=300), room=st.integers(120, 400))
def test_truncation_eats_only_the_passage(keep: str, passage: str, room: int) -> None:
    rendered = render("critique", passage=passage, question="q?", answer="ans", target="crit")
    fitted = fit(rendered, encode, max_tokens=room, end_id=0, keep=keep)  # type: ignore[arg-type]
    text = bytes(fitted.prompt_ids).decode()
    assert text.endswith(rendered.rest)
    assert bytes(fitted.completion_ids[:-1]).decode() == "crit"
    assert len(fitted.prompt_ids) + len(fitted.completion_ids) <= room
    assert fitted.was_cut == (len(encode(rendered.prompt)) + 5 > room)


def test_what_does_not_fit_without_a_passage_is_said() -> None:
    rendered = render("critique", passage="p" * 500, question="q?", answer="a" * 300, target="crit")
    with pytest.raises(DataError, match="the context has 256"):
        fit(rendered, encode, max_tokens=256)


def test_the_relevant_sentences_stay() -> None:
    passage = "The barn is old. " * 20 + "The heron stood in the mill pond. " + "The road is long. " * 20
    rendered = render("critique", passage=passage, question="Where did the heron stand?", answer="In a tree.")
    fitted = fit(rendered, encode, max_tokens=250)
    text = bytes(fitted.prompt_ids).decode()
    assert "The heron stood in the mill pond." in text
    assert GAP in text


@given(st.text(alphabet=st.sampled_from("ab.!?\n \"'"), max_size=60))
def test_sentences_joined_are_the_text(text: str) -> None:
    assert "".join(split_sentences(text)) == text


RECORD = PassageRecord(
    key="p", source="test", text="A heron stood.", split="train",
    questions=(
        QuestionRecord(
            key="q", text="Who stood?",
            answers=(
                AnswerRecord(key="a", author_kind="person", author="w", text="A heron.", is_correct=True),
                AnswerRecord(
                    key="b", author_kind="misleading", author="w", text="A swan.", is_correct=False, parent_key="a",
                    planted_flaws=(PlantedFlaw(text="No swan.", answer_spans=(TextSpan(2, 6),)),),
                    ratings=(RatingRecord(rater="w", scale="quality_1_7", value=2.0),),
                    critiques=(
                        CritiqueRecord(
                            key="c1", author_kind="person", author="w", text="It was a heron.", severity=3,
                            category="accuracy", is_helpful=True, answer_spans=(TextSpan(2, 6),), refinement="A heron!",
                        ),
                        CritiqueRecord(key="c2", author_kind="model", author="m", text="Too long.", is_helpful=False),
                    ),
                ),
                AnswerRecord(key="u", author_kind="model", author="m", text="A bird."),
            ),
        ),
    ),
)  # fmt: skip


def test_records_give_each_task_its_examples() -> None:
    examples = list(make_examples([RECORD]))
    targets = {(example.task, example.rendered.completion) for example in examples}
    assert targets == {
        ("answer", "A heron."),
        ("critiqueability", "No"), ("direct_refinement", "A heron."),
        ("critiqueability", "Yes"), ("critique", "It was a heron."), ("corroboration", 'answer: "swan"'),
        ("severity_category", "3 accuracy"), ("conditional_refinement", "A heron!"),
        ("helpfulness", "Yes"), ("helpfulness", "No"),
    }  # fmt: skip


def test_records_survive_the_store(store: Store) -> None:
    report = import_records(store, [RECORD], LoadNotes())
    assert report.refused == []
    assert list(export_records(store, split="train", sources=["te"])) == [RECORD]
    assert list(export_records(store, split="test")) == []
    assert list(export_records(store, sources=["other"])) == []


def test_a_mixture_keeps_the_declared_shares() -> None:
    task = make_tasks("quick")["addition"]
    records = [make_record(task, problem, Random(0)) for problem in generate_problems(task, "train", 60, 0)]
    examples = list(make_examples(records))
    mixed = mix_examples(examples, Mixture(weights=DEFAULT_WEIGHTS), 1000, seed=0)
    counts = Counter(example.task for example in mixed)
    assert len(mixed) == 1000
    for task_name, weight in DEFAULT_WEIGHTS.items():
        assert counts[task_name] == pytest.approx(1000 * weight / sum(DEFAULT_WEIGHTS.values()), abs=1)
    # none repeats before all are used
    answers = [example for example in mixed if example.task == "answer"]
    repeats = Counter(example.rendered.prompt for example in answers)
    assert max(repeats.values()) - min(repeats.values()) <= 1
    assert mix_examples(examples, Mixture(weights=DEFAULT_WEIGHTS), 1000, seed=0) == mixed


def test_a_bad_mixture_is_refused() -> None:
    with pytest.raises(ConfigError, match="no joint task"):
        Mixture(weights={"sing": 1})
    with pytest.raises(ConfigError, match="at least one above 0"):
        Mixture(weights={"answer": 0})
    with pytest.raises(ConfigError, match="hold no example of corroboration"):
        mix_examples([], Mixture(weights={"corroboration": 1}), 10, seed=0)
