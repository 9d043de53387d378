"""The verbs for several views: a small run from end to end, and what they refuse."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from offramp.artifacts.views import ViewsFolder
from offramp.data.view_tables import view_tables
from processes import computing, interrupted

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two views as tables: small, and easily told apart."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("left", "right"):
        lines = [f"{row % 3},{(row * 7) % 5},{row % 3}" for row in range(120)]
        (folder / f"{name}.csv").write_text("\n".join(["0,1,0", *lines]) + "\n")
    return folder


def test_train_and_evaluate(offramp: Run, data: Path, tmp_path: Path) -> None:
    """A folder of bundles, and what it makes of the test set, in a table and as JSON."""
    out = tmp_path / "views"
    told = ("--data", str(data), "--out", str(out), "--front", "8,8", "--epochs", "20", "--batch-size", "16")
    done = offramp("views", "train", *told, "--threads", "1", "--bits")
    assert done.returncode == 0, done.stderr
    assert ViewsFolder.open(out).views.names == ("left", "right")
    shown = offramp("views", "evaluate", str(out), "--data", str(data), "--codec", "1bit")
    assert shown.returncode == 0, shown.stderr
    assert "2 views by concat of features, 24 samples, in 1bit." in shown.stdout
    found = json.loads(offramp("views", "evaluate", str(out), "--data", str(data), "--json").stdout)
    assert [row["views"] for row in found["joined"]] == [["left"], ["right"], ["left", "right"]]
    assert found["joined"][2]["accuracy"]["2"] > 0.6


def test_interrupted_training_writes_nothing(data: Path, tmp_path: Path) -> None:
    """By Ctrl-C: no traceback, and no part of a folder of views."""
    out = tmp_path / "views"
    told = ("--data", str(data), "--front", "8,8", "--epochs", "100000", "--out", str(out), "--threads", "1")
    # It takes some four seconds to import what it needs.
    code, said = interrupted("views", "train", *told, once=lambda process: computing(process, 8.0))
    assert code == 130
    assert "Traceback" not in said
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def classes_moved(data: Path, by: int) -> Path:
    """The same tables, every class called by a number so much higher."""
    for path in data.iterdir():
        head, *lines = path.read_text().split()
        rows = [line.rpartition(",") for line in lines]
        path.write_text("\n".join([head, *(f"{values},{int(label) + by}" for values, _, label in rows)]) + "\n")
    return data


def test_what_holds_something_else_or_is_of_other_classes_is_refused_before_the_work(
    refusal: Callable[..., str], data: Path, views: ViewsFolder, tmp_path: Path
) -> None:
    """Before anything is trained, and not with accuracies of classes that merely have the same numbers."""
    (tmp_path / "notes.txt").write_text("mine")
    assert refusal("views", "train", "--data", str(tmp_path / "none"), "--out", str(tmp_path)) == (
        f"{tmp_path}: holds something else than a folder of views. Choose an empty or a new folder."
    )
    assert refusal("views", "evaluate", str(views.path), "--seed", "7", "--split", "validation") == (
        f"--seed 7 --split validation: {views.path} was trained with seed 0, and by another its validation samples are "
        "not those of its training. Leave --seed out, or ask for --split test."
    )
    large = view_tables(classes_moved(data, 1_000_000)).views["left"]
    assert large.classes == ("1000000", "1000001", "1000002")


def test_data_of_other_classes_is_refused(
    offramp: Run, refusal: Callable[..., str], data: Path, tmp_path: Path
) -> None:
    """As many of them have the same numbers, and their accuracy would mean nothing; what was written over is whole."""
    told = ("views", "train", "--data", str(data), "--out", str(tmp_path / "views"), "--front", "8,8", "--epochs", "1")
    for _ in range(2):
        assert offramp(*told, "--threads", "1").returncode == 0
        assert sorted(path.name for path in (tmp_path / "views").iterdir()) == ["joint", "left", "right", "views.json"]
    assert refusal("views", "evaluate", str(tmp_path / "views"), "--data", str(classes_moved(data, 1))) == (
        f"{data}: its classes are 1, 2, 3 (3), and {tmp_path / 'views'} tells 0, 1, 2 (3) apart, in this order. Give "
        "data of these."
    )


def test_what_cannot_be_is_refused(refusal: Callable[..., str], data: Path, views: ViewsFolder, tmp_path: Path) -> None:
    """Before anything is trained or served."""
    told = ("--data", str(data), "--out", str(tmp_path / "out"))
    assert refusal("views", "train", *told, "--bits", "--at", "logits").startswith("bits: of features; logits are few")
    assert refusal("views", "train", *told, "--front", "8,x") == (
        "front '8,x': expected whole numbers above 0, with commas between them."
    )
    assert "has the views left, right, and" in refusal("views", "evaluate", str(views.path), "--data", str(data))
    assert refusal("serve", "aggregator", str(tmp_path), "--threshold", "0.3", "--port", "0", "--no-http").startswith(
        f"{tmp_path}: no folder of several views, it has no views.json."
    )
    assert refusal(
        "serve", "aggregator", str(views.path), "--threshold", "0.3", "--quorum", "4", "--port", "0", "--no-http"
    ).startswith("quorum 4: expected 1 to 3")
