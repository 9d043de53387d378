"""What a classifier's graph takes: the document for the bundle, and what each of its inputs is.

Takes a graph as it was read, and an `InputSpec`. Knows nothing of how the graph is made to take what offramp sends.
"""

from collections.abc import Iterable

import onnx
from pydantic import ValidationError

from offramp.artifacts.document import why
from offramp.artifacts.inputs import Input
from offramp.artifacts.preprocessing import Preprocessing
from offramp.artifacts.text import Text
from offramp.artifacts.values import Values
from offramp.errors import InputError
from offramp.graphs.source import GraphSource
from offramp.graphs.spec import InputSpec
from offramp.graphs.tensors import TensorInfo

FEW = (1, 3)  # channels that an image has
# By a word in its name, what a text classifier's input is; what is none of these is the ids.
ROLES = {"mask": "mask", "type": "types", "segment": "types", "position": "positions"}


def takes_of(source: GraphSource, spec: InputSpec) -> Input:
    """The document of what comes in, for the bundle; InputError where the graph cannot be given that."""
    try:
        return _takes_of(source, spec)
    except ValidationError as error:
        raise InputError(f"{source.origin}: what it is given is not possible: {why(error)}.") from error


def _takes_of(source: GraphSource, spec: InputSpec) -> Input:
    if spec.kind == "values":
        _, info = only_input(source)
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
    channels, height, width = image_of(source, spec)[1]
    if spec.size is not None and spec.size != (height, width):
        raise InputError(
            f"{source.origin}: takes images of {height} x {width}, and its configuration says {spec.size[0]} x "
            f"{spec.size[1]}. Give the one that belongs to it."
        )
    framed = {"fit": spec.fit, "side": spec.side, "filter": spec.filter}
    return Preprocessing(channels=1 if spec.grey else channels, height=height, width=width, **framed)


def role_of(name: str, source: GraphSource) -> str:
    """What one of a text classifier's inputs is: ids, mask, types or positions."""
    if len(source.inputs) == 1:
        return "ids"
    return next((role for word, role in ROLES.items() if word in name.lower()), "ids")


def _ids(source: GraphSource) -> tuple[str, TensorInfo]:
    found = [name for name in source.inputs if role_of(name, source) == "ids"]
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


def image_of(source: GraphSource, spec: InputSpec) -> tuple[bool, tuple[int, int, int]]:
    """Whether channels come last in the network's input, and its (channels, height, width)."""
    name, info = only_input(source)
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


def only_input(source: GraphSource) -> tuple[str, TensorInfo]:
    """The one input of a network of images or values; InputError where there are more."""
    if len(source.inputs) != 1:
        raise InputError(
            f"{source.origin}: has the inputs {', '.join(source.inputs)}, and a network of images or values has one. "
            "If it takes text, say so."
        )
    ((name, info),) = source.inputs.items()
    return name, info


def _said(shape: Iterable[int]) -> str:
    return ", ".join(map(str, shape))
