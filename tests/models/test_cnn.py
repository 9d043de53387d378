"""The standard CNN: its layers, its seeds, its standardization."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from offramp.models.architecture import Architecture, StandardCnn, preset
from offramp.models.cnn import standard_cnn

TEN = tuple("0123456789")
BLOCK = ["Conv2d", "BatchNorm2d", "ReLU"] * 2
SEEDS = st.integers(0, 1_000)
LOCAL_EXITS = st.sets(st.integers(1, 8))


def small(exits: tuple[int, ...] = (1, 2, 3), **changes: object) -> Architecture:
    """Three blocks on 8x8 images."""
    values: dict[str, object] = {
        "channels": 1, "height": 8, "width": 8, "classes": TEN, "widths": (8, 8, 8), "pool_after": (1,), "exits": exits,
    }  # fmt: skip
    return StandardCnn.model_validate(values | changes)


def narrow_nine(exits: tuple[int, ...]) -> Architecture:
    """The paper's depth, as narrow as can be."""
    return small(exits, widths=(2,) * 9, pool_after=(1, 3, 6), height=16, width=16)


def test_each_of_nine_stages_is_the_papers_block() -> None:
    """Twice convolution, normalization, ReLU; a pooling after blocks 1, 3 and 6; standardization before the first."""
    net = standard_cnn(preset("tiny").architecture((9,), TEN))
    layers = [[type(layer).__name__ for layer in stage] for stage in net.stages]  # type: ignore[union-attr]
    pooled = [*BLOCK, "AvgPool2d"]
    assert layers == [["Standardize", *pooled], BLOCK, pooled, BLOCK, BLOCK, pooled, BLOCK, BLOCK, BLOCK]


def test_convolutions_are_three_by_three_and_keep_the_size() -> None:
    """Padding 1, stride 1, and no bias, which the normalization behind would take away again."""
    net = standard_cnn(preset("tiny").architecture((9,), TEN))
    convolutions = [module for module in net.modules() if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 18
    for convolution in convolutions:
        assert convolution.kernel_size == (3, 3)
        assert convolution.stride == (1, 1)
        assert convolution.padding == (1, 1)
        assert convolution.groups == 1
        assert convolution.bias is None


@pytest.mark.parametrize("exits", [(9,), (1, 9), (4, 9), (2, 5, 9), tuple(range(1, 10))])
def test_exits_can_stand_anywhere(exits: tuple[int, ...]) -> None:
    """Each exit named gives logits for every class, and no other does."""
    net = standard_cnn(narrow_nine(exits)).eval()
    with torch.inference_mode():
        logits = net(torch.zeros(3, 1, 16, 16))
    assert {exit_: tuple(at_exit.shape) for exit_, at_exit in logits.items()} == dict.fromkeys(exits, (3, 10))


def test_a_head_averages_each_channel_and_is_linear_in_the_averages() -> None:
    """Logits equal `W @ mean over pixels + b`, computed by hand."""
    net = standard_cnn(small(), seed=3).eval()
    weight, bias = (dict(net.named_parameters())[f"heads.2.2.{name}"] for name in ("weight", "bias"))
    with torch.inference_mode():
        image = torch.rand(5, 1, 8, 8, generator=torch.Generator().manual_seed(0))
        by_hand = net.features(image)[1].mean(dim=(2, 3)) @ weight.T + bias
        torch.testing.assert_close(net(image)[2], by_hand)


def test_a_shortcut_adds_what_goes_into_the_second_convolution() -> None:
    """A block whose second normalization gives nothing passes on what the first made; without a shortcut, 0."""
    for shortcuts in (True, False):
        net = standard_cnn(small().model_copy(update={"shortcuts": shortcuts})).eval()
        norms = [module for module in net.stages[1].modules() if isinstance(module, nn.BatchNorm2d)]
        nn.init.zeros_(norms[1].weight)
        convolution = next(module for module in net.stages[1].modules() if isinstance(module, nn.Conv2d))
        features = torch.rand(2, 8, 4, 4)
        with torch.inference_mode():
            first = torch.relu(norms[0](convolution(features)))
            given = net.stages[1](features)
        assert torch.equal(given, first if shortcuts else torch.zeros_like(first))
        assert bool((first > 0).any())


def test_pooling_takes_the_largest_where_it_is_told_to() -> None:
    """Of each 2x2 window, after the block."""
    plain, largest = (small().model_copy(update={"pool_after": after, "pooling": "max"}) for after in ((), (1,)))
    image = torch.rand(2, 1, 8, 8)
    with torch.inference_mode():
        whole, pooled = (standard_cnn(one, seed=2).eval().features(image)[0] for one in (plain, largest))
    assert torch.equal(pooled, whole.unflatten(2, (4, 2)).unflatten(4, (4, 2)).amax((3, 5)))


def test_what_is_off_is_not_in_the_document() -> None:
    """A network of before there was any of it is written as then."""
    assert not {"pooling", "whitened", "shortcuts"} & set(small().model_dump())
    on = small().model_copy(update={"pooling": "max", "whitened": True, "shortcuts": True})
    assert type(on).model_validate(on.model_dump(mode="json")) == on


def test_pixels_are_standardized_by_the_statistics_inside_the_network() -> None:
    """A network told of mean and deviation gives on raw pixels what its twin gives on standardized ones."""
    mean, std = torch.tensor([0.2, 0.5, 0.7]), torch.tensor([0.1, 0.3, 2.0])
    told = standard_cnn(small(channels=3), (mean, std), seed=5).eval()
    untold = standard_cnn(small(channels=3), seed=5).eval()
    image = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = untold((image - mean[:, None, None]) / std[:, None, None])
        for exit_, logits in told(image).items():
            torch.testing.assert_close(logits, expected[exit_])
            assert not torch.allclose(logits, untold(image)[exit_])


def test_convolutions_start_at_the_deviation_of_he() -> None:
    """Weights are drawn with deviation sqrt(2 / fan out), He et al. 2015."""
    net = standard_cnn(small(widths=(16, 64, 64)), seed=0)
    widening = next(module for module in net.stages[1].modules() if isinstance(module, nn.Conv2d)).weight.detach()
    assert float(widening.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=0.03)  # fan in would give twice that
    assert abs(float(widening.mean())) < 2e-3


@settings(max_examples=20)
@given(SEEDS)
def test_the_same_seed_gives_the_same_weights(seed: int) -> None:
    """Bit for bit, and another seed gives others."""
    first, second, other = (standard_cnn(small(), seed=s).state_dict() for s in (seed, seed, seed + 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    drawn = [name for name in first if name.endswith("weight") and not torch.equal(first[name], torch.ones(8))]
    assert len(drawn) == 6 + 3
    assert not any(torch.equal(first[name], other[name]) for name in drawn)


@settings(max_examples=20)
@given(SEEDS, LOCAL_EXITS)
def test_models_of_one_seed_start_from_the_same_stages_and_heads(seed: int, local: set[int]) -> None:
    """What SEM, MEM and any other set of exits share, they share bit for bit: a comparison of them is fair."""
    mem = standard_cnn(narrow_nine(tuple(range(1, 10))), seed=seed).state_dict()
    other = standard_cnn(narrow_nine((*sorted(local), 9)), seed=seed).state_dict()
    assert set(other) <= set(mem)
    assert {name for name in mem if name not in other} == {
        f"heads.{exit_}.2.{part}" for exit_ in range(1, 9) if exit_ not in local for part in ("weight", "bias")
    }
    for name, tensor in other.items():
        assert torch.equal(tensor, mem[name]), name


def test_heads_of_equal_width_start_differently() -> None:
    """Two exits do not begin as copies of each other."""
    weights = standard_cnn(small(), seed=0).state_dict()
    assert not torch.equal(weights["heads.1.2.weight"], weights["heads.2.2.weight"])


def test_building_leaves_torchs_generator_where_it_was() -> None:
    """A program's own random numbers do not depend on whether it built a network."""
    torch.manual_seed(11)
    expected = torch.rand(4)
    torch.manual_seed(11)
    standard_cnn(small(), seed=99)
    assert torch.equal(torch.rand(4), expected)
