"""A folder of several views: what fits together, and what does not."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.views import JOINT, VIEWS, Views, ViewsFolder, joined_shape
from offramp.errors import ArtifactDamagedError, ArtifactMissingError, InputError


@pytest.fixture
def folder(views: ViewsFolder, tmp_path: Path) -> Path:
    """A copy to write into."""
    return Path(shutil.copytree(views.path, tmp_path / "views"))


def changed(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    said = json.loads((folder / VIEWS).read_text())
    change(said)
    (folder / VIEWS).write_text(json.dumps(said))
    return folder


def test_a_folder_is_what_was_written(views: ViewsFolder) -> None:
    """Devices in the order of their views; the exits behind the join are those of the joint part."""
    assert list(views.devices) == ["view-1", "view-2", "view-5"]
    assert views.views.missing == "zeros"
    assert (views.cut("view-2"), views.behind("view-2"), views.shape("view-2")) == (1, 1, (8, 3, 3))
    assert views.joint.manifest.preprocessing.shape == (24, 3, 3)
    assert views.devices["view-1"].manifest.cut(1).codecs["1bit"].bytes_per_sample == 9
    assert json.loads((views.path / "view-1" / "manifest.json").read_text())["version"] == 4
    assert json.loads((views.path / JOINT / "manifest.json").read_text())["version"] == 3


def test_a_folder_without_the_document_is_none(tmp_path: Path) -> None:
    """And says how to make one: there, where there is nothing, and elsewhere where something would be written over."""
    for path in (tmp_path, tmp_path / "none"):
        assert instead(path) == f"Write one with: offramp views train --out {path}"
    (tmp_path / "notes").write_text("mine")
    for path in (tmp_path, tmp_path / "notes"):
        assert instead(path) == "Write one with: offramp views train --out FOLDER"


def test_a_bundle_is_no_folder_of_several_and_is_not_to_be_written_over(folder: Path, tmp_path: Path) -> None:
    """Of one network, it is an edge's; of one view, the folder above is meant."""
    assert instead(folder / JOINT) == f"It is one part of {folder}: name that."
    alone = shutil.copytree(folder / JOINT, tmp_path / "alone")
    assert instead(alone) == f"It is the bundle of one network, for: offramp serve edge {alone}"


def instead(path: Path) -> str:
    """What to do with a folder that is none of several views."""
    with pytest.raises(ArtifactMissingError) as caught:
        ViewsFolder.open(path)
    what, _, rest = str(caught.value).partition("views.json. ")
    assert what == f"{path}: no folder of several views, it has no "
    return rest


def test_a_bundle_that_is_another_is_refused(folder: Path) -> None:
    """By its id: two views' folders in each other's place would be seen by nobody else."""
    (folder / "view-1").rename(folder / "x")
    (folder / "view-2").rename(folder / "view-1")
    (folder / "x").rename(folder / "view-2")
    with pytest.raises(ArtifactDamagedError, match=r"view-1 is bundle \w+, and .*view-1 holds \w+\. Copy the whole"):
        ViewsFolder.open(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda said: said["views"].pop(), "2 views joined by concat are (16, 3, 3), and joint takes (24, 3, 3)"),
        (lambda said: said.update(join="max", missing="left out"), "3 views joined by max are (8, 3, 3), and joint"),
        (lambda said: said.update(missing="left out"), "missing: where views are joined by concat it is 'zeros'"),
        (lambda said: said["views"][0].update(cut=2), "view-1 is joined at boundary 2, and its bundle has the exits"),
        (lambda said: said["views"][0].update(name="view-2"), "views: every view has a name of its own"),
        (lambda said: said["views"][0].update(name="../x"), "String should match pattern"),
        (lambda said: said["views"][0].update(bundle=said["views"][1]["bundle"]), "views: two of them name one bundle"),
        (lambda said: said.update(views=[]), "at least 1 item"),
    ],
)
def test_a_document_that_does_not_fit_its_bundles_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], object], said: str
) -> None:
    """When it is opened, before anything is served."""
    with pytest.raises(ArtifactDamagedError, match=re.escape(said)):
        ViewsFolder.open(changed(folder, change))


def test_a_joint_part_of_other_classes_is_refused(folder: Path, bundle: Bundle) -> None:
    """Another network's bundle in its place is not behind these."""
    shutil.rmtree(folder / JOINT)
    shutil.copytree(bundle.path, folder / JOINT)
    changed(folder, lambda said: said.update(joint=bundle.id))
    with pytest.raises(ArtifactDamagedError, match="view-1 is joined at boundary 1, and its bundle has the exits"):
        ViewsFolder.open(folder)


def test_the_document_says_what_its_network_was_trained_with(views: ViewsFolder) -> None:
    """In a form that is read again."""
    assert Views.parse(views.views.to_json(), "it") == views.views
    assert views.views.silent == 0.2


def test_features_of_unlike_shapes_are_joined_where_that_can_be() -> None:
    """A concatenation needs them alike but for their channels, a maximum alike."""
    shapes = {"a": (16, 3, 3), "b": (8, 3, 3)}
    assert joined_shape(shapes, "concat") == (24, 3, 3)
    with pytest.raises(
        InputError, match=r"join max: a gives \(16, 3, 3\) and b \(8, 3, 3\), and max is of features of"
    ):
        joined_shape(shapes, "max")
    with pytest.raises(InputError, match=r"join concat: a gives \(16, 3, 3\) and c \(16, 2, 3\), and concat is of"):
        joined_shape({"a": (16, 3, 3), "c": (16, 2, 3)}, "concat")
