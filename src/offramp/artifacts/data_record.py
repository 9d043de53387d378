"""What was read: source, splits and where each came from, classes, what was passed over. Kept in every checkpoint."""

import hashlib
from pathlib import PurePath
from typing import Literal, Self

from pydantic import Field

from offramp.artifacts.document import Frozen
from offramp.artifacts.preprocessing import Fit, ReadAs

HUB = "hub:"
PATHS = ("data", "validation", "test")  # of a source
SHOWN = 3  # of the classes that a part has no image of


def data_name(data: str) -> str:
    """What data may be called to others: a folder's own name, and nothing of where it lies on its trainer's machine."""
    return data if data == "digits" or data.startswith(HUB) else PurePath(data).name or data


class DataSource(Frozen):
    """What is read: `data` as a user types it, and what stands in for parts of it."""

    data: str
    validation: str | None = None  # a folder in place of the source's own set
    test: str | None = None
    skip_bad: bool = False  # go on without images that cannot be read
    mirror: bool | None = None  # does a mirrored image keep its class? None: what the data say
    fit: Fit = Field(default="stretch", exclude_if=lambda fit: fit == "stretch")  # as in `Preprocessing`


class SplitRule(Frozen):
    """How a pool was cut. By position, as checkpoints without a record were, or by each image's content.

    By content a fifth of all images is the test set, whatever else lies beside them; `held` is the share of the rest
    that is validation, and calibration again.
    """

    by: Literal["position", "content"]
    held: float | None = None


POSITION = SplitRule(by="position")


class PartRecord(Frozen):
    """One split: where it came from, how many images of each class, and a fingerprint of the images and labels."""

    origin: str
    classes: dict[str, int]
    fingerprint: str

    @property
    def images(self) -> int:
        """How many there are."""
        return sum(self.classes.values())

    @property
    def lacking(self) -> str:
        """Say which classes have no image here: what is measured on the part knows nothing of them."""
        none = [name for name, count in self.classes.items() if not count]
        if not none:
            return ""
        more = f" and {len(none) - SHOWN} more" if len(none) > SHOWN else ""
        return f"; none of {len(none)} of the {len(self.classes)} classes: {', '.join(none[:SHOWN])}{more}"


class DataRecord(Frozen):
    """A whole load."""

    source: DataSource
    rule: SplitRule
    mirrors: bool
    mirrors_because: str
    holds: Literal["images", "samples", "texts"] = Field(
        default="images",
        exclude_if=lambda holds: holds == "images",  # a bundle of before keeps its id
    )
    parts: dict[str, PartRecord]
    learnt: tuple[str, ...] = ()  # lowest digests of the images learnt from (bottom-k): all, where they are few
    repeated: int = 0  # images of validation and test that lie, byte for byte, in what is learnt from as well
    passed: dict[str, int] = Field(default_factory=dict)  # how many files or folders, by reason
    examples: dict[str, tuple[str, ...]] = Field(default_factory=dict)  # the first few of them
    # How encoded images were read. None, which is not written, so that a bundle of before keeps its id: see `read_as`.
    reading: ReadAs | None = Field(default=None, exclude_if=lambda reading: reading is None)

    @property
    def read_as(self) -> ReadAs:
        """How its images were read; by a record of before, upright, except folders that are split by position."""
        before: ReadAs = "plain" if self.rule == POSITION and self.source.data != "digits" else "upright"
        return self.reading or before

    def without_paths(self) -> Self:
        """The same with names in place of folders' paths: what those may see who have only to recognize the data."""
        paths = [path for path in (self.source.data, self.source.validation, self.source.test) if path is not None]
        named = {path: data_name(path) for path in paths}
        source = self.source.model_copy(
            update={name: named.get(path) for name, path in self.source.model_dump(include={*PATHS}).items()}
        )
        parts = {
            name: part.model_copy(update={"origin": named.get(part.origin, part.origin)})
            for name, part in self.parts.items()
        }
        return self.model_copy(update={"source": source, "parts": parts, "passed": {}, "examples": {}})

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits over every part's images, labels and class names."""
        lines = [f"{name} {part.fingerprint} {sorted(part.classes)}" for name, part in sorted(self.parts.items())]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]

    def lines(self) -> list[str]:
        """The summary, for people."""
        total = sum(part.images for part in self.parts.values())
        classes = self.parts["train"].classes
        said = [f"{self.source.data}: {total} {self.holds} of {len(classes)} classes, fingerprint {self.fingerprint}"]
        said += [f"  {name}: {part.images} from {part.origin}{part.lacking}" for name, part in self.parts.items()]
        counts = [f"{name} {sum(part.classes.get(name, 0) for part in self.parts.values())}" for name in classes]
        said.append(f"  classes: {', '.join(counts[:20])}{f' and {len(counts) - 20} more' if len(counts) > 20 else ''}")
        if self.holds == "images":
            said.append(f"  mirrored: {'yes' if self.mirrors else 'no'}, {self.mirrors_because}")
        if self.source.fit == "crop":
            said.append("  cropped at the centre to the network's shape")
        if self.repeated:
            said.append(f"  {self.repeated} of validation and test are learnt from as well, byte for byte")
        for reason, count in self.passed.items():
            more = ", …" if count > len(self.examples[reason]) else ""
            said.append(f"  passed over, {reason}: {count} ({', '.join(self.examples[reason])}{more})")
        return said
