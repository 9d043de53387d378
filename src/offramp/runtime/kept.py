"""What was chosen for a bundle on this machine, and what it was chosen by: kept, so that a restart chooses nothing.

A file a bundle, in `$OFFRAMP_CACHE/engines`, or `offramp/engines` in `$XDG_CACHE_HOME` or `~/.cache`. Nothing is kept
by `OFFRAMP_CACHE=none`. What cannot be read or written is no failure: it is measured again, and said.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.engine import Precision, Runtime
from offramp.errors import ArtifactError
from offramp.runtime.timing import Timing

CACHE = "OFFRAMP_CACHE"


class Circumstances(Frozen):
    """What a choice was made in. In others it is made again."""

    precision: Precision
    threads: int  # as many as the runtimes got
    batches: tuple[int, ...]
    hardware: str
    onnxruntime: str  # with its version
    openvino: str
    held: tuple[int, ...] = ()  # exits at which both gave the bundle's logits; a choice of before knew of none

    def close_to(self, other: "Circumstances") -> bool:
        """Whether a choice made in the one is where that in the other begins: all but threads, sizes and versions."""
        return (self.precision, self.hardware) == (other.precision, other.hardware)


class Chosen(Frozen):
    """A choice, and the figures that it was made by."""

    runtime: Runtime
    made_in: Circumstances
    timings: tuple[Timing, ...]
    failure: str = Field("", exclude_if=lambda text: not text)  # how OpenVINO gave other logits, where it did


class Choices(Document):
    """Every choice for one bundle, the latest last."""

    FORMAT: ClassVar[str] = "offramp.engine-choices"
    VERSION: ClassVar[int] = 1

    bundle: str
    choices: tuple[Chosen, ...] = ()

    def in_(self, circumstances: Circumstances) -> Chosen | None:
        """The choice made in just these circumstances."""
        return next((one for one in self.choices if one.made_in == circumstances), None)

    def before(self, circumstances: Circumstances) -> Runtime:
        """What ran last in such circumstances: onnxruntime, which all have, where nothing did."""
        near = [one.runtime for one in self.choices if one.made_in.close_to(circumstances)]
        return near[-1] if near else "onnxruntime"

    def with_(self, chosen: Chosen) -> "Choices":
        """And one more."""
        return self.model_copy(update={"choices": (*self.choices, chosen)})


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where choices are kept; None where nothing is to be."""
    named = environment.get(CACHE, "")
    if named == "none":
        return None
    if named:
        return Path(named) / "engines"
    base = environment.get("XDG_CACHE_HOME", "")
    try:
        # The specification ignores a base that is not absolute.
        return (Path(base) if Path(base).is_absolute() else Path.home() / ".cache") / "offramp" / "engines"
    except RuntimeError:  # a user without a home, as in some containers
        return None


def read(path: Path, bundle: str) -> Choices:
    """What is kept for a bundle; none where there is nothing, or nothing that can be read: it is chosen anew."""
    try:
        found = Choices.read(path)
    except ArtifactError:
        return Choices(bundle=bundle)
    return found if found.bundle == bundle else Choices(bundle=bundle)


def keep(path: Path, bundle: str, chosen: Chosen) -> tuple[Chosen, str]:
    """Write a choice, unless another process has made one in the same circumstances meanwhile: then that is it.

    Gives what holds now, and why it could not be kept; empty where it was.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path.with_suffix(".lock")):
            there = read(path, bundle)
            if other := there.in_(chosen.made_in):
                return other, ""
            there.with_(chosen).write(path)
    except (OSError, ArtifactError) as error:
        return chosen, str(getattr(error, "strerror", None) or error)
    return chosen, ""


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """For the time of a reading and a writing: where the system has such locks, one process at a time."""
    try:
        import fcntl
    except ImportError:  # not on Windows
        yield
        return
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
