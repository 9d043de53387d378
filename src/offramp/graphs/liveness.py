"""Which values are still needed past each node of a graph: where only one is, the network can be cut.

A value that every path from the inputs to the output leads through is alone in any topological order, so one order,
the file's own, is enough. Knows nothing of shapes or names.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import onnx

from offramp.graphs.flow import Flow, Made


@dataclass(frozen=True)
class Moment:
    """After a node: what of its kind is still needed, the latest last. The first is before all nodes, at -1."""

    place: int
    alive: tuple[str, ...]
    given: tuple[str, ...]  # by this node, and needed


def moments(flow: Flow, kind: Made, needed: Collection[str]) -> Iterator[Moment]:
    """Go through the nodes that give values of a kind which lead to those `needed`, or are."""
    leading, last = _leading(flow, kind, needed)
    alive = [value.name for value in flow.graph.input if value.name in leading and kind == Made.PLAIN]
    yield Moment(-1, tuple(alive), tuple(alive))
    for place, node in enumerate(flow.graph.node):
        given = tuple(name for name in node.output if name in leading)
        if given:
            alive = [name for name in alive if last[name] > place] + list(given)
            yield Moment(place, tuple(alive), given)


def _leading(flow: Flow, kind: Made, needed: Collection[str]) -> tuple[set[str], dict[str, float]]:
    """The values of a kind that lead to those needed, and the node that uses each of them last."""
    last: dict[str, float] = {name: float("inf") for name in needed}
    for place in range(len(flow.graph.node) - 1, -1, -1):
        node = flow.graph.node[place]
        if any(name in last for name in node.output):
            for name in flow.data_inputs(node):
                if flow.made[name] == kind:
                    last.setdefault(name, place)
    return set(last), last


def plain_needed(flow: Flow) -> dict[str, int]:
    """The values that no weight has touched which a weight is applied to, and the last place where one is."""
    last: dict[str, int] = {}
    for place, node in enumerate(flow.graph.node):
        if flow.learned_outputs(node):
            last |= {name: place for name in flow.data_inputs(node) if flow.made[name] == Made.PLAIN}
    return last


def inputs_of(flow: Flow, names: Collection[str]) -> list[str]:
    """The graph's inputs that values are derived from, in the graph's order."""
    reached = set(names)
    for node in reversed(flow.graph.node):
        if reached & {*node.output}:
            reached |= {*flow.data_inputs(node)}
    return [value.name for value in flow.graph.input if value.name in reached]


def views_of(node: onnx.NodeProto) -> bool:
    """Whether a node gives the numbers that it takes, in another layout at most."""
    return node.op_type in VIEWS


VIEWS = frozenset({"Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "Cast", "Dropout"})
