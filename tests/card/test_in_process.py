"""The model in this process: requests that wait together get what each would get alone, and fail alone."""

from pathlib import Path

import pytest

from vivavoce.card.providers import in_process
from vivavoce.card.providers.in_process import TOGETHER, Desk
from vivavoce.content import Conversation, Message, Text
from vivavoce.errors import CheckpointError, DataError
from vivavoce.omni import answer
from vivavoce.omni.engine_protocol import AnswerRequest


def _ask(text: str) -> AnswerRequest:
    return AnswerRequest(conversation=Conversation((Message("user", (Text(text),)),)))


def _echo(model: object, requests: list[AnswerRequest], *, num_together: int) -> list[Message]:
    texts = [request.conversation.messages[0].text for request in requests]
    assert len(texts) <= num_together == TOGETHER
    if "bad" in texts:
        raise DataError("it can't be read")
    return [Message("assistant", (Text(f"{text}!"),)) for text in texts]


def test_one_request_that_fails_takes_none_of_its_company_along(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer, "load_omni", lambda path: object())
    monkeypatch.setattr(answer, "answer_requests", _echo)
    desk = Desk("somewhere")
    futures = [desk.ask(_ask(text)) for text in [*(str(idx) for idx in range(12)), "bad", "last"]]
    assert [future.result(20).text for future in futures[:12]] == [f"{idx}!" for idx in range(12)]
    with pytest.raises(DataError, match="can't be read"):
        futures[12].result(20)
    assert futures[13].result(20).text == "last!"


def test_a_checkpoint_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=tmp_path.name):
        Desk(str(tmp_path / "nothing")).ask(_ask("hello")).result(60)


def test_a_checkpoint_is_found_by_folder_and_by_name(tmp_path: Path) -> None:
    assert in_process.find_checkpoint(str(tmp_path)) == tmp_path
    assert in_process.find_checkpoint("someone/on-the-hub") == "someone/on-the-hub"
