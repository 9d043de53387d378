"""Codecs in the graph: how features are made small where they leave a node, and large again where they arrive.

fp16 is a cast. uint8 is a division and a QuantizeLinear at the end of the sender's span and a DequantizeLinear at the
start of the receiver's, one scale a channel, zero at zero: features come out of a ReLU. At boundary 0 the tensor is the
image, whose one scale of 1/255 gives an 8-bit image back exactly.
"""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offramp.artifacts.codec import Codec

TYPES: dict[Codec, int] = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16, "uint8": TensorProto.UINT8}


def encoded_name(name: str, codec: Codec) -> str:
    """Name of a tensor in the form in which it travels."""
    return name if codec == "fp32" else f"{name}_{codec}"


def append_encoder(model: onnx.ModelProto, name: str, codec: Codec, scale: tuple[float, ...]) -> None:
    """Make the graph give its output `name` encoded, under `encoded_name`."""
    if codec == "fp32":
        return
    graph, target = model.graph, encoded_name(name, codec)
    output = next(value for value in graph.output if value.name == name)
    output.name = target
    output.type.tensor_type.elem_type = TYPES[codec]
    if codec == "fp16":
        graph.node.append(helper.make_node("Cast", [name], [target], to=TYPES[codec]))
    else:
        # Divided first, then rounded in steps of 1: the same numbers. In steps of a vector, onnxruntime would fuse it
        # into an int8 pooling before it, and refuse the result.
        divisor, step, zero = f"{name}_codec_divisor", f"{name}_codec_one", f"{name}_codec_zero"
        values = np.array(scale, np.float32)
        shaped = values[0] if len(scale) == 1 else values.reshape(-1, *[1] * (_rank(output) - 2))
        for key, constant in ((divisor, shaped), (step, np.float32(1)), (zero, np.uint8(0))):
            graph.initializer.append(numpy_helper.from_array(np.asarray(constant), key))
        graph.node.append(helper.make_node("Div", [name, divisor], [f"{name}_steps"]))
        graph.node.append(helper.make_node("QuantizeLinear", [f"{name}_steps", step, zero], [target]))


def prepend_decoder(model: onnx.ModelProto, name: str, codec: Codec, scale: tuple[float, ...]) -> None:
    """Make the graph take its input `name` encoded, under `encoded_name`."""
    if codec == "fp32":
        return
    graph, source = model.graph, encoded_name(name, codec)
    entry = next(value for value in graph.input if value.name == name)
    entry.name = source
    entry.type.tensor_type.elem_type = TYPES[codec]
    if codec == "fp16":
        node = helper.make_node("Cast", [source], [name], to=TensorProto.FLOAT)
    else:
        node = helper.make_node("DequantizeLinear", [source, *_constants(model, name, scale)], [name], axis=1)
    graph.node.insert(0, node)


def name_input(graph: bytes, found: str, wanted: str) -> bytes:
    """Give a graph's input the name under which it is sent; the tensor inside that had it, decoded, gets another.

    A graph that gives `wanted` as well, an empty span that only translates, stays as it is.
    """
    model = onnx.load_model_from_string(graph)
    if found == wanted or any(value.name == wanted for value in model.graph.output):
        return graph
    names = {wanted: f"{wanted}_decoded", found: wanted}
    for node in model.graph.node:
        for used in (node.input, node.output):
            used[:] = [names.get(name, name) for name in used]
    for value in (*model.graph.input, *model.graph.value_info):
        value.name = names.get(value.name, value.name)
    renamed: bytes = model.SerializeToString()
    return renamed


def _rank(value: onnx.ValueInfoProto) -> int:
    return len(value.type.tensor_type.shape.dim)


def _constants(model: onnx.ModelProto, name: str, scale: tuple[float, ...]) -> tuple[str, str]:
    """Put scale and zero point into the graph: a scalar for one scale, a vector for one a channel."""
    steps = np.array(scale[0] if len(scale) == 1 else scale, np.float32)
    # Not `{name}_scale`: an int8 graph has constants of that name of its own.
    names = f"{name}_codec_scale", f"{name}_codec_zero"
    for key, values in zip(names, (steps, np.zeros(steps.shape, np.uint8)), strict=True):
        model.graph.initializer.append(numpy_helper.from_array(values, key))
    return names
