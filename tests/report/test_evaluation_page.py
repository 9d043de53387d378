"""What `offramp evaluate` says of predictions that can be counted by hand: in the terminal, as JSON, on its page."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offramp.artifacts.predictions import Predictions, PredictionsHeader
from reader import Reader

Program = Callable[..., "subprocess.CompletedProcess[str]"]
SURE, UNSURE = 9.0, 0.1


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight cats and two dogs. Exit 1 is sure of six cats and right; of the others it is unsure, and half right."""
    header = PredictionsHeader(
        model="sem-1", source="bundle:0", data="data/pets", split="test", classes=("cat", "<dog>"), exits=(1, 9)
    )
    logits = np.zeros((10, 2), np.float32)
    logits[:6, 0], logits[6:8, 1], logits[8:, 1] = SURE, UNSURE, UNSURE
    end = np.zeros((10, 2), np.float32)
    end[:8, 0], end[8, 1], end[9, 0] = SURE, SURE, SURE  # takes one dog for a cat
    table = Predictions(header, np.arange(10), np.array([0] * 8 + [1] * 2), {1: logits, 9: end})
    path = tmp_path_factory.mktemp("pets") / "predictions.parquet"
    table.write(path)
    return path


PLAN = ("--exit", "1", "--threshold", "0.3")


def test_the_table_has_intervals_and_what_the_edge_is_worth_without_its_cloud(file: Path, offramp: Program) -> None:
    """Six of six at the edge; of the four that go on, exit 1 has two right and the end three."""
    text = offramp("evaluate", str(file), *PLAN).stdout.replace("\u00a0", " ")
    (row,) = (line for line in text.splitlines() if line.startswith("│ 1 "))
    cells = [cell.strip() for cell in row.strip("│").split("│")]
    assert cells[2:] == [
        "6", "4", "0", "100.00 [61.0, 100.0]", "75.00 [30.1, 95.4]", "90.00 [59.6, 98.2]", "1:50.0 9:75.0",
    ]  # fmt: skip
    assert "sem-1, data/pets (test), 10 samples." in text


def test_json_has_the_same(file: Path, offramp: Program) -> None:
    """By tier, and by exit."""
    (found,) = json.loads(offramp("evaluate", str(file), *PLAN, "--json").stdout)
    assert found["forwarded_accuracy"] == {"1": 0.5, "9": 0.75}
    assert list(found["intervals"]) == ["edge", "cloud", "overall"]
    assert found["intervals"]["cloud"] == pytest.approx([0.3006, 0.9544], abs=1e-4)


def test_one_plans_page_shows_its_classes(file: Path, tmp_path: Path, offramp: Program) -> None:
    """As it answers them; the page loads nothing, and its figures lie beside it."""
    done = offramp("evaluate", str(file), *PLAN, "--plots", "plots", "--json", cwd=tmp_path)
    names = [f"{name}.{form}" for name in ("coverage", "confusion", "classes") for form in ("svg", "png")]
    assert done.stderr == f"plots/evaluation.html: page; beside it: {', '.join(names)}\n"
    assert json.loads(done.stdout)
    assert sorted(path.name for path in (tmp_path / "plots").iterdir()) == sorted([*names, "evaluation.html"])
    text = (tmp_path / "plots" / "evaluation.html").read_text()
    page = Reader(text.replace("\u00a0", " "))
    assert text.count("<svg") == 3
    assert (page.open, page.loaded, len(page.ids)) == ([], [], len(set(page.ids)))
    assert page.says("Exit 1 at T = 0.3: 90.00 [59.6, 98.2] % right, 60.0 % at the edge.")
    assert page.says("Of what is left to the cloud, exit 1 alone would have 50.0 % right.")
    assert page.tables[1][1:] == [
        ["cat", "8", "100.00 [67.6, 100.0]", "6", "75.0", "100.00 [61.0, 100.0]", "–"],
        ["<dog>", "2", "50.00 [9.5, 90.5]", "0", "0.0", "–", "cat (1)"],
    ]


def test_several_plans_stand_in_rows_and_classes_are_as_the_end_answers(
    file: Path, tmp_path: Path, offramp: Program
) -> None:
    """Of plans with nothing in common but the network."""
    assert offramp("evaluate", str(file), "--plots", "plots", cwd=tmp_path).returncode == 0
    page = Reader((tmp_path / "plots" / "evaluation.html").read_text().replace("\u00a0", " "))
    assert [row[1] for row in page.tables[0][1:]] == ["0.1", "0.3", "0.5", "0.8"]
    assert page.says("Classes: every sample at exit 9")
    assert page.tables[1][1:] == [
        ["cat", "8", "100.00 [67.6, 100.0]", "–"], ["<dog>", "2", "50.00 [9.5, 90.5]", "cat (1)"],
    ]  # fmt: skip


def test_predictions_of_no_samples_have_a_page(file: Path, tmp_path: Path, offramp: Program) -> None:
    """That says so."""
    Predictions.read(file).rows(slice(0)).write(tmp_path / "none.parquet")
    done = offramp("evaluate", "none.parquet", "--plots", ".", *PLAN, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Reader((tmp_path / "evaluation.html").read_text()).says("There are no samples.")


def test_of_many_classes_the_worst_are_drawn_and_what_went_beyond_them_is_said(
    tmp_path: Path, offramp: Program
) -> None:
    """Of 45 classes each has one sample right and one taken for the next: the fortieth's next is not drawn."""
    labels = np.repeat(np.arange(45), 2)
    header = PredictionsHeader(
        model="standard", source="bundle:0", data="data/many", split="test",
        classes=tuple(f"class {k}" for k in range(45)), exits=(9,),
    )  # fmt: skip
    logits = SURE * np.eye(45, dtype=np.float32)[(labels + np.arange(90) % 2) % 45]
    Predictions(header, np.arange(90), labels, {9: logits}).write(tmp_path / "many.parquet")
    assert offramp("evaluate", "many.parquet", "--plots", "plots", cwd=tmp_path).returncode == 0
    drawn = (tmp_path / "plots" / "confusion.svg").read_text().replace("\u00a0", " ")
    assert "the 40 classes with the most errors, of 45; 1 of their 80 samples taken for others" in drawn
    assert len(Reader((tmp_path / "plots" / "evaluation.html").read_text()).tables[1]) == 46
