"""A batch's way through the network: which exits answer, and which gradients come back."""

from typing import get_args

import pytest
import torch

from offramp.errors import TrainingError
from offramp.models.architecture import Architecture
from offramp.models.cnn import standard_cnn
from offramp.models.exit_net import ExitNet
from offramp.train.forward import compiled, fork, forward
from offramp.train.regimes.regime import Meeting


@pytest.fixture
def net(minute: Architecture) -> ExitNet:
    """Three stages and exits, in evaluation mode: one pass changes nothing for the next."""
    return standard_cnn(minute, seed=1).eval()


IMAGE = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def first_gradient(net: ExitNet, *, meeting: Meeting) -> torch.Tensor:
    """Gradient of the first stage's convolution, of the sum of all exits' squared logits."""
    net.zero_grad()
    torch.stack([at_exit.square().sum() for at_exit in forward(net, IMAGE, meeting=meeting).values()]).sum().backward()
    found = net.get_parameter("stages.0.1.weight").grad
    assert found is not None
    return found.clone()


@pytest.mark.parametrize("meeting", get_args(Meeting))
def test_logits_are_the_networks_own(net: ExitNet, meeting: Meeting) -> None:
    """How gradients meet changes nothing on the way forward."""
    expected, found = net(IMAGE), forward(net, IMAGE, meeting=meeting)
    assert {k: torch.equal(found[k], expected[k]) for k in expected} == {1: True, 2: True, 3: True}


def test_only_the_exits_asked_for_answer(net: ExitNet) -> None:
    """The others' heads are not run."""
    found = forward(net, IMAGE, (3,))
    assert list(found) == [3]
    found[3].sum().backward()  # type: ignore[no-untyped-call]
    assert net.get_parameter("heads.1.2.weight").grad is None


def test_frozen_stages_get_no_gradient(net: ExitNet) -> None:
    """The heads do."""
    sum(at_exit.sum() for at_exit in forward(net, IMAGE, frozen=True).values()).backward()  # type: ignore[union-attr]
    assert all(parameter.grad is None for parameter in net.stages.parameters())
    assert all(parameter.grad is not None for parameter in net.heads.parameters())


def met(head: list[list[float]], rest: list[list[float]], meeting: Meeting, left: int = 3) -> torch.Tensor:
    """What features get of two gradients."""
    features = torch.ones(len(head), len(head[0]), requires_grad=True)
    mine, others = fork(features, meeting, left)
    assert torch.equal(mine, features)
    assert torch.equal(others, features)
    (mine * torch.tensor(head) + others * torch.tensor(rest)).sum().backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    return features.grad


def test_gradients_meet_by_their_rule() -> None:
    """By hand: two samples, of which the first's gradients disagree, and of which the head's are twice as long."""
    head, rest = [[-2.0, 2.0], [0.0, 2.0]], [[1.0, 0.0], [1.0, 1.0]]
    assert met(head, rest, "sum").tolist() == [[-1.0, 2.0], [1.0, 3.0]]
    assert met(head, rest, "mean").tolist() == [
        [0.0, pytest.approx(2 / 3)],
        [pytest.approx(2 / 3), pytest.approx(4 / 3)],
    ]
    # The head's without (1, 0) is (0, 2); the others' without (-1, 1) / sqrt 2 is (0.5, 0.5).
    torch.testing.assert_close(met(head, rest, "project"), torch.tensor([[0.5, 2.5], [1.0, 3.0]]))
    mean = (12**0.5 + 3**0.5) / 2
    expected = torch.tensor(head) * (mean / 12**0.5) + torch.tensor(rest) * (mean / 3**0.5)
    torch.testing.assert_close(met(head, rest, "equalize"), expected)


@pytest.mark.parametrize("meeting", get_args(Meeting))
def test_no_gradient_is_a_gradient_too(meeting: Meeting) -> None:
    """A head whose loss has no weight, or stages that learn nothing: numbers all the same."""
    nothing, something = [[0.0, 0.0]], [[1.0, 2.0]]
    for pair in ((nothing, nothing), (nothing, something), (something, nothing)):
        expected = torch.tensor(pair).sum(0) if meeting != "mean" else torch.tensor([*pair, pair[1]]).sum(0) / 3
        torch.testing.assert_close(met(*pair, meeting), expected)


def test_a_stage_gets_the_mean_of_the_exits_gradients(net: ExitNet) -> None:
    """And not their sum: gradient equilibrium, three exits after the first stage."""
    torch.testing.assert_close(first_gradient(net, meeting="mean"), first_gradient(net, meeting="sum") / 3)


@pytest.mark.parametrize("meeting", get_args(Meeting))
def test_heads_gradients_are_their_own(net: ExitNet, meeting: Meeting) -> None:
    """Only stages are shared."""
    gradients = []
    for one in ("sum", meeting):
        first_gradient(net, meeting=one)
        gradients.append(net.get_parameter("heads.2.2.weight").grad)
    torch.testing.assert_close(*gradients)


def test_compiling_without_a_compiler_is_refused() -> None:
    """Before anything is trained."""
    with pytest.raises(TrainingError) as caught:
        compiled(torch.device("cpu"), "nothing++")
    assert str(caught.value) == (
        "compile: on a CPU it takes a C++ compiler, and there is no nothing++. Install one or name it in CXX, or train "
        "with --no-compile."
    )
