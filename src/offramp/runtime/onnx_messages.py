"""ONNX's messages, as far as a node reads and writes them: cutting a span's graph out takes no more.

A field that is not named here is an unknown one, which protobuf keeps as it came and writes again. So a node does
without the package `onnx`, 55 MB of its install with what that needs. Types, numbers and names are those of onnx.proto
(https://github.com/onnx/onnx/blob/main/onnx/onnx.proto); the messages lie in a pool of their own, beside the package's.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from google.protobuf.descriptor_pool import DescriptorPool

from offramp.described import Table, classes

# In the words of `offramp.described`. Enumerations are integers on the wire.
FIELDS = {
    "ModelProto": "1 ir_version int64, 2 producer_name string, 7 graph GraphProto, 8 opset_import OperatorSetIdProto*, "
    "25 functions FunctionProto*",
    "GraphProto": "1 node NodeProto*, 2 name string, 5 initializer TensorProto*, 11 input ValueInfoProto*, "
    "12 output ValueInfoProto*, 13 value_info ValueInfoProto*, 14 quantization_annotation Kept*, "
    "15 sparse_initializer SparseTensorProto*",
    "NodeProto": "1 input string*, 2 output string*, 4 op_type string, 5 attribute AttributeProto*, 7 domain string",
    "AttributeProto": "1 name string, 3 i int64, 5 t TensorProto, 6 g GraphProto, 10 tensors TensorProto*, "
    "11 graphs GraphProto*, 20 type int32, 22 sparse_tensor SparseTensorProto, 23 sparse_tensors SparseTensorProto*",
    "TensorProto": "1 dims int64*, 2 data_type int32, 8 name string, 9 raw_data bytes, 14 data_location int32",
    "SparseTensorProto": "1 values TensorProto, 2 indices TensorProto",
    "ValueInfoProto": "1 name string, 2 type TypeProto",
    "TypeProto": "1 tensor_type TensorTypeProto",
    "TensorTypeProto": "1 elem_type int32, 2 shape TensorShapeProto",
    "TensorShapeProto": "1 dim Dimension*",
    "Dimension": "1 dim_value int64, 2 dim_param string",
    "FunctionProto": "1 name string, 7 node NodeProto*, 10 domain string",
    "OperatorSetIdProto": "",
    "Kept": "",
}
FLOAT, UINT8, INT64, FLOAT16 = 1, 2, 7, 10  # a tensor's data_type
EXTERNAL = 1  # a tensor's data_location, where it lies in a file of its own
INT = 2  # an attribute's type


POOL = DescriptorPool()
POOL.Add(Table("offramp.onnx", "proto2", FIELDS).described())
CLASSES = classes(POOL, "offramp.onnx", FIELDS)
ModelProto, NodeProto, TensorProto = CLASSES["ModelProto"], CLASSES["NodeProto"], CLASSES["TensorProto"]


def node(operator: str, inputs: list[str], outputs: list[str], **integers: int) -> Any:
    """A node of ONNX's own operators, with attributes that are integers."""
    made = NodeProto(op_type=operator, input=inputs, output=outputs)
    for name, value in integers.items():
        made.attribute.add(name=name, i=value, type=INT)
    return made


def tensor(name: str, values: npt.NDArray[Any]) -> Any:
    """A constant of a graph, of fp32, uint8 or int64."""
    kind = {np.dtype(np.float32): FLOAT, np.dtype(np.uint8): UINT8, np.dtype(np.int64): INT64}[values.dtype]
    return TensorProto(name=name, dims=values.shape, data_type=kind, raw_data=values.tobytes())
