"""Weights that lie in files beside an ONNX file: read in, from its own folder alone, up to what one file may hold."""

from pathlib import Path

import onnx
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from offramp.errors import ArtifactMissingError, InputError
from offramp.graphs.tidy import tensors

MOST = 2**31 - 1  # bytes: what protobuf gives one message
GIB = 2**30


def check_size(path: Path, more: int = 0) -> None:
    """Refuse a file that is too large to be one, before it is read."""
    check_bytes(str(path), (path.stat().st_size if path.is_file() else 0) + more)


def check_bytes(origin: str, size: int) -> None:
    """Refuse weights of more than one file can hold."""
    if size > MOST:
        raise InputError(
            f"{origin}: {size / GIB:.1f} GiB with its weights, and a bundle's graph is one file of less than 2 GiB. "
            "Export it in fp16, or take a smaller network."
        )


def load_external(model: onnx.ModelProto, path: Path | None, origin: str = "") -> onnx.ModelProto:
    """Read a model's outside weights in. `path` is the model's own file; None: it has none, nor a folder."""
    outside = [tensor for tensor in tensors(model) if uses_external_data(tensor)]
    total = 0
    for tensor in outside:
        about = {entry.key: entry.value for entry in tensor.external_data}
        if path is None:
            raise InputError(
                f"{origin}: its weights {tensor.name!r} lie in a file of their own, {about.get('location')!r}. Give "
                "the path of the ONNX file, not its content."
            )
        place = _inside(path, tensor.name, about.get("location", ""))
        total += int(about.get("length", "0")) or place.stat().st_size
        check_size(path, total)
    for tensor in outside:
        assert path is not None
        try:
            load_external_data_for_tensor(tensor, str(path.parent))
        except Exception as error:  # onnx's own, unlisted
            raise InputError(f"{path}: its weights {tensor.name!r} cannot be read from beside it ({error}).") from error
        tensor.data_location = onnx.TensorProto.DEFAULT
        del tensor.external_data[:]
    return model


def _inside(path: Path, name: str, location: str) -> Path:
    """Where a tensor's file lies; it must be in the folder of the model, or below it."""
    folder = path.parent.resolve()
    place = (folder / location).resolve()
    if not place.is_relative_to(folder):
        raise InputError(
            f"{path}: its weights {name!r} lie outside of its folder, in {location!r}. Such a file is not followed: "
            "put the weights beside it."
        )
    if not place.is_file():
        raise ArtifactMissingError(
            f"{path}: its weights {name!r} lie in {location!r}, which is not beside it. Copy that file as well."
        )
    return place
