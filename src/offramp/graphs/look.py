"""A graph really run, to see what shape each of its tensors has and how it grows with the batch.

Rules of shapes miss what a graph computes its shapes by; a run does not. Batches of 2 and of 3, so that a size that
grows is told from one that stays. Only shapes come back: a run needs no more memory than one that answers.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper

from offramp.errors import InputError
from offramp.graphs.flow import Flow, Made
from offramp.graphs.tensors import Array, Extent, Seen, TensorInfo
from offramp.machine import cores_to_use

BATCHES = (2, 3)
PREFIX = "offramp_shape_of:"


@dataclass(frozen=True)
class Look:
    """What was seen: every tensor, and the answers to the two batches."""

    tensors: dict[str, Seen]
    answers: tuple[Array, Array]


def session(graph: bytes, origin: str, *, plain: bool = False, threads: int = 0) -> ort.InferenceSession:
    """Make a graph ready to run; with `plain` as it stands. An InputError where onnxruntime does not take it."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = cores_to_use(threads)
    options.log_severity_level = 4
    if plain:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        return ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own, unlisted
        raise InputError(f"{origin}: onnxruntime {ort.__version__} does not take it ({first_line(error)}).") from error


def run(ready: ort.InferenceSession, wanted: list[str], fed: Mapping[str, Array], origin: str) -> list[Array]:
    """Run it; an InputError where that fails."""
    try:
        found: list[Array] = ready.run(wanted, dict(fed))
    except Exception as error:  # onnxruntime's own, unlisted
        sizes = ", ".join(f"{name} {array.shape}" for name, array in fed.items())
        raise InputError(f"{origin}: it does not run on {sizes} ({first_line(error)}).") from error
    return found


def first_line(error: Exception) -> str:
    """What an exception says first, in no more than a line."""
    text = (str(error) or type(error).__name__).strip().splitlines()[0]
    return text if len(text) <= 300 else text[:299] + "…"


def look_at(model: onnx.ModelProto, inputs: Mapping[str, TensorInfo], output: str, origin: str) -> Look:
    """Run a graph on noise in batches of 2 and of 3; the first two samples are the same in both."""
    asked = onnx.ModelProto()
    asked.CopyFrom(model)
    types = _types(asked, origin)
    del asked.graph.output[:]
    for name in types:
        asked.graph.node.append(helper.make_node("Shape", [name], [PREFIX + name]))
        asked.graph.output.append(helper.make_tensor_value_info(PREFIX + name, TensorProto.INT64, None))
    asked.graph.output.append(onnx.ValueInfoProto(name=output))
    content = asked.SerializeToString()
    del asked  # of large networks every copy counts
    ready = session(content, origin, plain=True)
    del content
    noise, wanted = Noise.for_(model.graph, inputs), [*(PREFIX + name for name in types), output]
    for unit in (False, True):
        large = noise.batch(BATCHES[1], unit=unit)
        small = {name: array[: BATCHES[0]] for name, array in large.items()}
        (*at_two, answer), (*at_three, other) = (run(ready, wanted, fed, origin) for fed in (small, large))
        if are_numbers(answer, other):
            break
    seen = {}
    for name, two, three in zip(types, at_two, at_three, strict=True):
        if len(two) == len(three):  # else its rank depends on the batch: no such tensor is cut at
            axes = tuple(map(Extent.through, two.tolist(), three.tolist()))
            seen[name] = Seen(types[name], axes)
    return Look(seen, (answer, other))


def are_numbers(*answers: Array) -> bool:
    """Whether every value is finite, of what has floats."""
    return all(bool(np.isfinite(answer).all()) for answer in answers if answer.dtype.kind == "f")


def _types(asked: onnx.ModelProto, origin: str) -> dict[str, str]:
    """The type of each tensor that nodes give and of each input, as onnxruntime infers it; changes the outputs."""
    del asked.graph.output[:]
    given = [name for node in asked.graph.node for name in node.output if name]
    asked.graph.output.extend(onnx.ValueInfoProto(name=name) for name in given)
    ready = session(asked.SerializeToString(), origin, plain=True)
    found = {value.name: value.type for value in (*ready.get_inputs(), *ready.get_outputs())}
    if lists := {name: kind for name, kind in found.items() if not kind.startswith("tensor(")}:
        name, kind = next(iter(lists.items()))
        raise InputError(
            f"{origin}: {name!r} is a {kind}, and not a tensor: no part of such a network can be cut out. Export it "
            "without lists (SplitToSequence, ZipMap and the like)."
        )
    return {name: kind.removeprefix("tensor(").removesuffix(")") for name, kind in found.items()}


@dataclass(frozen=True)
class Noise:
    """Batches of inputs that a graph takes: of numbers with a normal distribution, or of ids that its tables have."""

    inputs: Mapping[str, TensorInfo]
    most: Mapping[str, int]  # of the inputs that are ids: how many there are

    @classmethod
    def for_(cls, graph: onnx.GraphProto, inputs: Mapping[str, TensorInfo]) -> "Noise":
        """What a graph's inputs may be: an input that tables are looked up by holds ids of the smallest table."""
        return cls(inputs, {name: rows for name in inputs if (rows := _rows(graph, name))})

    def batch(self, size: int, seed: int = 0, *, unit: bool = False) -> dict[str, Array]:
        """A batch of noise, by the inputs' names; `unit`: in [0, 1), for a network that takes logarithms or roots."""
        made = np.random.default_rng(seed)
        return {name: self._one(made, name, info, (size, *info.shape), unit) for name, info in self.inputs.items()}

    def _one(self, made: np.random.Generator, name: str, info: TensorInfo, shape: tuple[int, ...], unit: bool) -> Array:
        if name in self.most:
            return made.integers(0, self.most[name], shape).astype(info.dtype)
        if info.dtype == np.uint8:
            return made.integers(0, 256, shape, np.uint8)
        if info.dtype.kind in "iub":  # a mask: its first place is always open
            mask = made.integers(0, 2, shape).astype(info.dtype)
            mask[..., 0] = 1
            return mask
        return (made.random(shape) if unit else made.standard_normal(shape)).astype(info.dtype)


def _rows(graph: onnx.GraphProto, name: str) -> int:
    """Rows of the smallest table that is looked up by what depends on an input alone; 0 where none is."""
    tables = {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    flow = Flow.of(graph)
    reached, rows = {name}, []
    for node in graph.node:
        if not reached & {*flow.data_inputs(node)}:
            continue
        if node.op_type == "Gather" and node.input[0] in tables and node.input[1] in reached:
            axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)
            rows.append(tables[node.input[0]][axis])
        reached |= {one for one in node.output if one and flow.made[one] == Made.PLAIN}
    return min(rows, default=0)


def numpy_type(elem_type: int) -> np.dtype[Any]:
    """Give numpy's type for ONNX's number of one."""
    found: np.dtype[Any] = np.dtype(helper.tensor_dtype_to_np_dtype(elem_type))
    return found
