"""From a staged graph and the boundaries it was staged at to the document of a network with exits."""

import hashlib
from collections.abc import Mapping, Sequence
from math import prod

import onnx

from offramp.artifacts.bundle import IMAGE, Shape, features_name
from offramp.artifacts.inputs import Input
from offramp.graphs.boundary import Boundary
from offramp.models.graph_network import BACKBONE, GraphNetwork, GraphStage
from offramp.models.heads import GraphHead
from offramp.runtime.cut import extract

FLOATS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})


def attached_network(
    backbone: bytes,
    chosen: Sequence[Boundary],
    *,
    macs: int,
    model: str,
    classes: tuple[str, ...],
    takes: Input,
    head: GraphHead,
    files: Mapping[str, bytes],
) -> GraphNetwork:
    """Describe a graph that `graphs.stages.staged` gave, with a head of one kind at each chosen boundary.

    `macs` are the whole network's; `files` are what stands beside the graph.
    """
    names = [*_names(backbone, len(chosen) + 1)]
    last = len(chosen) + 1
    shapes: list[list[Shape]] = [[*boundary.tensors.values()] for boundary in chosen]
    shapes.append([(len(classes),)])
    costs = [0, *(boundary.macs_before for boundary in chosen), macs]
    stages = []
    for index in range(last):
        takes_names = names[index - 1] if index else [IMAGE]
        stages.append(
            GraphStage(
                name=chosen[index].name if index < len(chosen) else "",
                tensors=dict(zip(names[index], shapes[index], strict=True)),
                kind=chosen[index].kind if index < len(chosen) else "vector",
                macs=costs[index + 1] - costs[index],
                parameters=_parameters(backbone, takes_names, names[index]),
            )
        )
    contents = {BACKBONE: backbone, **files}
    return GraphNetwork(
        model=model,
        classes=classes,
        exits=tuple(range(1, last + 1)),
        input=takes,
        files={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
        stages=tuple(stages),
        heads=dict.fromkeys(range(1, last), head),
        tolerance=max((boundary.tolerance for boundary in chosen), default=0.0),
    )


def _names(backbone: bytes, last: int) -> list[list[str]]:
    """The tensors at each boundary in their order: at 2, features_2, and features_2_1 and so on of what is carried."""
    outputs = [value.name for value in onnx.load_model_from_string(backbone).graph.output]
    found = []
    for boundary in range(1, last + 1):
        name = features_name(boundary)
        found.append([output for output in outputs if output == name or output.startswith(f"{name}_")])
    return found


def _parameters(backbone: bytes, takes: list[str], gives: list[str]) -> int:
    """Weights that a stage multiplies or adds, those of what normalizes included."""
    graph = extract(backbone, takes, gives, BACKBONE).graph
    return sum(prod(weight.dims) for weight in graph.initializer if weight.data_type in FLOATS)
