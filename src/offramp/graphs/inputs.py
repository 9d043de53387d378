"""Make a classifier's graph take what offramp sends: what its own pipeline did before it becomes its first nodes.

Takes a graph as `graphs.source` gives it and an `InputSpec`; gives the graph with one float32 input, `image`: an image
`(N, C, H, W)` in [0, 1], token ids `(N, L)`, or values as they are. No node can then forget the normalization, or use
another's numbers.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offramp.artifacts.stages import IMAGE
from offramp.artifacts.text import Text
from offramp.errors import InputError
from offramp.graphs.source import GraphSource
from offramp.graphs.spec import InputSpec
from offramp.graphs.takes import image_of, only_input, role_of, takes_of
from offramp.graphs.tensors import TensorInfo

__all__ = ["adapted", "takes_of"]

FLOAT32 = np.dtype(np.float32)
OURS = "offramp_input:"  # how names of what is put before begin: TensorFlow's are like input:0


class _Chain:
    """Nodes in a row, each taking what the one before gave, and their constants."""

    def __init__(self, start: str) -> None:
        self.at, self.nodes = start, list[onnx.NodeProto]()
        self.constants = list[onnx.TensorProto]()

    def then(self, op: str, *others: Any, **attributes: Any) -> str:
        """Append a node; what stands beside its first input are constants."""
        names = []
        for other in others:
            names.append(f"{OURS}{len(self.constants)}")
            self.constants.append(numpy_helper.from_array(np.asarray(other), names[-1]))
        given = f"{OURS}{op.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, [self.at, *names], [given], **attributes))
        self.at = given
        return given

    def call(self, given: str, name: str) -> None:
        """Give a tensor of the chain a name of the graph's."""
        for node in self.nodes:
            for used in (node.input, node.output):
                used[:] = [name if one == given else one for one in used]


def adapted(source: GraphSource, spec: InputSpec) -> GraphSource:
    """The same classifier, taking `image`; InputError where a spec does not fit its inputs."""
    takes = takes_of(source, spec)
    model = onnx.ModelProto()
    model.CopyFrom(source.model)
    _rename(model.graph, IMAGE, f"{IMAGE}:own")
    inputs = {f"{IMAGE}:own" if name == IMAGE else name: info for name, info in source.inputs.items()}
    origin = GraphSource(model, inputs, source.output, source.classes, source.origin)
    chain = _Chain(IMAGE)
    match spec.kind:
        case "images":
            ends = {only_input(origin)[0]: _of_image(chain, origin, spec)}
        case "text":
            assert isinstance(takes, Text)
            ends = _of_text(chain, origin, spec, takes.vocabulary)
        case "values":
            name, info = only_input(origin)
            ends = {name: _typed(chain, info)}
    for name, end in ends.items():
        if end == IMAGE:  # nothing is done to it
            _rename(model.graph, name, IMAGE)
        else:
            chain.call(end, name)
    _put_before(model.graph, chain, takes.shape)
    output = f"{IMAGE}:own" if source.output == IMAGE else source.output
    return replace(source, model=model, inputs={IMAGE: TensorInfo(FLOAT32, takes.shape)}, output=output)


def _of_image(chain: _Chain, source: GraphSource, spec: InputSpec) -> str:
    (_, info), (last, (channels, _, _)) = only_input(source), image_of(source, spec)
    for name, values in (("mean", spec.mean), ("std", spec.std)):
        if len(values) not in (0, 1, channels):
            raise InputError(f"{name}: {len(values)} numbers, and the network has {channels} channels.")
    if spec.grey and channels > 1:
        chain.then("Tile", np.array([1, channels, 1, 1], np.int64))
    if spec.bgr and channels == 3:
        chain.then("Gather", np.array([2, 1, 0], np.int64), axis=1)
    if spec.scale != 1:
        chain.then("Mul", np.float32(spec.scale))
    if any(spec.mean):
        chain.then("Sub", _a_channel(spec.mean))
    if any(value != 1 for value in spec.std):
        chain.then("Div", _a_channel(spec.std))
    if last:
        chain.then("Transpose", perm=[0, 2, 3, 1])
    if info.dtype.kind in "iu":
        chain.then("Round")
    return _typed(chain, info)


def _a_channel(values: Iterable[float]) -> Any:
    return np.array([*values], np.float32).reshape(-1, 1, 1)


def _of_text(chain: _Chain, source: GraphSource, spec: InputSpec, vocabulary: int) -> dict[str, str]:
    """What each of a text classifier's inputs is made of: the ids themselves, and all else of them."""
    # An id that no table has would end the run of all samples that a cloud runs together.
    chain.then("Clip", np.float32(0), np.float32(vocabulary - 1))
    chain.then("Cast", to=TensorProto.INT64)
    ids, made = chain.at, dict[str, str]()
    for name, info in source.inputs.items():
        chain.at = ids
        match role_of(name, source):
            case "mask":
                chain.then("Equal", np.int64(spec.pad))
                chain.then("Not")
            case "types":
                chain.then("Mul", np.int64(0))
            case "positions":
                chain.then("Mul", np.int64(0))
                chain.then("Add", np.arange(info.shape[0], dtype=np.int64))
        kind = helper.np_dtype_to_tensor_dtype(info.dtype)
        made[name] = chain.at if info.dtype == np.int64 and chain.at == ids else chain.then("Cast", to=kind)
    return made


def _typed(chain: _Chain, info: TensorInfo) -> str:
    if info.dtype == FLOAT32:
        return chain.at
    return chain.then("Cast", to=helper.np_dtype_to_tensor_dtype(info.dtype))


def _rename(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Call a tensor otherwise, wherever it is used."""
    for node in graph.node:
        for used in (node.input, node.output):
            used[:] = [new if name == old else name for name in used]
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = new if value.name == old else value.name


def _put_before(graph: onnx.GraphProto, chain: _Chain, shape: tuple[int, ...]) -> None:
    nodes = [*chain.nodes, *graph.node]
    del graph.node[:], graph.input[:]
    graph.node.extend(nodes)
    graph.initializer.extend(chain.constants)
    graph.input.append(helper.make_tensor_value_info(IMAGE, TensorProto.FLOAT, ["batch", *shape]))
