#!/bin/sh
# OpenVINO 2026.4.1, CACHE_DIR: a model's file that was written anew is answered for by the network that it was before.
#
# Common belief: the cache of compiled models is keyed by what is in the model: new weights, another key, compiled anew.
# The Model Server's page on this cache says that what is out of date is found and made again.
#
# Behaviour: for core.compile_model(PATH) the key has of the model its file's time of modification in whole seconds, and
# nothing of its content. New weights in the same graph are a file of the same name and size.
# So a file written twice within a second, as by a script that exports, tries, and exports again, keeps the first
# answers, and not for that second alone: every later process finds them in the cache. The same holds where a build
# gives every file one time (SOURCE_DATE_EPOCH, layers of an image) and the cache lies on a volume that outlives the
# image. Nothing is said; LOADED_FROM_CACHE is True. A model that is read first, compile_model(core.read_model(PATH)),
# is keyed by its weights.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 900 "$folder/venv/bin/pip" install --quiet openvino==2026.4.1 onnx==1.23.2
cd "$folder"
HOME=$folder timeout 300 "$folder/venv/bin/python" - <<'END'
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

ANSWER = """
import sys
import numpy as np
import openvino as ov
folder, file, read = sys.argv[1:]
core = ov.Core()
core.set_property({"CACHE_DIR": folder})
network = core.compile_model(core.read_model(file) if read == "read" else file, "CPU")
print(int(network({"x": np.ones((1, 4), np.float32)})[0][0, 0]), network.get_property("LOADED_FROM_CACHE"))
"""


def written(file, weight, when):
    """The file of a network that answers 4 * weight, with this time of modification."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    weights = numpy_helper.from_array(np.full((4, 4), weight, np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", ends[:1], ends[1:], [weights])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    file.write_bytes(model.SerializeToString())
    os.utime(file, (when, when))


def answered(folder, file, how="path"):
    """What a process of its own answers, and whether it took it from the cache."""
    done = subprocess.run([sys.executable, "-c", ANSWER, folder, file, how], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    number, cached = done.stdout.split()
    return int(number), cached == "True"


def twice(name, seconds, how="path"):
    """Answers for a file with weights of 1, and after it was written with weights of 2, `seconds` later."""
    file, now = Path(name + ".onnx"), int(time.time()) - 100
    written(file, 1, now + 0.1)
    first = answered(name, file, how)
    written(file, 2, now + 0.1 + seconds)
    return first, answered(name, file, how)


seen = {
    "0.8 s later": twice("within", 0.8),
    "with the same time": twice("same", 0.0),
    "2 s later": twice("later", 2.0),
    "0.8 s later, read first": twice("read", 0.8, "read"),
}
print("believed: 4 of the first file, 8 of the second, whenever that was written")
for what, ((before, _), (after, cached)) in seen.items():
    print(f"written again {what}: {before}, then {after}{' from the cache' if cached else ''}")
old, new = ((4, False), (4, True)), ((4, False), (8, False))
assert [*seen.values()] == [old, old, new, new], "other answers than stated"
END
echo "as stated: OpenVINO 2026.4.1 answers by its cache for a file of the same size and second, whatever is in it"
