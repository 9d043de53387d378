"""Image sets as parquet in the Hub's layout: an image column `{bytes, path}` and a label column.

CIFAR-10 comes this way, from a folder of files or from the Hub through `datasets`. A file whose name starts with
`test` holds test samples, one that starts with `train` training samples.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.data.decode import decode
from offramp.data.image_set import ImageSet
from offramp.errors import DataError, MissingExtraError

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "labels", "fine_label")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def parquet_files(folder: Path) -> list[Path]:
    """Every parquet file below a folder, sorted by name."""
    return sorted(folder.rglob("*.parquet"), key=lambda path: path.name)


def parquet_folder(folder: Path) -> tuple[ImageSet, ImageSet | None]:
    """Read a folder of parquet files: the training pool, and the test set if it has one."""
    files = parquet_files(folder)
    tests = [path for path in files if path.name.startswith("test")]
    train = [path for path in files if path.name.startswith("train")] or [path for path in files if path not in tests]
    if not train:
        raise DataError(f"{folder}: no training file. Expected names that start with 'train' beside {tests[0].name}.")
    pool = _read(train, folder, 0)
    return pool, (_read(tests, folder, len(pool), pool) if tests else None)


def hub(name: str) -> tuple[ImageSet, ImageSet | None]:
    """Read an image set from the Hugging Face Hub, `uoft-cs/cifar10` for one."""
    try:
        import datasets
    except ImportError as error:
        raise MissingExtraError("the Hub is read with datasets. Install it with: pip install 'offramp[hub]'") from error
    try:
        source = datasets.load_dataset(name)
    except Exception as error:  # datasets raises whatever its transport raises
        raise DataError(
            f"hub:{name}: the Hub did not give it ({type(error).__name__}: {error}). Check the name and the network, "
            "or download its parquet files and pass their folder."
        ) from error
    if "train" not in source:
        raise DataError(f"hub:{name}: no split named 'train', only {', '.join(source)}.")

    def part(split: str, start: int, pool: ImageSet | None = None) -> ImageSet:
        rows = source[split].with_format("arrow")[:]
        return _image_set([rows], f"hub:{name}", start, _feature_names(source[split].features), pool)

    pool = part("train", 0)
    return pool, (part("test", len(pool), pool) if "test" in source else None)


def _read(files: list[Path], folder: Path, start: int, pool: ImageSet | None = None) -> ImageSet:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("parquet needs pyarrow. Install it with: pip install 'offramp[data]'") from error
    tables = []
    for path in files:
        try:
            tables.append(parquet.read_table(path))
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{path}: not a parquet file, or cut short ({error}). Copy it again.") from error
    return _image_set(tables, str(folder), start, _hub_names(tables[0].schema.metadata), pool)


def _image_set(
    tables: list[Any], name: str, start: int, names: dict[str, tuple[str, ...]], pool: ImageSet | None = None
) -> ImageSet:
    columns = [column for column in tables[0].column_names if all(column in table.column_names for table in tables)]
    image_column = next((column for column in IMAGE_COLUMNS if column in columns), None)
    label_column = next((column for column in LABEL_COLUMNS if column in columns), None)
    if image_column is None or label_column is None:
        raise DataError(
            f"{name}: expected an image column ({' or '.join(IMAGE_COLUMNS)}) and a label column "
            f"({' or '.join(LABEL_COLUMNS)}), found {', '.join(columns) or 'no column that all files have'}."
        )
    encoded: list[bytes | None] = []
    labels: list[npt.NDArray[np.int64]] = []
    for table in tables:
        _check_types(table, image_column, label_column, name)
        for chunk in table[image_column].chunks:  # combined they may pass the 2 GiB that one array can hold
            encoded += chunk.field("bytes").to_pylist()
        labels.append(table[label_column].to_numpy().astype(np.int64))
    if not encoded:
        raise DataError(f"{name}: no rows. Expected one for each image.")
    images, label = _decode(encoded, name), np.concatenate(labels)
    classes = names.get(label_column) or (pool.classes if pool else _class_names(int(label.max()) + 1, name))
    if pool and classes != pool.classes:
        raise DataError(
            f"{name}: the test set's classes are {', '.join(classes)}, and the training set's are "
            f"{', '.join(pool.classes)}. A test set has the classes of its training set."
        )
    return ImageSet(name, images, label, classes, np.arange(start, start + len(label), dtype=np.int64), mirrors=True)


def _check_types(table: Any, image_column: str, label_column: str, name: str) -> None:
    import pyarrow as pa

    image, label = (table.schema.field(column).type for column in (image_column, label_column))
    if not pa.types.is_struct(image) or image.get_field_index("bytes") < 0:
        raise DataError(
            f"{name}: column {image_column!r} is {image}; expected a struct whose field 'bytes' holds an encoded image."
        )
    if not pa.types.is_integer(label) or table[label_column].null_count:
        raise DataError(
            f"{name}: column {label_column!r} is {label} with {table[label_column].null_count} nulls; expected a whole "
            "number for each row, the position of its class."
        )


def _class_names(count: int, name: str) -> tuple[str, ...]:
    return CIFAR10_CLASSES if count == len(CIFAR10_CLASSES) and "cifar10" in name else tuple(map(str, range(count)))


def _decode(encoded: list[bytes | None], name: str) -> npt.NDArray[np.uint8]:
    frames: list[npt.NDArray[np.uint8]] = []
    for position, content in enumerate(encoded):
        frames.append(np.asarray(decode(content, "RGB", f"{name}: row {position}")))
        if frames[-1].shape != frames[0].shape:
            raise DataError(
                f"{name}: row {position} is {frames[-1].shape[:2]} and row 0 is {frames[0].shape[:2]}; "
                "expected images of one size."
            )
    return np.stack(frames)


def _hub_names(metadata: dict[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Class names by column, as `datasets` writes them into a parquet file's metadata."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {column: tuple(feature["names"]) for column, feature in features.items() if "names" in feature}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _feature_names(features: Any) -> dict[str, tuple[str, ...]]:
    return {column: tuple(feature.names) for column, feature in features.items() if hasattr(feature, "names")}
