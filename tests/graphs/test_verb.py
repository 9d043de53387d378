"""The verb boundaries."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from made_graphs import residual, small
from offramp.cli.boundaries import crossing_bytes
from offramp.graphs.boundary import Boundary

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(residual().model, path)
    return path


def test_the_table_has_a_row_a_boundary_and_below_it_why_not_elsewhere(model: Path, offramp: Program) -> None:
    said = offramp("boundaries", str(model)).stdout
    assert "3 classes, 59,916 MACs a sample, 9 boundaries." in " ".join(said.split())
    row = next(line for line in said.splitlines() if "layers.0 " in line and "end" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        "4", "layers.0", "end", "v6 4x8x8", "1,024", "512", "256", "38.5", "61.5",
    ]  # fmt: skip
    assert "no boundary: layers.0: 3 tensors inside are not alone: act (until Add) is needed past it\n" in said


def test_json_holds_all_of_it(model: Path, offramp: Program) -> None:
    told = json.loads(offramp("boundaries", str(model), "--json", "--no-check").stdout)
    assert (told["macs"], told["classes"]) == (59916, 3)
    assert told["inputs"] == {"pixels": {"dtype": "float32", "shape": [2, 8, 8]}}
    assert told["boundaries"][3] == {
        "number": 4, "name": "layers.0", "also": [], "at": "end", "kind": "nchw", "tensors": {"v6": [4, 8, 8]},
        "bytes": {"fp32": 1024, "fp16": 512, "uint8": 256}, "macs_before": 23040, "macs_after": 36876, "tolerance": 0.0,
    }  # fmt: skip
    assert [one["name"] for one in told["refused"]] == ["layers.0", "layers.1", "layers.2"]


def test_a_picture_is_drawn(model: Path, offramp: Program) -> None:
    picture = model.with_suffix(".svg")
    assert offramp("boundaries", str(model), "--picture", str(picture)).stdout.endswith(f"{picture}: drawn\n")
    drawing = picture.read_text()
    assert "an 8-bit image, 128 bytes" in drawing
    assert "layers.1" in drawing


def test_what_is_carried_is_fp32_in_every_codec() -> None:
    boundary = Boundary(1, "b", {"a": (10,), "mask": (3,)}, "vector", 1, 1, "end", 0.0)
    assert [crossing_bytes(boundary, codec) for codec in ("fp32", "fp16", "uint8")] == [52, 32, 22]


def test_what_cannot_be_read_is_one_line(tmp_path: Path, refusal: Callable[..., str]) -> None:
    """And nothing is drawn."""
    assert refusal("boundaries", str(tmp_path / "gone.onnx")).endswith("no such file. Check the path, or run the step "
                                                                       "that writes it.")  # fmt: skip
    onnx.save(small(), tmp_path / "it.onnx")
    picture = tmp_path / "it.gif"
    assert refusal("boundaries", str(tmp_path / "it.onnx"), "--picture", str(picture)) == (
        f"picture {picture}: expected a file that ends in .svg or .png."
    )
    assert refusal("boundaries", str(tmp_path / "it.onnx"), "--shape", "3,8,8") == (
        "shape '3,8,8': expected sizes of one sample like 3x224x224, without the batch."
    )
    assert refusal("boundaries", "nowhere.at_all:it").startswith("model 'nowhere.at_all:it': ModuleNotFoundError")
    assert not picture.exists()
