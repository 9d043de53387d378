"""The tensors of a boundary as a node is sent them: what they are, and the check that they are that."""

from collections.abc import Sequence

import numpy as np

from offramp.artifacts.codec import DATATYPES, Codec
from offramp.artifacts.manifest import Manifest
from offramp.errors import InputError
from offramp.protocol.datatypes import DTYPES, NAMES
from offramp.protocol.served import Array, TensorSpec


def boundary_specs(manifest: Manifest, boundary: int, codec: Codec) -> tuple[TensorSpec, ...]:
    """The tensors of a boundary, encoded by a codec, batch first; those that stay plain are FP32 in each."""
    return tuple(
        TensorSpec(name, DATATYPES[form], (-1, *shape))
        for name, (form, shape) in manifest.crossing(boundary, codec).items()
    )


def check_features(specs: Sequence[TensorSpec], tensors: Sequence[Array]) -> None:
    """Raise InputError unless the tensors are a batch of these, one for each, finite and with as many rows each."""
    for spec, tensor in zip(specs, tensors, strict=True):
        dtype, shape = DTYPES[spec.datatype], spec.shape[1:]
        if tensor.dtype != dtype:
            raise InputError(f"{spec.name}: expected {spec.datatype}, got {NAMES[tensor.dtype]}.")
        if tensor.ndim != len(spec.shape) or tensor.shape[1:] != shape:
            raise InputError(
                f"{spec.name}: expected shape (N, {', '.join(map(str, shape))}), batch first, got {tensor.shape}."
            )
        if len(tensor) == 0:
            raise InputError(f"{spec.name}: the batch is empty (N = 0). Send at least one sample.")
        if len(tensor) != len(tensors[0]):
            raise InputError(f"{spec.name}: {len(tensor)} rows, and {specs[0].name} has {len(tensors[0])}.")
        if dtype != np.uint8 and not np.isfinite(tensor).all():
            raise InputError(f"{spec.name}: the batch holds NaN or infinity.")
