"""Image sets as parquet in the Hub's layout: an image column `{bytes, path}` and a label column.

CIFAR-10 comes this way, from a folder of files or from the Hub through `datasets`. Which file holds which split is said
by its folders' names or its own (`offramp.data.layout`).
"""

import json
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.data.image_set import ImageSet, Parts
from offramp.data.layout import table_layout
from offramp.data.listing import Listing, list_files
from offramp.data.reading import READING, Reader, Reading
from offramp.data.split_names import PartName, parts_of
from offramp.errors import DataError, MissingExtraError

IMAGE_COLUMNS = ("img", "image")
LABEL_COLUMNS = ("label", "labels", "fine_label")
CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def parquet_files(listing: Listing) -> list[PurePosixPath]:
    """Every parquet file of a listing."""
    return [path for path in listing.files if path.suffix == ".parquet"]


def parquet_folder(
    folder: Path, height: int, width: int, *, without: tuple[Path, ...] = (), how: Reading = READING
) -> Parts:
    """Read a folder of parquet files, brought to the network's size: the training pool, and the splits it names."""
    listing = list_files(folder, without)
    files = parquet_files(listing)
    layout = table_layout(files, str(folder))
    passed = listing.passed | {str(path): f"{path.suffix or 'no suffix'} is not read" for path in listing.files
                               if path not in set(files)} | layout.passed  # fmt: skip

    def part(name: PartName, start: int, pool: ImageSet | None) -> ImageSet:
        paths = [folder / path for path in layout.parts[name][""]]
        found, bad = _read(paths, folder, (height, width), start, pool, name, how=how)
        passed.update(bad)
        return found

    return _parts(part, set(layout.parts), layout.origins, passed)


def hub(name: str, height: int, width: int, *, how: Reading = READING) -> Parts:
    """Read an image set from the Hugging Face Hub, `uoft-cs/cifar10` for one, brought to the network's size."""
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
    named = {part: split for split, part in parts_of(source, f"hub:{name}").items()}
    if "train" not in named:
        raise DataError(f"hub:{name}: no split named 'train', only {', '.join(source)}.")
    passed = {split: "a split that is none of train, validation and test" for split in source
              if split not in named.values()}  # fmt: skip

    def part(which: PartName, start: int, pool: ImageSet | None) -> ImageSet:
        split = source[named[which]]
        rows = split.with_format("arrow")[:]
        names, size = _feature_names(split.features), (height, width)
        found, bad = _image_set([rows], f"hub:{name}", size, start, names, pool, which, how)
        passed.update(bad)
        return found

    return _parts(part, set(named), dict(named), passed)


def _parts(
    part: Callable[[PartName, int, ImageSet | None], ImageSet],
    there: set[PartName],
    origins: dict[PartName, str],
    passed: dict[str, str],
) -> Parts:
    """Read the splits that are there; positions count on from one to the next."""
    pool = part("train", 0, None)
    test = part("test", len(pool), pool) if "test" in there else None
    start = len(pool) + (len(test) if test else 0)
    validation = part("validation", start, pool) if "validation" in there else None
    return Parts(pool, validation, test, origins, passed)


def _read(
    files: list[Path],
    folder: Path,
    size: tuple[int, int],
    start: int,
    pool: ImageSet | None,
    part: str,
    *,
    how: Reading,
) -> tuple[ImageSet, dict[str, str]]:
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
    return _image_set(tables, str(folder), size, start, hub_names(tables[0].schema.metadata), pool, part, how)


def _image_set(
    tables: list[Any],
    name: str,
    size: tuple[int, int],
    start: int,
    names: dict[str, tuple[str, ...]],
    pool: ImageSet | None,
    part: str,
    how: Reading,
) -> tuple[ImageSet, dict[str, str]]:
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
    label = np.concatenate(labels)
    images, kept, reader = _decode(encoded, name, size, part, how=how)
    bad = reader.finish()
    label = label[kept]
    classes = names.get(label_column) or (pool.classes if pool else _class_names(int(label.max()) + 1, name))
    if pool and classes != pool.classes:
        raise DataError(
            f"{name}: the {part} set's classes are {', '.join(classes)}, and the training set's are "
            f"{', '.join(pool.classes)}. A {part} set has the classes of its training set."
        )
    index, digests = np.arange(start, start + len(label), dtype=np.int64), np.array(reader.digests, np.uint64)
    return ImageSet(name, images, label, classes, index, mirrors=False, digests=digests), bad


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
            "number for each row, the position of its class. Number names, or write a folder of images for each class."
        )


def _class_names(count: int, name: str) -> tuple[str, ...]:
    return CIFAR10_CLASSES if count == len(CIFAR10_CLASSES) and "cifar10" in name else tuple(map(str, range(count)))


def _decode(
    encoded: list[bytes | None], name: str, size: tuple[int, int], part: str, *, how: Reading
) -> tuple[npt.NDArray[np.uint8], list[int], Reader]:
    """Decode rows: the images that could be read, their positions, and who read them."""
    reader = Reader(name, "RGB", *size, how)
    frames: list[npt.NDArray[np.uint8]] = []
    kept: list[int] = []
    for position, content in enumerate(encoded):
        how.watch(f"reading {part} images", position, len(encoded))
        frame = reader.read(content, f"row {position} of {part}", f"{name}: row {position}")
        if frame is not None:
            frames.append(np.asarray(frame))
            kept.append(position)
    if not frames:
        reader.skip_bad = False
        reader.finish()
    return np.stack(frames), kept, reader


def hub_names(metadata: dict[bytes, bytes] | None) -> dict[str, tuple[str, ...]]:
    """Class names by column, as `datasets` writes them into a parquet file's metadata."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {column: tuple(feature["names"]) for column, feature in features.items() if "names" in feature}
    except (KeyError, ValueError, TypeError, AttributeError):
        return {}


def _feature_names(features: Any) -> dict[str, tuple[str, ...]]:
    return {column: tuple(feature.names) for column, feature in features.items() if hasattr(feature, "names")}
