"""The joint loss against its definition."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from offramp.train.regimes.joint import joint_loss

WEIGHTS = st.dictionaries(st.integers(1, 9), st.floats(0, 10), min_size=1, max_size=9)


def cross_entropy(logits: list[float], label: int, smoothing: float) -> float:
    """-sum_c q_c log p_c, where q is the label's one-hot vector, smoothed evenly over all classes."""
    log_sum = math.log(sum(math.exp(value - max(logits)) for value in logits)) + max(logits)
    even = smoothing / len(logits)
    return sum(((1 - smoothing) * (c == label) + even) * (log_sum - value) for c, value in enumerate(logits))


def batch(exits: tuple[int, ...], count: int, classes: int, seed: int) -> tuple[dict[int, Tensor], Tensor]:
    """Random logits at these exits, and labels."""
    generator = torch.Generator().manual_seed(seed)
    logits = {exit_: 4 * torch.randn(count, classes, generator=generator) for exit_ in exits}
    return logits, torch.randint(classes, (count,), generator=generator)


@given(WEIGHTS, st.integers(1, 6), st.integers(2, 5), st.floats(0, 0.9), st.integers(0, 1_000))
def test_the_joint_loss_is_the_weighted_sum_of_mean_cross_entropies(
    weights: dict[int, float], count: int, classes: int, smoothing: float, seed: int
) -> None:
    """Written out over exits, samples and classes in plain Python."""
    logits, labels = batch(tuple(weights), count, classes, seed)
    by_hand = sum(
        weight
        * sum(
            cross_entropy(row, label, smoothing) for row, label in zip(logits[k].tolist(), labels.tolist(), strict=True)
        )
        / count
        for k, weight in weights.items()
    )
    assert float(joint_loss(logits, labels, weights, smoothing)) == pytest.approx(by_hand, rel=1e-4, abs=1e-5)


def test_every_exit_gets_its_own_gradient() -> None:
    """The gradient at an exit is its weight times its own loss's; an exit of weight 0 gets none."""
    logits, labels = batch((1, 2, 3), 4, 3, 0)
    leaves = {exit_: at_exit.requires_grad_() for exit_, at_exit in logits.items()}
    joint_loss(leaves, labels, {1: 2.0, 2: 0.0, 3: 0.5}).backward()  # type: ignore[no-untyped-call]
    for exit_, weight in ((1, 2.0), (2, 0.0), (3, 0.5)):
        one_hot = torch.nn.functional.one_hot(labels, 3)
        expected = weight * (leaves[exit_].detach().softmax(1) - one_hot) / 4
        torch.testing.assert_close(leaves[exit_].grad, expected)


def test_low_precision_logits_are_summed_in_fp32() -> None:
    """The loss of bf16 logits is the loss of the same values as fp32, not one rounded to bf16."""
    logits, labels = batch((1, 2), 64, 10, 0)
    low = {exit_: at_exit.bfloat16() for exit_, at_exit in logits.items()}
    loss = joint_loss(low, labels, {1: 1.0, 2: 1.0})
    assert loss.dtype == torch.float32
    assert torch.equal(loss, joint_loss({k: v.float() for k, v in low.items()}, labels, {1: 1.0, 2: 1.0}))
