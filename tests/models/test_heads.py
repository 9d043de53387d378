"""Heads: their layers, and where the richer ones stand."""

import pytest
import torch

from offramp.artifacts.names import parse_exits
from offramp.errors import InputError
from offramp.graphs.layout import Kind
from offramp.models.architecture import preset
from offramp.models.cnn import standard_cnn
from offramp.models.count import count
from offramp.models.heads import standing_on

TEN = tuple("0123456789")


def names(head: torch.nn.Module) -> list[str]:
    """The layers' kinds."""
    return [type(layer).__name__ for layer in head.children()]


def test_local_heads_may_have_a_convolution_and_the_last_never_does() -> None:
    """What the last exit reads has been through the whole network."""
    net = standard_cnn(preset("tiny").architecture((2, 9), TEN, "conv"))
    plain = ["AdaptiveAvgPool2d", "Flatten", "Linear"]
    assert names(net.head(2)) == ["Conv2d", "BatchNorm2d", "ReLU", *plain]
    assert names(net.head(9)) == plain


@pytest.mark.parametrize("exit_", [1, 4, 8])
def test_a_convolutional_heads_macs_are_counted(exit_: int) -> None:
    """9 w 2w at each place of a map half as wide and high, and the linear layer's: by the counter of everything."""
    architecture = preset("small").architecture(parse_exits("mem", 9), TEN, "conv")
    stages, heads = count(standard_cnn(architecture), architecture.shape)
    width, height, across = stages[exit_].shape
    places = ((height + 1) // 2) * ((across + 1) // 2)
    assert heads[exit_].macs == 9 * width * 2 * width * places + 2 * width * 10
    assert heads[exit_].shape == (10,)


def test_stages_are_the_same_with_either_head() -> None:
    """Drawn before any head: a comparison of heads starts from one network."""
    plain, rich = (standard_cnn(preset("tiny").architecture((2, 9), TEN, head), seed=3) for head in ("linear", "conv"))
    for one, other in zip(plain.stages.parameters(), rich.stages.parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_unknown_head_is_refused_with_the_choices() -> None:
    """There are two kinds."""
    with pytest.raises(InputError) as caught:
        preset("tiny").architecture((9,), TEN, "attention")
    assert str(caught.value) == "head 'attention': unknown. Choose one of linear, conv."


@pytest.mark.parametrize(
    ("kind", "shape", "width"),
    [
        ("nchw", (64, 8, 8), 64 * 17),
        ("nchw", (256, 8, 8), 256 * 5),
        ("nhwc", (7, 7, 2048), 4096),
        ("tokens", (65, 768), 2304),
    ],
)
def test_a_head_lays_as_many_windows_as_its_vector_may_have(kind: Kind, shape: tuple[int, ...], width: int) -> None:
    """4 x 4, 2 x 2 or one; of tokens the mean, the largest and the first, however wide."""
    head = standing_on(kind, shape, 10, "mlp")
    assert head[0].width == width
    features = torch.rand(2, *shape)
    assert head.eval()(features).shape == (2, 10)
