#!/bin/sh
# OpenVINO 2026.4.1 beside onnxruntime 1.32.0 and onnx 1.23.2: a Resize with antialias=1 is done as if it were 0, in silence.
#
# Common belief: a runtime computes an attribute that it knows the operator's opset for, or says that it cannot, as
# OpenVINO does of other modes of the same operator (coordinate_transformation_mode half_pixel_symmetric is refused). So
# a graph that scales its own picture, as torch exports interpolate(antialias=True), runs alike everywhere.
#
# Behaviour: OpenVINO reads the file, drops the attribute, and samples single pixels where a mean over all of them was
# asked for: to the last bits the answer with antialias=0, for linear and cubic, by sizes and by scales. onnxruntime and
# the reference implementation of onnx agree with each other. Where a picture is made smaller the network sees another
# one, noisier, with patterns that are not there: confidences and exits change, and no number is out of the ordinary.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 900 "$folder/venv/bin/pip" install --quiet openvino==2026.4.1 onnxruntime==1.32.0 onnx==1.23.2
cd "$folder"
HOME=$folder ORT_DISABLE_TELEMETRY=1 timeout 300 "$folder/venv/bin/python" - <<'END'
import numpy as np
import onnx
import onnxruntime as ort
import openvino as ov
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

STRIPES = np.broadcast_to((np.arange(24) % 2).astype(np.float32), (1, 1, 24, 24)).copy()  # a pixel wide, black and white


def model(**how):
    by = "sizes" if how["mode"] == "linear" else "scales"
    value = np.array([1, 1, 8, 8]) if by == "sizes" else np.array([1, 1, 1 / 3, 1 / 3], np.float32)
    given = ["x", "", "", by] if by == "sizes" else ["x", "", by]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
            for name, shape in (("x", [1, 1, 24, 24]), ("y", [1, 1, 8, 8]))]
    graph = helper.make_graph([helper.make_node("Resize", given, ["y"], **how)], "g", ends[:1], ends[1:],
                              [numpy_helper.from_array(value, by)])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(made, full_check=True)
    return made


def answers(**how):
    """A row of the picture as each of the three makes it."""
    made, core = model(**how), ov.Core()
    content = made.SerializeToString()
    compiled = core.compile_model(core.read_model(content), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = {
        "onnx's reference": ReferenceEvaluator(made).run(None, {"x": STRIPES})[0],
        "onnxruntime": ort.InferenceSession(content, providers=["CPUExecutionProvider"]).run(None, {"x": STRIPES})[0],
        "OpenVINO": compiled({"x": STRIPES})[0],
    }
    return {name: picture[0, 0, 0] for name, picture in found.items()}


for mode in ("linear", "cubic"):
    smooth, sharp = answers(mode=mode, antialias=1), answers(mode=mode, antialias=0)
    for name, row in smooth.items():
        print(f"{mode}, antialias=1, {name:16} {np.array2string(row, precision=2, suppress_small=True)}")
    assert np.allclose(smooth["onnxruntime"], smooth["onnx's reference"], atol=1e-4), "the other two do not agree"
    assert np.abs(smooth["onnxruntime"] - sharp["onnxruntime"]).max() > 0.3, "it makes no difference here"
    assert np.allclose(smooth["OpenVINO"], sharp["onnxruntime"], atol=1e-4), "OpenVINO heeds antialias"
try:
    answers(mode="linear", coordinate_transformation_mode="half_pixel_symmetric")
except RuntimeError as error:
    print("half_pixel_symmetric is refused:", "half_pixel" in str(error))
else:
    raise SystemExit("what OpenVINO cannot do is not refused elsewhere either")
END
echo "as stated: OpenVINO 2026.4.1 takes a Resize with antialias for one without, and says nothing"
