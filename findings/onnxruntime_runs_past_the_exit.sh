#!/bin/sh
# onnxruntime 1.32.0: a run that asks for an early exit's output alone computes the network to its end all the same.
#
# Common belief: session.run(["exit_1"], ...) computes what exit_1 needs. Where it does not by itself, the option made
# for that does: RunOptions has only_execute_path_to_fetches, and the reference explains it as its name does. So one
# file with all exits serves an edge, which asks for its own exit, and the cloud.
#
# Behaviour: names of outputs choose what is handed over, not what is computed: every node runs. The option is taken
# and read back as True, and changes nothing: it is compiled into builds for training alone, of which the reference has
# no word, and the published package warns of nothing. An edge pays for the whole network at each early exit while its
# answers are right, and a latency measured in this way says that exits save nothing. A graph that is cut at the exit
# (onnx.utils.Extractor) runs what it should. onnxruntime's issue 16013 has asked for the option to work since 2023.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 900 "$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.23.2
cd "$folder"
HOME=$folder ORT_DISABLE_TELEMETRY=1 timeout 300 "$folder/venv/bin/python" - <<'END'
import json
import time
from pathlib import Path
from statistics import median

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

WIDTH, BEHIND = 512, 12  # layers behind the exit


def network():
    """One layer, an exit on it, and the layers behind it."""
    weight = np.random.default_rng(0).normal(0, WIDTH**-0.5, (WIDTH, WIDTH)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["x", "weight"], ["features"], "first"),
             helper.make_node("Softmax", ["features"], ["exit_1"], "exit")]
    for index in range(BEHIND):
        before = f"h{index - 1}" if index else "features"
        after = f"h{index}" if index < BEHIND - 1 else "last"
        nodes.append(helper.make_node("MatMul", [before, "weight"], [after], f"behind_{index}"))
    x, *outputs = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", WIDTH])
                   for name in ("x", "exit_1", "last"))
    graph = helper.make_graph(nodes, "network", [x], outputs, [numpy_helper.from_array(weight, "weight")])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def ran(model, names, path_only):
    """Names of the nodes that ran, what came, and milliseconds of a run."""
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.enable_profiling, options.profile_file_prefix = 1, True, "profile"
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    asked = ort.RunOptions()
    asked.only_execute_path_to_fetches = path_only
    assert asked.only_execute_path_to_fetches is path_only
    feeds = {"x": np.random.default_rng(1).normal(size=(32, WIDTH)).astype(np.float32)}
    times = []
    for _ in range(9):
        start = time.perf_counter()
        answer = session.run(names, feeds, asked)
        times.append(1000 * (time.perf_counter() - start))
    events = json.loads(Path(session.end_profiling()).read_text())
    nodes = {event["name"].removesuffix("_kernel_time") for event in events if event["name"].endswith("_kernel_time")}
    return nodes, answer, median(times)


model = network()
whole, (exit_1, _), took = ran(model, None, False)
print(f"both outputs: {len(whole)} nodes, {took:.1f} ms")
print(f"believed: exit_1 alone is 2 nodes, some {2 * took / len(whole):.1f} ms")
for path_only in (False, True):
    nodes, (answer,), took = ran(model, ["exit_1"], path_only)
    print(f"exit_1 alone, only_execute_path_to_fetches {path_only!s:5}: {len(nodes)} nodes, {took:.1f} ms")
    assert nodes == whole, "it runs less than the whole network by now"
    assert np.array_equal(answer, exit_1)
cut = onnx.utils.Extractor(model).extract_model(["x"], ["exit_1"])
nodes, (answer,), took = ran(cut, ["exit_1"], False)
print(f"a graph cut at exit_1: {len(nodes)} nodes, {took:.1f} ms")
assert len(whole) == BEHIND + 2 and len(nodes) == 2, "other nodes than the graph's"
assert np.allclose(answer, exit_1, atol=1e-6)
END
echo "as stated: onnxruntime 1.32.0 runs every node for one early output, and its option against that does nothing"
