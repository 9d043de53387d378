"""Predictions: for each sample its label and its logits at every exit, measured once.

Every question about thresholds, accuracy and exits is answered from this table without the network. Stored as parquet:
a row a sample, columns `index`, `label` and `logits_k` for each exit k, and what was measured in the file's metadata.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import logits_name
from offramp.artifacts.codec import Codec
from offramp.artifacts.document import Document, read_bytes, write_bytes
from offramp.errors import ArtifactDamagedError, InputError, MissingExtraError

METADATA_KEY = b"offramp"


class PredictionsHeader(Document):
    """What the table holds: of which model, on which samples."""

    FORMAT: ClassVar[str] = "offramp.predictions"
    VERSION: ClassVar[int] = 1

    model: str
    source: str  # "bundle:ID" or "checkpoint:SHA256"
    data: str
    split: str
    classes: tuple[str, ...]
    exits: tuple[int, ...]
    cut: int = 0  # where the features of the last exit's logits crossed from one node to another
    codec: Codec = "fp32"  # and how; fp32 changes nothing, wherever the cut


@dataclass(frozen=True)
class Predictions:
    """Logits of `N` samples at every exit; `logits[k]` is float32 `(N, classes)`."""

    header: PredictionsHeader
    index: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    logits: dict[int, npt.NDArray[np.float32]]

    def __post_init__(self) -> None:
        count, classes = len(self.labels), len(self.header.classes)
        if tuple(self.logits) != self.header.exits:
            raise InputError(f"predictions: expected logits at exits {self.header.exits}, got {tuple(self.logits)}.")
        if self.index.shape != (count,):
            raise InputError(f"predictions: expected {count} indices, got shape {self.index.shape}.")
        for exit_, logits in self.logits.items():
            if logits.shape != (count, classes):
                raise InputError(
                    f"predictions: logits at exit {exit_}: expected shape ({count}, {classes}), got {logits.shape}."
                )
        if count and not (self.labels.min() >= 0 and self.labels.max() < classes):
            raise InputError(
                f"predictions: labels run from {self.labels.min()} to {self.labels.max()}, and there are {classes} "
                f"classes, 0 to {classes - 1}."
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def last(self) -> int:
        """The last exit."""
        return self.header.exits[-1]

    def at(self, exit_: int) -> npt.NDArray[np.float32]:
        """Logits at one exit."""
        if exit_ not in self.logits:
            known = ", ".join(map(str, self.header.exits))
            raise InputError(f"exit {exit_}: these predictions have the exits {known}. Choose one of them.")
        return self.logits[exit_]

    def write(self, path: Path) -> None:
        """Write the table whole or not at all."""
        pa, parquet = _pyarrow()
        classes = len(self.header.classes)
        columns = {"index": pa.array(self.index), "label": pa.array(self.labels)}
        for exit_, logits in self.logits.items():
            columns[logits_name(exit_)] = pa.FixedSizeListArray.from_arrays(pa.array(logits.ravel()), classes)
        table = pa.table(columns).replace_schema_metadata({METADATA_KEY: self.header.to_json().encode()})
        buffer = io.BytesIO()
        parquet.write_table(table, buffer, compression="zstd")
        write_bytes(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the table from a file."""
        pa, parquet = _pyarrow()
        content = read_bytes(path)
        try:
            table = parquet.read_table(io.BytesIO(content))
        except (pa.ArrowException, OSError) as error:
            raise ArtifactDamagedError(
                f"{path}: not a parquet file, or cut short. Measure it again with: offramp predict"
            ) from error
        metadata = table.schema.metadata or {}
        if METADATA_KEY not in metadata:
            raise ArtifactDamagedError(f"{path}: a parquet file, but not one of offramp's predictions.")
        header = PredictionsHeader.parse(metadata[METADATA_KEY], str(path))
        needed = ["index", "label", *map(logits_name, header.exits)]
        if missing := [name for name in needed if name not in table.column_names]:
            raise ArtifactDamagedError(
                f"{path}: column {missing[0]!r} is missing. Measure it again with: offramp predict"
            )
        classes = len(header.classes)

        def logits(exit_: int) -> npt.NDArray[np.float32]:
            flat = table[logits_name(exit_)].combine_chunks().flatten().to_numpy(zero_copy_only=False)
            if flat.size != table.num_rows * classes:
                raise ArtifactDamagedError(
                    f"{path}: {logits_name(exit_)} holds {flat.size} numbers, expected {table.num_rows} x {classes}."
                )
            return np.ascontiguousarray(flat, np.float32).reshape(-1, classes)

        return cls(
            header,
            table["index"].to_numpy().astype(np.int64),
            table["label"].to_numpy().astype(np.int64),
            {exit_: logits(exit_) for exit_ in header.exits},
        )


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            "predictions are stored as parquet, which needs pyarrow. Install it with: pip install 'offramp[data]'"
        ) from error
    return pa, parquet
