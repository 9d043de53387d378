"""What a head makes of features before anything is learned: vectors, whatever the features' layout."""

import numpy as np
import pytest
import torch

from offramp.errors import InputError
from offramp.graphs.layout import Kind
from offramp.models.summary import Part, Summary


def drawn(*shape: int) -> torch.Tensor:
    """Features with values on both sides of 0."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def test_the_parts_of_a_map_stand_one_behind_another() -> None:
    """Means of four windows a channel, then the largest."""
    features = drawn(2, 3, 4, 6)
    summary = Summary("nchw", (3, 4, 6), ("grid", "max"))
    found = summary(features).numpy()
    windows = features.numpy().reshape(2, 3, 2, 2, 2, 3).mean((3, 5))
    assert summary.width == 15
    np.testing.assert_allclose(found[:, :12], windows.reshape(2, 12), atol=1e-6)
    assert np.array_equal(found[:, 12:], features.numpy().max((2, 3)))


def test_windows_of_an_odd_map_share_its_middle() -> None:
    """As wide as each other, so that one is as good as the next."""
    features = drawn(1, 1, 5, 1)
    summary = Summary("nchw", (1, 5, 1), ("grid",))
    found = summary(features)
    assert summary.width == 2
    assert Summary("nchw", (1, 9, 3), ("grid",), 4).width == 12
    line = features.flatten()
    torch.testing.assert_close(found[0], torch.stack([line[:3].mean(), line[2:].mean()]))


@pytest.mark.parametrize("parts", [("mean",), ("grid", "max")])
def test_channels_may_come_last(parts: tuple[Part, ...]) -> None:
    """The same vector, as frameworks with channels last would have it."""
    features = drawn(2, 3, 4, 6)
    torch.testing.assert_close(
        Summary("nhwc", (4, 6, 3), parts)(features.permute(0, 2, 3, 1)), Summary("nchw", (3, 4, 6), parts)(features)
    )


def test_of_tokens_the_first_may_be_the_class_s_own() -> None:
    """Mean and largest of each value over the tokens, and the first token."""
    tokens = drawn(2, 5, 3)
    found = Summary("tokens", (5, 3), ("mean", "max", "first"))(tokens)
    torch.testing.assert_close(found, torch.cat([tokens.mean(1), tokens.amax(1), tokens[:, 0]], 1))


def test_a_vector_is_its_own_summary_and_of_several_tensors_the_first_counts() -> None:
    """There are no places to sum up over."""
    vector = drawn(2, 7)
    summary = Summary("vector", (7,), ("mean", "max"))
    assert summary.width == 7
    assert torch.equal(summary((vector, drawn(2, 1))), vector)


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        ("tokens", (5, 3), "head: windows are of maps and sequences, and features are tokens (5, 3)."),
        ("nchw", (5, 3), "head: features that are nchw have 3 dimensions a sample, got (5, 3)."),
    ],
)
def test_what_does_not_fit_is_said(kind: Kind, shape: tuple[int, ...], message: str) -> None:
    """Kind and shape."""
    with pytest.raises(InputError) as caught:
        Summary(kind, shape, ("grid",))
    assert str(caught.value) == message
