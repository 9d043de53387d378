"""Cut a span's graph out of a bundle's, with its codecs where features come in and go out."""

import onnx
import onnx.utils

from offramp.artifacts.bundle import Bundle, logits_name
from offramp.artifacts.engine import Precision
from offramp.errors import ArtifactDamagedError, InputError
from offramp.runtime.codec import append_encoder, encoded_name, prepend_decoder
from offramp.runtime.span import SpanSpec


def cut_out(
    bundle: Bundle, spec: SpanSpec, precision: Precision = "fp32"
) -> tuple[bytes, tuple[str, ...], dict[str, str]]:
    """Cut a span's graph out of a bundle's: the graph, its inputs' names, and its outputs by the names we call them."""
    manifest = bundle.manifest
    if not 0 <= spec.start <= spec.end <= manifest.last:
        raise InputError(f"span [{spec.start}, {spec.end}): expected 0 <= start <= end <= {manifest.last}.")
    for exit_ in spec.exits:
        if not spec.start <= manifest.check_exit(exit_) <= spec.end:
            raise InputError(f"span [{spec.start}, {spec.end}): exit {exit_} lies outside of it.")
    if not spec.exits and not spec.gives:
        raise InputError(f"span [{spec.start}, {spec.end}): nothing is asked of it. Name exits, or want its features.")
    sources, targets = tuple(manifest.tensors(spec.start)), tuple(manifest.tensors(spec.end)) if spec.gives else ()
    wanted = [*map(logits_name, spec.exits), *targets]
    name, graph = bundle.graph_for(precision)
    model = extract(graph, [*sources], wanted, str(bundle.path / name))
    outputs = {name: name for name in wanted}
    if spec.takes != "fp32":
        manifest.check_cut(spec.start, spec.takes)
        for source in sources:
            prepend_decoder(model, source, spec.takes, manifest.cut(spec.start).scale_of(source))
    if spec.gives and spec.gives != "fp32":
        manifest.check_cut(spec.end, spec.gives)
        for target in targets:
            append_encoder(model, target, spec.gives, manifest.cut(spec.end).scale_of(target))
            outputs[target] = encoded_name(target, spec.gives)
    return model.SerializeToString(), tuple(encoded_name(source, spec.takes) for source in sources), outputs


def extract(graph: bytes, inputs: list[str], outputs: list[str], origin: str) -> onnx.ModelProto:
    """Cut the part of an ONNX graph between named tensors out of it."""
    try:
        return onnx.utils.Extractor(onnx.load_model_from_string(graph)).extract_model(inputs, outputs)
    except Exception as error:  # onnx raises protobuf's and its own errors, unlisted
        raise ArtifactDamagedError(f"{origin}: cannot cut {inputs} to {outputs} out of it ({error}).") from error
