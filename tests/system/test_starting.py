"""What a node loads until it serves, and how it comes to rest: by the command line, as it is started."""

import gc
import json
import signal
import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import tail_name
from offramp.artifacts.stages import IMAGE
from offramp.nodes.starting import starting
from offramp.protocol.peer import Peer

WAIT = 60.0
# The node of the command line, that says what it has loaded when it is told to stop.
NODE = """
import contextlib, gc, json, sys
from offramp.cli import main
with contextlib.suppress(SystemExit):
    main(sys.argv[1:])
print(json.dumps({"loaded": sorted(sys.modules), "searches": gc.isenabled(), "settled": gc.get_freeze_count() > 0}))
"""
# Rooms and packages that only some nodes need, or only other verbs, with what would load them.
NEEDLESS = {
    "onnx", "ml_dtypes", "tritonclient", "rich", "PIL", "torch", "openvino", "tokenizers", "cryptography",
    "prometheus_client", "opentelemetry", "sklearn", "pyarrow",
    "offramp.graphs", "offramp.export", "offramp.bench", "offramp.client", "offramp.plan", "offramp.charts",
    "offramp.cli.networks", "offramp.cli.measures", "offramp.cli.planning", "offramp.cli.console",
    "offramp.nodes.follower", "offramp.nodes.auditor", "offramp.link.shaper_process", "offramp.artifacts.choices",
    "offramp.runtime.timing", "offramp.runtime.kept", "offramp.runtime.openvino_span",
}  # fmt: skip


@pytest.mark.parametrize("node", ["edge", "cloud"])
def test_a_node_that_has_answered_has_loaded_what_it_needs_alone(bundle: Bundle, node: str) -> None:
    """Every module is time until a node is ready, and memory of each that rests; garbage is looked for again then."""
    cut = ["--cut", str(bundle.manifest.last)] if node == "edge" else []
    ran = [node, str(bundle.path), *cut, "--runtime", "onnxruntime", "--port", "0", "--threads", "1"]
    with subprocess.Popen([sys.executable, "-c", NODE, "serve", *ran], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            address = process.stdout.readline().split()[1]
            with Peer(address) as peer:
                model = "classifier" if node == "edge" else tail_name(0, "fp32")
                shape = (1, *bundle.manifest.preprocessing.shape)
                peer.infer(model, {IMAGE: np.zeros(shape, np.float32)}, timeout=WAIT)
            process.send_signal(signal.SIGTERM)
            said = process.communicate(timeout=WAIT)[0]
        finally:
            process.kill()
    told = json.loads(said.splitlines()[-1])
    assert {"onnxruntime", "grpc", f"offramp.nodes.{node}_process"} <= {*told["loaded"]}
    assert not NEEDLESS & {*told["loaded"]}
    assert told["searches"]
    assert told["settled"]


def test_garbage_is_looked_for_again_where_a_node_does_not_start() -> None:
    with suppress(ZeroDivisionError), starting():
        assert not gc.isenabled()
        raise ZeroDivisionError
    assert gc.isenabled()
