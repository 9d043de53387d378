"""A network whose stages are an ONNX graph: its document, its stages, and its checkpoint."""

import copy
import hashlib
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from pydantic import ValidationError

from offramp.errors import ArtifactDamagedError, ArtifactMissingError, InputError
from offramp.models.build import build, describe
from offramp.models.checkpoint import CARD, WEIGHTS, Checkpoint, ModelCard, write_checkpoint
from offramp.models.count import ModuleCost, count
from offramp.models.graph_network import BACKBONE, GraphNet, GraphNetwork, graph_network
from offramp.models.threads import torch_threads
from offramp.runtime.onnx_span import OnnxSpan
from small_graphs import carrying_network, residual_network

NETWORK, GRAPH = residual_network()


def pixels(count: int) -> torch.Tensor:
    """A batch of noise."""
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def net() -> GraphNet:
    """The network with a linear head at each of two boundaries."""
    return graph_network(NETWORK, seed=3, files={BACKBONE: GRAPH}).eval()


def written(net: GraphNet, path: Path) -> Path:
    """Its checkpoint."""
    weights = safetensors.torch.save(net.state_dict())
    card = ModelCard(
        architecture=NETWORK,
        recipe={"name": "heads"},
        data="digits",
        seed=3,
        commit="unknown",
        hardware="a processor",
        epochs=1,
        seconds=0.5,
        validation_accuracy={1: 0.5, 2: 0.5, 3: 0.75},
        weights_sha256=hashlib.sha256(weights).hexdigest(),
    )
    write_checkpoint(path, card, weights, {BACKBONE: GRAPH})
    return path


@pytest.mark.parametrize("size", [1, 5])
def test_stages_give_what_the_whole_graph_gives(net: GraphNet, size: int) -> None:
    """At each boundary, for any batch; the last exit's logits are the graph's own."""
    image = pixels(size)
    names = {f"features_{k}": f"features_{k}" for k in (1, 2, 3)}
    whole = OnnxSpan(GRAPH, ("image",), names, 1).run(image.numpy())
    for name, features in zip(names, net.features(image), strict=True):
        np.testing.assert_allclose(features.numpy(), whole[name], rtol=0, atol=1e-5)
    assert np.array_equal(net(image)[3].numpy(), net.features(image)[2].numpy())


def test_tensors_of_one_boundary_travel_together() -> None:
    """The head stands on the first, and the next stage takes all."""
    network, graph = carrying_network()
    net = graph_network(network, files={BACKBONE: graph}).eval()
    image = pixels(3)
    whole = OnnxSpan(graph, ("image",), {"features_2": "features_2"}, 1).run(image.numpy())
    first, last = net.features(image)
    assert isinstance(first, tuple)
    assert [tuple(one.shape) for one in first] == [(3, 4, 8, 8), (3, 1, 1, 1)]
    np.testing.assert_allclose(last.numpy(), whole["features_2"], rtol=0, atol=1e-6)
    assert net(image)[1].shape == (3, 3)
    assert net.names(1) == ("features_1", "features_1_mask")


def test_no_gradient_goes_into_the_graph(net: GraphNet) -> None:
    """Heads learn, and nothing else is there to learn."""
    assert {name.split(".")[0] for name, _ in net.named_parameters()} == {"heads"}
    torch.stack([logits.sum() for exit_, logits in net(pixels(2)).items() if exit_ != 3]).sum().backward()
    assert all(parameter.grad is not None for parameter in net.parameters())


def test_a_copy_answers_alike_and_is_another(net: GraphNet) -> None:
    """As predictions and trainings copy networks; on any number of threads."""
    net.eval()
    other = copy.deepcopy(net)
    with torch_threads(2):
        assert torch.equal(other(pixels(2))[1], net(pixels(2))[1])
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert not torch.equal(other(pixels(2))[1], net(pixels(2))[1])


def test_costs_are_the_documents_and_heads_are_counted(net: GraphNet) -> None:
    """Nothing of torch sees into the graph."""
    stages, heads = count(net, NETWORK.shape)
    assert stages[1] == ModuleCost(1_000, 10, (4, 8, 8))
    assert stages[3] == ModuleCost(3_000, 30, (3,))
    assert heads == {1: ModuleCost(12, 15, (3,)), 2: ModuleCost(12, 15, (3,)), 3: ModuleCost(0, 0, (3,))}
    network, graph = carrying_network()
    stages, _ = count(graph_network(network, files={BACKBONE: graph}), network.shape)
    assert stages[1].shape == {"features_1": (4, 8, 8), "features_1_mask": (1, 1, 1)}


def test_heads_of_one_seed_are_alike_and_of_another_are_not() -> None:
    """Each from a seed of its own, whatever else is drawn."""
    one, two, other = (graph_network(NETWORK, seed=seed, files={BACKBONE: GRAPH}) for seed in (1, 1, 2))
    weights = [net.head(2)[-1].weight for net in (one, two, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_the_document_is_read_again_by_its_family() -> None:
    """Name, input and stages."""
    again = describe(NETWORK.model_dump(mode="json"))
    assert again == NETWORK
    assert (again.name, again.shape, again.last, dict(again.beside)) == ("by-hand", (1, 8, 8), 3, NETWORK.files)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"exits": (1, 3)}, "exits: one at each of the 3 boundaries is needed, got (1, 3)"),
        ({"heads": {1: "linear"}}, "heads: one for each exit but the last is needed, got [1]"),
        ({"files": {}}, "files: backbone.onnx is not listed"),
        ({"classes": ("a", "b")}, "stages: the last one gives 2 logits as features_3"),
    ],
)
def test_a_document_that_cannot_be_is_refused(change: dict[str, object], message: str) -> None:
    """Each with its reason."""
    with pytest.raises(ValidationError) as caught:
        GraphNetwork(**(dict(NETWORK) | change))
    assert caught.value.errors()[0]["msg"] == f"Value error, {message}"


def test_a_checkpoint_gives_graph_and_heads_back(net: GraphNet, tmp_path: Path) -> None:
    """Without any code of the network's own."""
    opened = Checkpoint.open(written(net, tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [BACKBONE, CARD, WEIGHTS]
    assert opened.files == {BACKBONE: GRAPH}
    assert opened.card.architecture == NETWORK
    net.eval()
    for exit_, logits in opened.net(pixels(4)).items():
        assert torch.equal(logits, net(pixels(4))[exit_])


def test_a_changed_graph_is_found(net: GraphNet, tmp_path: Path) -> None:
    """By its hash in the card."""
    file = written(net, tmp_path) / BACKBONE
    file.write_bytes(GRAPH[:-1] + b"\0")
    with pytest.raises(ArtifactDamagedError) as caught:
        Checkpoint.open(tmp_path)
    assert str(caught.value).startswith(f"{file}: expected sha256 {NETWORK.files[BACKBONE][:16]}…, found ")
    file.unlink()
    with pytest.raises(ArtifactMissingError, match=r"backbone\.onnx: no such file"):
        Checkpoint.open(tmp_path)


def test_a_head_that_does_not_fit_its_features_is_refused() -> None:
    """A convolution needs a map."""
    tokens = NETWORK.stages[0].model_copy(update={"kind": "tokens", "tensors": {"features_1": (5, 4)}})
    network = NETWORK.model_copy(update={"stages": (tokens, *NETWORK.stages[1:]), "heads": {1: "conv", 2: "linear"}})
    with pytest.raises(InputError) as caught:
        build(network, files={BACKBONE: GRAPH})
    assert str(caught.value) == ("head conv: of maps alone, and the features are tokens (5, 4). Choose linear or mlp.")
