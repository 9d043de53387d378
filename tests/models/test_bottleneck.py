"""A learned bottleneck: what crosses, how it is rounded while training, and what is refused."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from offramp.artifacts.names import parse_exits
from offramp.errors import InputError
from offramp.models.architecture import preset
from offramp.models.bottleneck import LEVELS, FakeQuantize
from offramp.models.cnn import standard_cnn
from offramp.models.count import count

TEN = tuple("0123456789")


@pytest.mark.parametrize(("size", "bottlenecks"), [("small", {1: 3, 2: 3}), ("full", {3: 3, 4: 3})])
def test_a_cifar_sample_crosses_a_bottleneck_in_less_than_a_kilobyte(size: str, bottlenecks: dict[int, int]) -> None:
    """A byte a channel and place: 768, where the image has 3,072 and the features 4,096 to 32,768."""
    architecture = preset(size).architecture(parse_exits("mem", 9), TEN, "linear", bottlenecks)
    stages, heads = count(standard_cnn(architecture), architecture.shape)
    for boundary in bottlenecks:
        assert stages[boundary].shape == (3, 16, 16)
        assert heads[boundary].macs > 0
    assert stages[9].shape == count(standard_cnn(preset(size).architecture((9,), TEN)), architecture.shape)[0][9].shape


@given(st.integers(0, 999), st.floats(1e-3, 1e3))
def test_training_sees_features_as_the_uint8_codec_sends_them(seed: int, scale: float) -> None:
    """Per channel: 255 steps up to the batch's largest value, and no further off than half a step."""
    features = scale * torch.rand(4, 3, 5, 5, generator=torch.Generator().manual_seed(seed))
    rounded = FakeQuantize().train()(features)
    step = features.amax((0, 2, 3), keepdim=True) / LEVELS
    torch.testing.assert_close(rounded / step, torch.round(features / step), atol=1e-2, rtol=0)
    assert bool(((rounded - features).abs() <= 0.501 * step).all())


def test_gradients_pass_the_rounding_as_if_it_were_not_there() -> None:
    """Straight through."""
    features = torch.rand(2, 3, 4, 4, requires_grad=True)
    weights = torch.rand(2, 3, 4, 4)
    (FakeQuantize().train()(features) * weights).sum().backward()
    assert torch.equal(features.grad, weights)  # type: ignore[arg-type]


def test_nothing_is_rounded_in_evaluation_nor_for_a_dead_channel() -> None:
    """The codec rounds, where features cross; and zeros stay zeros, not 0 / 0."""
    features = torch.rand(2, 3, 4, 4)
    assert FakeQuantize().eval()(features) is features
    assert torch.equal(FakeQuantize().train()(torch.zeros(2, 3, 4, 4)), torch.zeros(2, 3, 4, 4))


def test_features_at_a_bottleneck_start_at_0() -> None:
    """As the codec's scale does."""
    net = standard_cnn(preset("tiny").architecture((2, 9), TEN, "linear", {2: 4})).eval()
    with torch.inference_mode():
        features = net.features(torch.rand(8, 1, 16, 16))
    assert features[1].shape[1] == 4
    assert float(features[1].min()) >= 0 < float(features[1].max())


@pytest.mark.parametrize(
    ("bottlenecks", "message"),
    [
        ({9: 4}, "bottlenecks: a boundary must lie within 1 to 8, got 9."),
        ({0: 4}, "bottlenecks: a boundary must lie within 1 to 8, got 0."),
        ({2: 0}, "bottlenecks: at 2 channels must lie within 1 to 16, got 0."),
        ({2: 17}, "bottlenecks: at 2 channels must lie within 1 to 16, got 17."),
    ],
)
def test_a_bottleneck_that_is_none_is_refused(bottlenecks: dict[int, int], message: str) -> None:
    """Outside of the network, without channels, or with more than before."""
    with pytest.raises(InputError) as caught:
        preset("tiny").architecture((2, 9), TEN, "linear", bottlenecks)
    assert str(caught.value) == message
