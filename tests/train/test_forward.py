"""A batch's way through the network: which exits answer, and which gradients come back."""

import pytest
import torch

from offramp.errors import TrainingError
from offramp.models.architecture import Architecture
from offramp.models.cnn import standard_cnn
from offramp.models.exit_net import ExitNet
from offramp.train.forward import compiled, forward, rescale


@pytest.fixture
def net(minute: Architecture) -> ExitNet:
    """Three stages and exits, in evaluation mode: one pass changes nothing for the next."""
    return standard_cnn(minute, seed=1).eval()


IMAGE = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def first_gradient(net: ExitNet, *, rescaled: bool) -> torch.Tensor:
    """Gradient of the first stage's convolution, of the sum of all exits' squared logits."""
    net.zero_grad()
    torch.stack(
        [at_exit.square().sum() for at_exit in forward(net, IMAGE, rescaled=rescaled).values()]
    ).sum().backward()
    found = net.get_parameter("stages.0.1.weight").grad
    assert found is not None
    return found.clone()


@pytest.mark.parametrize("rescaled", [False, True])
def test_logits_are_the_networks_own(net: ExitNet, rescaled: bool) -> None:
    """Rescaling changes nothing on the way forward."""
    expected, found = net(IMAGE), forward(net, IMAGE, rescaled=rescaled)
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


def test_rescaling_multiplies_the_gradient_and_leaves_the_features() -> None:
    """A third of it, here."""
    features = torch.ones(2, requires_grad=True)
    rescaled = rescale(features, 1 / 3)
    rescaled.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.equal(rescaled, features)
    assert torch.equal(features.grad, torch.full((2,), 1 / 3))  # type: ignore[arg-type]


def test_a_rescaled_stage_gets_the_mean_of_the_exits_gradients(net: ExitNet) -> None:
    """And not their sum: gradient equilibrium, three exits after the first stage."""
    torch.testing.assert_close(first_gradient(net, rescaled=True), first_gradient(net, rescaled=False) / 3)


def test_rescaling_leaves_the_heads_gradients(net: ExitNet) -> None:
    """Only stages are shared."""
    gradients = []
    for rescaled in (False, True):
        first_gradient(net, rescaled=rescaled)
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
