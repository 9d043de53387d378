#!/bin/sh
# MLServer 1.7.1, adaptive batching: what one client asks for decides what another one gets, where both fall in one batch.
#
# Common belief: a server that batches joins requests that can be joined, of the same inputs, shapes, parameters and
# outputs, and runs others apart; so batching changes latency, and an answer is that of its request alone.
#
# Behaviour: whatever comes within max_batch_time is joined. Parameters become one set, in which the last request to
# say something wins, so that one client's threshold is everybody's. Outputs become the names that anybody asked for:
# who asked for none, which is all of them, gets those. An input that one request alone has is handed over beside the
# rows of all, and where it has one row numpy spreads it over them. The shape is the first request's, and the numbers
# are put in a row: a portrait picture behind a landscape one of as many pixels is read as landscape, and answered.
# Every status is 200, nothing is logged, and all is right whenever a client is alone, as it is in a test.
#
# Exits with 0 while it is so.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
timeout 900 "$folder/venv/bin/pip" install --quiet mlserver==1.7.1
cd "$folder"
cat >exits.py <<'END'
"""A network of one exit, by hand: which images leave at it, and the sum of each image's upper row."""

import numpy as np
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse


class Exits(MLModel):
    async def predict(self, payload):
        tensors = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        images = tensors["images"] * tensors.get("gain", np.ones(1, np.float32))[:, None, None]
        threshold = getattr(payload.parameters, "threshold", 0.5)
        found = {"leaves": (images.max((1, 2)) >= threshold).astype(np.int64), "upper": images[:, 0].sum(-1)}
        names = [output.name for output in payload.outputs] if payload.outputs else list(found)
        outputs = [NumpyCodec.encode_output(name, found[name]) for name in names]
        return InferenceResponse(model_name=self.name, outputs=outputs)
END
HOME=$folder timeout 300 venv/bin/python - <<'END'
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

with ExitStack() as stack:
    free = [stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in range(3)]
http, grpc, metrics = free
BASE = f"http://127.0.0.1:{http}/v2/models/exits"
BATCHING = {"max_batch_size": 2, "max_batch_time": 2.0}


def tensor(name, shape, data):
    return {"name": name, "shape": shape, "datatype": "FP32", "data": data}


def asked(request):
    """Outputs by name."""
    headers = {"Content-Type": "application/json"}
    question = urllib.request.Request(f"{BASE}/infer", json.dumps(request).encode(), headers)
    with urllib.request.urlopen(question, timeout=60) as answer:
        return {output["name"]: output["data"] for output in json.load(answer)["outputs"]}


def together(*requests):
    """The answers of requests that come a quarter of a second apart, and so in one batch."""

    def later(index, request):
        time.sleep(0.25 * index)
        return asked(request)

    with ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(later, range(len(requests)), requests))


def wait_until_ready(server):
    for _ in range(240):
        assert server.poll() is None, "the server ended"
        try:
            return urllib.request.urlopen(f"{BASE}/ready", timeout=5).close()
        except OSError:
            time.sleep(0.25)
    raise SystemExit("the server is not ready")


Path("settings.json").write_text(json.dumps({
    "host": "127.0.0.1", "http_port": http, "grpc_port": grpc, "metrics_port": metrics, "parallel_workers": 0}))
Path("model-settings.json").write_text(json.dumps({"name": "exits", "implementation": "exits.Exits", **BATCHING}))
landscape = {"inputs": [tensor("images", [1, 2, 3], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])]}
portrait = {"inputs": [tensor("images", [1, 3, 2], [0.1, 0.2, 0.3, 0.4, 0.5, 0.6])]}
beside = {
    "one with a threshold of 0.9": landscape | {"parameters": {"threshold": 0.9}},
    "one that asks for 'leaves' alone": landscape | {"outputs": [{"name": "leaves"}]},
    "one with a gain of 0.1": {"inputs": [*landscape["inputs"], tensor("gain", [1], [0.1])]},
}
with open("log", "w") as log:
    server = subprocess.Popen([Path(sys.executable).with_name("mlserver"), "start", "."], stdout=log, stderr=log,
                              env=os.environ | {"PYTHONPATH": "."})
try:
    wait_until_ready(server)
    alone = asked(landscape)
    found = {what: together(other, landscape)[1] for what, other in beside.items()}
    upright, turned = asked(portrait), together(landscape, portrait)[1]
except BaseException:
    print(Path("log").read_text()[-3000:], file=sys.stderr)
    raise
finally:
    server.terminate()
    server.wait(30)
print("one request, alone (and believed, whatever comes beside it):", alone)
for what, answer in found.items():
    print(f"the same beside {what}:", answer)
print("a portrait picture alone:", upright, "behind a landscape one:", turned)
threshold, outputs, gain = found.values()
assert alone["leaves"] == [1] and threshold["leaves"] == [0], "another's threshold is not taken"
assert set(alone) == {"leaves", "upper"} and set(outputs) == {"leaves"}, "another's outputs are not taken"
assert abs(gain["upper"][0] - 0.1 * alone["upper"][0]) < 1e-6, "another's input is not taken"
assert abs(upright["upper"][0] - 0.3) < 1e-6 and abs(turned["upper"][0] - 0.6) < 1e-6, "shapes are kept apart by now"
END
echo "as stated: MLServer 1.7.1 answers a request by another one's threshold, outputs, inputs and shape"
