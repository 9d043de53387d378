"""Image sets as parquet in the Hub's layout: an image column `{bytes, path}` and a label column.

CIFAR-10 comes this way, from a folder of files or from the Hub through `datasets`. A file whose name starts with
`test` holds test samples, one that starts with `train` training samples.
"""

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.data.image_set import ImageSet
from offramp.data.resize import pillow
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
    return pool, (_read(tests, folder, len(pool)) if tests else None)


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

    def part(split: str, start: int) -> ImageSet:
        rows = source[split].with_format("arrow")[:]
        return _image_set([rows], f"hub:{name}", start, _feature_names(source[split].features))

    pool = part("train", 0)
    return pool, (part("test", len(pool)) if "test" in source else None)


def _read(files: list[Path], folder: Path, start: int) -> ImageSet:
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
    return _image_set(tables, str(folder), start, _hub_names(tables[0].schema.metadata))


def _image_set(tables: list[Any], name: str, start: int, classes: tuple[str, ...] | None) -> ImageSet:
    columns = tables[0].column_names
    image_column = next((column for column in IMAGE_COLUMNS if column in columns), None)
    label_column = next((column for column in LABEL_COLUMNS if column in columns), None)
    if image_column is None or label_column is None:
        raise DataError(
            f"{name}: expected an image column ({' or '.join(IMAGE_COLUMNS)}) and a label column "
            f"({' or '.join(LABEL_COLUMNS)}), found {', '.join(columns)}."
        )
    encoded = [row for table in tables for row in table[image_column].combine_chunks().field("bytes").to_pylist()]
    labels = np.concatenate([table[label_column].to_numpy() for table in tables]).astype(np.int64)
    images = decode(encoded, name)
    if classes is None:
        count = int(labels.max()) + 1
        classes = (
            CIFAR10_CLASSES if count == len(CIFAR10_CLASSES) and "cifar10" in name else tuple(map(str, range(count)))
        )
    return ImageSet(name, images, labels, classes, np.arange(start, start + len(labels), dtype=np.int64), mirrors=True)


def decode(encoded: list[bytes], name: str) -> npt.NDArray[np.uint8]:
    """Decode PNG, JPEG and the like into images of one size `(N, H, W, 3)`."""
    image = pillow()
    frames = []
    for position, content in enumerate(encoded):
        try:
            frames.append(np.asarray(image.open(io.BytesIO(content)).convert("RGB")))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(f"{name}: row {position} is not an image that Pillow can read ({error}).") from error
        if frames[-1].shape != frames[0].shape:
            raise DataError(
                f"{name}: row {position} is {frames[-1].shape[:2]} and row 0 is {frames[0].shape[:2]}; "
                "expected images of one size."
            )
    return np.stack(frames)


def _hub_names(metadata: dict[bytes, bytes] | None) -> tuple[str, ...] | None:
    """Class names as `datasets` writes them into a parquet file's metadata."""
    import json

    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return next(tuple(feature["names"]) for feature in features.values() if "names" in feature)
    except (KeyError, ValueError, StopIteration, TypeError, AttributeError):
        return None


def _feature_names(features: Any) -> tuple[str, ...] | None:
    return next((tuple(feature.names) for feature in features.values() if hasattr(feature, "names")), None)
