"""Pictures, and files of them in both layouts, written where a test wants them."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

Png = Callable[..., bytes]
Write = Callable[..., Path]


def encode(level: int, size: tuple[int, int] = (4, 6), mode: str = "RGB") -> bytes:
    """A PNG, height x width, of one level, except that its top left pixel is black."""
    pixels = np.full((*size, 3), level, np.uint8)
    pixels[0, 0] = 0
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture(scope="session")
def png() -> Png:
    """Make a PNG of one level."""
    return encode


@pytest.fixture(scope="session")
def write_parquet() -> Write:
    """Write a parquet file as the Hub does: image `k` has the level `10 * k`, and the label given for it."""

    def write(
        path: Path,
        labels: Sequence[object],
        *,
        image: str = "img",
        label: str = "label",
        images: Sequence[bytes | None] | None = None,
        names: dict[str, list[str]] | None = None,
        row_group_size: int | None = None,
    ) -> Path:
        encoded = [encode(10 * k) for k in range(len(labels))] if images is None else images
        rows = pa.array(
            [{"bytes": content, "path": None} for content in encoded],
            pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        )
        table = pa.table({image: rows, label: pa.array(labels, None if len(labels) else pa.int64())})
        if names is not None:
            features = {column: {"names": of, "_type": "ClassLabel"} for column, of in names.items()}
            info = {"info": {"features": {image: {"_type": "Image"}, **features}}}
            table = table.replace_schema_metadata({"huggingface": json.dumps(info)})
        path.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table, path, row_group_size=row_group_size)
        return path

    return write


@pytest.fixture(scope="session")
def write_folder() -> Write:
    """Write a folder of images by class: a PNG for each level, named after it."""

    def write(folder: Path, classes: dict[str, Sequence[int]]) -> Path:
        for name, levels in classes.items():
            (folder / name).mkdir(parents=True)
            for level in levels:
                (folder / name / f"{level:03d}.png").write_bytes(encode(level))
        return folder

    return write
