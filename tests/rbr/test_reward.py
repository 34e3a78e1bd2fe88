"""The reward: its breakdown, its gate, its abstentions, its log, and the shapes that trainers ask for."""

import asyncio
import json
import math
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from vivavoce.content import user
from vivavoce.errors import ConfigError, DataError, EndpointError, MissingExtraError
from vivavoce.grading import Grade, Graded, Ungraded
from vivavoce.rbr.adapters.openrlhf import make_app, make_reward_func
from vivavoce.rbr.adapters.trl import TrlReward, make_async_reward
from vivavoce.rbr.adapters.verifiers import drop_ungraded, make_functions
from vivavoce.rbr.adapters.verl import make_compute_score
from vivavoce.rbr.audit import audit_reward
from vivavoce.rbr.audit_report import render_report
from vivavoce.rbr.comparisons import Comparison, Completion, parse_order
from vivavoce.rbr.features import FeatureMaker
from vivavoce.rbr.graders.interface import Item, ScriptedGrader
from vivavoce.rbr.reward import RewardConfig, RewardRequest, RuleReward, Scored
from vivavoce.rbr.reward_log import WINDOW, RewardLog
from vivavoce.rbr.reward_model import LinearRewardModel, Preference, open_reward_model, save_linear, train_linear
from vivavoce.rbr.rules import Rules, parse_rules
from vivavoce.rbr.weights import RewardWeights

TABLE = {"nice": {"polite": 0.9, "short": 0.5}, "rude": {"polite": 0.1, "short": 0.5}}
WEIGHTS = {"reply": {"polite": 2.0, "class:bad": -1.0}}


class LengthModel:
    """Scores a completion by its length; cannot score an exclamation."""

    identity = "length"

    def score(self, items: Any) -> list[Grade]:
        return [Ungraded("nan") if i.completion.endswith("!") else Graded(float(len(i.completion))) for i in items]


@pytest.fixture
def rules(tiny_policy: dict[str, Any]) -> Rules:
    return parse_rules(tiny_policy)


def make_reward(rules: Rules, **changes: Any) -> RuleReward:
    weights = RewardWeights(by_response_type=WEIGHTS, made_with=changes.pop("made_with", {}))
    model = changes.pop("reward_model", LengthModel())
    return RuleReward(
        maker=FeatureMaker(rules), weights=weights, grader=ScriptedGrader(table=TABLE), reward_model=model, **changes
    )


def request(completion: str, kind: str | None = "reply") -> RewardRequest:
    return RewardRequest(item=Item(prompt=(user("Hi"),), completion=completion), response_type=kind)


def score(reward: RuleReward, *requests: RewardRequest) -> list[Any]:
    return asyncio.run(reward.score(requests))


def test_the_total_is_the_reward_model_plus_the_weighted_features(rules: Rules) -> None:
    (found,) = score(make_reward(rules), request("nice"))
    assert isinstance(found, Scored)
    # class bad = 1 - 0.9 * 0.5
    assert found.contributions == {"polite": pytest.approx(1.8), "class:bad": pytest.approx(-0.55)}
    assert found.rm == 4
    assert found.total == pytest.approx(4 + 1.8 - 0.55)
    assert found.rbr == pytest.approx(sum(found.contributions.values()))


def test_a_closed_gate_leaves_the_reward_model_alone(rules: Rules) -> None:
    (found,) = score(make_reward(rules), request("unknown text", None))
    assert isinstance(found, Scored)
    assert (found.total, found.rbr, dict(found.features)) == (12, 0, {})


def test_the_arm_without_a_reward_model_ignores_it_only_where_the_rules_count(rules: Rules) -> None:
    reward = make_reward(rules, config=RewardConfig(rm_on_gated=False))
    gated, ungated = score(reward, request("nice"), request("nice", None))
    assert (gated.rm, ungated.rm) == (0, 4)


def test_whatever_is_ungraded_leaves_no_reward_and_disturbs_no_other(rules: Rules) -> None:
    found = score(make_reward(rules), request("unknown"), request("nice"), request("wow!", None))
    assert [type(reward).__name__ for reward in found] == ["Ungraded", "Scored", "Ungraded"]
    assert found[0].reason == "missing"
    assert found[2].detail.startswith("reward model")


def test_weights_of_another_grader_or_policy_are_refused(rules: Rules) -> None:
    with pytest.raises(ConfigError, match="another grader"):
        make_reward(rules, made_with={"grader": "local:big"})
    with pytest.raises(ConfigError, match="another policy_digest"):
        make_reward(rules, made_with={"policy_digest": "0"})
    with pytest.raises(ConfigError, match="another reading"):
        make_reward(rules, made_with={"reading": "normalised"})


def test_trl_gets_none_for_what_is_ungraded(rules: Rules) -> None:
    log = RewardLog()
    function = TrlReward(make_reward(rules), log)
    prompts = [[{"role": "user", "content": "Hi"}]] * 3
    completions = [[{"role": "assistant", "content": text}] for text in ("nice", "unknown", "rude")]
    metrics: dict[str, float] = {}
    totals = function(prompts, completions, response_type=["reply"] * 3, log_metric=metrics.__setitem__)
    assert totals[1] is None
    assert totals[0] is not None
    assert totals[2] is not None
    assert totals[0] > totals[2]
    assert log.records[0]["reward/coverage"] == pytest.approx(2 / 3)
    assert metrics["feature/polite"] == pytest.approx(0.5)
    assert metrics["ungraded/missing"] == 1
    assert (
        asyncio.run(make_async_reward(make_reward(rules))(prompts, completions, response_type=["reply"] * 3)) == totals
    )


def test_trl_without_the_column_is_told_so(rules: Rules) -> None:
    with pytest.raises(DataError, match="no column response_type"):
        TrlReward(make_reward(rules))(["Hi"], ["nice"])


def test_verl_gets_a_score_with_its_parts_or_an_error_never_a_silent_zero(rules: Rules) -> None:
    info = {"prompt": "Hi", "response_type": "reply"}
    compute = make_compute_score(make_reward(rules))
    found = asyncio.run(compute("set", "nice", None, info, reward_router_address=None))
    assert found["score"] == pytest.approx(5.25)
    assert found["feature/polite"] == 0.9
    with pytest.raises(EndpointError, match="could not be graded: missing"):
        asyncio.run(compute("set", "unknown", None, info))
    with pytest.raises(DataError, match="lacks prompt or response_type"):
        asyncio.run(compute("set", "nice", None, {}))
    stated = asyncio.run(make_compute_score(make_reward(rules), fallback=-1.0)("set", "unknown", None, info))
    assert (stated["score"], stated["is_graded"]) == (-1.0, 0.0)
    assert stated.keys() == found.keys(), "verl makes columns of the first sample's keys"


def test_openrlhf_gets_the_batch_mean_for_what_is_ungraded_and_is_told(rules: Rules) -> None:
    function = make_reward_func(make_reward(rules))
    found = function(["Hi nice", "Hi rude", "Hi ???"], ["Hi "] * 3, ["reply"] * 3)
    assert found["rewards"].shape == (3,)
    assert found["rewards"][2] == pytest.approx(float(sum(found["rewards"][:2])) / 2)
    assert found["extra_logs"]["coverage"].tolist() == [1, 1, 0]
    stated = make_reward_func(make_reward(rules), fallback=-1.0)(["Hi ???"], ["Hi "], ["reply"])
    assert (stated["rewards"].tolist(), stated["extra_logs"]["coverage"].tolist()) == ([-1.0], [0.0])
    with pytest.raises(EndpointError, match="none of 1 samples"):
        function(["Hi ???"], ["Hi "], ["reply"])
    with pytest.raises(DataError, match="query 0 does not start"):
        function(["Bye"], ["Hi "], ["reply"])


def test_the_remote_reward_server_speaks_openrlhfs_protocol(rules: Rules) -> None:
    client = TestClient(make_app(make_reward(rules), max_samples=2))
    body = {"query": ["Hi nice", "Hi rude"], "prompts": ["Hi ", "Hi "], "labels": ["reply", "reply"]}
    answer = client.post("/get_reward", json=body)
    assert answer.status_code == 200
    assert answer.json()["rewards"] == pytest.approx([5.25, 4 + 0.2 - 0.95])
    assert client.post("/get_reward", json={"query": ["a"] * 3}).status_code == 400
    assert client.post("/get_reward", json=body | {"prompts": ["Bye", "Bye"]}).status_code == 400
    assert (
        client.post("/get_reward", json={"query": ["Hi ?"], "prompts": ["Hi "], "labels": ["reply"]}).status_code == 503
    )


def test_verifiers_functions_take_a_rollouts_fields_and_never_raise_for_it(rules: Rules) -> None:
    (total, is_graded), weights = make_functions(make_reward(rules))
    turn = {
        "prompt": [{"role": "user", "content": "Hi"}],
        "info": {"response_type": "reply"},
        "answer": "",
        "state": {},
    }
    nice = [{"role": "assistant", "content": "nice"}]
    assert asyncio.run(total(completion=nice, **turn)) == pytest.approx(5.25)
    missing = asyncio.run(total(completion="unknown", **turn))
    assert math.isnan(missing)
    assert asyncio.run(is_graded(completion="unknown", **turn)) == 0
    assert weights == [1.0, 0.0]
    assert drop_ungraded([1.0, missing]) == [0]


def test_a_real_verifiers_rubric_scores_with_the_reward(rules: Rules) -> None:
    verifiers = pytest.importorskip("verifiers", reason="the package verifiers is not installed")
    from vivavoce.rbr.adapters.verifiers import make_rubric

    if not hasattr(verifiers, "Rubric"):
        with pytest.raises(MissingExtraError, match="has no Rubric"):
            make_rubric(make_reward(rules))
        return
    states = []
    for text in ("nice", "unknown"):
        state = verifiers.State(
            prompt=[{"role": "user", "content": "Hi"}],
            completion=[{"role": "assistant", "content": text}],
            info={"response_type": "reply"},
            answer="",
            task="",
        )
        asyncio.run(make_rubric(make_reward(rules)).score_rollout(state))
        states.append(state)
    assert states[0]["reward"] == pytest.approx(5.25)
    assert states[0]["metrics"]["is_graded"] == 1
    assert math.isnan(states[1]["reward"])
    assert states[1]["metrics"]["is_graded"] == 0


def test_openrlhfs_own_executor_gets_one_reward_a_sample(rules: Rules, tmp_path: Path) -> None:
    agent = pytest.importorskip("openrlhf.utils.agent", reason="the package openrlhf is not installed")
    import torch

    executor = agent.SingleTurnAgentExecutor()
    executor.reward_func = make_reward_func(make_reward(rules), fallback=-1.0)
    for query, reward in (("Hi nice", 5.25), ("Hi ???", -1.0)):
        (info,) = asyncio.run(executor._fetch_rewards_via_func([query], ["Hi "], ["reply"]))
        # what its samples_generator does with the answer
        assert torch.tensor([info["rewards"]]).tolist() == pytest.approx([reward])


def scored(rbr: float) -> Scored:
    return Scored(total=rbr, rm=0, rbr=rbr, contributions={}, features={"polite": 0.5})


def test_the_log_warns_when_the_shadow_falls_while_the_reward_rises(tmp_path: Path) -> None:
    log = RewardLog(tmp_path / "rewards.jsonl")
    for step in range(2 * WINDOW):
        log.add([scored(step / 10)], [scored(-step / 10)])
    assert log.warnings == 1
    honest = RewardLog()
    for step in range(2 * WINDOW):
        honest.add([scored(step / 10)], [scored(step / 20)])
    assert honest.warnings == 0
    lines = (tmp_path / "rewards.jsonl").read_text().splitlines()
    assert len(lines) == 2 * WINDOW
    assert json.loads(lines[3])["shadow/gap"] == pytest.approx(0.6)


def test_a_linear_reward_model_learns_preferences_and_survives_its_folder(tmp_path: Path) -> None:
    def item(text: str) -> Item:
        return Item(prompt=(user("How are you?"),), completion=text)

    pairs = [Preference(item(f"Very well, thank you, number {i}."), item(f"Go away {i}.")) for i in range(12)]
    model = train_linear(pairs)
    good, bad = model.score([item("Very well, thank you."), item("Go away.")])
    assert isinstance(good, Graded)
    assert isinstance(bad, Graded)
    assert good.value > bad.value
    save_linear(tmp_path / "rm", model)
    loaded = open_reward_model(f"linear:{tmp_path / 'rm'}")
    assert isinstance(loaded, LinearRewardModel)
    assert loaded.identity == model.identity
    with pytest.raises(ConfigError, match="need linear:FOLDER"):
        open_reward_model("magic")


def comparison(idx: int, rm: tuple[float, float, float]) -> Comparison:
    values = {"ideal": 0.9, "bad": 0.4, "worst": 0.1}
    completions = tuple(
        Completion(label=label, features={"polite": values[label]}, rm_score=score) for label, score in zip(values, rm)
    )
    return Comparison(prompt_id=str(idx), response_type="reply", completions=completions)


def test_the_audit_counts_errors_per_pair_and_centres_on_the_ideal() -> None:
    rows = [comparison(0, (0, 1, 2)), comparison(1, (0, 1, -1)), comparison(2, (1, 1, 0))]
    found = audit_reward(rows, {"reply": parse_order("ideal>bad>worst")}, {"reply": {"polite": 10.0}})
    rates = found.error_rates["reply"]
    assert rates["rm"].value == pytest.approx((1 + 1 + 1 + 0 + 0.5 + 0) / 6)
    assert rates["rm+rbr"].value == 0
    assert rates["rbr"].value == 0
    middle = [row.value for row in found.centred if row.label == "bad" and row.part == "rbr"]
    assert middle == pytest.approx([-5.0] * 3)
    assert rates["rm+rbr"].high == pytest.approx(0.5615, abs=1e-3)


def test_the_audit_report_is_one_file_with_plots_and_stable_bytes() -> None:
    rows = [comparison(idx, (0, 1, 2)) for idx in range(3)]
    found = audit_reward(rows, {"reply": parse_order("ideal>bad>worst")}, {"reply": {"polite": 10.0}})
    page = render_report(found, {"prompts": 3})
    assert page == render_report(found, {"prompts": 3})
    assert "<svg" in page
    assert "http" not in page.replace("http://www.w3.org", "")


def test_an_audit_without_weights_for_a_type_says_so() -> None:
    with pytest.raises(ConfigError, match="no weights or no order for response type reply"):
        audit_reward([comparison(0, (0, 1, 2))], {}, {})
