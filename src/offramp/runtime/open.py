"""Make a span of a bundle ready to run, on the runtime asked for."""

from functools import partial

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import PORTABLE, Engine
from offramp.errors import ArtifactDamagedError, InputError
from offramp.runtime.cut import cut_out
from offramp.runtime.onnx_span import OnnxSpan
from offramp.runtime.span import Span, SpanSpec
from offramp.runtime.warming import WARMING, BySize

SIZES = (1, 32)  # samples: one, and a paper's batch


def open_span(bundle: Bundle, spec: SpanSpec, engine: Engine = PORTABLE) -> Span:
    """Make a span of a bundle ready to run, in one session.

    Raises InputError for a span or a precision that the bundle does not have, MissingExtraError where OpenVINO is not
    installed.
    """
    graph, sources, outputs = cut_out(bundle, spec, engine.precision)
    if engine.runtime == "openvino":
        from offramp.runtime.openvino_span import OpenVinoSpan

        return OpenVinoSpan(graph, sources, outputs, engine.threads, engine.precision)
    if engine.precision == "bf16":
        raise InputError("precision bf16: onnxruntime multiplies in fp32 and int8. Choose --runtime openvino.")
    try:
        return OnnxSpan(graph, sources, outputs, engine.threads)
    except Exception as error:  # onnxruntime raises an exception of its own for each of its status codes
        name, _ = bundle.graph_for(engine.precision)
        raise ArtifactDamagedError(
            f"{bundle.path / name}: onnxruntime cannot run span [{spec.start}, {spec.end}) of it ({error}). "
            "Export the bundle again, with this version of onnxruntime or an older one."
        ) from error


def warm_up(span: Span, bundle: Bundle, spec: SpanSpec) -> None:
    """Run a span once on one sample and once on a paper's batch: a first run allocates, and OpenVINO compiles in it.

    The sizes between, in which samples are left behind an exit, are run in the background where that helps.
    """
    noise = partial(spec.noise, bundle)
    for size in SIZES:
        span.run(*noise(size))
    if isinstance(span, BySize):
        WARMING.add(span, noise)
