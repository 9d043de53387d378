"""Cut a span's graph out of a bundle's, with its codecs where features come in and go out."""

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.message import DecodeError

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Precision
from offramp.artifacts.stages import logits_name
from offramp.errors import ArtifactDamagedError, InputError
from offramp.runtime.codec import Form, append_encoder, encoded_name, prepend_decoder
from offramp.runtime.extract import Extractor, outside
from offramp.runtime.onnx_messages import ModelProto
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
    inputs = {name: name for name in sources}
    if spec.takes != "fp32":
        manifest.check_cut(spec.start, spec.takes)
        for source in sources:
            form = Form.of(manifest, spec.start, source, spec.takes)
            prepend_decoder(model, source, form)
            inputs[source] = encoded_name(source, form.codec)
    if spec.gives and spec.gives != "fp32":
        manifest.check_cut(spec.end, spec.gives)
        for target in targets:
            form = Form.of(manifest, spec.end, target, spec.gives)
            append_encoder(model, target, form)
            outputs[target] = encoded_name(target, form.codec)
    return model.SerializeToString(), tuple(inputs.values()), outputs


def extract(graph: bytes, inputs: list[str], outputs: list[str], origin: str) -> Any:
    """Cut the part of an ONNX graph between named tensors out of it."""
    (piece,) = pieces(graph, [(inputs, outputs)], origin)
    return piece


def pieces(graph: bytes, parts: Sequence[tuple[Sequence[str], Sequence[str]]], origin: str) -> Iterator[Any]:
    """Cut several parts out of an ONNX graph, each between the tensors at its start and those at its end."""
    named = parts[0] if parts else ([], [])
    try:
        model = ModelProto.FromString(graph)
        if name := outside(model):
            raise ArtifactDamagedError(
                f"{origin}: its tensor {name!r} lies in a file of its own, which no manifest has the hash of. A "
                "bundle's graph is one file: export it again, with all of it inside."
            )
        extractor = Extractor(model)
        for named in parts:
            yield extractor.extract(*named)
    except (DecodeError, ValueError) as error:
        inputs, outputs = map(list, named)
        raise ArtifactDamagedError(f"{origin}: cannot cut {inputs} to {outputs} out of it ({error}).") from error
