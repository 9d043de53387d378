"""What a bundle says of itself: `manifest.json`, over every file beside it.

Describes a network that is cut and left at its boundaries. Knows nothing of folders, of how the graph is made (export)
or run (runtime).
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from offramp.artifacts.codec import Codec, carried
from offramp.artifacts.cut import CutSpec
from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.inputs import TOKENIZER, Input
from offramp.artifacts.macs import macs_until
from offramp.artifacts.provenance import Int8, Origin, Parity
from offramp.artifacts.stages import IMAGE, HeadSpec, Shape, StageSpec, features_name
from offramp.artifacts.text import Text
from offramp.errors import InputError

GRAPH = "graph.onnx"
GRAPH_INT8 = "graph-int8.onnx"


class FileDigest(Frozen):
    """What a file of the bundle must be."""

    bytes: int
    sha256: str


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
