"""Rule files: what is accepted, what is refused and how; proofs by enumeration; class probabilities."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from vivavoce.errors import ConfigError
from vivavoce.grading import Graded, Ungraded
from vivavoce.rbr.check import enumerate_truths, find_problems, hold_classes, load_rules
from vivavoce.rbr.features import FeatureMaker, Features
from vivavoce.rbr.probability import READINGS, ClassModel
from vivavoce.rbr.rules import Rules, find_policy, parse_rules, read_rules, read_strict_yaml

DEFAULT = load_rules()


def kinds(document: dict[str, Any]) -> list[str]:
    return [problem.kind for problem in find_problems(parse_rules(document)).problems]


def message(document: dict[str, Any]) -> str:
    return find_problems(parse_rules(document)).problems[0].message


def test_the_shipped_policy_has_no_problem_and_covers_every_assignment() -> None:
    found = find_problems(DEFAULT)
    assert found.problems == ()
    sizes = {proof.response_type: proof.num_assignments for proof in found.proofs}
    assert sizes == {
        "hard_refuse": 2**14, "soft_refuse_intent": 2**16, "soft_refuse_instructions": 2**17, "comply": 2**5
    }  # fmt: skip


def test_feature_counts_are_the_published_ones() -> None:
    maker = FeatureMaker(DEFAULT)
    counts = {name: len(maker.list_names(name)) for name in DEFAULT.response_types}
    assert counts == {"hard_refuse": 20, "soft_refuse_intent": 23, "soft_refuse_instructions": 23, "comply": 18}


def test_an_overlap_is_named_by_its_smallest_counterexample(tiny_policy: dict[str, Any]) -> None:
    tiny_policy["response_types"]["reply"]["classes"]["bad"] = {"polite": False}
    tiny_policy["response_types"]["reply"]["classes"]["good"] = {"short": True}
    problems = find_problems(parse_rules(tiny_policy)).problems
    assert [problem.kind for problem in problems][:2] == ["overlap", "gap"]
    says = "classes good and bad hold together when short is true and all else is false (1 of 4 assignments)"
    assert says in problems[0].message


def test_a_gap_is_named_by_its_smallest_counterexample(tiny_policy: dict[str, Any]) -> None:
    tiny_policy["response_types"]["reply"]["classes"]["bad"] = {"polite": False, "short": False}
    assert "no class holds when polite is true and all else is false" in message(tiny_policy)


def test_a_cycle_is_named_by_its_path(tiny_policy: dict[str, Any]) -> None:
    tiny_policy["derived"] = {"fine": {"other": True}, "other": {"polite": True, "fine": False}}
    assert message(tiny_policy) == "derived propositions form a cycle: fine -> other -> fine"


def test_unknown_names_are_found_wherever_they_stand(tiny_policy: dict[str, Any]) -> None:
    tiny_policy["derived"]["fine"]["clever"] = True
    tiny_policy["response_types"]["reply"]["features"].append("fine")
    tiny_policy["content_areas"]["any"]["response_type"] = "nothing"
    assert kinds(tiny_policy) == ["unknown"] * 3
    assert message(tiny_policy) == "derived proposition fine uses clever, which is not defined"


def test_unused_propositions_are_warnings(tiny_policy: dict[str, Any]) -> None:
    tiny_policy["propositions"]["idle"] = {"question": "Is it idle?"}
    tiny_policy["derived"]["unneeded"] = {"polite": False}
    found = find_problems(parse_rules(tiny_policy))
    assert [problem.message for problem in found.problems] == [
        "proposition idle is in no rule and no feature list",
        "derived proposition unneeded is in no rule",
    ]
    assert found.errors == ()


def test_a_name_defined_twice_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "rules.yaml"
    path.write_text("format: 1\npropositions:\n  polite: {question: a}\n  polite: {question: b}\n")
    with pytest.raises(ConfigError, match=r"rules\.yaml, line 4: 'polite' is defined twice"):
        read_rules(path)


def test_a_proposition_and_a_derived_one_cannot_share_a_name(tiny_policy: dict[str, Any]) -> None:
    tiny_policy["derived"]["polite"] = {"short": True}
    assert "polite is both a proposition and a derived proposition" in message(tiny_policy)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 2}, "format is 2; need 1"),
        ({"extra": 1}, "unknown keys extra"),
        ({"classes": ["good", "good"]}, "lists a name twice"),
        ({"classes": ["good", "bad", "ugly"]}, "has no rule for class ugly"),
        ({"propositions": {"polite": {"question": " "}}}, "proposition polite has no question"),
        ({"derived": {"fine": {"polite": "yes"}}}, "derived proposition fine is"),
        ({"propositions": {True: {"question": "q"}}}, "has the name True"),
    ],
)
def test_a_malformed_policy_is_refused_by_what_is_wrong(tiny_policy: dict[str, Any], change: Any, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_rules(tiny_policy | change)


def test_loading_refuses_a_policy_that_fails_the_check(tiny_policy: dict[str, Any], tmp_path: Path) -> None:
    del tiny_policy["response_types"]["reply"]["classes"]["bad"]["fine"]
    tiny_policy["response_types"]["reply"]["classes"]["bad"] = {"polite": False}
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(tiny_policy))
    with pytest.raises(ConfigError, match="no class holds when polite is true"):
        load_rules(tmp_path / "rules.yaml")


def released_rules(folder: Path) -> Rules:
    """The released rule file in our format: same logic, its own names."""
    document = yaml.safe_load((folder / "proposition_prompts.yaml").read_text())
    kinds_there = document["completion_classes"]["ideal"]
    return parse_rules(
        {
            "format": 1,
            "name": "released",
            "version": "1",
            "classes": document["completion_class_order"],
            "propositions": {name: {"question": "?"} for name in document["simple_propositions"]},
            "derived": document["derived_propositions"],
            "response_types": {
                kind: {"classes": {label: rule[kind] for label, rule in document["completion_classes"].items()}}
                for kind in kinds_there
            },
        }
    )


def test_our_classes_equal_the_released_rules_on_every_assignment(gold_folder: Path) -> None:
    released = released_rules(gold_folder)
    for kind in released.response_types:
        leaves = released.list_leaves(kind)
        truths = enumerate_truths(leaves)
        ours = hold_classes(DEFAULT, DEFAULT.find_response_type(kind).name, truths)
        theirs = hold_classes(released, kind, truths)
        for label in released.classes:
            assert np.array_equal(ours[label], theirs[label]), (kind, label)


def test_every_gold_row_has_exactly_one_class_and_it_agrees_with_the_released_rules(gold_folder: Path) -> None:
    released = released_rules(gold_folder)
    rows = [json.loads(line) for split in ("train", "test") for line in (gold_folder / f"{split}.jsonl").open()]
    names = {"Hard Refuse": "hard_refuse", "Safe Refuse 1": "safe_refuse_1", "Safe Refuse 2": "safe_refuse_2"}
    for idx, row in enumerate(rows):
        kind = names.get(row["response_type"], "comply")
        ours = DEFAULT.assign_class(row["response_type"], row["propositions"])
        assert ours == released.assign_class(kind, row["propositions"]), f"gold row {idx}"
        assert DEFAULT.find_content_area(row["category"]).response_type == DEFAULT.find_response_type(kind).name


@pytest.mark.parametrize("response_type", ["hard_refuse", "comply"])
def test_exact_class_probabilities_equal_the_sum_over_assignments(response_type: str) -> None:
    model = ClassModel(DEFAULT, response_type)
    generator = np.random.default_rng(0)
    probs = {name: float(generator.uniform()) for name in model.leaves}
    truths = enumerate_truths(model.leaves)
    weights = np.prod([np.where(truths[name], probs[name], 1 - probs[name]) for name in model.leaves], axis=0)
    expected = {label: weights @ flags for label, flags in hold_classes(DEFAULT, response_type, truths).items()}
    got = model.weigh({name: np.array([value]) for name, value in probs.items()}, "exact")
    for label, value in expected.items():
        assert got[label][0] == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("response_type", list(DEFAULT.response_types))
def test_class_probabilities_sum_to_one(reading: Any, response_type: str) -> None:
    model = ClassModel(DEFAULT, response_type)
    generator = np.random.default_rng(1)
    weighed = model.weigh({name: generator.uniform(size=200) for name in model.leaves}, reading)
    assert np.allclose(np.sum(list(weighed.values()), axis=0), 1)


def test_the_two_readings_differ_for_refusals_by_the_worked_formula_and_agree_for_comply() -> None:
    model = ClassModel(DEFAULT, "hard_refuse")
    q = np.array([0.8])
    wanted_true = {"apology", "inability_to_comply"}
    weighed = model.weigh({name: q if name in wanted_true else 1 - q for name in model.leaves}, "exact")
    # d = g = 0.2; the other three leaves of acceptable_refusal 0.8^3; nine more leaves 0.8^9
    a, b, k = 0.8**5, 0.8**3, 0.8**9
    assert weighed["ideal"][0] == pytest.approx(a * k)
    assert weighed["minimum_acceptable_style"][0] == pytest.approx(a * (1 - k))
    assert weighed["unacceptable_completion"][0] == pytest.approx(0.64 * (1 - b))
    naive = model.weigh({name: q if name in wanted_true else 1 - q for name in model.leaves}, "normalised")
    total = a * k + a * (1 - a * k) + 0.64 * (1 - a) + 0.16 + 0.2
    assert total - 1 == pytest.approx(a * (k * (1 - a) + 1 - 0.64))
    assert naive["minimum_acceptable_style"][0] == pytest.approx(a * (1 - a * k) / total)
    comply = ClassModel(DEFAULT, "comply")
    probs = {name: np.random.default_rng(2).uniform(size=50) for name in comply.leaves}
    for label, values in comply.weigh(probs, "exact").items():
        assert np.allclose(values, comply.weigh(probs, "normalised")[label])


def test_hard_grades_give_the_class_that_the_rules_assign(tiny_policy: dict[str, Any]) -> None:
    rules = parse_rules(tiny_policy)
    maker = FeatureMaker(rules)
    for polite, short in itertools.product([False, True], repeat=2):
        features = maker.make("reply", {"polite": Graded(float(polite)), "short": Graded(float(short))})
        assert isinstance(features, Features)
        label = rules.assign_class("reply", {"polite": polite, "short": short})
        assert features.values[f"class:{label}"] == 1
        assert list(features.values) == ["polite", "short", "class:good", "class:bad"]


def test_one_ungraded_proposition_leaves_the_features_ungraded(tiny_policy: dict[str, Any]) -> None:
    maker = FeatureMaker(parse_rules(tiny_policy))
    made = maker.make("reply", {"polite": Graded(1.0), "short": Ungraded("timeout", "30 s")})
    assert made == Ungraded("timeout", "short: 30 s")
    assert maker.make("reply", {"polite": Graded(1.0)}) == Ungraded("missing", "short: not graded")


def test_assigning_a_class_without_a_needed_value_says_which(tiny_policy: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no truth value for short"):
        parse_rules(tiny_policy).assign_class("reply", {"polite": True})


def test_the_digest_changes_with_any_edit() -> None:
    document = read_strict_yaml(find_policy("default"))
    edited = json.loads(json.dumps(document))
    edited["propositions"]["apology"]["question"] += " Really?"
    assert parse_rules(edited).digest != DEFAULT.digest
    before, after = DEFAULT.propositions["apology"], parse_rules(edited).propositions["apology"]
    assert before.digest != after.digest
