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
from pydantic import ValidationError

from offramp.artifacts.bundle import IMAGE
from offramp.artifacts.inputs import Input
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.text import Text
from offramp.artifacts.values import Values
from offramp.errors import InputError
from offramp.graphs.source import GraphSource
from offramp.graphs.spec import InputSpec
from offramp.graphs.tensors import TensorInfo

FLOAT32 = np.dtype(np.float32)
OURS = "offramp_input:"  # how names of what is put before begin: TensorFlow's are like input:0
FEW = (1, 3)  # channels that an image has
# By a word in its name, what a text classifier's input is; what is none of these is the ids.
ROLES = {"mask": "mask", "type": "types", "segment": "types", "position": "positions"}


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


def takes_of(source: GraphSource, spec: InputSpec) -> Input:
    """The document of what comes in, for the bundle; InputError where the graph cannot be given that."""
    try:
        return _takes_of(source, spec)
    except ValidationError as error:
        why = error.errors()[0]["msg"].removeprefix("Value error, ").rstrip(".")
        raise InputError(f"{source.origin}: what it is given is not possible: {why}.") from error


def _takes_of(source: GraphSource, spec: InputSpec) -> Input:
    if spec.kind == "values":
        _, info = _only(source)
        return Values(shape=info.shape)
    if spec.kind == "text":
        name, info = _ids(source)
        if len(info.shape) != 1:
            raise InputError(f"{source.origin}: its input {name!r} is (N, {_said(info.shape)}); token ids are (N, L).")
        return Text(
            length=info.shape[0],
            vocabulary=spec.vocabulary or _table(source.model.graph, name, source.origin),
            pad=spec.pad,
            pad_left=spec.pad_left,
            tokenizer=spec.tokenizer is not None,
        )
    channels, height, width = _image(source, spec)[1]
    if spec.size is not None and spec.size != (height, width):
        raise InputError(
            f"{source.origin}: takes images of {height} x {width}, and its configuration says {spec.size[0]} x "
            f"{spec.size[1]}. Give the one that belongs to it."
        )
    framed = {"fit": spec.fit, "side": spec.side, "filter": spec.filter}
    return Preprocessing(channels=1 if spec.grey else channels, height=height, width=width, **framed)


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
            ends = {_only(origin)[0]: _of_image(chain, origin, spec)}
        case "text":
            assert isinstance(takes, Text)
            ends = _of_text(chain, origin, spec, takes.vocabulary)
        case "values":
            name, info = _only(origin)
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
    (_, info), (last, (channels, _, _)) = _only(source), _image(source, spec)
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
        match _role(name, source):
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


def _role(name: str, source: GraphSource) -> str:
    if len(source.inputs) == 1:
        return "ids"
    return next((role for word, role in ROLES.items() if word in name.lower()), "ids")


def _ids(source: GraphSource) -> tuple[str, TensorInfo]:
    found = [name for name in source.inputs if _role(name, source) == "ids"]
    if len(found) != 1:
        names = ", ".join(source.inputs)
        raise InputError(
            f"{source.origin}: of its inputs {names}, one should be the token ids, and the others be called after what "
            "they are: a mask, types or positions. Export it with such names."
        )
    return found[0], source.inputs[found[0]]


def _table(graph: onnx.GraphProto, ids: str, origin: str) -> int:
    """Rows of the table that ids are looked up in: so many there are."""
    tables = {tensor.name: tensor.dims for tensor in graph.initializer}
    reached, rows = {ids}, list[int]()
    for node in graph.node:
        if node.op_type in ("Cast", "Identity", "Reshape", "Unsqueeze", "Squeeze") and node.input[0] in reached:
            reached |= {*node.output}
        if node.op_type == "Gather" and node.input[0] in tables and node.input[1] in reached:
            rows.append(tables[node.input[0]][0])
    if not rows:
        raise InputError(
            f"{origin}: {ids!r} is looked up in no table, so that how many ids there are is not known. Say it: "
            "vocabulary."
        )
    return min(rows)


def _image(source: GraphSource, spec: InputSpec) -> tuple[bool, tuple[int, int, int]]:
    """Whether channels come last in the network's input, and its (channels, height, width)."""
    name, info = _only(source)
    if len(info.shape) != 3:
        raise InputError(
            f"{source.origin}: its input {name!r} is (N, {_said(info.shape)}); an image's is (N, C, H, W) or (N, H, W, "
            "C). If it takes no images, say so: values or text."
        )
    first, _, third = info.shape
    last = spec.channels_last if spec.channels_last is not None else third in FEW and first not in FEW
    channels, height, width = (third, *info.shape[:2]) if last else info.shape
    if channels not in FEW:
        raise InputError(
            f"{source.origin}: its input {name!r} is (N, {_said(info.shape)}), of {channels} channels; an image has 1 "
            "or 3. If it takes no images, say so: values."
        )
    return last, (channels, height, width)


def _only(source: GraphSource) -> tuple[str, TensorInfo]:
    if len(source.inputs) != 1:
        raise InputError(
            f"{source.origin}: has the inputs {', '.join(source.inputs)}, and a network of images or values has one. "
            "If it takes text, say so."
        )
    ((name, info),) = source.inputs.items()
    return name, info


def _typed(chain: _Chain, info: TensorInfo) -> str:
    if info.dtype == FLOAT32:
        return chain.at
    return chain.then("Cast", to=helper.np_dtype_to_tensor_dtype(info.dtype))


def _said(shape: Iterable[int]) -> str:
    return ", ".join(map(str, shape))


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
