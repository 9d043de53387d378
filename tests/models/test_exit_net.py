"""A network is stages + heads."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from offramp.errors import InputError
from offramp.models.exit_net import ExitNet, Standardize


def linear_net(exits: tuple[int, ...], last: int = 4, seed: int = 0) -> ExitNet:
    """Stages and heads that are as plain as can be: the core asks nothing of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        stages = [nn.Sequential(nn.Linear(6, 6), nn.Tanh()) for _ in range(last)]
        return ExitNet(stages, {exit_: nn.Linear(6, 3) for exit_ in exits})


def rows(count: int, seed: int) -> Tensor:
    """A batch."""
    return torch.randn(count, 6, generator=torch.Generator().manual_seed(seed))


@given(st.sets(st.integers(1, 3)), st.integers(1, 5), st.integers(0, 100))
def test_forward_is_the_stages_in_a_row_and_a_head_at_each_exit(local: set[int], count: int, seed: int) -> None:
    """Every sample gets logits at every exit, equal to running stages and heads by hand."""
    exits = (*sorted(local), 4)
    net, batch = linear_net(exits, seed=seed), rows(count, seed)

    by_hand, features = {}, batch
    for index in (1, 2, 3, 4):
        features = net.stages[index - 1](features)
        if index in exits:
            by_hand[index] = net.heads[str(index)](features)

    logits = net(batch)
    assert tuple(logits) == net.exits == exits
    assert all(torch.equal(logits[exit_], by_hand[exit_]) for exit_ in exits)


def test_features_are_those_of_every_boundary() -> None:
    """One tensor a stage, each the next stage's input."""
    net, batch = linear_net((4,)), rows(2, 0)
    features = net.features(batch)
    assert len(features) == net.last == 4
    for stage, before, after in zip(net.stages, [batch, *features], features, strict=False):
        assert torch.equal(stage(before), after)


def test_the_order_in_which_heads_are_named_does_not_matter() -> None:
    """Exits rise."""
    heads = {4: nn.Linear(6, 3), 2: nn.Linear(6, 3)}
    net = ExitNet([nn.Identity() for _ in range(4)], heads)
    assert net.exits == (2, 4)
    assert net.head(2) is heads[2]


def test_exits_beyond_nine_stay_in_order() -> None:
    """Exit 10 comes after exit 2, though "10" sorts before "2"."""
    assert ExitNet([nn.Identity() for _ in range(10)], {k: nn.Identity() for k in (10, 2, 1)}).exits == (1, 2, 10)


@pytest.mark.parametrize("exits", [(), (1, 2), (0, 4), (4, 5)])
def test_heads_that_do_not_fit_the_stages_are_refused(exits: tuple[int, ...]) -> None:
    """The last stage always has a head, and no head stands where there is no stage."""
    with pytest.raises(InputError) as caught:
        linear_net(exits)
    assert str(caught.value) == f"heads: expected exits within 1 to 4 that end at 4, got {exits}."


def test_standardize_gives_mean_0_and_deviation_1_per_channel() -> None:
    """Channel by channel, with the numbers that it was given, which are saved with the weights and not trained."""
    pixels = torch.rand(50, 2, 4, 4, generator=torch.Generator().manual_seed(0)) * torch.tensor([[[1.0]], [[9.0]]])
    standardize = Standardize(pixels.mean(dim=(0, 2, 3)), pixels.std(dim=(0, 2, 3)))
    standardized = standardize(pixels)
    torch.testing.assert_close(standardized.mean(dim=(0, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(standardized.std(dim=(0, 2, 3)), torch.ones(2), atol=1e-5, rtol=0)
    assert set(standardize.state_dict()) == {"mean", "std"}
    assert not list(standardize.parameters())
