"""A span on OpenVINO. Imported where OpenVINO was asked for or is tried, and nowhere else: it is an optional extra."""

import sys
from typing import Any

import numpy as np

from offramp.artifacts.engine import Precision
from offramp.errors import ArtifactError, MissingExtraError
from offramp.machine import cores_to_use
from offramp.runtime.span import Array, Tensors
from offramp.runtime.warming import BySize

TELEMETRY = "openvino_telemetry"

try:
    # Importing openvino reports the import to its maker over the network and writes ~/intel. A node does neither: where
    # the package that does it cannot be imported, openvino puts a stub in its place.
    _before = sys.modules.get(TELEMETRY)
    if _before is None:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]
    try:
        import openvino as ov
    finally:
        if _before is None:
            del sys.modules[TELEMETRY]
except ImportError as error:
    raise MissingExtraError(
        "runtime openvino: it is not installed. Install it with: pip install 'offramp[openvino]', or choose "
        "--runtime onnxruntime."
    ) from error

# Set for every precision: left to itself, OpenVINO multiplies in bf16 wherever the processor can. int8 comes from the
# graph; what its graph leaves in floating point stays fp32.
HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoSpan(BySize):
    """A span on OpenVINO. Safe to call from several threads at once: each call takes a request of its own."""

    def __init__(
        self,
        graph: bytes,
        sources: tuple[str, ...],
        outputs: dict[str, str],
        threads: int = 0,
        precision: Precision = "fp32",
    ) -> None:
        super().__init__()
        core = ov.Core()
        settings = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": cores_to_use(threads),
            "NUM_STREAMS": 1,  # every thread works on one batch; several batches at once wait for each other
            "ENABLE_CPU_PINNING": False,  # see offramp.machine
        }
        try:
            self.compiled = core.compile_model(core.read_model(graph), "CPU", settings)
        except RuntimeError as error:
            raise ArtifactError(
                f"openvino: cannot run the span from {', '.join(sources)} to {', '.join(outputs)} ({error}). "
                "Choose --runtime onnxruntime."
            ) from error
        self.inputs = tuple(self.compiled.input(source) for source in sources)
        self.ports = {name: self.compiled.output(target) for name, target in outputs.items()}
        self.idle: list[Any] = []  # requests that nobody is using; a list's append and pop are atomic

    def run(self, *tensors: Array) -> Tensors:
        """Give the outputs of a batch by name."""
        try:
            request = self.idle.pop()
        except IndexError:
            request = self.compiled.create_infer_request()
        try:
            # The inputs are read where they lie; the outputs are copied, since the next call writes over them.
            fed = dict(zip(self.inputs, map(np.ascontiguousarray, tensors), strict=True))
            found = request.infer(fed, share_inputs=True, share_outputs=False)
            return {name: found[port] for name, port in self.ports.items()}
        finally:
            self.idle.append(request)
            self.ran(len(tensors[0]))


def multiplies_bf16() -> bool:
    """Whether OpenVINO can multiply in bf16 on this processor."""
    return "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
