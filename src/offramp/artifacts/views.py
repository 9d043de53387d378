"""Several views of one thing: `views.json`, which says how the parts of a folder belong together.

Each device's part is an ordinary bundle, `NAME/`: the network as it is where that device alone sees the thing, from
what it sees to the last exit. Its boundary `cut` is where its features are joined with those of the others. `joint/` is
the bundle of what comes behind: it takes the joined features, and its exit 1 is the aggregator's, its last exit the
cloud's. Knows nothing of how features are joined (`exits.joining`), nor of who runs what.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, Self, get_args

from pydantic import Field, model_validator

from offramp.artifacts.bundle import MANIFEST, Bundle
from offramp.artifacts.document import Document, Frozen
from offramp.artifacts.signature import Trust
from offramp.artifacts.stages import Shape
from offramp.errors import ArtifactDamagedError, ArtifactMissingError, InputError

VIEWS = "views.json"
JOINT = "joint"
MOST = 64  # views

Join = Literal["max", "mean", "concat"]
JOINS: tuple[Join, ...] = get_args(Join)
Place = Literal["features", "logits"]
# What stands in for a view that is not there: it is left out of a maximum or mean, and a row of zeros otherwise.
MISSING: Mapping[Join, Literal["left out", "zeros"]] = {"max": "left out", "mean": "left out", "concat": "zeros"}


class View(Frozen):
    """One device's part: its name, which is its folder's, the id of its bundle, and where that is joined."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    bundle: str
    cut: int = Field(ge=1)


class Views(Document):
    """`views.json`."""

    FORMAT: ClassVar[str] = "offramp.views"
    VERSION: ClassVar[int] = 1

    views: tuple[View, ...] = Field(min_length=1, max_length=MOST)
    join: Join
    at: Place
    missing: Literal["left out", "zeros"]
    joint: str  # the id of its bundle
    silent: float = Field(ge=0, lt=1)  # the probability with which each view was left out in training

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [view.name for view in self.views]
        if len(set(names)) < len(names) or JOINT in names:
            raise ValueError(f"views: every view has a name of its own, and none is {JOINT}, got {names}")
        if len({view.bundle for view in self.views}) < len(names):
            raise ValueError("views: two of them name one bundle, and which of them sends something could not be told")
        if self.missing != MISSING[self.join]:
            raise ValueError(f"missing: where views are joined by {self.join} it is {MISSING[self.join]!r}")
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """What the views are called, in the order in which they are joined."""
        return tuple(view.name for view in self.views)


def joined_shape(shapes: Mapping[str, Shape], join: Join) -> Shape:
    """Shape of one sample's joined features, of those of each view; an InputError where they cannot be joined so.

    >>> joined_shape({"a": (16, 3, 3), "b": (8, 3, 3)}, "concat")
    (24, 3, 3)
    """
    (first, shape), *others = shapes.items()
    for name, other in others:
        fits = len(other) == len(shape) and other[1:] == shape[1:] if join == "concat" else other == shape
        if not fits:
            wanted = "features alike but for their channels" if join == "concat" else "features of one shape"
            raise InputError(
                f"join {join}: {first} gives {shape} and {name} {other}, and {join} is of {wanted}. Join logits "
                "instead, which are alike for all."
            )
    return (sum(one[0] for one in shapes.values()), *shape[1:]) if join == "concat" else shape


@dataclass(frozen=True)
class ViewsFolder:
    """A folder of `offramp views train`, every part of it read and checked against the others."""

    path: Path
    views: Views
    devices: Mapping[str, Bundle]  # by view, in their order
    joint: Bundle

    @classmethod
    def open(cls, path: Path | str, trust: Trust | None = None) -> Self:
        """Read a folder; raises an ArtifactError that names what is missing, damaged, or does not fit the rest."""
        path = Path(path)
        if not (path / VIEWS).is_file():
            raise ArtifactMissingError(f"{path}: no folder of several views, it has no {VIEWS}. {_instead(path)}")
        views = Views.read(path / VIEWS)
        devices = {view.name: _bundle(path, view.name, view.bundle, trust) for view in views.views}
        found = cls(path, views, devices, _bundle(path, JOINT, views.joint, trust))
        found._check()
        return found

    def cut(self, view: str) -> int:
        """The boundary of a device's bundle at which its features are joined."""
        return {one.name: one.cut for one in self.views.views}[view]

    def shape(self, view: str) -> Shape:
        """Shape of one sample's features of a view where they are joined."""
        (shape,) = self.devices[view].manifest.tensors(self.cut(view)).values()
        return shape

    def behind(self, view: str) -> int:
        """How many exits a device's bundle has before those of the joint part: what their numbers differ by."""
        return self.devices[view].manifest.last - self.joint.manifest.last

    def _check(self) -> None:
        """Raise ArtifactDamagedError where a part does not fit the others."""
        joint, origin = self.joint.manifest, self.path / VIEWS
        for view in self.views.views:
            manifest = self.devices[view.name].manifest
            if manifest.classes != joint.classes:
                raise ArtifactDamagedError(
                    f"{origin}: {view.name} has other classes than {JOINT}. Train them together."
                )
            if view.cut not in manifest.exits[:-1] or self.behind(view.name) != view.cut:
                raise ArtifactDamagedError(
                    f"{origin}: {view.name} is joined at boundary {view.cut}, and its bundle has the exits "
                    f"{', '.join(map(str, manifest.exits))} and {JOINT} {', '.join(map(str, joint.exits))}. Train them "
                    "together."
                )
            if len(manifest.tensors(view.cut)) != 1:
                raise ArtifactDamagedError(f"{origin}: {view.name} has several tensors at boundary {view.cut}.")
        try:
            shape = joined_shape({name: self.shape(name) for name in self.views.names}, self.views.join)
        except InputError as error:
            raise ArtifactDamagedError(f"{origin}: {error}") from error
        if shape != joint.preprocessing.shape:
            raise ArtifactDamagedError(
                f"{origin}: {len(self.views.views)} views joined by {self.views.join} are {shape}, and {JOINT} takes "
                f"{tuple(joint.preprocessing.shape)}. Train them together."
            )


def _bundle(path: Path, name: str, id_: str, trust: Trust | None) -> Bundle:
    bundle = Bundle.open(path / name, trust)
    if bundle.id != id_:
        raise ArtifactDamagedError(
            f"{path / VIEWS}: {name} is bundle {id_}, and {path / name} holds {bundle.id}. Copy the whole folder again."
        )
    return bundle


def _instead(path: Path) -> str:
    """What to do where a folder is none of several views: nothing is to be written over what is there."""
    if (path.parent / VIEWS).is_file():
        return f"It is one part of {path.parent}: name that."
    if (path / MANIFEST).is_file():
        return f"It is the bundle of one network, for: offramp serve edge {path}"
    out = "FOLDER" if path.exists() and not (path.is_dir() and not any(path.iterdir())) else path
    return f"Write one with: offramp views train --out {out}"
