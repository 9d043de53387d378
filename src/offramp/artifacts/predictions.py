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
from pydantic import Field

from offramp.artifacts.codec import Codec
from offramp.artifacts.document import Document, read_bytes, write_bytes
from offramp.artifacts.engine import Engine, Place, Precision
from offramp.artifacts.legs import Leg, in_words, legs_of, lossy
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import logits_name
from offramp.errors import ArtifactDamagedError, InputError, MissingExtraError

METADATA_KEY = b"offramp"


class PredictionsHeader(Document):
    """What the table holds: of which model, on which samples, by which route through the network.

    One route, since below fp32 a network that is cut elsewhere rounds elsewhere and is another network.
    """

    FORMAT: ClassVar[str] = "offramp.predictions"
    VERSION: ClassVar[int] = 2
    READS: ClassVar[tuple[int, ...]] = (1,)  # version 1 knew neither active exits nor where it was measured

    model: str
    source: str  # "bundle:ID" or "checkpoint:SHA256"
    data: str
    split: str
    classes: tuple[str, ...]
    exits: tuple[int, ...]
    active: tuple[int, ...] | None = None  # local exits where a span of the route ends; None: the graph in one piece
    cut: int = 0  # where the features of the last exit's logits crossed from one node to another
    codec: Codec = "fp32"  # and how; fp32 changes nothing, wherever the cut, where numbers are fp32's
    # Of a chain, what the tiers behind the first one did; programs of before read what has none.
    behind: tuple[Leg, ...] = Field(default=(), exclude_if=lambda behind: not behind)
    image: str = "UINT8"  # the form that samples came in; of images, 8-bit pixels of the network's size
    runtime: str = "onnxruntime"  # that measured them: onnxruntime, openvino or torch
    precision: Precision = "fp32"  # that it multiplied in
    release: str = ""  # the runtime with its version; empty: not known
    hardware: str = ""  # the processor and its instruction sets; empty: not known

    @property
    def place(self) -> Place:
        """What measured them, to be held against what answers."""
        return Place(self.release, self.precision, self.hardware)

    @property
    def route(self) -> str:
        """Which part of the network ran where, in words."""
        if self.active is None:
            through = (
                f"; the last exit by features cut at {self.cut} in {self.codec}"
                if self.cut or self.codec != "fp32"
                else ""
            )
            return f"the whole graph in one piece{through}"
        return in_words(self.legs, self.exits[-1])

    @property
    def legs(self) -> tuple[Leg, ...]:
        """What each tier did on the way; of the graph in one piece, what the last exit's logits went through."""
        return (Leg(active=self.active or (), cut=self.cut, codec=self.codec), *self.behind)

    @property
    def coded(self) -> bool:
        """Whether anything crossed in a codec that loses."""
        return any(leg.codec != "fp32" for leg in self.legs)

    def lossy(self) -> dict[int, tuple[tuple[int, Codec], ...]]:
        """Of each exit that was measured, the crossings before it that change numbers in fp32."""
        last = self.exits[-1]
        if self.active is None:
            return dict.fromkeys(self.exits, ()) | dict(lossy(self.legs, last)[-1:])
        return dict(lossy(self.legs, last))

    def follows(self, plan: Plan) -> bool:
        """Whether these are the logits of the spans that nodes run by this plan, whatever its thresholds."""
        return self.active is not None and self.legs == legs_of(plan, self.exits[-1])

    def measure_by(self, plan: Plan) -> str:
        """The command that measures by a plan, on the same runtime in the same precision."""
        exits = "".join(f" --exit {active.exit}" for active in plan.active)
        route = f"{exits} --cut {plan.cut} --codec {plan.codec}" if len(plan.tiers) == 1 else " --plan PLAN"
        return f"offramp predict BUNDLE{route} --runtime {self.runtime} --precision {self.precision}"

    def check_engine(self, engine: Engine) -> None:
        """Raise InputError unless answers of an engine can be held against these: fp32 against fp32, else like to like.

        All runtimes agree in fp32 up to rounding. In bf16 and int8 each rounds in places of its own.
        """
        if self.precision == engine.precision and (self.precision == "fp32" or self.runtime == engine.runtime):
            return
        raise InputError(
            f"predictions: measured with {self.runtime} {self.precision}, and the nodes compute with {engine}. Measure "
            f"them alike: offramp predict BUNDLE --runtime {engine.runtime} --precision {engine.precision}"
        )


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

    def rows(self, rows: npt.NDArray[np.intp] | slice) -> Self:
        """Some of the samples."""
        logits = {exit_: logits[rows] for exit_, logits in self.logits.items()}
        return type(self)(self.header, self.index[rows], self.labels[rows], logits)

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
        parquet.write_table(table, buffer, compression="zstd", write_page_checksum=True)
        write_bytes(path, buffer.getvalue())

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the table from a file."""
        pa, parquet = _pyarrow()
        content = read_bytes(path)
        try:
            table = parquet.read_table(io.BytesIO(content), page_checksum_verification=True)
            names, metadata = table.column_names, table.schema.metadata or {}
        except (pa.ArrowException, OSError, ValueError) as error:
            raise ArtifactDamagedError(
                f"{path}: not a parquet file, or cut short or changed. Measure it again with: offramp predict"
            ) from error
        if METADATA_KEY not in metadata:
            raise ArtifactDamagedError(f"{path}: a parquet file, but not one of offramp's predictions.")
        header = PredictionsHeader.parse(metadata[METADATA_KEY], str(path))
        logits_type = pa.list_(pa.float32(), len(header.classes))
        schema = pa.schema([("index", pa.int64()), ("label", pa.int64())])
        for exit_ in header.exits:
            schema = schema.append(pa.field(logits_name(exit_), logits_type))
        if missing := [name for name in schema.names if name not in names]:
            raise ArtifactDamagedError(
                f"{path}: column {missing[0]!r} is missing. Measure it again with: offramp predict"
            )
        try:
            table = table.select(schema.names).cast(schema)
        except pa.ArrowException as error:
            raise ArtifactDamagedError(
                f"{path}: a column is not of the type it should be ({error}). Measure it again with: offramp predict"
            ) from error

        def values(name: str) -> npt.NDArray[Any]:
            column = table[name].combine_chunks()
            flat = column.flatten() if column.type == logits_type else column
            if column.null_count or flat.null_count:
                raise ArtifactDamagedError(f"{path}: column {name!r} has gaps. Measure it again with: offramp predict")
            return np.array(flat)

        logits = {exit_: values(logits_name(exit_)).reshape(-1, len(header.classes)) for exit_ in header.exits}
        try:
            return cls(header, values("index"), values("label"), logits)
        except InputError as error:
            raise ArtifactDamagedError(f"{path}: {error}") from error


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError(
            "predictions are stored as parquet, which needs pyarrow. Install it with: pip install 'offramp[data]'"
        ) from error
    return pa, parquet
