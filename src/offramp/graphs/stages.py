"""One graph of a network in stages: each depends on what crosses the boundary at its start, and on nothing before it.

What depends on the batch's size alone is derived again in each stage from the shape of its first tensor; what follows
from carried tensors, from those. So `runtime.cut` can cut it at every boundary, for any batch.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offramp.artifacts.stages import IMAGE, features_name
from offramp.errors import InputError
from offramp.graphs.boundary import Boundary
from offramp.graphs.flow import SHAPES, Flow, Made
from offramp.graphs.source import GraphSource
from offramp.graphs.tensors import Shape

TYPES = {
    "float": TensorProto.FLOAT, "float16": TensorProto.FLOAT16, "double": TensorProto.DOUBLE, "bool": TensorProto.BOOL,
    "int8": TensorProto.INT8, "int16": TensorProto.INT16, "int32": TensorProto.INT32, "int64": TensorProto.INT64,
    "uint8": TensorProto.UINT8, "uint16": TensorProto.UINT16, "uint32": TensorProto.UINT32,
    "uint64": TensorProto.UINT64,
}  # fmt: skip
BATCH = "batch"


def staged(source: GraphSource, chosen: Sequence[Boundary]) -> bytes:
    """One ONNX graph of `len(chosen) + 1` stages: `image` in, the boundaries' tensors and the logits out.

    The tensors at the end of stage k are `features_k`, and `features_k_1` … for what is carried; the last stage's are
    the logits. All are fp32, with a free batch. Raises InputError where the boundaries do not rise, or where the
    network has several inputs: make them one first (`graphs.inputs`).
    """
    if len(source.inputs) != 1:
        raise InputError(
            f"{source.origin}: {len(source.inputs)} inputs ({', '.join(source.inputs)}), and a network has one here. "
            "Derive the others from it (a mask from the ids)."
        )
    content: bytes = chain(source, chosen).SerializeToString()
    return content


def input_names(source: GraphSource) -> dict[str, str]:
    """What a staged graph calls the network's inputs: `image`, and further ones by their own names."""
    return {name: IMAGE if not place else f"{IMAGE}_{place}" for place, name in enumerate(source.inputs)}


def chain(source: GraphSource, chosen: Sequence[Boundary]) -> onnx.ModelProto:
    """The same for a network of several inputs too, as a model."""
    places = [boundary.macs_before for boundary in chosen]
    if places != sorted(places) or len({boundary.main for boundary in chosen}) < len(chosen):
        raise InputError(f"boundaries {', '.join(one.name for one in chosen)}: they must rise along the network.")
    build = _Build(source)
    starts = {name: (known, source.inputs[name].shape) for name, known in input_names(source).items()}
    build.taken |= {IMAGE, *(known for stage, one in enumerate(chosen, start=1) for known in one.crossing(stage))}
    for known, shape in starts.values():
        build.declare(build.inputs, known, shape)
    for stage, boundary in enumerate(chosen, start=1):
        ends = dict(zip(boundary.tensors, boundary.crossing(stage).items(), strict=True))
        build.stage(stage, starts, ends)
        starts = ends
    build.stage(len(chosen) + 1, starts, {source.output: (features_name(len(chosen) + 1), (source.classes,))})
    return build.model()


Crossing = Mapping[str, tuple[str, Shape]]  # by name in the source: name in the staged graph, shape of a sample


@dataclass
class _Build:
    """The graph so far."""

    source: GraphSource
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        graph, self.seen = self.source.model.graph, self.source.seen
        self.flow = Flow.of(graph)
        self.constants_given = {tensor.name for tensor in graph.initializer}
        self.taken |= self.constants_given

    def stage(self, number: int, starts: Crossing, ends: Crossing) -> None:
        """Append a stage: all that leads from its start's tensors to its end's."""
        names = {name: self._entered(name, known, number) for name, (known, _) in starts.items()}
        batch = next(known for known, _ in starts.values())
        for place in self._needed(ends, starts):
            node = self.flow.graph.node[place]
            if node.op_type in SHAPES and self.flow.made[node.output[0]] == Made.BATCH and _of_data(self.flow, node):
                self._numbers(node, batch, names, number)
            else:
                self._copied(node, names, number)
        for name, (known, shape) in ends.items():
            self._left(name, names[name], known, number)
            self.declare(self.outputs, known, shape)

    def _needed(self, ends: Iterable[str], starts: Crossing) -> list[int]:
        """The nodes that lead from one boundary to the next, in their order."""
        open_, found = [name for name in ends if name not in starts], set[int]()
        while open_:
            name = open_.pop()
            if name in starts or name in self.constants_given:
                continue
            if name not in self.flow.giver:
                raise InputError(
                    f"{self.source.origin}: {name!r} is needed past the boundary {', '.join(starts)}, and does not "
                    "cross it: no network can be cut there."
                )
            place = self.flow.giver[name]
            if place not in found:
                found.add(place)
                node = self.flow.graph.node[place]
                # A shape of features is derived from the batch's size, not from the features.
                follow = () if node.op_type in SHAPES and _of_data(self.flow, node) else node.input
                open_.extend(one for one in follow if one)
        return sorted(found)

    def _copied(self, node: onnx.NodeProto, names: dict[str, str], number: int) -> None:
        constant = all(self.flow.made[name] == Made.CONSTANT for name in node.output if name)
        if constant and node.output[0] in self.taken:
            return  # one for all stages
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        del copy.metadata_props[:]  # it holds its maker's paths and lines
        copy.ClearField("doc_string")
        copy.name = self._fresh(node.name, number) if node.name else ""
        copy.input[:] = [names.get(name, name) for name in node.input]
        copy.output[:] = [self._fresh(name, number) if name else "" for name in node.output]
        names.update(zip(node.output, copy.output, strict=True))
        self.nodes.append(copy)

    def _fresh(self, name: str, number: int) -> str:
        """A name that is not taken: its own, or with the stage's number behind it."""
        found = name if name not in self.taken else f"{name}:{number}"
        self.taken.add(found)
        return found

    def _numbers(self, node: onnx.NodeProto, batch: str, names: dict[str, str], number: int) -> None:
        """A shape's numbers again, from the batch's size where they grow with it."""
        axes = self.seen[node.input[0]].axes
        given = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type == "Shape":
            axes = axes[given.get("start", 0) : given.get("end", len(axes))]
        name = self._fresh(node.output[0], number)
        names[node.output[0]] = name
        size = self._constant(f"{name}:size", np.array([axis.each for axis in axes], np.int64))
        more = self._constant(f"{name}:more", np.array([axis.fixed for axis in axes], np.int64))
        steps = [
            ("Shape", [batch], {"start": 0, "end": 1}),
            ("Mul", [f"{name}:0", size], {}),
            ("Add", [f"{name}:1", more], {}),
        ]
        if node.op_type == "Size":
            steps.append(("ReduceProd", [f"{name}:2"], {"keepdims": 0}))
        for step, (op, sources, attributes) in enumerate(steps):
            output = name if step == len(steps) - 1 else f"{name}:{step}"
            self.nodes.append(helper.make_node(op, sources, [output], **attributes))

    def _constant(self, name: str, values: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def _entered(self, name: str, known: str, number: int) -> str:
        """A start's tensor in the type and the order of axes that the network has it in."""
        seen, inner = self.seen[name], known
        if seen.batch:
            order = seen.batch_first()
            inner = self._then("Transpose", inner, number, perm=[order.index(axis) for axis in range(len(order))])
        return inner if seen.dtype == "float" else self._then("Cast", inner, number, to=TYPES[seen.dtype])

    def _left(self, name: str, inner: str, known: str, number: int) -> None:
        """An end's tensor as it crosses, by the boundary's name: fp32, the batch first."""
        seen = self.seen[name]
        if seen.dtype != "float":
            inner = self._then("Cast", inner, number, to=TensorProto.FLOAT)
        if seen.batch:
            inner = self._then("Transpose", inner, number, perm=seen.batch_first())
        self.nodes.append(helper.make_node("Identity", [inner], [known]))

    def _then(self, op: str, source: str, number: int, **attributes: int | list[int]) -> str:
        """One more node behind a tensor."""
        output = self._fresh(f"{source}:{op.lower()}", number)
        self.nodes.append(helper.make_node(op, [source], [output], **attributes))
        return output

    def declare(self, where: list[onnx.ValueInfoProto], name: str, shape: Shape) -> None:
        """State a tensor that comes in or goes out."""
        where.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [BATCH, *shape]))

    def model(self) -> onnx.ModelProto:
        """The graph as a model of its own."""
        source = self.source.model
        used = {name for node in self.nodes for name in node.input}
        weights = [tensor for tensor in source.graph.initializer if tensor.name in used]
        graph = helper.make_graph(self.nodes, "offramp", self.inputs, self.outputs, [*weights, *self.constants])
        return helper.make_model(graph, opset_imports=source.opset_import, ir_version=source.ir_version)


def _of_data(flow: Flow, node: onnx.NodeProto) -> bool:
    return flow.made[node.input[0]] >= Made.PLAIN
