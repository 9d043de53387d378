"""A node needs no torch."""

import subprocess
import sys

from offramp.artifacts.bundle import Bundle

PROGRAM = """
import sys, numpy as np
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.nodes.edge import Edge
from offramp.nodes.local_cloud import LocalCloud
import offramp.nodes.process, offramp.cli
bundle = Bundle.open(sys.argv[1])
answers = Edge(bundle, Plan.of(3, 0.3), LocalCloud(bundle)).infer(np.zeros((4, 1, 16, 16), np.float32))
assert len(answers) == 4
print(sorted({name.split(".")[0] for name in sys.modules}))
"""


def test_an_edge_process_never_imports_torch(bundle: Bundle) -> None:
    """Neither torch nor anything else of the training side is loaded by a node that answers."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(bundle.path)], capture_output=True, text=True, timeout=120, check=True
    )
    loaded = set(eval(done.stdout))
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "sklearn", "pyarrow", "PIL", "safetensors", "matplotlib", "tensorboardX", "datasets"}
