"""A span of a bundle: the stages between two boundaries and the heads asked for, as one graph and one session.

Takes a bundle, gives something that runs batches. Knows nothing of scores, thresholds or the network.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import onnx
import onnx.utils
import onnxruntime as ort

from offramp.artifacts.bundle import Bundle, features_name, logits_name
from offramp.artifacts.codec import Codec, encode_image
from offramp.artifacts.engine import PORTABLE, Engine, Precision
from offramp.errors import ArtifactDamagedError, InputError
from offramp.machine import cores_to_use
from offramp.runtime.codec import append_encoder, encoded_name, prepend_decoder

RUNTIME = f"onnxruntime {ort.__version__}"
Tensors = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class SpanSpec:
    """Which part of the network: stages `start + 1` to `end`, the logits at `exits`, the features at `end` or not.

    `takes` is the codec that the features at `start` arrive in, `gives` the one that those at `end` leave in.
    """

    start: int
    end: int
    exits: tuple[int, ...] = ()
    gives: Codec | None = None  # None: the features at the end are not wanted
    takes: Codec = "fp32"

    def noise(self, bundle: Bundle, size: int) -> npt.NDArray[Any]:
        """A batch that the span takes, of values as good as any: to warm it up, or to time it."""
        rows = np.random.default_rng(0).random((size, *bundle.manifest.feature_shape(self.start)), np.float32)
        return encode_image(rows, self.takes)


class Span(Protocol):
    """Runs one fixed part of the network."""

    def run(self, batch: npt.NDArray[Any]) -> Tensors:
        """Give the outputs of a batch by name: `logits_k` `(N, classes)` and `features_k` `(N, C, H, W)`."""


class OnnxSpan:
    """A span on onnxruntime. Safe to call from several threads at once."""

    def __init__(self, graph: bytes, source: str, outputs: dict[str, str], threads: int = 0) -> None:
        options = ort.SessionOptions()
        # Named even for "every core": left to itself, onnxruntime pins its threads to cores of its choice.
        options.intra_op_num_threads = cores_to_use(threads)
        options.log_severity_level = 3
        # A pool that spins between calls takes the core from whatever else runs on it: the other node, on one machine.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # Without VNNI u8 times s8 saturates in 16 bits, which cost 19 points at an exit; u8 times u8 does not. Graphs
        # of today have weights of 7 bits and do not need it; those written before do.
        options.add_session_config_entry("session.x64quantprecision", "1")
        self.source, self.names, self.targets = source, tuple(outputs), tuple(outputs.values())
        self.session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run(self, batch: npt.NDArray[Any]) -> Tensors:
        """Give the outputs of a batch by name."""
        return dict(zip(self.names, self.session.run(self.targets, {self.source: batch}), strict=True))


def open_span(bundle: Bundle, spec: SpanSpec, threads: int = 0, engine: Engine = PORTABLE) -> Span:
    """Make a span of a bundle ready to run, in one session. `threads` of 0 uses every core.

    Raises InputError for a span or a precision that the bundle does not have, MissingExtraError where OpenVINO is not
    installed.
    """
    graph, source, outputs = cut_out(bundle, spec, engine.precision)
    if engine.runtime == "openvino":
        from offramp.runtime.openvino_span import OpenVinoSpan

        return OpenVinoSpan(graph, source, outputs, threads, engine.precision)
    if engine.precision == "bf16":
        raise InputError("precision bf16: onnxruntime multiplies in fp32 and int8. Choose --runtime openvino.")
    try:
        return OnnxSpan(graph, source, outputs, threads)
    except Exception as error:  # onnxruntime raises an exception of its own for each of its status codes
        name, _ = bundle.graph_for(engine.precision)
        raise ArtifactDamagedError(
            f"{bundle.path / name}: onnxruntime cannot run span [{spec.start}, {spec.end}) of it ({error}). "
            "Export the bundle again, with this version of onnxruntime or an older one."
        ) from error


def warm_up(span: Span, bundle: Bundle, spec: SpanSpec) -> None:
    """Run a span once on one sample and once on a paper's batch: a first run allocates, and OpenVINO compiles in it."""
    for size in (1, 32):
        span.run(spec.noise(bundle, size))


def cut_out(bundle: Bundle, spec: SpanSpec, precision: Precision = "fp32") -> tuple[bytes, str, dict[str, str]]:
    """Cut a span's graph out of a bundle's: the graph, its input's name, and its outputs by the names we call them."""
    manifest = bundle.manifest
    if not 0 <= spec.start <= spec.end <= manifest.last:
        raise InputError(f"span [{spec.start}, {spec.end}): expected 0 <= start <= end <= {manifest.last}.")
    for exit_ in spec.exits:
        if not spec.start <= manifest.check_exit(exit_) <= spec.end:
            raise InputError(f"span [{spec.start}, {spec.end}): exit {exit_} lies outside of it.")
    if not spec.exits and not spec.gives:
        raise InputError(f"span [{spec.start}, {spec.end}): nothing is asked of it. Name exits, or want its features.")
    source, target = features_name(spec.start), features_name(spec.end)
    wanted = [*map(logits_name, spec.exits), *([target] if spec.gives else [])]
    name, graph = bundle.graph_for(precision)
    model = extract(graph, [source], wanted, str(bundle.path / name))
    outputs = {name: name for name in wanted}
    if spec.takes != "fp32":
        manifest.check_cut(spec.start, spec.takes)
        prepend_decoder(model, source, spec.takes, manifest.cut(spec.start).scale)
    if spec.gives and spec.gives != "fp32":
        manifest.check_cut(spec.end, spec.gives)
        append_encoder(model, target, spec.gives, manifest.cut(spec.end).scale)
        outputs[target] = encoded_name(target, spec.gives)
    return model.SerializeToString(), encoded_name(source, spec.takes), outputs


def extract(graph: bytes, inputs: list[str], outputs: list[str], origin: str) -> onnx.ModelProto:
    """Cut the part of an ONNX graph between named tensors out of it."""
    try:
        return onnx.utils.Extractor(onnx.load_model_from_string(graph)).extract_model(inputs, outputs)
    except Exception as error:  # onnx raises protobuf's and its own errors, unlisted
        raise ArtifactDamagedError(f"{origin}: cannot cut {inputs} to {outputs} out of it ({error}).") from error
