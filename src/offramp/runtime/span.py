"""A span of a bundle: the stages between two boundaries and the heads asked for, as one graph and one session.

Takes a bundle, gives something that runs batches. Knows nothing of scores, thresholds or the network.
"""

from typing import Protocol

import numpy as np
import numpy.typing as npt
import onnx
import onnx.utils
import onnxruntime as ort

from offramp.artifacts.bundle import GRAPH, Bundle, features_name, logits_name
from offramp.errors import ArtifactDamagedError, InputError

RUNTIME = f"onnxruntime {ort.__version__}"
Tensors = dict[str, npt.NDArray[np.float32]]


class Span(Protocol):
    """Runs one fixed part of the network."""

    def run(self, batch: npt.NDArray[np.float32]) -> Tensors:
        """Give the outputs of a batch by name: `logits_k` `(N, classes)` and `features_k` `(N, C, H, W)`."""


class OnnxSpan:
    """A span on onnxruntime. Safe to call from several threads at once."""

    def __init__(self, graph: bytes, source: str, outputs: tuple[str, ...], threads: int = 0) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        # A pool that spins between calls takes the core from whatever else runs on it: the other node, on one machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.source, self.outputs = source, outputs
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, batch: npt.NDArray[np.float32]) -> Tensors:
        """Give the outputs of a batch by name."""
        values = self.session.run(self.outputs, {self.source: batch})
        return dict(zip(self.outputs, values, strict=True))


def open_span(
    bundle: Bundle, start: int, end: int, *, exits: tuple[int, ...] = (), features: bool = False, threads: int = 0
) -> OnnxSpan:
    """Make stages `start + 1` to `end` of a bundle ready to run, in one session.

    Gives logits at `exits` and, if `features` is set, the features at boundary `end`. `threads` of 0 uses every core.
    """
    last = bundle.manifest.last
    if not 0 <= start <= end <= last:
        raise InputError(f"span [{start}, {end}): expected 0 <= start <= end <= {last}.")
    for exit_ in exits:
        bundle.manifest.check_exit(exit_)
    outputs = (*map(logits_name, exits), *([features_name(end)] if features else []))
    graph = extract(bundle.graph, [features_name(start)], list(outputs), str(bundle.path / GRAPH))
    return OnnxSpan(graph, features_name(start), outputs, threads)


def extract(graph: bytes, inputs: list[str], outputs: list[str], origin: str) -> bytes:
    """Cut the part of an ONNX graph between named tensors out of it."""
    try:
        model = onnx.load_model_from_string(graph)
        part: bytes = onnx.utils.Extractor(model).extract_model(inputs, outputs).SerializeToString()
    except Exception as error:  # onnx raises protobuf's and its own errors, unlisted
        raise ArtifactDamagedError(f"{origin}: cannot cut {inputs} to {outputs} out of it ({error}).") from error
    return part
