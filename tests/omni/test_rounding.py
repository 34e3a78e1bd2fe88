"""Weights in eight bits: near, the same when rounded again, and whole when read."""

import torch

from vivavoce.omni.rounding import restore_weights, round_weights


def make_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    convolution = torch.randn(6, 3, 5) * torch.logspace(-3, 2, 6)[:, None, None]
    convolution[2] = 0
    return {"a.weight": torch.randn(4, 7), "a.bias": torch.randn(4), "b.weight": convolution}


def test_rounded_is_within_half_a_step_of_its_row() -> None:
    state = make_state()
    again = restore_weights(round_weights(state))
    assert again.keys() == state.keys()
    for name in ("a.weight", "b.weight"):
        step = state[name].flatten(1).abs().amax(1) / 127
        off = (again[name] - state[name]).flatten(1).abs().amax(1)
        assert (off <= step / 2 * (1 + 1e-5)).all()
    assert torch.equal(again["a.bias"], state["a.bias"].bfloat16().float())
    assert {tensor.dtype for tensor in again.values()} == {torch.float32}


def test_rounded_again_it_does_not_change() -> None:
    once = restore_weights(round_weights(make_state()))
    twice = restore_weights(round_weights(once))
    for name, tensor in once.items():
        torch.testing.assert_close(twice[name], tensor, rtol=1e-6, atol=0)
    stored, again = round_weights(make_state()), round_weights(once)
    assert torch.equal(stored["b.weight"], again["b.weight"])


def test_what_was_not_rounded_is_read_as_it_is_and_a_lost_scale_leaves_no_tensor_behind() -> None:
    state = make_state()
    assert all(torch.equal(tensor, state[name]) for name, tensor in restore_weights(state).items())
    stored = round_weights(state)
    del stored["a.weight"]
    assert set(restore_weights(stored)) == {"a.weight.scale", "a.bias", "b.weight"}
