"""Muon's steps: as torch's own in bf16, and in fp32 orthogonal matrices of any shape."""

import pytest
import torch
from torch import nn

from offramp.train.muon import Muon, orthogonal

SHAPES = [(8, 4, 3, 3), (16, 1, 3, 3), (4, 4, 1, 1)]  # wide, tall and square as matrices


def drawn(shape: tuple[int, ...], seed: int) -> torch.Tensor:
    """Normal numbers."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_step_in_bf16_is_torchs(shape: tuple[int, ...], layout: torch.memory_format) -> None:
    """Three of them, with momentum; the scale is kept beside."""
    weight = nn.Parameter(drawn(shape, 0).to(memory_format=layout))
    matrix = nn.Parameter(weight.detach().flatten(1).clone())
    ours = Muon([weight], 0.6, torch.bfloat16)
    torchs = torch.optim.Muon([matrix], lr=0.1, momentum=0.6, weight_decay=0.0)
    for step in range(1, 4):
        gradient = drawn(shape, step)
        weight.grad, matrix.grad = gradient.to(memory_format=layout), gradient.flatten(1).clone()
        matrix.data.mul_(len(matrix) ** 0.5 / matrix.data.norm())
        ours.step(0.1)
        torchs.step()  # type: ignore[no-untyped-call]
        torch.testing.assert_close(weight.detach().flatten(1), matrix.detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shape", [(8, 36), (16, 9), (5, 5)])
def test_in_fp32_every_direction_has_about_one_length(shape: tuple[int, int]) -> None:
    """And it is the nearest orthogonal matrix's direction: the same singular vectors."""
    matrix = drawn(shape, 3)
    found = orthogonal(matrix, torch.float32)
    sizes = torch.linalg.svdvals(found)
    assert 0.6 < float(sizes.min()) <= float(sizes.max()) < 1.25
    left, _, right = torch.linalg.svd(matrix, full_matrices=False)
    within = left.T @ found @ right.T
    torch.testing.assert_close(within, torch.diag(within.diagonal()), rtol=0, atol=1e-4)


def test_a_weight_without_a_gradient_stays() -> None:
    """A head that a phase leaves out, and it has no momentum yet."""
    weight = nn.Parameter(drawn((4, 4, 3, 3), 0))
    before, muon = weight.detach().clone(), Muon([weight], 0.6, torch.float32)
    muon.step(0.1)
    assert torch.equal(weight, before)
    assert muon.momenta == [None]
