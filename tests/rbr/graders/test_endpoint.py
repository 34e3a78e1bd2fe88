"""The endpoint grader, against inspect_ai's own mock provider and once over a real socket."""

import asyncio
import json
import math
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    Logprob,
    Logprobs,
    ModelOutput,
    ModelUsage,
    TopLogprob,
    get_model,
)

from vivavoce.content import user
from vivavoce.grading import Grade, Graded, Ungraded
from vivavoce.rbr.check import load_rules
from vivavoce.rbr.graders.endpoint import EndpointConfig, EndpointGrader
from vivavoce.rbr.graders.interface import GradeRequest, Item, grade_all_now
from vivavoce.rbr.graders.mixture import MixtureGrader
from vivavoce.rbr.graders.open import open_grader

RULES = load_rules()
REQUEST = GradeRequest(item=Item(prompt=(user("Hi"),), completion="I'm sorry."), propositions=("apology",))


def answer(text: str, top: dict[str, float] | None = None) -> ModelOutput:
    tops = [TopLogprob(token=token, logprob=math.log(prob)) for token, prob in (top or {}).items()]
    logprobs = Logprobs(content=[Logprob(token=text, logprob=-0.1, top_logprobs=tops)]) if top else None
    choice = ChatCompletionChoice(message=ChatMessageAssistant(content=text), logprobs=logprobs)
    # with its own usage, so that the mock provider does not fetch a tokenizer to count
    usage = ModelUsage(input_tokens=10, output_tokens=1, total_tokens=11)
    return ModelOutput(model="mock", choices=[choice], usage=usage)


def grade_with(outputs: Any, **config: Any) -> tuple[Grade, EndpointGrader]:
    model = get_model("mockllm/model", custom_outputs=outputs, memoize=False)
    grader = EndpointGrader(EndpointConfig(model="mockllm/model", **config), RULES.propositions, model=model)
    return grade_all_now(grader, [REQUEST])[0]["apology"], grader


def test_what_an_endpoint_charges_reaches_the_grader_that_a_text_names() -> None:
    grader = open_grader("checkers,apology=endpoint:mockllm/model", RULES, prices=(2.0, 3.0)).grader
    assert isinstance(grader, MixtureGrader)
    asked = grader.by_proposition["apology"]
    assert isinstance(asked, EndpointGrader)
    assert (asked.config.input_price, asked.config.output_price) == (2.0, 3.0)


def test_top_logprobs_become_a_probability() -> None:
    found, grader = grade_with([answer("Yes", {"Yes": 0.6, "No": 0.2, "Well": 0.1})])
    assert isinstance(found, Graded)
    assert found.value == pytest.approx(0.75)
    assert grader.usage.num_calls == 1


def test_without_logprobs_sampled_answers_vote() -> None:
    outputs = [answer("Yes")] + [answer(text) for text in ("Yes", "yes.", "No", "Yes")]
    found, _ = grade_with(outputs, num_votes=4, min_votes=3)
    assert isinstance(found, Graded)
    assert found.value == pytest.approx(4 / 6)


def test_an_answer_that_is_neither_stays_ungraded() -> None:
    found, _ = grade_with([answer("Maybe", {"Maybe": 0.9, "Perhaps": 0.1})])
    assert isinstance(found, Ungraded)
    assert found.reason == "no_yes_no"


def test_a_model_that_hangs_times_out() -> None:
    async def hang(*_: Any) -> ModelOutput:
        await asyncio.sleep(30)
        return answer("Yes")

    found, _ = grade_with(hang, timeout_s=1)
    assert isinstance(found, Ungraded)
    assert found.reason == "timeout"


def test_a_model_that_raises_is_ungraded_with_the_reason() -> None:
    def refuse(*_: Any) -> ModelOutput:
        raise RuntimeError("no credit")

    found, _ = grade_with(refuse)
    assert isinstance(found, Ungraded)
    assert found.reason == "endpoint"
    assert "no credit" in found.detail


class FakeServer(BaseHTTPRequestHandler):
    """Answers chat completions with fixed log-probabilities and usage."""

    seen: list[dict[str, Any]] = []  # noqa: RUF012
    errors: list[int] = []  # noqa: RUF012
    """HTTP errors to give first."""

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).seen.append(body)
        if type(self).errors:
            self.refuse(type(self).errors.pop(0))
            return
        tops = [
            {"token": "No", "logprob": math.log(0.9), "bytes": None},
            {"token": "Yes", "logprob": math.log(0.1), "bytes": None},
        ]
        content = [{"token": "No", "logprob": math.log(0.9), "bytes": None, "top_logprobs": tops}]
        reply = {
            "id": "1", "object": "chat.completion", "created": 0, "model": "fake",
            "choices": [{"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "No"},
                         "logprobs": {"content": content, "refusal": None}}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 1, "total_tokens": 101},
        }  # fmt: skip
        data = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def refuse(self, status: int) -> None:
        data = json.dumps({"error": {"message": "scripted"}}).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), FakeServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()


def test_an_openai_compatible_server_grades_over_a_real_socket(address: str) -> None:
    config = EndpointConfig(model="openai-api/local/fake", base_url=address, api_key="none", input_price=2.0)
    grader = EndpointGrader(config, RULES.propositions)
    names = ("apology", "judgement")
    found = grade_all_now(grader, [GradeRequest(item=REQUEST.item, propositions=names)])[0]
    assert [grade.value for grade in found.values() if isinstance(grade, Graded)] == pytest.approx([0.1, 0.1])
    assert grader.usage.input_tokens == 200
    assert grader.usage.cost == pytest.approx(200 * 2.0 / 1e6)
    prompts = [body["messages"][0]["content"] for body in FakeServer.seen[-2:]]
    shared = min(len(prompts[0]), len(prompts[1])) // 2
    assert prompts[0][:shared] == prompts[1][:shared]
    assert FakeServer.seen[-1]["top_logprobs"] == 20


def grade_over_socket(address: str, **config: Any) -> tuple[Grade, EndpointGrader]:
    settings = EndpointConfig(
        model="openai-api/local/fake", base_url=address, api_key="none", retry_wait_s=0.01, **config
    )
    grader = EndpointGrader(settings, RULES.propositions)
    return grade_all_now(grader, [REQUEST])[0]["apology"], grader


def test_failures_that_may_pass_are_tried_again_and_counted(address: str) -> None:
    FakeServer.errors[:] = [503, 429]
    found, grader = grade_over_socket(address)
    assert isinstance(found, Graded)
    assert (grader.usage.num_retries, grader.usage.num_calls, grader.usage.num_ungraded) == (2, 1, 0)


def test_retries_are_bounded_and_their_last_failure_is_named(address: str) -> None:
    FakeServer.errors[:] = [503] * 9
    found, grader = grade_over_socket(address, max_retries=2)
    assert isinstance(found, Ungraded)
    assert found.reason == "endpoint"
    assert "scripted" in found.detail
    assert grader.usage.num_retries == 2
    assert len(FakeServer.errors) == 6
    FakeServer.errors.clear()


def test_a_refused_request_is_not_tried_again_and_its_text_stays_out_of_the_reason(address: str) -> None:
    FakeServer.errors[:] = [400]
    found, grader = grade_over_socket(address)
    assert isinstance(found, Ungraded)
    assert grader.usage.num_retries == 0
    assert REQUEST.item.completion not in found.detail
