"""The bundle: a folder with a manifest and one ONNX graph whose boundaries are named tensors.

A node needs a bundle and nothing else. Reading one checks every byte of it against the manifest, and what was checked
is what is used: the graph is read once. Knows nothing of how the graph is made (export) or run (runtime).
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from operator import not_
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from offramp.artifacts.codec import Codec, carried
from offramp.artifacts.cut import CutSpec
from offramp.artifacts.data_record import DataRecord, data_name
from offramp.artifacts.document import Document, Frozen, read_bytes, write_bytes
from offramp.artifacts.engine import Precision
from offramp.artifacts.inputs import TOKENIZER, Input, read_samples
from offramp.artifacts.macs import macs_until
from offramp.artifacts.self_test import SelfTest
from offramp.artifacts.signature import SIGNATURE, Trust
from offramp.artifacts.text import Text
from offramp.errors import ArtifactDamagedError, ArtifactMissingError, InputError

MANIFEST = "manifest.json"
GRAPH = "graph.onnx"
GRAPH_INT8 = "graph-int8.onnx"
SELF_TEST = "self-test.json"
IMAGE = "image"
LOGITS = "logits_"

Shape = tuple[int, ...]


def features_name(boundary: int) -> str:
    """Name of the tensor at a boundary; boundary 0 is the network's input."""
    return f"features_{boundary}" if boundary else IMAGE


def logits_name(exit_: int) -> str:
    """Name of an exit's logits."""
    return f"{LOGITS}{exit_}"


class FileDigest(Frozen):
    """What a file of the bundle must be."""

    bytes: int
    sha256: str


class StageSpec(Frozen):
    """Stage `index` of the network, and the features it leaves at its boundary (one sample, no batch axis).

    `shape` is of the one tensor there, `features_{index}`, or of several by name: what a skip past the boundary needs.
    `name` is the user's own word for the boundary, a module's path for one.
    """

    index: int
    shape: Shape | dict[str, Shape]
    macs: int
    parameters: int
    name: str = Field(default="", exclude_if=not_)

    @property
    def tensors(self) -> dict[str, Shape]:
        """Shapes of the tensors at this boundary by name, in their order."""
        return self.shape if isinstance(self.shape, dict) else {features_name(self.index): self.shape}

    @property
    def bytes_fp32(self) -> int:
        """Size of one sample's features at this boundary, in bytes."""
        return 4 * sum(map(prod, self.tensors.values()))


class HeadSpec(Frozen):
    """The head at boundary `exit`."""

    exit: int
    macs: int
    parameters: int


class Parity(Frozen):
    """How closely the graph follows its network: the largest difference, as a share of its output's largest value."""

    max_difference: float
    tolerance: float
    samples: int


class Rethreshold(Frozen):
    """A threshold for fp32 scores, and the one for int8 scores by which the same share of samples leaves."""

    exit: int
    threshold: float
    int8: float
    share: float  # of the calibration samples


class Int8(Frozen):
    """What multiplying in int8 does: accuracies over the calibration samples, and thresholds chosen again."""

    samples: int
    fp32_accuracy: dict[int, float]  # by exit, every sample at each
    int8_accuracy: dict[int, float]
    score: str  # that the thresholds are of
    thresholds: tuple[Rethreshold, ...]


class Origin(Frozen):
    """Where the weights come from."""

    checkpoint_sha256: str
    data: str
    recipe: str
    seed: int
    epochs: int
    commit: str
    # Of the data, without what was passed over; None: split by position.
    record: DataRecord | None = Field(default=None, exclude_if=not_)

    @property
    def told(self) -> str:
        """What a node tells of the data, as JSON: name, seed, and record with its fingerprints; no path."""
        record = None if self.record is None else self.record.without_paths()
        told = self.model_copy(update={"data": data_name(self.data), "record": record})
        return told.model_dump_json(include={"data", "seed", "record"})


class Manifest(Document):
    """`manifest.json` of a bundle.

    It is written as the oldest version that can hold it: the bundle's id is over what is written, so that a bundle
    keeps the one it had, and older programs read what they can run. Version 2 has boundaries of several tensors,
    version 3 features below 0, channels that are not the first axis, tensors that stay plain, names of boundaries, and
    inputs that are no images, version 4 features that cross in one bit a value.
    """

    FORMAT: ClassVar[str] = "offramp.bundle"
    VERSION: ClassVar[int] = 4
    READS: ClassVar[tuple[int, ...]] = (1, 2, 3)

    model: str
    classes: tuple[str, ...]
    preprocessing: Input
    stages: tuple[StageSpec, ...]
    heads: tuple[HeadSpec, ...]
    cuts: tuple[CutSpec, ...]
    parity: Parity
    origin: Origin
    files: dict[str, FileDigest]
    int8: Int8 | None = None  # None: there is no int8 graph

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if [stage.index for stage in self.stages] != list(range(1, len(self.stages) + 1)):
            raise ValueError(f"stages must be numbered 1 to {len(self.stages)} in order")
        exits = self.exits
        if not exits or list(exits) != sorted(set(exits)) or exits[0] < 1 or exits[-1] != len(self.stages):
            raise ValueError(f"exits must rise and end at the last stage {len(self.stages)}, got {list(exits)}")
        if [cut.boundary for cut in self.cuts] != [0, *exits[:-1]]:
            raise ValueError(f"cuts must be at 0 and at every exit but the last, got {[c.boundary for c in self.cuts]}")
        for cut in self.cuts:
            cut.check(self.tensors(cut.boundary), features_name(cut.boundary))
        if not self.classes:
            raise ValueError("classes: at least one class is needed")
        if foreign := set(self.cut(0).codecs) - set(self.preprocessing.codecs):
            raise ValueError(f"cut 0: {self.preprocessing.name} does not cross in {', '.join(sorted(foreign))}")
        if GRAPH not in self.files:
            raise ValueError(f"files: {GRAPH} is not listed")
        if (isinstance(self.preprocessing, Text) and self.preprocessing.tokenizer) != (TOKENIZER in self.files):
            raise ValueError(f"preprocessing: a tokenizer is described without {TOKENIZER} in files, or the reverse")
        if (self.int8 is not None) != (GRAPH_INT8 in self.files):
            raise ValueError(f"int8: described without {GRAPH_INT8} in files, or the other way round")
        if outside := [name for name in self.files if Path(name).name != name or name in ("", "..")]:
            raise ValueError(f"files: {outside[0]!r} is not the name of a file in the bundle's own folder")
        return self

    @model_serializer(mode="wrap")
    def _with_header(self, handler: SerializerFunctionWrapHandler) -> dict[str, object]:
        return {"format": self.FORMAT, "version": self._oldest, **handler(self)}

    @property
    def _oldest(self) -> int:
        """The oldest version that can hold this manifest."""
        if any(cut.bits for cut in self.cuts):
            return 4
        new_cuts = any(cut.is_new(self.tensors(cut.boundary)) for cut in self.cuts)
        if new_cuts or any(stage.name for stage in self.stages) or self.preprocessing.kind != "images":
            return 3
        return 2 if any(isinstance(stage.shape, dict) for stage in self.stages) else 1

    @property
    def exits(self) -> tuple[int, ...]:
        """Every exit the bundle has, the last one included."""
        return tuple(head.exit for head in self.heads)

    @property
    def last(self) -> int:
        """The last exit, `n`: the paper's cloud exit."""
        return len(self.stages)

    @cached_property
    def id(self) -> str:
        """One name for the whole: 32 hexadecimal digits of the sha256 over the manifest, and so over every file."""
        canonical = json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()[:32]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As any model's; what is changed has an id of its own."""
        copied = super().model_copy(update=update, deep=deep)
        vars(copied).pop("id", None)
        return copied

    def tensors(self, boundary: int) -> dict[str, Shape]:
        """Shapes of one sample's tensors at a boundary by name, in their order; boundary 0 is the input."""
        return self.stages[boundary - 1].tensors if boundary else {IMAGE: self.preprocessing.shape}

    def check_exit(self, exit_: int) -> int:
        """Give `exit_` back if the bundle has it."""
        if exit_ not in self.exits:
            raise InputError(
                f"exit {exit_}: {self.model} has the exits {', '.join(map(str, self.exits))}. Choose one of them."
            )
        return exit_

    def cut(self, boundary: int) -> CutSpec:
        """How features cross a boundary where the network can be cut."""
        found = {cut.boundary: cut for cut in self.cuts}
        if boundary not in found:
            places = ", ".join(map(str, found))
            raise InputError(f"cut {boundary}: {self.model} can be cut at {places}. Choose one of them.")
        return found[boundary]

    def check_cut(self, boundary: int, codec: Codec = "fp32") -> int:
        """Give `boundary` back if the network ends there, or can be cut there with features in a codec."""
        if boundary != self.last and (why := self.lacks(boundary, codec)):
            raise InputError(f"codec {codec}: {why}. Choose {' or '.join(self.cut(boundary).codecs)}.")
        return boundary

    def lacks(self, boundary: int, codec: Codec) -> str:
        """Why features cannot cross a cut in a codec; nothing where they can."""
        if codec in self.cut(boundary).codecs:
            return ""
        if boundary == 0 and codec not in self.preprocessing.codecs:
            return f"at cut 0 {self.model} takes {self.preprocessing.name}, which {codec} cannot hold"
        if codec == "1bit":
            return f"at cut {boundary} {self.model} was not made for one bit a value"
        if codec == "fp16":
            return f"at cut {boundary} the features of {self.model} go beyond 65504, which is the most that it holds"
        return f"at cut {boundary} {self.model} was exported without it. Export it again"

    def codec_of(self, boundary: int, name: str, codec: Codec) -> Codec:
        """The form in which one tensor of a boundary crosses in a codec: one that stays plain is fp32 in each."""
        return "fp32" if codec == "fp32" or name in self.cut(boundary).plain else codec

    def crossing(self, boundary: int, codec: Codec) -> dict[str, tuple[Codec, Shape]]:
        """What crosses a boundary in a codec: of each tensor the form, and the shape of one sample's in it."""
        forms = {name: self.codec_of(boundary, name, codec) for name in self.tensors(boundary)}
        return {name: (forms[name], carried(forms[name], shape)) for name, shape in self.tensors(boundary).items()}

    def macs(self, exit_: int, active: tuple[int, ...] = ()) -> int:
        """Multiply-adds of one sample that leaves at `exit_`, having passed the heads `active` before it."""
        stages = {stage.index: stage.macs for stage in self.stages}
        heads = {head.exit: head.macs for head in self.heads}
        return macs_until(exit_, stages, heads, active)


@dataclass(frozen=True)
class Bundle:
    """A bundle whose every byte agrees with its manifest."""

    path: Path
    manifest: Manifest
    graph: bytes
    graph_int8: bytes | None = None
    self_test: SelfTest | None = None  # None: written before there were any
    tokenizer: bytes | None = None  # None: it takes no strings

    @property
    def id(self) -> str:
        """The manifest's id."""
        return self.manifest.id

    def __repr__(self) -> str:
        """Which it is, and not its megabytes of graph."""
        return f"<Bundle {self.manifest.model} {self.id[:16]} of {self.path}>"

    @classmethod
    def open(cls, path: Path | str, trust: Trust | None = None) -> Self:
        """Read a bundle from its folder and check it, and who has signed it where somebody has to have.

        Raises ArtifactMissingError, ArtifactVersionError, ArtifactDamagedError or ArtifactUntrustedError, each naming
        the file.
        """
        path = Path(path)
        if not (path / MANIFEST).is_file():
            raise ArtifactMissingError(
                f"{path}: not a bundle, it has no {MANIFEST}. Write one with: offramp export CHECKPOINT --out {path}"
            )
        content = read_bytes(path / MANIFEST)
        if trust is not None:
            trust.check(path, content)
        manifest = Manifest.parse(content, str(path / MANIFEST))
        contents = {name: _read_checked(path / name, digest) for name, digest in manifest.files.items()}
        self_test = None
        if (test := contents.get(SELF_TEST)) is not None:
            self_test = SelfTest.parse(test, origin := str(path / SELF_TEST))
            precisions = {"fp32", "int8"} if GRAPH_INT8 in contents else {"fp32"}
            self_test.check(origin, precisions, manifest.exits, len(manifest.classes))
        return cls(path, manifest, contents[GRAPH], contents.get(GRAPH_INT8), self_test, contents.get(TOKENIZER))

    def read(self, samples: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Samples as a data set holds them, as the network takes them: see `inputs.read_samples`."""
        return read_samples(self.manifest.preprocessing, samples, self.tokenizer)

    def graph_for(self, precision: Precision) -> tuple[str, bytes]:
        """Name and content of the graph that is run in a precision; an InputError where there is none."""
        if precision != "int8":
            return GRAPH, self.graph
        if self.graph_int8 is None:
            raise InputError(
                f"precision int8: {self.path} holds no int8 graph. Export it with: offramp export CHECKPOINT --int8"
            )
        return GRAPH_INT8, self.graph_int8

    @staticmethod
    def write(
        path: Path,
        manifest: Manifest,
        graph: bytes,
        graph_int8: bytes | None = None,
        self_test: SelfTest | None = None,
        tokenizer: bytes | None = None,
    ) -> "Bundle":
        """Write a bundle; the manifest comes last, so a folder with a manifest is a whole bundle."""
        for name in (MANIFEST, SIGNATURE):  # which would be another bundle's
            (path / name).unlink(missing_ok=True)
        write_bytes(path / GRAPH, graph)
        test = None if self_test is None else self_test.to_json().encode()
        for name, content in ((GRAPH_INT8, graph_int8), (SELF_TEST, test), (TOKENIZER, tokenizer)):
            if content is None:
                (path / name).unlink(missing_ok=True)
            else:
                write_bytes(path / name, content)
        manifest.write(path / MANIFEST)
        return Bundle(path, manifest, graph, graph_int8, self_test, tokenizer)


def digest(content: bytes) -> FileDigest:
    """Describe a file's content for the manifest."""
    return FileDigest(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def _read_checked(path: Path, expected: FileDigest) -> bytes:
    content = read_bytes(path)
    found = digest(content)
    if found != expected:
        raise ArtifactDamagedError(
            f"{path}: expected {expected.bytes} bytes with sha256 {expected.sha256[:16]}…, found {found.bytes} bytes "
            f"with sha256 {found.sha256[:16]}…. The bundle was changed or cut short: copy or export it again."
        )
    return content
