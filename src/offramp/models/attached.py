"""From a staged graph and the boundaries it was staged at to the document of a network with exits."""

import hashlib
from collections.abc import Mapping, Sequence
from math import prod

import onnx

from offramp.artifacts.inputs import Input
from offramp.artifacts.stages import IMAGE, features_name
from offramp.graphs.boundary import Boundary
from offramp.models.graph_network import BACKBONE, GraphNetwork, GraphStage
from offramp.models.heads import GraphHead
from offramp.runtime.cut import extract

FLOATS = frozenset({onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.DOUBLE})


def attached_network(
    chosen: Sequence[Boundary],
    files: Mapping[str, bytes],
    *,
    macs: int,
    model: str,
    classes: tuple[str, ...],
    takes: Input,
    head: GraphHead,
) -> GraphNetwork:
    """Describe a graph that `graphs.stages.staged` gave, with a head of one kind at each chosen boundary.

    It is the backbone among `files`, which also holds what else stands beside the weights. `macs` are the whole
    network's.
    """
    last, backbone = len(chosen) + 1, files[BACKBONE]
    crossing = [boundary.crossing(stage) for stage, boundary in enumerate(chosen, start=1)]
    crossing.append({features_name(last): (len(classes),)})
    costs = [0, *(boundary.macs_before for boundary in chosen), macs]
    stages, takes_from = list[GraphStage](), [IMAGE]
    for index, tensors in enumerate(crossing):
        stage = GraphStage(
            name=chosen[index].name if index < len(chosen) else "",
            tensors=tensors,
            kind=chosen[index].kind if index < len(chosen) else "vector",
            macs=costs[index + 1] - costs[index],
            parameters=_parameters(backbone, takes_from, [*tensors]),
        )
        stages.append(stage)
        takes_from = [*tensors]
    return GraphNetwork(
        model=model,
        classes=classes,
        exits=tuple(range(1, last + 1)),
        input=takes,
        files={name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
        stages=tuple(stages),
        heads=dict.fromkeys(range(1, last), head),
        tolerance=max((boundary.tolerance for boundary in chosen), default=0.0),
    )


def _parameters(backbone: bytes, takes: list[str], gives: list[str]) -> int:
    """Weights that a stage multiplies or adds, those of what normalizes included."""
    graph = extract(backbone, takes, gives, BACKBONE).graph
    return sum(prod(weight.dims) for weight in graph.initializer if weight.data_type in FLOATS)
