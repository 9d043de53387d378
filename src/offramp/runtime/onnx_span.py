"""A span on onnxruntime: the runtime that every node has."""

import onnxruntime as ort

from offramp.machine import cores_to_use
from offramp.runtime.span import Array, Tensors

RUNTIME = f"onnxruntime {ort.__version__}"


class OnnxSpan:
    """A span on onnxruntime. Safe to call from several threads at once."""

    def __init__(self, graph: bytes, sources: tuple[str, ...], outputs: dict[str, str], threads: int = 0) -> None:
        options = ort.SessionOptions()
        # Named even for "every core": left to itself, onnxruntime pins its threads to cores of its choice.
        options.intra_op_num_threads = cores_to_use(threads)
        options.log_severity_level = 3
        # A pool that spins between calls takes the core from whatever else runs on it: the other node, on one machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without VNNI, u8 times s8 saturates in 16 bits and cost an exit 19 points of accuracy; u8 times u8 does not.
        options.add_session_config_entry("session.x64quantprecision", "1")
        self.sources, self.names, self.targets = sources, tuple(outputs), tuple(outputs.values())
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, *tensors: Array) -> Tensors:
        """Give the outputs of a batch by name."""
        fed = dict(zip(self.sources, tensors, strict=True))
        return dict(zip(self.names, self.session.run(self.targets, fed), strict=True))
