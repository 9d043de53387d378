"""What a user calls a place in their network, and whether a block of it ends there.

torch writes the path of each node's module into the file: the newer exporter as metadata, the older one in the nodes'
names. Where there are none, a place is called by its tensor's name.

The rule of ends, in one place:

- A module is *opened*, and its children are blocks, if it is the whole network, holds more than half of its
  multiply-adds, or has two children or more in a row (their names end in a digit) with two counted nodes or more. A
  boundary ends a block if it is the last tensor of an opened module's child, and what follows is no activation or
  normalization beside it in the same module.
- Without modules' paths a block ends where its sum, with the activation behind it, ends; where nothing is added, before
  a pooling or a strided convolution; and where there is none of these either, everywhere.
"""

import ast
from collections.abc import Sequence
from dataclasses import dataclass

import onnx

from offramp.graphs.flow import Flow
from offramp.graphs.liveness import views_of

SCOPES = "pkg.torch.onnx.name_scopes"
ACTIVATIONS = frozenset({
    "Relu", "Clip", "LeakyRelu", "PRelu", "Elu", "Selu", "Celu", "Gelu", "HardSwish", "HardSigmoid", "Mish", "Swish",
    "Softplus", "Softsign", "ThresholdedRelu", "Tanh", "Sigmoid",
})  # fmt: skip
NORMALIZATIONS = frozenset({
    "BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization",
})  # fmt: skip
POOLS = frozenset({"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool"})
COMPOSITE = 2  # counted nodes of a module that is more than a layer


def paths_of(node: onnx.NodeProto) -> tuple[str, ...]:
    """Paths of the modules that a node lies in, the outermost first; none where the file does not tell."""
    for entry in node.metadata_props:
        if entry.key == SCOPES:
            try:
                scopes = ast.literal_eval(entry.value)
            except (ValueError, SyntaxError):
                return ()
            return tuple(dict.fromkeys(str(scope) for scope in scopes[:-1] if scope))
    head, *segments = node.name.split("/")
    if head or len(segments) < 2 or not segments[-1].startswith(node.op_type):
        return ()
    return _cumulated(segments[:-1])


def _cumulated(segments: Sequence[str]) -> tuple[str, ...]:
    """Paths of the older exporter's names: `/layer1/layer1.0/conv1` is in layer1, layer1.0 and layer1.0.conv1.

    >>> _cumulated(["layer1", "layer1.0", "conv1"])
    ('layer1', 'layer1.0', 'layer1.0.conv1')
    """
    paths: list[str] = []
    base, before = "", ""
    for segment in segments:
        inside = before and segment.startswith(f"{before}.")
        base = base if inside else ".".join(filter(None, (base, before)))
        before = segment
        paths.append(".".join(filter(None, (base, segment))))
    return tuple(paths)


@dataclass(frozen=True)
class Modules:
    """The modules of a network, as far as its file tells: where each ends, and which are blocks."""

    paths: tuple[tuple[str, ...], ...]  # of each node
    last: dict[str, int]  # the last node of each
    blocks: frozenset[str]
    composite: frozenset[str]  # of more than one counted node

    @classmethod
    def of(cls, flow: Flow, macs: Sequence[int]) -> "Modules":
        """Read a graph's; `macs` are those of each node."""
        nodes = flow.graph.node
        paths = tuple(paths_of(node) if flow.learned_outputs(node) else () for node in nodes)
        last: dict[str, int] = {}
        counted: dict[str, int] = {"": 0}
        cost: dict[str, int] = {"": 0}
        children: dict[str, dict[str, None]] = {"": {}}
        for place, found in enumerate(paths):
            for parent, path in zip(("", *found), (*found, None), strict=True):
                cost[parent] = cost.get(parent, 0) + macs[place]
                counted[parent] = counted.get(parent, 0) + bool(macs[place])
                if path is not None:
                    children.setdefault(parent, {})[path] = None
                    last[path] = place
        blocks = set()
        for parent, inside in children.items():
            in_a_row = sum(path[-1].isdigit() and counted.get(path, 0) >= COMPOSITE for path in inside)
            if not parent or in_a_row > 1 or 2 * cost[parent] > cost[""]:
                blocks |= set(inside)
        composite = frozenset(path for path, count in counted.items() if count >= COMPOSITE)
        return cls(paths, last, frozenset(blocks), composite)

    def ending(self, place: int) -> tuple[str, ...]:
        """The modules whose last node this is, the outermost first."""
        return tuple(path for path in self.paths[place] if self.last[path] == place)


def names_of(flow: Flow, modules: Modules, place: int, tensor: str) -> tuple[str, ...]:
    """What a user calls a tensor, the best name first: the modules that it ends, the innermost block of several layers
    before others.

    Of what ends none, the module that it lies in and the op that gave it.
    """
    ending = modules.ending(place)
    if blocks := [path for path in ending if path in modules.blocks]:
        best = next((path for path in reversed(blocks) if path in modules.composite), blocks[0])
        return best, *(path for path in ending if path != best)
    if ending:
        return ending
    inside = modules.paths[place]
    return (f"{inside[-1]}/{flow.graph.node[place].op_type}" if inside else tensor,)


def is_end(flow: Flow, modules: Modules, place: int, tensor: str) -> bool:
    """Whether a block of the network ends with a tensor, by the modules' paths."""
    users = flow.data_users(tensor)
    follower = users[0] if len(users) == 1 else None
    if follower is not None and _belongs(flow, modules, place, follower):
        return False
    if any(path in modules.blocks for path in modules.ending(place)):
        return True
    before = next((flow.giver[name] for name in flow.data_inputs(flow.graph.node[place]) if name in flow.giver), None)
    return before is not None and _belongs(flow, modules, before, place)


def _belongs(flow: Flow, modules: Modules, place: int, follower: int) -> bool:
    """Whether a node is the activation or normalization of the block that ends before it, in the same module."""
    if flow.graph.node[follower].op_type not in ACTIVATIONS | NORMALIZATIONS:
        return False
    inner = next(iter(modules.paths[follower][-1:]), "")
    outermost = next((path for path in modules.ending(place) if path in modules.blocks), None)
    innermost = next((path for path in reversed(modules.ending(place)) if path in modules.blocks), None)
    around = {inner, inner.rpartition(".")[0]}
    return innermost is not None and outermost == innermost and innermost.rpartition(".")[0] in around


def ends_without_paths(flow: Flow, tensors: Sequence[str]) -> frozenset[str]:
    """Which of the boundaries end a block, where the file tells no modules."""
    added = [name for name in tensors if _after_sum(flow, name)]
    if added:
        return frozenset(added)
    pooled = [name for name in tensors if any(_shrinks(flow.graph.node[user]) for user in flow.data_users(name))]
    return frozenset(pooled or tensors)


def _after_sum(flow: Flow, name: str) -> bool:
    """Whether it is a sum of two features, with the activation or normalization behind it if there is one."""
    users = [flow.graph.node[user] for user in flow.data_users(name)]
    if len(users) == 1 and users[0].op_type in ACTIVATIONS | NORMALIZATIONS:
        return False
    while True:
        node = flow.graph.node[flow.giver[name]]
        features = [one for one in flow.data_inputs(node) if one in flow.giver]
        if node.op_type in ("Add", "Sum"):
            return len(features) > 1
        if not features or not (node.op_type in ACTIVATIONS | NORMALIZATIONS or views_of(node)):
            return False
        name = features[0]


def _shrinks(node: onnx.NodeProto) -> bool:
    strides = next((attribute.ints for attribute in node.attribute if attribute.name == "strides"), ())
    return node.op_type in POOLS or (node.op_type == "Conv" and any(stride > 1 for stride in strides))
