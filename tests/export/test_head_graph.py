"""Heads written onto a graph: they compute what torch's do."""

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from offramp.errors import InputError
from offramp.export.head_graph import standardizing, with_heads
from offramp.export.write import check_parity
from offramp.graphs.layout import Kind
from offramp.models.graph_network import BACKBONE, GraphNet, graph_network
from offramp.models.heads import GraphHead, standing_on
from offramp.runtime.onnx_span import OnnxSpan
from small_graphs import carrying_network, residual_network

SHAPES: dict[Kind, tuple[int, ...]] = {
    "nchw": (3, 5, 4),
    "nhwc": (5, 4, 3),
    "ncl": (3, 5),
    "tokens": (5, 3),
    "vector": (6,),
}
IMAGE = np.random.default_rng(2).random((5, 1, 8, 8), np.float32)


def moved(module: nn.Module) -> nn.Module:
    """With statistics that differ from those of a fresh one, in evaluation mode."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            layer.running_mean.uniform_(-1, 1)
            layer.running_var.uniform_(0.5, 2)
    return module.eval()


def straight(kind: Kind, head: GraphHead) -> tuple[bytes, nn.Module, tuple[int, ...]]:
    """A graph whose only feature is its input, and a head that stands on it."""
    shape = SHAPES[kind]
    made = onnx.helper.make_graph(
        [onnx.helper.make_node("Identity", ["image"], ["features_1"])],
        "straight",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", *shape])],
        [onnx.helper.make_tensor_value_info("features_1", onnx.TensorProto.FLOAT, ["batch", *shape])],
    )
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 13)], ir_version=9)
    return model.SerializeToString(), moved(standing_on(kind, shape, 4, head)), shape


class _Alone:
    """A network of one exit, as the writer sees it."""

    def __init__(self, head: nn.Module) -> None:
        self.exits, self.only = (1,), head

    def names(self, boundary: int) -> tuple[str, ...]:
        return (f"features_{boundary}",)

    def head(self, _exit: int) -> nn.Module:
        return self.only


@pytest.mark.parametrize(
    ("kind", "head"), [*((k, h) for k in SHAPES for h in ("linear", "mlp")), ("nchw", "conv"), ("nhwc", "conv")]
)
def test_every_head_on_every_kind_of_features_is_what_torch_computes(kind: Kind, head: GraphHead) -> None:
    """On values of both signs, at two batch sizes."""
    graph, module, shape = straight(kind, head)
    written = with_heads(graph, _Alone(module), 4)
    onnx.checker.check_model(onnx.load_model_from_string(written), full_check=True)
    span = OnnxSpan(written, ("image",), {"logits_1": "logits_1"}, 1)
    for size in (1, 5):
        features = torch.randn(size, *shape, generator=torch.Generator().manual_seed(size))
        with torch.inference_mode():
            expected = module(features).numpy()
        np.testing.assert_allclose(span.run(features.numpy())["logits_1"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("opset", [8, 11, 13, 18, 21])
@pytest.mark.parametrize("head", ["mlp", "conv"])
def test_a_graph_of_any_version_takes_heads(opset: int, head: GraphHead) -> None:
    """And keeps its own: the parity gate lets the two pass."""
    network, backbone = residual_network(head, opset)
    net = moved(graph_network(network, files={BACKBONE: backbone}))
    assert isinstance(net, GraphNet)
    written = with_heads(backbone, net, 3)
    model = onnx.load_model_from_string(written)
    onnx.checker.check_model(model, full_check=True)
    assert [entry.version for entry in model.opset_import] == [opset]
    assert check_parity(net, written, IMAGE, 1e-4).max_difference < 1e-5
    assert [output.name for output in model.graph.output][3:] == ["logits_1", "logits_2", "logits_3"]


def test_the_gate_compares_every_tensor_of_a_boundary() -> None:
    """What is carried past it too."""
    network, backbone = carrying_network()
    net = moved(graph_network(network, files={BACKBONE: backbone}))
    assert isinstance(net, GraphNet)
    parity = check_parity(net, with_heads(backbone, net, 3), IMAGE, 1e-4)
    assert (parity.samples, parity.max_difference < 1e-5) == (5, True)


def test_a_standardized_layer_is_one_layer_even_where_deviations_are_small() -> None:
    """What the fold cancels, it cancels in fp64."""
    normalization, linear = nn.BatchNorm1d(3, affine=False), nn.Linear(3, 2)
    normalization.running_mean.copy_(torch.tensor([100.0, 0.0, -5.0]))
    normalization.running_var.copy_(torch.tensor([1e-4, 1.0, 4.0]))
    values = torch.tensor([[100.01, 1.0, -4.0], [99.99, -1.0, -7.0]])
    expected = linear(normalization.eval()(values))
    torch.testing.assert_close(standardizing(normalization, linear)(values), expected, rtol=1e-3, atol=1e-3)


def test_a_layer_that_is_not_known_is_named() -> None:
    """Nothing is written in its place."""
    graph, _, _ = straight("vector", "linear")
    with pytest.raises(InputError) as caught:
        with_heads(graph, _Alone(nn.Sequential(nn.Softplus())), 4)
    assert str(caught.value) == "head: no operator is known for its layer Softplus. Report the network."
