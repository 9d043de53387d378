"""The cloud: every suffix of a bundle as a model `tail-k`, from the features at boundary k to the last exit's logits.

It boots from the bundle alone and holds no plan: where the network is cut is the edge's business, request by request.
"""

from collections.abc import Iterator

import numpy as np

from offramp.artifacts.bundle import Bundle, features_name, logits_name
from offramp.errors import InputError
from offramp.link.served import Call, Result, TensorSpec
from offramp.runtime.span import Span, open_span


def tail_name(boundary: int) -> str:
    """Name of the model that takes the features of a boundary; tail-0 takes the image and is the whole network."""
    return f"tail-{boundary}"


class Tail:
    """One suffix of a bundle, as a model on a server. Gives logits, so that any server that runs ONNX can stand in."""

    def __init__(self, bundle: Bundle, boundary: int, threads: int = 0) -> None:
        manifest = bundle.manifest
        self.boundary, self.version, self.name = boundary, bundle.id, tail_name(boundary)
        self.shape = manifest.feature_shape(boundary)
        self.source, self.target = features_name(boundary), logits_name(manifest.last)
        self.inputs = (TensorSpec(self.source, "FP32", (-1, *self.shape)),)
        self.outputs = (TensorSpec(self.target, "FP32", (-1, len(manifest.classes))),)
        self.config = {"bundle": bundle.id, "model": manifest.model, "boundary": str(boundary)}
        self.span: Span = open_span(bundle, boundary, manifest.last, exits=(manifest.last,), threads=threads)
        self.span.run(np.zeros((1, *self.shape), np.float32))  # warm: the first run allocates

    def infer(self, call: Call) -> Result:
        """Finish a batch of features."""
        features = call.input(self.source)
        if features.dtype != np.float32:
            raise InputError(f"{self.source}: expected FP32, got {features.dtype}.")
        if features.ndim != len(self.shape) + 1 or features.shape[1:] != self.shape:
            raise InputError(
                f"{self.source}: expected shape (N, {', '.join(map(str, self.shape))}), batch first, "
                f"got {features.shape}."
            )
        if len(features) == 0:
            raise InputError(f"{self.source}: the batch is empty (N = 0). Send at least one sample.")
        if not np.isfinite(features).all():
            raise InputError(f"{self.source}: the batch holds NaN or infinity.")
        return Result({self.target: self.span.run(features)[self.target]})

    def stream(self, call: Call) -> Iterator[Result]:
        """Finish a batch of features, in one part."""
        yield self.infer(call)


def tails(bundle: Bundle, threads: int = 0) -> list[Tail]:
    """Every suffix of a bundle that starts where an exit is, and the whole network."""
    boundaries = (0, *(exit_ for exit_ in bundle.manifest.exits if exit_ < bundle.manifest.last))
    return [Tail(bundle, boundary, threads) for boundary in boundaries]
