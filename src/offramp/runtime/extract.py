"""The part of an ONNX graph between named tensors, as a graph of its own.

What onnx.utils.Extractor gives (onnx 1.23), message for message, of a model that a node reads without that package.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

from offramp.runtime.onnx_messages import EXTERNAL, ModelProto


class Extractor:
    """Cuts parts out of one model, of which it makes an index once."""

    def __init__(self, model: Any) -> None:
        self.model, graph = model, model.graph
        self.constants = {tensor.name: tensor for tensor in graph.initializer}
        self.values = {value.name: value for value in (*graph.value_info, *graph.input, *graph.output)}
        self.makers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}

    def extract(self, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
        """A model that takes the one tensors and gives the others. Raises ValueError where there is none such."""
        if missing := [name for name in (*inputs, *outputs) if name not in self.values]:
            raise ValueError(f"it has no {', '.join(missing)}, or does not say of what shape")
        if self.model.graph.sparse_initializer or self.model.graph.quantization_annotation:
            raise ValueError("it has sparse constants or annotated ones, which are not cut")
        nodes = [self.model.graph.node[index] for index in self._behind(set(inputs), outputs)]
        used = {name for node in nodes for name in (*node.input, *node.output)}
        part = ModelProto(
            ir_version=self.model.ir_version, producer_name="offramp", opset_import=self.model.opset_import
        )
        part.functions.extend(self._functions(nodes))
        graph = part.graph
        graph.name = self.model.graph.name
        graph.node.extend(nodes)
        graph.initializer.extend(tensor for name, tensor in self.constants.items() if name in used)
        graph.input.extend(self.values[name] for name in inputs)
        graph.output.extend(self.values[name] for name in outputs)
        graph.value_info.extend(value for name, value in self.values.items() if name in used)
        return part

    def _behind(self, inputs: set[str], outputs: Iterable[str]) -> list[int]:
        """Which nodes make the outputs of the inputs, in the order of the graph."""
        found, ahead = set[int](), list(outputs)
        while ahead:
            name = ahead.pop()
            maker = None if name in inputs else self.makers.get(name)
            if maker is not None and maker not in found:
                found.add(maker)
                ahead += filter(None, self.model.graph.node[maker].input)
        return sorted(found)

    def _functions(self, nodes: list[Any]) -> list[Any]:
        """The model's own functions that nodes call, and those that these call."""
        known = {(function.name, function.domain): function for function in self.model.functions}
        found, ahead = [], deque(nodes)
        while ahead:
            node = ahead.popleft()
            if (function := known.pop((node.op_type, node.domain), None)) is not None:
                found.append(function)
                ahead.extend(function.node)
        return found


def outside(model: Any) -> str | None:
    """The name of a tensor that lies in a file of its own; None where all are in the model."""
    return next((tensor.name for tensor in _tensors(model) if tensor.data_location == EXTERNAL), None)


def _tensors(model: Any) -> Iterable[Any]:
    """All that a model holds, in its graph, in those inside it, and in its functions."""
    yield from _of_graph(model.graph)
    for function in model.functions:
        yield from _of_nodes(function.node)


def _of_graph(graph: Any) -> Iterable[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    yield from _of_nodes(graph.node)


def _of_nodes(nodes: Iterable[Any]) -> Iterable[Any]:
    for attribute in (attribute for node in nodes for attribute in node.attribute):
        sparse = [attribute.sparse_tensor, *attribute.sparse_tensors]
        yield from (attribute.t, *attribute.tensors)
        yield from (part for one in sparse for part in (one.values, one.indices))
        for inner in (attribute.g, *attribute.graphs):
            yield from _of_graph(inner)
