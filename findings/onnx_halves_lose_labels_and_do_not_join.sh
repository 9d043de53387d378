#!/bin/sh
# onnx 1.23.2: halves that extract_model cuts have lost what the model says of itself, and merge_models refuses them.
#
# Common belief: onnx.utils.extract_model takes nodes out of a model and leaves the rest as it was, so that class names
# and preprocessing, kept in metadata_props as exporters of classifiers do, are on both sides of a cut; the other tools
# that rewrite a model keep them. And what it cut at a tensor onnx.compose.merge_models joins again at that tensor.
#
# Behaviour: both halves come without metadata_props, description, producer and version of the model. Shape inference,
# the version converter, onnxruntime's quantization and its own optimized file keep all of what they are given, so a
# node that reads its class names from the file works with each of these and not with a half. And the halves do not
# join: the tensor at the cut is recorded as a value in both, once as the output and once as the input, and
# merge_models raises "overlapping names" of the very name that it was told to join at. By a prefix for one half it
# goes, with the first half's inputs and the second's outputs named anew.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 900 "$folder/venv/bin/pip" install --quiet onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 sympy
cd "$folder"
timeout 300 "$folder/venv/bin/python" - <<'END'
import numpy as np
import onnx
import onnx.compose
import onnx.utils
import onnx.version_converter
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic

image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 4])
logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
weights = [
    numpy_helper.from_array(np.random.default_rng(seed).random(shape, np.float32), name)
    for seed, (name, shape) in enumerate({"first": (4, 4), "second": (4, 2)}.items())
]
nodes = [
    helper.make_node("MatMul", ["image", "first"], ["hidden"]),
    helper.make_node("Relu", ["hidden"], ["features"]),
    helper.make_node("MatMul", ["features", "second"], ["logits"]),
]
graph = helper.make_graph(nodes, "classifier", [image], [logits], weights)
model = helper.make_model(
    graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="ours", model_version=7,
    doc_string="two kinds of fruit",
)  # fmt: skip
model.metadata_props.add(key="classes", value="apple,pear")
onnx.save(model, "model.onnx")


def says(of):
    return {one.key: one.value for one in of.metadata_props}.get("classes"), of.doc_string, of.model_version


onnx.utils.extract_model("model.onnx", "head.onnx", ["image"], ["features"])
onnx.utils.extract_model("model.onnx", "tail.onnx", ["features"], ["logits"])
quantize_dynamic("model.onnx", "int8.onnx")
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
options.optimized_model_filepath = "optimized.onnx"
onnxruntime.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])
rewritten = {
    "shape inference": onnx.shape_inference.infer_shapes(model),
    "version converter": onnx.version_converter.convert_version(model, 21),
    "quantization": onnx.load("int8.onnx"),
    "onnxruntime's optimized file": onnx.load("optimized.onnx"),
    "head": onnx.load("head.onnx"),
    "tail": onnx.load("tail.onnx"),
}
for name, other in rewritten.items():
    print(f"{name:29} {says(other)}")
halves = [rewritten.pop("head"), rewritten.pop("tail")]
kept = all(says(other) == says(model) for other in rewritten.values())
lost = all(says(half) == (None, "", 0) for half in halves)

# The halves are right: behind each other they compute what the whole does.
batch = {"image": np.random.default_rng(9).random((3, 4), np.float32)}
run = lambda file, given: onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"]).run(None, given)[0]
same = np.array_equal(run("tail.onnx", {"features": run("head.onnx", batch)}), run("model.onnx", batch))
try:
    onnx.compose.merge_models(*halves, [("features", "features")])
    refused = ""
except ValueError as error:
    refused = str(error).splitlines()[0]
print("joined at the cut:", refused or "one model")
joined = onnx.compose.merge_models(halves[0], halves[1], [("features", "features")], prefix1="head/", prefix2="tail/")
print("with prefixes:", [one.name for one in (*joined.graph.input, *joined.graph.output)])
raise SystemExit(not (kept and lost and same and "overlapping names" in refused))
END
