"""Whitening: patches come out with one length in every direction, and only the biases learn."""

import pytest
import torch
from torch.nn import functional as F

from offramp.models.architecture import StandardCnn
from offramp.models.cnn import standard_cnn
from offramp.models.count import count
from offramp.models.whitening import Whitening


def smooth(images: int = 64, channels: int = 3) -> torch.Tensor:
    """Images whose neighbouring pixels are alike, as those of photographs are: `(N, C, 12, 12)`."""
    rough = torch.randn(images, channels, 14, 14, generator=torch.Generator().manual_seed(0))
    return F.avg_pool2d(rough, 3, 1) * 3 + 0.3 * rough[:, :, 1:-1, 1:-1]


def test_patches_come_out_uncorrelated_and_of_variance_one() -> None:
    """Where no window lies on the padding: the second moments of the first half of the filters are the identity."""
    images = smooth()
    layer = Whitening(3)
    layer.fit(images)
    half = Whitening.width(3) // 2
    with torch.no_grad():
        made = layer.convolution(images)[:, :half].permute(0, 2, 3, 1).reshape(-1, half)
    moments = made.T @ made / len(made)
    torch.testing.assert_close(moments, torch.eye(half), rtol=0, atol=0.01)  # SMALLEST takes a little of each


def test_each_direction_comes_twice_with_both_signs_and_keeps_the_size() -> None:
    """So that nothing is lost behind the ReLU."""
    images = smooth(4)
    layer = Whitening(3)
    layer.fit(images)
    made = layer(images)
    assert made.shape == (4, 24, 12, 12)
    assert bool((made >= 0).all())
    torch.testing.assert_close(made[:, :12] - made[:, 12:], layer.convolution(F.pad(images, (0, 1) * 2))[:, :12])


def test_the_filters_do_not_hang_on_the_way_round_that_a_processor_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of processes that train together each would have other filters in the same place."""
    images, layers, given = smooth(), [Whitening(3), Whitening(3)], torch.linalg.eigh
    layers[0].fit(images)

    def turned(matrix: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        variances, directions = given(matrix)
        return variances, -directions

    monkeypatch.setattr(torch.linalg, "eigh", turned)
    layers[1].fit(images)
    assert torch.equal(layers[0].convolution.weight, layers[1].convolution.weight)


def test_a_whitened_network_has_one_convolution_more_and_it_is_counted() -> None:
    """Its filters are no parameters that learn, its biases are."""
    plain = StandardCnn(channels=3, height=8, width=8, classes=("a", "b"), widths=(8, 8), pool_after=(1,), exits=(1, 2))
    whitened = plain.model_copy(update={"whitened": True})
    net = standard_cnn(whitened)
    (layer,) = (module for module in net.modules() if isinstance(module, Whitening))
    assert [one.requires_grad for one in (layer.convolution.weight, layer.convolution.bias)] == [False, True]
    more = count(net, (3, 8, 8))[0][1].macs - count(standard_cnn(plain), (3, 8, 8))[0][1].macs
    assert more == 8 * 8 * (24 * 3 * 4 + 8 * 9 * (24 - 3))
