"""What a head stands on: maps with their channels first or last, tokens, vectors; told by what gave the tensor.

A tensor's shape alone does not tell (N, C, H, W) from (N, H, W, C): which axis the channels are in is followed from the
ops that know it. A convolution's are axis 1, a matrix product's and a layer normalization's the last.
"""

from collections.abc import Mapping
from math import prod
from typing import Literal

import onnx

from offramp.graphs.flow import Flow
from offramp.graphs.tensors import Seen, Shape

# nchw: (N, C, H, W); nhwc: (N, H, W, C); ncl: (N, C, L), channels first; tokens: (N, L, D); vector: (N, D)
Kind = Literal["nchw", "nhwc", "ncl", "tokens", "vector"]
FIRST = frozenset({
    "Conv", "ConvTranspose", "FusedConv", "ConvInteger", "QLinearConv", "BatchNormalization", "InstanceNormalization",
    "GroupNormalization", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool", "LRN",
    "DepthToSpace", "SpaceToDepth",
})  # fmt: skip
LAST = frozenset({
    "MatMul", "Gemm", "FusedMatMul", "MatMulInteger", "QLinearMatMul", "LayerNormalization", "SkipLayerNormalization",
    "RMSNormalization", "Gather", "Attention",
})  # fmt: skip
KINDS: dict[tuple[int, bool], Kind] = {
    (2, True): "vector", (2, False): "vector", (3, True): "ncl", (3, False): "tokens", (4, True): "nchw",
    (4, False): "nhwc",
}  # fmt: skip


def channel_axes(flow: Flow, seen: Mapping[str, Seen]) -> dict[str, int]:
    """The axis that the channels of each tensor are in, of those where it is known."""
    axes: dict[str, int] = {}
    for node in flow.graph.node:
        for name in filter(None, node.output):
            if name not in seen:
                continue
            axis = _axis(node, name, seen, axes)
            if axis is not None and 0 <= axis < len(seen[name].axes):  # a number, of an exporter's sizes, has none
                axes[name] = axis
    return axes


def kind_of(shape: Shape, axis: int | None) -> Kind | None:
    """What a tensor is, of one sample's shape and its channels' axis; None: nothing that a head stands on."""
    rank = len(shape) + 1
    first = axis == 1 if axis in (1, rank - 1) else rank == 4
    return KINDS.get((rank, first))


def _axis(node: onnx.NodeProto, name: str, seen: Mapping[str, Seen], axes: Mapping[str, int]) -> int | None:
    if node.op_type in FIRST:
        return 1
    rank = len(seen[name].axes)
    if node.op_type in LAST:
        return rank - 1
    source = next((one for one in node.input if one in axes and one in seen), None)
    if source is None:
        return None
    if node.op_type == "Transpose":
        order = next((list(attribute.ints) for attribute in node.attribute if attribute.name == "perm"), [])
        return order.index(axes[source]) if order else rank - 1 - axes[source]
    if rank == len(seen[source].axes) and node.op_type != "Reshape":
        return axes[source]
    return _moved(seen[source].at(2), seen[name].at(2), axes[source])


def _moved(before: Shape, after: Shape, axis: int) -> int | None:
    """Where an axis is after a reshape: as large, with as much before it."""
    for place, size in enumerate(after):
        if size == before[axis] and prod(after[:place]) == prod(before[:axis]):
            return place
    return None
