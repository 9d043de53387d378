"""The graph that an exporter writes: its names, its free batch size, its values."""

import numpy as np
import onnx
import pytest
import torch

from offramp.export.graph import Exporter, output_names, to_onnx
from offramp.export.write import check_parity
from offramp.models.architecture import StandardCnn
from offramp.models.cnn import standard_cnn
from offramp.models.exit_net import ExitNet
from offramp.runtime.onnx_span import OnnxSpan

MINUTE = StandardCnn(
    channels=3, height=8, width=12, classes=tuple("abcd"), widths=(8, 12, 16), pool_after=(1, 2), exits=(1, 3)
)
BOUNDARIES = ["features_1", "features_2", "features_3", "logits_1", "logits_3"]


def pixels(count: int, seed: int = 0) -> torch.Tensor:
    """A batch of noise."""
    return torch.rand(count, *MINUTE.shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def net() -> ExitNet:
    """A network whose normalization has seen data, so that it matters which statistics the graph uses."""
    net = standard_cnn(MINUTE, (torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.3, 0.4])), seed=1)
    for seed in range(5):
        net(pixels(32, seed))
    return net.eval()


@pytest.fixture(scope="module", params=["torchscript", "dynamo"])
def graph(net: ExitNet, request: pytest.FixtureRequest) -> bytes:
    """The graph by each exporter; the newer one takes seconds."""
    exporter: Exporter = request.param
    return to_onnx(net, MINUTE.shape, exporter)


def shapes(values: list[onnx.ValueInfoProto]) -> dict[str, list[int | str]]:
    """Names and shapes of a graph's inputs or outputs; a free extent by its name."""
    return {
        value.name: [extent.dim_param or extent.dim_value for extent in value.type.tensor_type.shape.dim]
        for value in values
    }


def test_boundaries_and_exits_are_named_outputs_with_a_free_batch_size(graph: bytes) -> None:
    """`image` in; `features_i` of every stage and `logits_k` of every exit out; only the batch is free."""
    model = onnx.load_model_from_string(graph)
    onnx.checker.check_model(model, full_check=True)
    assert shapes(model.graph.input) == {"image": ["batch", 3, 8, 12]}
    assert shapes(model.graph.output) == {
        "features_1": ["batch", 8, 4, 6],
        "features_2": ["batch", 12, 2, 3],
        "features_3": ["batch", 16, 2, 3],
        "logits_1": ["batch", 4],
        "logits_3": ["batch", 4],
    }


def test_the_names_are_those_that_are_promised(net: ExitNet) -> None:
    """In the order of the graph's outputs: boundaries first, then exits."""
    assert output_names(net) == BOUNDARIES


@pytest.mark.parametrize("count", [1, 2, 7])
def test_the_graph_computes_what_the_network_computes(graph: bytes, net: ExitNet, count: int) -> None:
    """At every boundary and exit, for any batch size."""
    image = pixels(count, seed=9)
    found = OnnxSpan(graph, ("image",), {name: name for name in BOUNDARIES}).run(image.numpy())
    with torch.inference_mode():
        features, logits = net.features(image), net(image)
    expected = {f"features_{i}": tensor for i, tensor in enumerate(features, start=1)}
    expected |= {f"logits_{exit_}": tensor for exit_, tensor in logits.items()}
    for name, tensor in expected.items():
        np.testing.assert_allclose(found[name], tensor.numpy(), rtol=1e-4, atol=1e-5, err_msg=name)


def test_the_parity_gate_lets_either_exporters_graph_pass(graph: bytes, net: ExitNet) -> None:
    """With a difference far below the tolerance."""
    parity = check_parity(net, graph, pixels(5, seed=9).numpy(), 1e-4)
    assert (parity.samples, parity.tolerance) == (5, 1e-4)
    assert 0 <= parity.max_difference < 1e-5


def test_the_graph_stands_alone(graph: bytes) -> None:
    """Weights are in it, not in files beside it."""
    model = onnx.load_model_from_string(graph)
    assert model.graph.initializer
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)


def test_exporting_changes_nothing_in_the_network(net: ExitNet) -> None:
    """Neither its weights and statistics nor its mode."""
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    to_onnx(net, MINUTE.shape)
    assert not net.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
