"""Self-distillation against the formulas of its sources, written out."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from offramp.train.regimes.distill import Distilled, Teacher, divergence
from offramp.train.regimes.joint import Joint, joint_loss

LABELS = torch.tensor([0, 1, 2, 1, 0])


def softened(row: list[float], temperature: float) -> list[float]:
    """Softmax of a row at a temperature, in plain Python."""
    powers = [math.exp((value - max(row)) / temperature) for value in row]
    return [power / sum(powers) for power in powers]


def by_hand(student: Tensor, teacher: Tensor, temperature: float) -> float:
    """T² times the mean over samples of sum p log(p / q)."""
    rows = zip(teacher.tolist(), student.tolist(), strict=True)
    pairs = [(softened(t, temperature), softened(s, temperature)) for t, s in rows]
    total = sum(p * math.log(p / q) for t, s in pairs for p, q in zip(t, s, strict=True))
    return temperature**2 * total / len(student)


def some(*exits: int, seed: int = 0) -> dict[int, Tensor]:
    """Random logits of five samples."""
    generator = torch.Generator().manual_seed(seed)
    return {k: 3 * torch.randn(5, 3, generator=generator) for k in exits}


def distilled(teacher: Teacher, weights: dict[int, float]) -> Distilled:
    """With the settings that the names stand for."""
    return Distilled(Joint(weights), teacher, share=0.1, temperature=3.0)


@given(st.integers(0, 999), st.floats(0.5, 8))
def test_the_divergence_is_kullback_leiblers_times_the_temperature_squared(seed: int, temperature: float) -> None:
    """Mean over samples; 0 against itself."""
    logits = some(1, 2, seed=seed)
    assert float(divergence(logits[1], logits[2], temperature)) == pytest.approx(
        by_hand(logits[1], logits[2], temperature), rel=1e-3, abs=1e-5
    )
    assert float(divergence(logits[1], logits[1], temperature)) == pytest.approx(0, abs=1e-6)


def test_the_last_exit_teaches_the_others_and_learns_from_labels_alone() -> None:
    """(1 - a) CE + a T² KL at each local exit, CE at the last."""
    logits, weights = some(1, 4, 9), {1: 0.5, 4: 1.0, 9: 2.0}
    expected = float(joint_loss(logits, LABELS, {1: 0.5 * 0.9, 4: 0.9, 9: 2.0}))
    expected += sum(0.1 * weights[k] * by_hand(logits[k], logits[9], 3.0) for k in (1, 4))
    assert float(distilled("last", weights).loss(logits, LABELS, 0.5)) == pytest.approx(expected, rel=1e-4)


def test_the_ensemble_teaches_every_exit_the_last_one_too() -> None:
    """CE + a T² KL from the mean of all logits, at each."""
    logits, weights = some(1, 4, 9), {1: 0.5, 4: 1.0, 9: 2.0}
    mean = torch.stack(list(logits.values())).mean(0)
    expected = float(joint_loss(logits, LABELS, weights))
    expected += sum(0.1 * weights[k] * by_hand(logits[k], mean, 3.0) for k in logits)
    assert float(distilled("ensemble", weights).loss(logits, LABELS, 0.5)) == pytest.approx(expected, rel=1e-4)


def test_no_gradient_goes_through_the_teacher() -> None:
    """The last exit's gradient is its own cross-entropy's, whatever its pupils say."""
    taught, alone = some(1, 9), some(1, 9)
    for at_exit in (*taught.values(), *alone.values()):
        at_exit.requires_grad_()
    distilled("last", {1: 1.0, 9: 1.0}).loss(taught, LABELS, 0.0).backward()  # type: ignore[no-untyped-call]
    joint_loss(alone, LABELS, {1: 1.0, 9: 1.0}).backward()  # type: ignore[no-untyped-call]
    assert torch.equal(taught[9].grad, alone[9].grad)  # type: ignore[arg-type]
    assert not torch.equal(taught[1].grad, alone[1].grad)  # type: ignore[arg-type]


def test_no_gradient_goes_through_the_ensemble_either() -> None:
    """As if its mean were given from outside. (With equal weights what goes through it adds up to nothing anyway.)"""
    taught, expected = some(1, 9), some(1, 9)
    mean = torch.stack(list(expected.values())).mean(0)
    for at_exit in (*taught.values(), *expected.values()):
        at_exit.requires_grad_()
    weights = {1: 1.0, 9: 3.0}
    distilled("ensemble", weights).loss(taught, LABELS, 0.0).backward()  # type: ignore[no-untyped-call]
    total = joint_loss(expected, LABELS, weights)
    for exit_, at_exit in expected.items():
        total = total + 0.1 * weights[exit_] * divergence(at_exit, mean, 3.0)
    total.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(taught[1].grad, expected[1].grad)
    torch.testing.assert_close(taught[9].grad, expected[9].grad)


def test_without_local_exits_there_is_nobody_to_teach() -> None:
    """The last exit's cross-entropy remains."""
    logits = some(9)
    assert torch.equal(distilled("last", {9: 1.0}).loss(logits, LABELS, 0.0), joint_loss(logits, LABELS, {9: 1.0}))
