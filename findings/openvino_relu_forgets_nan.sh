#!/bin/sh
# OpenVINO 2026.4.1 beside onnxruntime 1.32.0, on x86: a NaN in the input of a network with ReLU is gone at its end.
#
# Common belief: a NaN spreads through every layer that it reaches, so that an input with one gives NaN at the end, and a
# look at the output finds what was wrong with the input; and a quantizer makes the same number of it everywhere.
#
# Behaviour: OpenVINO's ReLU gives 0 for NaN. After a convolution that has spread it over its window the window is 0, and
# the network ends in ordinary probabilities with nothing that says so. Through Sigmoid, HardSwish, Clip, or without an
# activation, the NaN goes on. onnxruntime gives NaN through all of them. QuantizeLinear to uint8 makes 0 of a NaN in
# onnxruntime and 255 in OpenVINO: a quantized network gives ordinary numbers on both, and not the same. So an input has
# to be looked at before the network, not its answer after it.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2
cd "$folder"
HOME=$folder ORT_DISABLE_TELEMETRY=1 "$folder/venv/bin/python" - <<'END'
import numpy as np
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(0)
WEIGHTS = [numpy_helper.from_array(random.normal(size=shape).astype(np.float32), name)
           for name, shape in (("kernel", (8, 3, 3, 3)), ("linear", (8, 4)))]


def model(nodes, shape, weights, output=TensorProto.FLOAT):
    ends = (helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape]),
            helper.make_tensor_value_info("y", output, None))
    graph = helper.make_graph(nodes, "network", ends[:1], ends[1:], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


def classifier(activation):
    steps = [("Conv", ["x", "kernel"], "a"), (activation, ["a"], "b"), ("GlobalAveragePool", ["b"], "c"),
             ("Flatten", ["c"], "d"), ("MatMul", ["d", "linear"], "e"), ("Softmax", ["e"], "y")]
    return model([helper.make_node(op, sources, [to]) for op, sources, to in steps], (3, 8, 8), WEIGHTS)


def both(content, x):
    mine = ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": x})[0]
    core = ov.Core()
    theirs = core.compile_model(core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0]
    return mine, theirs


image = random.random((1, 3, 8, 8), np.float32)
image[0, 0, 3, 3] = np.nan
for activation in ("Relu", "Sigmoid", "HardSwish", "Clip", "Identity"):
    mine, theirs = both(classifier(activation), image)
    print(f"{activation:10} onnxruntime {mine[0]}, OpenVINO {theirs[0].round(3)}")
    assert np.isnan(mine).all(), f"onnxruntime gives numbers through {activation}"
    assert np.isfinite(theirs).all() == (activation == "Relu"), f"another answer of OpenVINO's through {activation}"
    if activation == "Relu":
        assert abs(float(theirs.sum()) - 1) < 1e-5, "no probabilities"

scale, zero = numpy_helper.from_array(np.float32(1), "scale"), numpy_helper.from_array(np.uint8(0), "zero")
quantizer = model([helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["y"])], (2,), [scale, zero],
                  TensorProto.UINT8)
mine, theirs = both(quantizer, np.array([[np.nan, 1.0]], np.float32))
print(f"QuantizeLinear of NaN: onnxruntime {mine[0, 0]}, OpenVINO {theirs[0, 0]}")
assert mine[0].tolist() == [0, 1], "another number of onnxruntime's for NaN"
assert theirs[0].tolist() == [255, 1], "another number of OpenVINO's for NaN"
END
echo "as stated: OpenVINO 2026.4.1 makes ordinary probabilities of an image with a NaN pixel, where onnxruntime gives NaN"
