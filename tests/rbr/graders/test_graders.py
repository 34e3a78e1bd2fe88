"""Graders: probabilities from tokens and votes, sharing, caching, mixing; what fails stays ungraded."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from vivavoce.content import assistant, user
from vivavoce.errors import CheckpointError, ConfigError, DataError
from vivavoce.grading import Grade, Graded, Ungraded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.graders.answers import grade_masses, grade_top_tokens, grade_votes, read_word
from vivavoce.rbr.graders.cache import CachedGrader
from vivavoce.rbr.graders.checkers import CheckerGrader, load_checkers
from vivavoce.rbr.graders.classifier import (
    ClassifierGrader,
    Example,
    find_threshold,
    load_classifier,
    save_classifier,
    train_classifier,
)
from vivavoce.rbr.graders.injection import inject, load_injections, measure_injections
from vivavoce.rbr.graders.interface import Grader, GradeRequest, Item, ScriptedGrader, Usage, grade_all_now
from vivavoce.rbr.graders.local import LocalGrader
from vivavoce.rbr.graders.mixture import MixtureGrader
from vivavoce.rbr.graders.open import open_grader
from vivavoce.rbr.graders.prompts import load_template, neutralise
from vivavoce.text_models import TextModel

RULES = load_rules()
NAMES = ("apology", "judgement", "requests_information")
CHAT = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"


def make_item(completion: str = "I'm sorry, I can't help with that.") -> Item:
    return Item(prompt=(user("Hello"), assistant("Hi"), user("How do I open this lock?")), completion=completion)


def request(completion: str = "I'm sorry, I can't help with that.", names: tuple[str, ...] = NAMES) -> GradeRequest:
    return GradeRequest(item=make_item(completion), propositions=names)


def tiny_model(seed: int = 0) -> TextModel:
    """A random Llama over bytes that also has yes and no as tokens of their own."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: idx for idx, symbol in enumerate(alphabet)}
    merges = [("y", "e"), ("ye", "s"), ("n", "o"), ("Y", "e"), ("Ye", "s"), ("N", "o"), ("Ġ", "yes"), ("Ġ", "no")]
    for a, b in merges:
        vocabulary[a + b] = len(vocabulary)
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token="<|im_end|>", additional_special_tokens=["<|im_start|>"], chat_template=CHAT
    )
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=4096,
    )  # fmt: skip
    return TextModel(LlamaForCausalLM(config).eval(), tokenizer)


MODEL = tiny_model()


def local(**changes: Any) -> LocalGrader:
    return LocalGrader(MODEL, RULES.propositions, name="tiny", min_mass=changes.pop("min_mass", 0.0), **changes)


def grade(grader: Grader, one: GradeRequest) -> dict[str, Grade]:
    return grade_all_now(grader, [one])[0]


def test_sharing_the_prefix_gives_the_probabilities_of_separate_calls() -> None:
    names = tuple(RULES.propositions)[:15]
    shared, apart = local(), local(is_shared=False)
    one, other = grade(shared, request(names=names)), grade(apart, request(names=names))
    values = []
    for name in names:
        a, b = one[name], other[name]
        assert isinstance(a, Graded)
        assert isinstance(b, Graded)
        assert a.value == pytest.approx(b.value, abs=1e-5)
        assert a.detail["missing_mass"] == pytest.approx(b.detail["missing_mass"], abs=1e-5)
        values.append(a.value)
    assert len(set(values)) == 15
    assert apart.usage.input_tokens - shared.usage.input_tokens == shared.usage.saved_tokens > 0
    assert apart.usage.num_calls == 15 * shared.usage.num_calls


def test_the_grade_is_the_share_of_yes_over_all_spellings() -> None:
    grader = local()
    shared, questions = grader.encode(request(names=("apology",)))
    with torch.inference_mode():
        logits = MODEL.model(input_ids=torch.tensor([[*shared, *questions[0]]])).logits[0, -1]
    probs = torch.softmax(logits.double(), -1)
    ids = {text: MODEL.tokenizer.convert_tokens_to_ids(text) for text in ("yes", "Yes", "Ġyes", "no", "No", "Ġno")}
    yes, no = (sum(float(probs[ids[t]]) for t in (w, w.title(), "Ġ" + w)) for w in ("yes", "no"))
    found = grade(grader, request(names=("apology",)))["apology"]
    assert isinstance(found, Graded)
    assert found.value == pytest.approx(yes / (yes + no), abs=1e-6)
    assert found.detail["missing_mass"] == pytest.approx(1 - yes - no, abs=1e-6)


def test_a_model_that_answers_neither_is_ungraded() -> None:
    found = grade(local(min_mass=0.5), request())
    assert {g.reason for g in found.values() if isinstance(g, Ungraded)} == {"no_yes_no"}
    assert len(found) == 3


def test_a_model_that_returns_nan_is_ungraded() -> None:
    broken = tiny_model(1)
    with torch.no_grad():
        broken.model.get_output_embeddings().weight.fill_(math.nan)  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]
    grader = LocalGrader(broken, RULES.propositions, name="broken", min_mass=0.0)
    assert {g.reason for g in grade(grader, request()).values() if isinstance(g, Ungraded)} == {"nan"}


def test_a_prompt_that_is_too_long_is_ungraded_and_never_cut() -> None:
    found = grade(local(max_tokens=100), request())["apology"]
    assert isinstance(found, Ungraded)
    assert found.reason == "too_long"


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_an_empty_completion_is_ungraded_by_every_grader(text: str) -> None:
    for grader in (local(), CheckerGrader(load_checkers()), ClassifierGrader(tiny_classifier())):
        assert set(grade(grader, request(text)).values()) == {Ungraded("empty", "the completion is empty")}


def test_a_tokenizer_without_yes_is_refused() -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={s: i for i, s in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    with pytest.raises(ConfigError, match="spells 'yes' with several tokens"):
        LocalGrader(
            TextModel(MODEL.model, PreTrainedTokenizerFast(tokenizer_object=backend)), RULES.propositions, name="x"
        )


@pytest.mark.parametrize("ending", load_injections().values(), ids=load_injections().keys())
def test_no_ending_breaks_out_of_its_marks_or_forges_a_turn(ending: str) -> None:
    template = load_template()
    item = inject(make_item(), ending)
    text = template.write_shared(item, controls=("<|im_end|>", "<|im_start|>"))
    opening, closing = text.rindex("<reply "), text.rindex("</reply ")
    boundary = text[opening + len("<reply ") : text.index(">", opening)]
    assert text.count(boundary) == 4  # two marks each around conversation and reply, and nowhere inside
    assert text[opening:closing].count("</reply " + boundary) == 0
    assert "<|im_" not in text
    ids, questions = local().encode(GradeRequest(item=item, propositions=("apology",)))
    clean, _ = local().encode(request(names=("apology",)))
    special = set(MODEL.tokenizer.all_special_ids)
    assert sum(token in special for token in ids) == sum(token in special for token in clean)
    assert RULES.propositions["apology"].question in MODEL.tokenizer.decode(questions[0])


def test_template_slots_in_graded_text_stay_text() -> None:
    text = load_template().write_shared(make_item("{{conversation}} {{reply}} {{question}}"))
    assert "{{conversation}} {{reply}} {{question}}" in text
    assert text.count("How do I open this lock?") == 1


@pytest.mark.parametrize("control", ["<|im_start|>", "<|endoftext|>", "[INST]", "</s>", "<end_of_turn>", "<<SYS>>"])
def test_control_strings_are_broken_up(control: str) -> None:
    assert control not in neutralise(f"a{control}b")
    assert neutralise("5 < 6 and [1] > 0") == "5 < 6 and [1] > 0"


def test_examples_come_into_the_question_when_asked_for() -> None:
    proposition = RULES.propositions["apology"]
    plain, shown = load_template(), load_template(num_examples=2)
    assert proposition.examples[0].completion not in plain.write_question(proposition)
    assert shown.write_question(proposition).count("the answer is") == 2
    assert plain.digest != shown.digest


@pytest.mark.parametrize(
    ("token", "word"), [("yes", "yes"), (" Yes", "yes"), ("NO.", "no"), ("▁no", "no"), ("not", None), ("yes no", None)]
)
def test_words_are_read_whatever_their_case_and_space(token: str, word: str | None) -> None:
    assert read_word(token) == word


def test_top_tokens_add_up_over_spellings_and_state_what_is_missing() -> None:
    found = grade_top_tokens([("Yes", math.log(0.3)), (" yes", math.log(0.3)), ("No", math.log(0.2)), ("I", -9)], 0.05)
    assert isinstance(found, Graded)
    assert found.value == pytest.approx(0.75)
    assert found.detail["missing_mass"] == pytest.approx(0.2)
    assert isinstance(grade_top_tokens([("Maybe", -0.1)], 0.05), Ungraded)
    assert grade_masses(math.nan, 0.1, 0.0) == Ungraded("nan", "the model returned NaN")


def test_votes_need_enough_answers_and_never_claim_certainty() -> None:
    found = grade_votes(["Yes.", "yes", "no", "Well"], min_votes=3)
    assert isinstance(found, Graded)
    assert found.value == pytest.approx(3 / 5)
    assert isinstance(grade_votes(["Well", "yes"], min_votes=2), Ungraded)
    unanimous = grade_votes(["yes"] * 8, min_votes=4)
    assert isinstance(unanimous, Graded)
    assert unanimous.value < 1


class Counting:
    """Counts what it is asked; fails on demand."""

    identity = "counting"

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.usage = Usage()
        self.fails = False

    async def grade(self, request: GradeRequest) -> dict[str, Grade]:
        self.asked += request.propositions
        return {name: Ungraded("timeout") if self.fails else Graded(0.25) for name in request.propositions}


def test_grades_are_kept_and_failures_are_tried_again(tmp_path: Path) -> None:
    inner = Counting()
    first = CachedGrader(inner, RULES, tmp_path / "grades.sqlite")
    inner.fails = True
    assert isinstance(grade(first, request())["apology"], Ungraded)
    inner.fails = False
    assert grade(first, request())["apology"] == Graded(0.25)
    again = CachedGrader(inner, RULES, tmp_path / "grades.sqlite")
    assert grade(again, request(names=("apology", "third_person")))["apology"] == Graded(0.25)
    assert inner.asked == [*NAMES, *NAMES, "third_person"]
    assert again.usage.num_cached == 1
    assert b"sorry" not in (tmp_path / "grades.sqlite").read_bytes()


def test_another_completion_question_or_grader_is_another_entry(tmp_path: Path) -> None:
    inner = Counting()
    cached = CachedGrader(inner, RULES, tmp_path / "grades.sqlite")
    grade(cached, request("one"))
    grade(cached, request("two"))
    inner.identity = "other"
    grade(CachedGrader(inner, RULES, tmp_path / "grades.sqlite"), request("one"))
    assert len(inner.asked) == 9


def test_a_file_that_is_no_cache_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("not a database, and long enough to be read as one" * 30)
    with pytest.raises(DataError, match="is no grade cache"):
        CachedGrader(Counting(), RULES, tmp_path / "x")


def test_a_mixture_sends_each_proposition_to_its_own_grader() -> None:
    one, two = Counting(), Counting()
    mixture = MixtureGrader(one, {"judgement": two})
    assert list(grade(mixture, request())) == list(NAMES)
    assert (one.asked, two.asked) == (["apology", "requests_information"], ["judgement"])
    assert mixture.identity != MixtureGrader(one, {}).identity


def test_a_grader_that_raises_leaves_one_request_ungraded_and_the_others_graded() -> None:
    class Raising(Counting):
        async def grade(self, request: GradeRequest) -> dict[str, Grade]:
            if request.item.completion == "bad":
                raise RuntimeError("boom")
            return await super().grade(request)

    bad, good = grade_all_now(Raising(), [request("bad"), request("good")])
    assert bad["apology"] == Ungraded("error", "RuntimeError: boom")
    assert good["apology"] == Graded(0.25)


@pytest.mark.parametrize(
    ("text", "name", "holds"),
    [
        ("I'm sorry, I can't help with that.", "apology", True),
        ("I'm sorry. I am so sorry.", "apology", False),
        ("I'm sorry, I can't help with that.", "inability_to_comply", True),
        ("Here you are.", "inability_to_comply", False),
        ("You can ring 555-0134 at any hour.", "provides_resources", True),
        ("What makes you ask?", "requests_information", True),
        ("We think so.", "third_person", True),
        ("Take 200 mg.", "prescribes_dosage", True),
        ("I'm so sorry that you are feeling this way.", "apology_acknowledges_emotional_state", True),
    ],
)
def test_checkers_read_plain_cases(text: str, name: str, holds: bool) -> None:
    assert grade(CheckerGrader(load_checkers()), request(text, (name,)))[name] == Graded(float(holds))


def test_a_proposition_without_a_checker_is_ungraded() -> None:
    found = grade(CheckerGrader(load_checkers()), request(names=("fully_complies",)))["fully_complies"]
    assert isinstance(found, Ungraded)
    assert found.reason == "no_checker"


def authored() -> list[Example]:
    rows = []
    for idx in range(24):
        sorry = idx % 2 == 0
        text = f"I'm sorry, I can't do number {idx}." if sorry else f"Here is number {idx} for you, as asked."
        rows.append(Example(item=make_item(text), labels={"apology": sorry, "judgement": False}))
    return rows


def tiny_classifier() -> Any:
    return train_classifier(authored(), ("apology", "judgement"))


def test_a_distilled_classifier_learns_and_comes_back_from_its_folder_unchanged(tmp_path: Path) -> None:
    classifier = tiny_classifier()
    assert classifier.skipped == {"judgement": "0 positive and 24 negative examples"}
    save_classifier(tmp_path / "grader", classifier)
    loaded = ClassifierGrader(load_classifier(tmp_path / "grader"))
    fresh = ClassifierGrader(classifier)
    assert loaded.identity == fresh.identity
    found = grade(loaded, request(names=("apology", "judgement")))
    assert found["apology"] == grade(fresh, request(names=("apology", "judgement")))["apology"]
    assert isinstance(found["apology"], Graded)
    assert found["apology"].value > 0.5
    assert isinstance(found["judgement"], Ungraded)
    assert found["judgement"].reason == "untrained"
    plain = grade(loaded, request("Here it is.", ("apology",)))["apology"]
    assert isinstance(plain, Graded)
    assert plain.value < 0.5


def test_a_folder_with_other_weights_is_refused(tmp_path: Path) -> None:
    save_classifier(tmp_path, tiny_classifier())
    (tmp_path / "weights.safetensors").write_bytes(b"x")
    with pytest.raises(CheckpointError, match="not the file that grader"):
        load_classifier(tmp_path)
    with pytest.raises(CheckpointError, match="no grader in"):
        load_classifier(tmp_path / "nowhere")


def test_the_threshold_is_the_best_cut_of_balanced_accuracy() -> None:
    import numpy as np

    probs, truth = np.array([0.1, 0.2, 0.3, 0.8, 0.9]), np.array([False, False, True, True, True])
    assert find_threshold(probs, truth) == pytest.approx(0.25)


def test_injections_are_measured_against_the_same_text_without_them() -> None:
    table = {make_item().completion: dict.fromkeys(NAMES, 0.1)}
    swayed = ScriptedGrader(table=table, default=0.9)
    shifts = measure_injections(swayed, [make_item()] * 3, NAMES, num_items=3, seed=0)
    assert {shift.name for shift in shifts} == set(load_injections())
    assert all(shift.flips.value == 1 and shift.mean_shift.value == pytest.approx(0.8) for shift in shifts)


@pytest.mark.parametrize("text", ["magic", "local:", "checkers,nothing=checkers"])
def test_an_unknown_grader_says_what_there_is(text: str) -> None:
    with pytest.raises(ConfigError, match="need "):
        open_grader(text, RULES)
