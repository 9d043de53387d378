"""What each value of a graph depends on: constants, the batch's size, the input as it is, or learned weights.

What depends on the batch's size alone need not cross a cut: it is derived again from the shape of what does. What no
weight has touched (an attention mask, a second input) may cross beside the features, or be derived again from what it
came from.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

import onnx

# They give a tensor's shape, and so numbers: nothing of its values.
SHAPES = frozenset({"Shape", "Size"})
# What multiplies and adds, or applies what was learned. A Gather does where it looks up a table of vectors.
LEARNED = frozenset({
    "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DeformConv", "FusedConv",
    "Gemm", "MatMul", "MatMulInteger", "QLinearMatMul", "FusedMatMul", "FusedGemm", "Einsum",
    "LSTM", "GRU", "RNN", "Attention", "MultiHeadAttention", "RotaryEmbedding",
    "BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization",
    "SkipLayerNormalization", "SimplifiedLayerNormalization", "EmbedLayerNormalization", "PRelu",
})  # fmt: skip


class Made(IntEnum):
    """What a value depends on, at most."""

    CONSTANT = 0
    BATCH = 1
    PLAIN = 2  # of an input, by no weight
    LEARNED = 3


@dataclass(frozen=True)
class Flow:
    """A graph's values: by which node each is given, by which it is used, and what it is made of.

    Nodes go by their place in the graph, which is a topological order.
    """

    graph: onnx.GraphProto
    giver: dict[str, int]
    users: dict[str, tuple[int, ...]]
    made: dict[str, Made]

    @classmethod
    def of(cls, graph: onnx.GraphProto) -> "Flow":
        """Go through a graph without functions and without control flow."""
        made = {tensor.name: Made.CONSTANT for tensor in graph.initializer}
        made |= {value.name: Made.PLAIN for value in graph.input if value.name not in made}
        giver: dict[str, int] = {}
        users: dict[str, list[int]] = {}
        for place, node in enumerate(graph.node):
            sources = [name for name in node.input if name]
            for name in sources:
                users.setdefault(name, []).append(place)
            kind = _made(node, [made[name] for name in sources])
            for name in filter(None, node.output):
                giver[name], made[name] = place, kind
        return cls(graph, giver, {name: tuple(places) for name, places in users.items()}, made)

    def data_users(self, name: str) -> list[int]:
        """The nodes that use a value, and not only its shape."""
        return [place for place in self.users.get(name, ()) if self.graph.node[place].op_type not in SHAPES]

    def data_inputs(self, node: onnx.NodeProto) -> list[str]:
        """The values that a node takes which depend on an input's values."""
        if node.op_type in SHAPES:
            return []
        return [name for name in node.input if name and self.made[name] >= Made.PLAIN]

    def learned_outputs(self, node: onnx.NodeProto) -> list[str]:
        """The values that a node gives which learned weights have touched."""
        return [name for name in node.output if name and self.made[name] == Made.LEARNED]


def _made(node: onnx.NodeProto, sources: Iterable[Made]) -> Made:
    sources = list(sources)
    most = max(sources, default=Made.CONSTANT)
    if node.op_type in SHAPES:
        return min(most, Made.BATCH)
    if most == Made.PLAIN and (node.op_type in LEARNED or _looks_up(node, sources)):
        return Made.LEARNED
    return most


def _looks_up(node: onnx.NodeProto, sources: list[Made]) -> bool:
    """Whether it takes rows of a table: the words' vectors, most often."""
    return node.op_type == "Gather" and sources[0] == Made.CONSTANT
