"""One bit a value, eight to a byte, in the graph: how binary features leave a node and arrive at another.

The first value of a sample is the highest bit of its first byte, as `numpy.packbits` has it; what is missing to the
last byte is zeros. All is arithmetic of numbers up to 255, which every runtime does exactly, bf16 included: ONNX has
shifts, but not every runtime has them.
"""

from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.runtime.onnx_messages import FLOAT, UINT8, node, tensor

Floats = npt.NDArray[np.float32]
PLACES = 2.0 ** np.arange(7, -1, -1, dtype=np.float32)  # 128, 64, … 1


def append_packing(model: Any, name: str, target: str, above: Floats, shape: tuple[int, ...]) -> None:
    """Make the graph give `target`, uint8 `(N, bytes)`: which values of its output `name` lie above some numbers."""
    size, spare = prod(shape), -prod(shape) % 8
    _flat(next(value for value in model.graph.output if value.name == target), size + spare)
    constants: dict[str, npt.NDArray[Any]] = {
        "above": above,
        "flat": np.array([0, size], np.int64),
        "pads": np.array([0, 0, 0, spare], np.int64),
        "eights": np.array([0, -1, 8], np.int64),
        "places": PLACES[:, None],
        "bytes": np.array([0, -1], np.int64),
    }
    named = _constants(model, f"{name}_pack", constants)
    steps = [
        ("Greater", [named["above"]], {}),
        ("Cast", [], {"to": FLOAT}),
        ("Reshape", [named["flat"]], {}),
        *([("Pad", [named["pads"]], {})] if spare else []),
        ("Reshape", [named["eights"]], {}),
        ("MatMul", [named["places"]], {}),
        ("Reshape", [named["bytes"]], {}),
        ("Cast", [], {"to": UINT8}),
    ]
    model.graph.node.extend(_chain(f"{name}_pack", name, target, steps))


def prepend_unpacking(
    model: Any, source: str, name: str, levels: tuple[Floats, Floats], shape: tuple[int, ...]
) -> None:
    """Make the graph take `source`, uint8 `(N, bytes)`, and have of it what it calls `name`: the low or high level."""
    size, spare = prod(shape), -prod(shape) % 8
    _flat(next(value for value in model.graph.input if value.name == source), size + spare)
    low, high = levels
    constants: dict[str, npt.NDArray[Any]] = {
        "each": np.array([0, -1, 1], np.int64),
        "places": PLACES,
        "half": np.array(0.5, np.float32),
        "two": np.array(2, np.float32),
        "flat": np.array([0, size + spare], np.int64),
        "begin": np.array([0], np.int64),
        "end": np.array([size], np.int64),
        "axis": np.array([1], np.int64),
        "shape": np.array([0, *shape], np.int64),
        "span": high - low,
        "low": low,
    }
    prefix = f"{name}_unpack"
    named = _constants(model, prefix, constants)
    # The bit in a place: how often the place goes into the number, and of that whether it is odd.
    whole = [("Cast", [], {"to": FLOAT}), ("Reshape", [named["each"]], {}), ("Div", [named["places"]], {})]
    halves: list[Any] = [("Mul", [named["half"]], {}), ("Floor", [], {}), ("Mul", [named["two"]], {})]
    laid: list[Any] = [
        ("Reshape", [named["flat"]], {}),
        *([("Slice", [named["begin"], named["end"], named["axis"]], {})] if spare else []),
        ("Reshape", [named["shape"]], {}),
        ("Mul", [named["span"]], {}),
        ("Add", [named["low"]], {}),
    ]
    nodes = [
        *_chain(f"{prefix}_whole", source, f"{prefix}_times", [*whole, ("Floor", [], {})]),
        *_chain(f"{prefix}_halves", f"{prefix}_times", f"{prefix}_even", halves),
        node("Sub", [f"{prefix}_times", f"{prefix}_even"], [f"{prefix}_bits"]),
        *_chain(f"{prefix}_laid", f"{prefix}_bits", name, laid),
    ]
    for position, one in enumerate(nodes):
        model.graph.node.insert(position, one)


def _flat(value: Any, bits: int) -> None:
    """Say that a tensor is `(batch, bytes)`."""
    dims = value.type.tensor_type.shape
    dims.Clear()
    dims.dim.add(dim_param="batch")
    dims.dim.add(dim_value=bits // 8)


def _constants(model: Any, prefix: str, constants: dict[str, npt.NDArray[Any]]) -> dict[str, str]:
    """Put constants into the graph, and give their names there."""
    names = {key: f"{prefix}_{key}" for key in constants}
    model.graph.initializer.extend(tensor(names[key], values) for key, values in constants.items())
    return names


def _chain(prefix: str, source: str, target: str, steps: list[tuple[str, list[str], dict[str, int]]]) -> list[Any]:
    """Nodes one behind the other, each with constants beside what it gets of the one before."""
    nodes, at = [], source
    for number, (operator, beside, attributes) in enumerate(steps):
        gives = target if number == len(steps) - 1 else f"{prefix}_{number}"
        nodes.append(node(operator, [at, *beside], [gives], **attributes))
        at = gives
    return nodes
