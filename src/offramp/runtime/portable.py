"""A span as one ONNX file for other people's programs, with the names by which the protocol's requests call things."""

from dataclasses import dataclass

from offramp.artifacts.bundle import Bundle
from offramp.runtime.codec import name_input
from offramp.runtime.cut import cut_out
from offramp.runtime.span import SpanSpec


@dataclass(frozen=True)
class Portable:
    """An ONNX graph, and the names of what it takes and gives, in their order."""

    graph: bytes
    inputs: tuple[str, ...]  # as the protocol's request calls them, in whatever codec
    outputs: tuple[str, ...]


def portable(bundle: Bundle, spec: SpanSpec) -> Portable:
    """Cut a span out of a bundle's fp32 graph; an InputError where it cannot be."""
    graph, found, outputs = cut_out(bundle, spec)
    names = tuple(bundle.manifest.tensors(spec.start))
    for source, name in zip(found, names, strict=True):
        graph = name_input(graph, source, name)
    return Portable(graph, names, tuple(outputs.values()))
