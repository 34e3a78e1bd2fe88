"""A critic behind an OpenAI-compatible endpoint: a scripted server over a real socket."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from vivavoce.cli import main
from vivavoce.critique.criticising import criticise_store
from vivavoce.critique.endpoint import EndpointConfig, EndpointModel, load_instructions, open_respondent
from vivavoce.critique.loaders.importing import import_records
from vivavoce.critique.loaders.records import AnswerRecord, LoadNotes, PassageRecord, QuestionRecord
from vivavoce.critique.pool import Sampling
from vivavoce.critique.store import Critique, Store, current, open_store
from vivavoce.critique.tasks.forms import render, task_names
from vivavoce.errors import ConfigError, DataError
from vivavoce.grading import Graded, Ungraded

Script = Callable[[str, dict[str, Any]], dict[str, Any] | int]


def reply(text: str, *, finish: str = "stop", tops: dict[str, float] | None = None) -> dict[str, Any]:
    """One choice; `tops` are the first token's alternatives with their probabilities."""
    listed = [{"token": token, "logprob": math.log(p), "bytes": None} for token, p in (tops or {}).items()]
    content = [{**listed[0], "top_logprobs": listed}] if listed else None
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text},
              "logprobs": {"content": content, "refusal": None} if content else None}  # fmt: skip
    usage = {"prompt_tokens": 50, "completion_tokens": 7, "total_tokens": 57}
    return {"id": "1", "object": "chat.completion", "created": 0, "model": "fake", "choices": [choice], "usage": usage}


@pytest.fixture
def serve() -> Iterator[Callable[[Script], tuple[str, list[dict[str, Any]]]]]:
    """Starts a server that answers by a script of (prompt, request), a number being an HTTP error; gives what it saw."""
    servers: list[ThreadingHTTPServer] = []

    def start(script: Script) -> tuple[str, list[dict[str, Any]]]:
        seen: list[dict[str, Any]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                seen.append(body)
                answer = script(body["messages"][-1]["content"], body)
                data = json.dumps({"error": {"message": "scripted"}} if isinstance(answer, int) else answer).encode()
                self.send_response(answer if isinstance(answer, int) else 200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/v1", seen

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def open_model(address: str, **changes: Any) -> EndpointModel:
    return EndpointModel(EndpointConfig(model="openai-api/local/fake", base_url=address, api_key="none", **changes))


def critic(prompt: str, body: dict[str, Any]) -> dict[str, Any]:
    """Criticises by the seed; finds critiques helpful that quote the goat."""
    if prompt.endswith("### Critique\n"):
        return reply('It was not "two goats" but one.' if body["seed"] % 2 else "This could be better somehow.")
    p = 0.9 if '"two goats"' in prompt.split("### Critique\n")[1] else 0.2
    return reply("Yes", finish="length", tops={"Yes": 0.8 * p, " no": 0.8 * (1 - p), "Well": 0.2})


def fill(store: Store) -> None:
    answer = AnswerRecord(
        key="a", author_kind="model", author="m", text="The ferry carried two goats.", is_correct=None
    )
    question = QuestionRecord(key="q", text="What did it carry?", is_topic_based=True, answers=(answer,))
    passage = PassageRecord(key="p", source="t", text="The ferry carried a goat.", split="test", questions=(question,))
    assert import_records(store, [passage], LoadNotes()).refused == []


def test_every_task_has_an_instruction() -> None:
    assert set(load_instructions()) == set(task_names())


def test_an_endpoint_criticises_the_store(serve: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, seen = serve(critic)
    monkeypatch.setenv("LOCAL_API_KEY", "none")
    with open_store(tmp_path / "s.db") as store:
        fill(store)
    name = "endpoint:openai-api/local/fake"
    arguments = ["critique", "criticise", "--store", str(tmp_path / "s.db"), "--model", name, "--base-url", address]
    main([*arguments, "--sampling.num-critiques", "4"])
    with open_store(tmp_path / "s.db") as store, store.session() as session:
        (row,) = session.scalars(current(Critique))
        assert (row.text, row.author, row.rank) == ('It was not "two goats" but one.', name, 0)
        assert row.answer_spans == [{"kind": "text", "begin": 18, "end": 27}]
        assert row.details["prob_helpful"] == pytest.approx(0.9)
    prompts = [body["messages"][-1]["content"] for body in seen]
    assert prompts[0].startswith("Write one critique of the answer")
    assert "The ferry carried a goat." in prompts[0]
    assert sorted(body["seed"] for body in seen if body.get("seed") is not None) == [0, 1, 2, 3]


def test_a_failed_call_leaves_one_sample_without_text_and_says_why(serve: Any) -> None:
    address, _ = serve(lambda prompt, body: 400 if body["seed"] == 1 else reply("A flaw.", finish="stop"))
    prompt = render("critique", passage="A text.", question="Who?", answer="She.")
    (samples,) = open_model(address).sample([prompt], 3, max_new_tokens=20, temperature=1, seed=0)
    assert [sample.num_tokens for sample in samples] == [7, 0, 7]
    read = [sample.read() for sample in samples]
    assert (read[0], read[2]) == ("A flaw.", "A flaw.")
    assert isinstance(read[1], Ungraded)
    assert read[1].reason == "endpoint"
    assert "scripted" in read[1].detail


def test_an_endpoint_that_is_down_refuses_the_answer_and_writes_nothing(serve: Any, sqlite_store: Store) -> None:
    address, _ = serve(lambda prompt, body: 400)
    fill(sqlite_store)
    report = criticise_store(
        sqlite_store, open_model(address), author="e", split="test", sampling=Sampling(num_critiques=2)
    )
    assert [key for key, _ in report.refused] == ["a"]
    assert "the endpoint gave nothing" in report.refused[0][1]
    with sqlite_store.session() as session:
        assert session.scalars(select(Critique)).all() == []


def test_a_completion_that_hits_the_bound_is_cut_and_one_that_loops_is_named(serve: Any) -> None:
    texts = ["It says that", "no no no no no no no no no no no no no no"]
    address, _ = serve(lambda prompt, body: reply(texts[body["seed"]], finish="length"))
    prompt = render("critique", passage="", question="Who?", answer="She.")
    (samples,) = open_model(address).sample([prompt], 2, max_new_tokens=3, temperature=1, seed=0)
    assert [sample.read().reason for sample in samples] == ["cut", "looped"]  # type: ignore[union-attr]


def test_a_critic_that_loops_is_counted_apart_and_writes_nothing(serve: Any, sqlite_store: Store) -> None:
    address, _ = serve(lambda prompt, body: reply("It is wrong. " + "wrong wrong " * 9))
    fill(sqlite_store)
    report = criticise_store(
        sqlite_store, open_model(address), author="e", split="test", sampling=Sampling(num_critiques=3)
    )
    assert (report.num_drawn, report.num_kept, report.refused) == (3, 0, [])
    assert (report.coverage.graded, report.coverage.reasons) == (0, {"looped": 3})


def test_without_log_probabilities_sampled_answers_vote(serve: Any) -> None:
    words = ["Yes.", "yes", "No", "Maybe"]
    address, seen = serve(lambda prompt, body: reply(words[body.get("seed") or 0]))
    prompt = render("critiqueability", passage="A text.", question="Who?", answer="She.")
    (grade,) = open_model(address, num_votes=4).judge("critiqueability", [prompt])
    assert isinstance(grade, Graded)
    assert grade.value == pytest.approx((2 + 1) / (3 + 2))
    assert len(seen) == 5
    (vague,) = open_model(serve(lambda prompt, body: reply("Perhaps"))[0]).judge("critiqueability", [prompt])
    assert isinstance(vague, Ungraded)
    assert vague.reason == "no_yes_no"


def test_a_long_passage_loses_sentences_and_nothing_else_does(serve: Any) -> None:
    address, seen = serve(lambda prompt, body: reply("A flaw."))
    passage = "Nothing of note happened that day. " * 200 + "The ferry carried a goat. " + "It rained again. " * 200
    prompt = render("critique", passage=passage, question="What did the ferry carry?", answer="A goat.")
    open_model(address, context_chars=1000).sample([prompt], 1, max_new_tokens=20, temperature=1, seed=0)
    sent = seen[0]["messages"][-1]["content"]
    assert len(sent) <= 1000
    assert "The ferry carried a goat." in sent
    assert sent.endswith("### Question\nWhat did the ferry carry?\n\n### Answer\nA goat.\n\n### Critique\n")
    with pytest.raises(DataError, match="without any passage"):
        open_model(address, context_chars=200).sample([prompt], 1, max_new_tokens=20, temperature=1, seed=0)


def test_a_base_url_with_a_model_on_this_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match="--base-url goes with --model endpoint:"):
        open_respondent("some/folder", "http://127.0.0.1:1/v1")
