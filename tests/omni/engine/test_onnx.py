"""The ONNX engine: the same talk as PyTorch's; quantised it is near; its files are whole or absent."""

from pathlib import Path

import numpy as np
import pytest

from tests.omni.engine.models import make_checkpoint
from vivavoce.content import Conversation, Image, user
from vivavoce.errors import ConfigError
from vivavoce.omni.engine import onnx_backend
from vivavoce.omni.engine.backend import Reading
from vivavoce.omni.engine.cache import SlotCache, Window
from vivavoce.omni.engine.generation import Generation
from vivavoce.omni.engine.loading import make_backend
from vivavoce.omni.engine.onnx_backend import build_cached, build_in_memory
from vivavoce.omni.engine.torch_backend import TorchBackend
from vivavoce.omni.engine.work import Clock

onnx = pytest.importorskip("onnx")

CHECKPOINT = make_checkpoint()


def talk(backend) -> list[tuple]:
    generation = Generation(backend, CHECKPOINT.vocabulary)
    generation.open(0, seed=4)
    generation.put(0, 1)
    generator, said = np.random.default_rng(0), []
    for idx in range(40):
        mel = generator.normal(size=(8, 80)).astype(np.float32)
        out = generation.advance({0: Clock(mel, force="speak" if idx == 5 else None, may_speak=idx > 4)})[0]
        said.append((out.event, out.text_id, out.heard_id, None if out.codes is None else tuple(out.codes.tolist())))
    return said


def test_it_talks_as_pytorch_does() -> None:
    spoken = talk(TorchBackend(CHECKPOINT.model))
    assert talk(build_in_memory(CHECKPOINT.model)) == spoken
    assert any(codes for *_, codes in spoken)


def read_once(backend, steps: np.ndarray) -> np.ndarray:
    return backend.read([Reading(SlotCache(backend.shape.kv), Window(), steps)])


@pytest.mark.parametrize(("precision", "limit"), [("int8", 0.03), ("int4", 0.3)])
def test_quantised_weights_stay_near(precision: onnx_backend.Precision, limit: float) -> None:
    steps = np.random.default_rng(1).normal(size=(12, 32)).astype(np.float32)
    exact = read_once(TorchBackend(CHECKPOINT.model), steps)
    near = read_once(build_in_memory(CHECKPOINT.model, precision), steps)
    error = np.linalg.norm(near - exact) / np.linalg.norm(exact)
    assert 0 < error < limit


def test_graphs_are_written_once_and_used_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVA_CACHE", str(tmp_path))
    build_cached(CHECKPOINT.model, "weights", "fp32")
    (folder,) = (tmp_path / "engines").iterdir()
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert set(before) == {*(f"{name}.onnx" for name in onnx_backend.GRAPH_NAMES), "engine.json"}
    build_cached(CHECKPOINT.model, "weights", "fp32")
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_failure_while_writing_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVA_CACHE", str(tmp_path))

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(onnx_backend, "write_json", fail)
    with pytest.raises(OSError, match="no space left"):
        build_cached(CHECKPOINT.model, "weights", "fp32")
    assert list((tmp_path / "engines").iterdir()) == []


def test_an_unknown_backend_is_refused() -> None:
    with pytest.raises(ConfigError, match="no backend 'abacus'; there are auto, torch"):
        make_backend(CHECKPOINT, "abacus")


def test_a_picture_is_the_same_to_both() -> None:
    from vivavoce.omni.answer import OmniModel, answer
    from vivavoce.omni.engine.loading import make_engine

    picture = Image(np.random.default_rng(0).integers(0, 255, size=(64, 64, 3)).astype(np.uint8))
    asked = Conversation((user(picture, "what is it"),))
    engine = make_engine(CHECKPOINT, backend="torch")
    reference = answer(OmniModel(engine, ""), asked).text
    engine.generation.backend = build_in_memory(CHECKPOINT.model)
    assert answer(OmniModel(engine, ""), asked).text == reference
