"""The heads of a network whose stages are a graph already: written onto that graph, node by node.

Of operators that mean the same in every version of ONNX since 7: a graph from elsewhere keeps the version that it has.
What is standardized before a linear layer is taken into its weights. That the nodes compute what the heads do is for
the parity gate to say.
"""

import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from offramp.artifacts.stages import logits_name
from offramp.errors import InputError
from offramp.graphs.layout import Kind
from offramp.models.exit_net import ExitNet
from offramp.models.summary import ChannelsFirst, Summary

ORDERS: dict[Kind, list[int]] = {"nhwc": [0, 3, 1, 2], "tokens": [0, 2, 1]}  # of axes, to have the channels first


def with_heads(backbone: bytes, net: ExitNet, classes: int) -> bytes:
    """Give a graph of all the boundaries, with the logits of every exit behind them."""
    model = onnx.load_model_from_string(backbone)
    for exit_ in net.exits:
        writer = _Writer(model.graph, logits_name(exit_))
        at = net.names(exit_)[0]
        head = net.head(exit_)
        for layer in _folded(head if isinstance(head, nn.Sequential) else nn.Sequential(head)):
            at = writer.layer(layer, at)
        writer.node("Identity", [at], to=logits_name(exit_))
        model.graph.output.append(
            helper.make_tensor_value_info(logits_name(exit_), TensorProto.FLOAT, ["batch", classes])
        )
    content: bytes = model.SerializeToString()
    return content


class _Writer:
    """Appends nodes and weights under names of one exit's own."""

    def __init__(self, graph: onnx.GraphProto, prefix: str) -> None:
        self.graph, self.prefix, self.count = graph, prefix, 0

    def layer(self, layer: nn.Module, source: str) -> str:  # noqa: PLR0911  # one for each kind of layer
        """Append what computes a layer, and name what it gives."""
        match layer:
            case Summary():
                return self.summary(layer, source)
            case ChannelsFirst():
                return self.ordered(layer.kind, source)
            case nn.Linear():
                return self.node("Gemm", [source, self.weight(layer.weight), self.weight(layer.bias)], transB=1)
            case nn.Conv2d():
                padding = [*layer.padding, *layer.padding]
                taken = [source, self.weight(layer.weight), *([] if layer.bias is None else [self.weight(layer.bias)])]
                return self.node(
                    "Conv", taken, pads=padding, strides=[*layer.stride], kernel_shape=[*layer.kernel_size]
                )
            case nn.ReLU():
                return self.node("Relu", [source])
            case nn.AdaptiveAvgPool2d():
                return self.node("GlobalAveragePool", [source])
            case nn.Flatten():
                return self.node("Flatten", [source], axis=1)
            case nn.Identity():
                return source
        raise InputError(f"head: no operator is known for its layer {type(layer).__name__}. Report the network.")

    def summary(self, summary: Summary, source: str) -> str:
        """The parts, one behind another."""
        if not summary.sides:
            return source
        ordered = self.ordered(summary.kind, source)
        parts = []
        for part in summary.parts:
            match part:
                case "mean":
                    pooled = self.node("GlobalAveragePool", [ordered])
                case "max":
                    pooled = self.node("GlobalMaxPool", [ordered])
                case "grid":
                    pooled = self.node(
                        "AveragePool", [ordered], kernel_shape=[*summary.windows], strides=[*summary.strides]
                    )
                case "first":
                    pooled = self.node("Gather", [ordered, self.weight(torch.tensor([0]))], axis=2)
            parts.append(self.node("Flatten", [pooled], axis=1))
        return parts[0] if len(parts) == 1 else self.node("Concat", parts, axis=1)

    def ordered(self, kind: Kind, source: str) -> str:
        """Channels on axis 1."""
        return self.node("Transpose", [source], perm=ORDERS[kind]) if kind in ORDERS else source

    def weight(self, value: Tensor) -> str:
        """A constant of these values."""
        name = self._name("constant")
        self.graph.initializer.append(numpy_helper.from_array(value.detach().cpu().contiguous().numpy(), name))
        return name

    def node(self, operator: str, sources: list[str], to: str = "", **attributes: object) -> str:
        """A node, and the name of what it gives."""
        target = to or self._name(operator.lower())
        self.graph.node.append(helper.make_node(operator, sources, [target], name=f"{target}_node", **attributes))
        return target

    def _name(self, what: str) -> str:
        self.count += 1
        return f"{self.prefix}_{what}_{self.count}"


def _folded(head: nn.Sequential) -> list[nn.Module]:
    """The layers, with each normalization taken into the linear layer or the convolution beside it."""
    layers: list[nn.Module] = []
    for layer in head:
        before = layers[-1] if layers else None
        if isinstance(layer, nn.BatchNorm2d) and isinstance(before, nn.Conv2d):
            layers[-1] = nn.utils.fusion.fuse_conv_bn_eval(before.eval(), layer.eval())
        elif isinstance(layer, nn.Linear) and isinstance(before, nn.BatchNorm1d):
            layers[-1] = standardizing(before, layer)
        else:
            layers.append(layer)
    return layers


def standardizing(normalization: nn.BatchNorm1d, linear: nn.Linear) -> nn.Linear:
    """One linear layer that does what a normalization without weights of its own and the layer behind it do.

    In fp64: a small deviation makes large weights, whose sums with the mean cancel.
    """
    assert normalization.running_mean is not None
    assert normalization.running_var is not None
    mean, variance = normalization.running_mean.double(), normalization.running_var.double()
    weight = linear.weight.detach().double() / (variance + normalization.eps).sqrt()
    bias = linear.bias.detach().double() - weight @ mean
    folded = nn.Linear(linear.in_features, linear.out_features)
    with torch.no_grad():
        folded.weight.copy_(weight)
        folded.bias.copy_(bias)
    return folded
