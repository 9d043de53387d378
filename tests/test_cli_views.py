"""The verbs for several views: a small run from end to end, and what they refuse."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from offramp.artifacts.views import ViewsFolder

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
