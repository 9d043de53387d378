"""The report on one training's folder: finished, under way, and with predictions of it or of another beside it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from offramp.artifacts.predictions import Predictions
from offramp.models.checkpoint import Checkpoint
from offramp.report.run_page import run_conditions, run_figures
from offramp.train.observe import read_log
from panels import lines
from reader import Reader

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(checkpoint: Checkpoint, tmp_path: Path) -> Path:
    """What a training leaves, in a folder of its own; two of its exits are in the log, since panels take time."""
    folder = tmp_path / "run"
    folder.mkdir()
    shutil.copy(checkpoint.path / "model.json", folder)
    lines = []
    for record in read_log(checkpoint.path / "log.jsonl"):
        two = {k: record.validation_accuracy[k] for k in (1, 9)}
        lines.append(record.model_copy(update={"validation_accuracy": two}).model_dump_json() + "\n")
    (folder / "log.jsonl").write_text("".join(lines))
    return folder


def page(folder: Path) -> Reader:
    """The report in a folder."""
    return Reader((folder / "report.html").read_text().replace("\u00a0", " "))


def test_a_finished_run_shows_curves_recipe_data_and_the_test_set(
    run: Path, checkpoint: Checkpoint, predictions: Predictions, offramp: Program
) -> None:
    """The bundle's predictions are the network's where the bundle lies there."""
    shutil.copytree(checkpoint.path / "bundle", run / "bundle")
    predictions.write(run / "predictions.parquet")
    done = offramp("report", "run", cwd=run.parent)
    names = "training.svg, training.png, accuracy.svg, accuracy.png"
    assert (done.stdout, done.stderr) == (f"run/report.html: report; beside it: {names}\n", "")
    shown = page(run)
    assert (shown.open, shown.loaded, len(shown.ids)) == ([], [], len(set(shown.ids)))
    for words in ("Training mem", "digits, seed 0", "label smoothing", "validation: 100 from digits", "6 epochs"):
        assert shown.says(words), words
    assert not shown.says("Not finished")
    assert not shown.says("CIFAR")
    (table,) = shown.tables
    assert table[0] == ["exit", "validation %", "test %"]
    right = (predictions.at(9).argmax(axis=1) == predictions.labels).mean()
    validated = checkpoint.card.validation_accuracy[9]
    assert [cell.split(" [")[0] for cell in table[-1]] == ["9", f"{100 * validated:.2f}", f"{100 * right:.2f}"]


def test_the_curves_are_those_of_the_log(run: Path, checkpoint: Checkpoint, predictions: Predictions) -> None:
    """A hollow mark at the end of each exit's is the test set's accuracy."""
    records = read_log(run / "log.jsonl")
    figures = run_figures(records, run_conditions(checkpoint.card, records), predictions)
    loss, rate = (next(iter(lines(panel).values())) for panel in figures["training"].axes)
    assert loss == ([1, 2, 3, 4, 5, 6], [one.loss for one in records])
    assert rate[1] == [one.learning_rate for one in records]
    first = lines(figures["accuracy"].axes[0])
    assert first["validation"][1] == pytest.approx([100 * one.validation_accuracy[1] for one in records])
    assert first["test"] == (
        [6],
        [pytest.approx(100 * (predictions.at(1).argmax(axis=1) == predictions.labels).mean())],
    )


def test_a_run_under_way_is_drawn_as_far_as_it_is(run: Path, offramp: Program) -> None:
    """A line that is half written is not there yet; its predictions could only be of what was there before."""
    (run / "model.json").unlink()
    log = (run / "log.jsonl").read_text()
    (run / "log.jsonl").write_text("".join(log.splitlines(keepends=True)[:3]) + log[:40])
    assert offramp("report", "run", "--out", "drawn", cwd=run.parent).returncode == 0
    shown = page(run.parent / "drawn")
    assert shown.says("Not finished: 3 of 6 epochs.")
    assert shown.tables[0][0] == ["exit", "validation %"]


def test_predictions_of_another_network_are_left_out(run: Path, predictions: Predictions, offramp: Program) -> None:
    """And said to be another's: without its bundle nothing ties them to the run."""
    predictions.write(run / "predictions.parquet")
    assert offramp("report", "run", cwd=run.parent).returncode == 0
    shown = page(run)
    assert shown.says(f"predictions.parquet is of another network ({predictions.header.source}), and left out here.")
    assert shown.tables[0][0] == ["exit", "validation %"]


def test_a_recipe_that_mirrors_did_not_where_the_data_do_not_allow_it(run: Path, offramp: Program) -> None:
    """A digit's mirror image is none; where it is allowed, it is said in a word."""
    card = json.loads((run / "model.json").read_text())
    for mirrors, said in (
        (False, "no: the recipe would, the data do not allow it (a digit's mirror image is none)"),
        (True, "yes"),
    ):
        card["recipe"]["flip"], card["record"]["mirrors"] = True, mirrors
        (run / "model.json").write_text(json.dumps(card))
        assert offramp("report", "run", cwd=run.parent).returncode == 0
        assert page(run).says(f"flip {said}"), said


def test_a_run_without_an_epoch_is_refused(run: Path, refusal: Callable[..., str]) -> None:
    """There is nothing to draw."""
    (run / "log.jsonl").write_text("")
    assert refusal("report", str(run)) == (
        f"{run / 'log.jsonl'}: holds no epoch. Wait for the first, or go on with: offramp train --resume"
    )
