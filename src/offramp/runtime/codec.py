"""Codecs in the graph: how features are made small where they leave a node, and large again where they arrive.

fp16 is a cast. uint8 is affine, one scale and one zero point a channel: a division, the zero point added, and a
QuantizeLinear at the end of the sender's span, and a DequantizeLinear at the start of the receiver's. Features out of a
ReLU have their zero points at 0, and nothing is added. At boundary 0 the tensor is the image, most often, whose one
scale of 1/255 gives an 8-bit image back exactly. One bit a value is in `runtime.bits`. Knows nothing of what a scale
was taken from.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.codec import Codec
from offramp.artifacts.cut import Levels, Scale, Zero
from offramp.artifacts.manifest import Manifest
from offramp.runtime.bits import append_packing, prepend_unpacking
from offramp.runtime.onnx_messages import FLOAT, FLOAT16, UINT8, ModelProto, node, tensor

TYPES: dict[Codec, int] = {"fp32": FLOAT, "fp16": FLOAT16, "uint8": UINT8, "1bit": UINT8}


@dataclass(frozen=True)
class Form:
    """How one tensor crosses a boundary. `scale` and `zero` are of uint8: one a channel, or one for all."""

    codec: Codec
    scale: Scale = ()
    zero: Zero = ()
    axis: int = 0  # of one sample, that holds the channels
    rank: int = 3  # of one sample
    bits: Levels | None = None
    shape: tuple[int, ...] = ()  # of one sample, of what crosses in bits

    @classmethod
    def of(cls, manifest: Manifest, boundary: int, name: str, codec: Codec) -> "Form":
        """The form of a tensor at a boundary of a bundle, where features cross in a codec."""
        used = manifest.codec_of(boundary, name, codec)
        if used in ("fp32", "fp16"):
            return cls(used)
        cut, shape = manifest.cut(boundary), manifest.tensors(boundary)[name]
        if used == "1bit":
            return cls(used, axis=cut.axis_of(name, shape), rank=len(shape), bits=cut.bits[name], shape=shape)
        return cls(used, cut.scale_of(name), cut.zero_of(name), cut.axis_of(name, shape), len(shape))


def encoded_name(name: str, codec: Codec) -> str:
    """Name of a tensor in the form in which it travels."""
    return name if codec == "fp32" else f"{name}_{codec}"


def append_encoder(model: Any, name: str, form: Form) -> None:
    """Make the graph give its output `name` encoded, under `encoded_name`."""
    if form.codec == "fp32":
        return
    graph, target = model.graph, encoded_name(name, form.codec)
    output = next(value for value in graph.output if value.name == name)
    output.name = target
    output.type.tensor_type.elem_type = TYPES[form.codec]
    if form.bits is not None:
        append_packing(model, name, target, _beside(np.array(form.bits.above, np.float32), form), form.shape)
        return
    if form.codec == "fp16":
        graph.node.append(node("Cast", [name], [target], to=TYPES[form.codec]))
        return
    # Divided first, then rounded in steps of 1: the same numbers. In steps of a vector, onnxruntime would fuse it
    # into an int8 pooling before it, and refuse the result. So the zero points are added, and are no QuantizeLinear's.
    constants = {
        f"{name}_codec_divisor": _beside(np.array(form.scale, np.float32), form),
        f"{name}_codec_one": np.float32(1),
        f"{name}_codec_zero": np.uint8(0),
    }
    divisor, step, none = constants
    nodes = [node("Div", [name, divisor], [steps := f"{name}_steps"])]
    if any(form.zero):
        constants[shift := f"{name}_codec_shift"] = _beside(np.array(form.zero, np.float32), form)
        nodes.append(node("Add", [steps, shift], [steps := f"{name}_shifted"]))
    nodes.append(node("QuantizeLinear", [steps, step, none], [target]))
    graph.initializer.extend(tensor(key, np.asarray(values)) for key, values in constants.items())
    graph.node.extend(nodes)


def prepend_decoder(model: Any, name: str, form: Form) -> None:
    """Make the graph take its input `name` encoded, under `encoded_name`."""
    if form.codec == "fp32":
        return
    graph, source = model.graph, encoded_name(name, form.codec)
    entry = next(value for value in graph.input if value.name == name)
    entry.name = source
    entry.type.tensor_type.elem_type = TYPES[form.codec]
    if form.bits is not None:
        low, high = (_beside(np.array(level, np.float32), form) for level in (form.bits.low, form.bits.high))
        prepend_unpacking(model, source, name, (low, high), form.shape)
        return
    if form.codec == "fp16":
        decoder = node("Cast", [source], [name], to=FLOAT)
    else:
        constants = _constants(model, name, form)
        decoder = node("DequantizeLinear", [source, *constants], [name], axis=form.axis + 1)
    graph.node.insert(0, decoder)


def name_input(graph: bytes, found: str, wanted: str) -> bytes:
    """Give a graph's input the name under which it is sent; the tensor inside that had it, decoded, gets another.

    A graph that gives `wanted` as well, an empty span that only translates, stays as it is.
    """
    model = ModelProto.FromString(graph)
    if found == wanted or any(value.name == wanted for value in model.graph.output):
        return graph
    names = {wanted: f"{wanted}_decoded", found: wanted}
    for step in model.graph.node:
        for used in (step.input, step.output):
            used[:] = [names.get(name, name) for name in used]
    for value in (*model.graph.input, *model.graph.value_info):
        value.name = names.get(value.name, value.name)
    renamed: bytes = model.SerializeToString()
    return renamed


def _beside(values: npt.NDArray[np.float32], form: Form) -> npt.NDArray[np.float32]:
    """One value, or one a channel in a shape that lies beside the features."""
    return values[0] if len(values) == 1 else values.reshape(-1, *[1] * (form.rank - 1 - form.axis))


def _constants(model: Any, name: str, form: Form) -> tuple[str, str]:
    """Put scale and zero point into the graph: a scalar for one scale, a vector for one a channel."""
    # Not `{name}_scale`: an int8 graph has constants of that name of its own.
    names = f"{name}_codec_scale", f"{name}_codec_zero"
    for key, values in ((names[0], np.array(form.scale, np.float32)), (names[1], np.array(form.zero, np.uint8))):
        one_or_each: npt.NDArray[Any] = values if len(values) > 1 else values.reshape(())
        model.graph.initializer.append(tensor(key, one_or_each))
    return names
