"""Backends equal the network's own forward: a row fed step by step gives what training computes for it in one go."""

import numpy as np
import pytest
import torch

from tests.omni.rows import make_row
from vivavoce.omni.configuration import make_tiny
from vivavoce.omni.engine.backend import Backend, ClockReading, Reading
from vivavoce.omni.engine.cache import SlotCache, Window
from vivavoce.omni.engine.onnx_backend import build_in_memory
from vivavoce.omni.engine.torch_backend import TorchBackend
from vivavoce.omni.network import OmniForConversation
from vivavoce.omni.step_batch import collate, track_speaking
from vivavoce.omni.steps import CLOCK, FRAME_PATCH, PATCH, TOKEN, Steps

TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def model() -> OmniForConversation:
    torch.manual_seed(0)
    return OmniForConversation(make_tiny()).eval()


@pytest.fixture(scope="module", params=["torch", "onnx"])
def backend(model: OmniForConversation, request: pytest.FixtureRequest) -> Backend:
    if request.param == "torch":
        return TorchBackend(model)
    pytest.importorskip("onnx")
    return build_in_memory(model)


def embed_row(backend: Backend, row: Steps) -> list[np.ndarray]:
    """Vectors [D] of all steps, clock steps fed one by one through the ear."""
    speaking, ear, clock_idx, out = track_speaking(row.turn), backend.make_ear(), 0, []
    silent = np.full(backend.shape.num_books, backend.shape.num_codes_per_book)
    for place, kind in enumerate(row.kinds):
        if kind == TOKEN:
            out.append(backend.embed_tokens([int(row.ids[place])])[0])
        elif kind == PATCH:
            out.append(backend.embed_patches(row.patches[0])[row.ids[place]])
        elif kind == FRAME_PATCH:
            out.append(backend.embed_frame(row.frame_patches[0])[row.ids[place]])
        else:
            n, last = clock_idx, clock_idx - 1
            heard = backend.hear(row.mel[n : n + 1], [ear])
            (ear,) = heard.ears
            reading = ClockReading(
                heard.sound,
                row.is_muted[n : n + 1],
                speaking[n : n + 1],
                np.array([row.text[last] if n else 0]),
                row.heard[n : n + 1],
                np.array([row.codes[last] if n else silent]),
            )
            out.append(backend.embed_clock(reading)[0])
            clock_idx += 1
    return out


def read_row(backend: Backend, vectors: list[np.ndarray], chunk: int) -> np.ndarray:
    """Hidden vectors [ceil(T / chunk), D] at the end of each chunk."""
    cache, length, hidden = SlotCache(backend.shape.kv), 0, []
    for first in range(0, len(vectors), chunk):
        steps = np.stack(vectors[first : first + chunk])
        hidden.append(backend.read([Reading(cache, Window(0, length), steps)])[0])
        length += len(steps)
    return np.stack(hidden)


@pytest.fixture(scope="module")
def truth(model: OmniForConversation) -> tuple[Steps, torch.Tensor]:
    row = make_row(model.config, 5)
    with torch.no_grad():
        batch = collate([row])
        return row, model.hear_trunk(model.embed(batch), batch.rows)


def test_a_row_fed_step_by_step_equals_the_whole_forward_of_training(backend: Backend, truth) -> None:
    row, hidden = truth
    np.testing.assert_allclose(read_row(backend, embed_row(backend, row), 1), hidden, atol=TOLERANCE)


def test_a_row_fed_in_pieces_equals_the_whole(backend: Backend, truth) -> None:
    row, hidden = truth
    ends = [min(first + 7, len(row)) - 1 for first in range(0, len(row), 7)]
    np.testing.assert_allclose(read_row(backend, embed_row(backend, row), 7), hidden[ends], atol=TOLERANCE)


def test_slots_of_differing_length_read_together_equal_alone(backend: Backend, model: OmniForConversation) -> None:
    rows = [embed_row(backend, make_row(model.config, seed, num_clock=6 + 3 * seed)) for seed in range(3)]
    cuts = [5, 40, 90]
    news = [1, 4, 2]
    caches = [SlotCache(backend.shape.kv) for _ in rows]
    for cache, row, cut in zip(caches, rows, cuts):
        backend.read([Reading(cache, Window(0, 0), np.stack(row[:cut]))])
    together = backend.read(
        [Reading(c, Window(0, cut), np.stack(row[cut : cut + n])) for c, row, cut, n in zip(caches, rows, cuts, news)]
    )
    for row, cut, n, hidden, cache in zip(rows, cuts, news, together, caches):
        alone = SlotCache(backend.shape.kv)
        backend.read([Reading(alone, Window(0, 0), np.stack(row[: cut + n]))])
        np.testing.assert_allclose(hidden, read_row(backend, row[: cut + n], cut + n)[0], atol=TOLERANCE)
        np.testing.assert_allclose(cache.view(0, cut + n), alone.view(0, cut + n), atol=TOLERANCE)


def test_heads_equal_the_networks_own(backend: Backend, model: OmniForConversation, truth) -> None:
    row, hidden = truth
    clock = hidden[row.kinds == CLOCK]
    for ours, theirs in zip(backend.score_clock(clock.numpy()), model.clock_logits(clock)):
        np.testing.assert_allclose(ours, theirs.detach(), atol=TOLERANCE)
    np.testing.assert_allclose(backend.score_tokens(clock.numpy()), model.lm_head(clock).detach(), atol=TOLERANCE)


def test_codes_without_temperature_are_the_likeliest_book_after_book(
    backend: Backend, model: OmniForConversation, truth
) -> None:
    row, hidden = truth
    clock = hidden[row.kinds == CLOCK]
    text = np.asarray(row.text)
    noise = np.zeros((len(text), backend.shape.num_books, backend.shape.num_codes_per_book), np.float32)
    codes = backend.choose_codes(clock.numpy(), text, noise, temperature=0.0, min_prob_share=0.0)
    with torch.no_grad():
        logits = model.code_logits(clock, torch.from_numpy(text), torch.from_numpy(codes))
    np.testing.assert_array_equal(codes, logits.argmax(-1))


def test_codes_with_temperature_are_spread_as_the_softmax(backend: Backend, model: OmniForConversation) -> None:
    from vivavoce.omni.engine.sampling import gumbel

    count = 4000
    hidden = np.repeat(np.random.default_rng(0).normal(size=(1, backend.shape.width)).astype(np.float32), count, 0)
    noise = gumbel(3, 0, (count, backend.shape.num_books, backend.shape.num_codes_per_book))
    text = np.zeros(count, np.int64)
    codes = backend.choose_codes(hidden, text, noise, temperature=0.8, min_prob_share=0.0)
    with torch.no_grad():
        logits = model.code_logits(
            torch.from_numpy(hidden[:1]), torch.zeros(1, dtype=torch.long), torch.zeros(1, 4).long()
        )
    expected = torch.softmax(logits[0, 0] / 0.8, -1).numpy()
    shares = np.bincount(codes[:, 0], minlength=len(expected)) / count
    np.testing.assert_allclose(shares, expected, atol=4 * np.sqrt(0.25 / count))


def test_a_whole_utterance_is_heard_again_alike(backend: Backend, model: OmniForConversation) -> None:
    mel = np.random.default_rng(3).normal(size=(9, 8, 80)).astype(np.float32)
    with torch.no_grad():
        both = model.hear_again(torch.from_numpy(mel).flatten(0, 1)[None])
    heard = backend.hear_again(mel)
    assert (len(heard.first), len(heard.second)) == (9, 18)
    for found, said in zip(heard, both):
        np.testing.assert_allclose(found, said[0].numpy(), atol=1e-4)
