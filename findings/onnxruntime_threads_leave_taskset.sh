#!/bin/sh
# onnxruntime 1.32.0 on Linux: a session's threads run on the cores that `taskset` took from the process.
#
# Common belief: `taskset -c 0`, systemd's CPUAffinity= and os.sched_setaffinity hold for every thread that a process
# starts later, since a thread inherits its maker's cores; so two networks are kept apart on a machine, one is measured
# "on one core", and a library that counts cores counts those.
#
# Behaviour: left to choose its threads (intra_op_num_threads 0, the default), onnxruntime starts one for each physical
# core of the machine but the caller's, and pins each to one of them by pthread_setaffinity_np. Linux lets a thread
# widen what taskset set, which is no cgroup, so a process that was given core 0 computes on core 1 too, and says
# nothing of it. Whatever was to be left alone there is not, and the figure for one core is one for all. With a number
# of threads said, none is pinned, and they stay where the process may run. (By a cgroup's cpuset, as of a container,
# the pinning fails, and is logged.)
#
# Exits with 0 while it is so, with 1 if not, with 2 where the machine has one core or offers no affinity.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 900 "$folder/venv/bin/pip" install --quiet onnxruntime==1.32.0 onnx==1.23.2
cd "$folder"
HOME=$folder ORT_DISABLE_TELEMETRY=1 timeout 300 "$folder/venv/bin/python" - <<'END'
import json
import os
import subprocess
import sys

ASK = """
import json, os, sys
import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper
ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 512]) for name in "xy"]
weights = numpy_helper.from_array(np.ones((512, 512), np.float32), "w")
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weights])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
options = ort.SessionOptions()
options.intra_op_num_threads = int(sys.argv[1])
before = {*os.listdir("/proc/self/task")}
session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
new = {*os.listdir("/proc/self/task")} - before
for _ in range(50):
    session.run(None, {"x": np.ones((256, 512), np.float32)})
last = [open(f"/proc/self/task/{one}/stat").read().rsplit(")", 1)[1].split()[36] for one in new]
may = [sorted(os.sched_getaffinity(int(one))) for one in new]
print(json.dumps([[*os.sched_getaffinity(0)], may, [int(core) for core in last]]))
"""

if not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2:
    print("cannot be seen here: fewer than two cores, or no affinity")
    sys.exit(2)


def confined(core, threads):
    """The cores of a process that taskset gave one core, those its session's threads may use, and did use last."""
    done = subprocess.run(["taskset", "-c", str(core), sys.executable, "-c", ASK, str(threads)], capture_output=True,
                          text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    own, may, last = json.loads(done.stdout)
    print(f"taskset -c {core}, threads {threads or 'not said'}: the process may run on {own}, its session's threads on "
          f"{may}; they ran last on {last}")
    assert own == [core], "taskset did not confine the process"
    return {found for mask in may for found in mask}


cores = sorted(os.sched_getaffinity(0))[:2]
print("believed: nothing of a process runs where taskset does not let it")
left = {core: confined(core, 0) - {core} for core in cores}
kept = {core: confined(core, 2) for core in cores}
assert any(left.values()), "the threads stay where the process may run"
assert all(found == {core} for core, found in kept.items()), "threads leave with their number said too"
END
echo "as stated: onnxruntime 1.32.0 pins its threads to cores that taskset took from the process"
