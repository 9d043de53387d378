"""A training that was interrupted goes on where it stopped; a folder that holds something else is refused."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import safetensors

from offramp.data.image_set import Splits
from offramp.errors import ArtifactDamagedError, ArtifactError, OfframpError, TrainingError
from offramp.models.architecture import Architecture
from offramp.models.checkpoint import CARD, WEIGHTS
from offramp.train.loop import LOG, STATE, Run, train
from offramp.train.observe import EpochRecord
from offramp.train.recipe import RECIPES

EPOCHS = 5

# The same run in a process of its own. At the end of epoch 3's steps, before that epoch is kept, it says so and waits.
PROGRAM = """
import sys, time
from pathlib import Path
from offramp.data.digits import digits
from offramp.data.image_set import split
from offramp.models.architecture import StandardCnn
from offramp.train.loop import Run, train
from offramp.train.recipe import RECIPES

class Waits:
    def step(self, done, total, loss):
        if done > 0.5 * total:
            print("in the middle", flush=True)
            time.sleep(600)
    def epoch(self, record):
        pass

out, architecture, recipe = sys.argv[1:]
run = Run(StandardCnn.model_validate_json(architecture), RECIPES[recipe].but(epochs=5), "digits", 0)
train(run, split(digits().rows(slice(0, 400)), None, 0), Path(out), observers=[Waits()])
"""


class Interrupts:
    """An observer that stops the training after an epoch, as Ctrl-C would."""

    def __init__(self, after: int) -> None:
        self.after = after

    def step(self, done: int, total: int, loss: float) -> None:
        """Let it go on."""

    def epoch(self, record: EpochRecord) -> None:
        """Stop when the time has come."""
        if record.epoch == self.after:
            raise KeyboardInterrupt


class TakesTheLogAway:
    """An observer that makes the log unwritable during the second epoch, as a full disk would."""

    def __init__(self, log: Path) -> None:
        self.log = log

    def step(self, done: int, total: int, loss: float) -> None:
        """Put a folder where the log is."""
        if done > total / EPOCHS:
            self.log.rename(self.log.with_suffix(".kept"))
            self.log.mkdir()

    def epoch(self, record: EpochRecord) -> None:
        """Let it go on."""


def a_run(architecture: Architecture, recipe: str = "digits") -> Run:
    """The run that everything here begins with."""
    return Run(architecture, RECIPES[recipe].but(epochs=EPOCHS), "digits", 0)


def interrupt(run: Run, splits: Splits, out: Path, after: int = 2) -> None:
    """Begin a run and stop it."""
    with pytest.raises(KeyboardInterrupt):
        train(run, splits, out, observers=[Interrupts(after)])


def weights_hash(folder: Path) -> str:
    """The weights file's sha256."""
    return hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()


def epochs(folder: Path) -> list[int]:
    """The epochs that a run's log has lines of."""
    return [json.loads(line)["epoch"] for line in (folder / LOG).read_text().splitlines()]


def kept_epochs(folder: Path) -> int:
    """The epochs that a run's state has behind it."""
    with safetensors.safe_open(folder / STATE, "pt") as state:
        return int(state.metadata()["epochs"])


@pytest.fixture(scope="module")
def whole(few: Splits, minute: Architecture, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of an uninterrupted training by a recipe."""

    @cache
    def trained(name: str) -> Path:
        folder = tmp_path_factory.mktemp(name) / "whole"
        train(a_run(minute, name), few, folder)
        return folder

    return trained


def test_a_killed_training_resumed_ends_with_the_weights_of_an_uninterrupted_one(
    few: Splits, minute: Architecture, tmp_path: Path, whole: Callable[[str], Path]
) -> None:
    """A real process, killed with SIGKILL inside its third epoch: same weights file byte for byte, no epoch twice."""
    killed = tmp_path / "killed"
    arguments = [str(killed), minute.model_dump_json(), "digits"]
    with subprocess.Popen([sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "in the middle\n"
        finally:
            process.kill()
            process.wait(60)
    assert kept_epochs(killed) == 2
    assert not (killed / WEIGHTS).exists()

    resumed = train(a_run(minute), few, killed, resume=True)

    assert weights_hash(killed) == weights_hash(whole("digits"))
    assert epochs(killed) == epochs(whole("digits")) == [1, 2, 3, 4, 5]
    assert resumed.card.epochs == EPOCHS
    assert not (killed / STATE).exists()


@pytest.mark.parametrize(("recipe", "after"), [("digits", 1), ("digits", 4), ("digits", 5), ("paper", 2)])
def test_it_does_not_matter_when_a_training_stops(
    few: Splits, minute: Architecture, tmp_path: Path, whole: Callable[[str], Path], recipe: str, after: int
) -> None:
    """After the first epoch, before the last, or after the last but before its checkpoint is written."""
    interrupt(a_run(minute, recipe), few, tmp_path / "stopped", after)
    assert kept_epochs(tmp_path / "stopped") == after
    train(a_run(minute, recipe), few, tmp_path / "stopped", resume=True)
    assert weights_hash(tmp_path / "stopped") == weights_hash(whole(recipe))
    assert epochs(tmp_path / "stopped") == [1, 2, 3, 4, 5]


def test_no_epoch_is_kept_that_is_not_in_the_log(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """Where the log cannot be written the epoch's state is not either, so that resuming leaves no gap."""
    with pytest.raises(ArtifactError, match="cannot be written"):
        train(a_run(minute), few, tmp_path, observers=[TakesTheLogAway(tmp_path / LOG)])
    assert kept_epochs(tmp_path) == 1
    (tmp_path / LOG).rmdir()
    (tmp_path / LOG).with_suffix(".kept").rename(tmp_path / LOG)

    train(a_run(minute), few, tmp_path, resume=True)

    assert epochs(tmp_path) == [1, 2, 3, 4, 5]


def test_resuming_where_nothing_is_begins(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """A script may always say --resume."""
    train(a_run(minute), few, tmp_path, resume=True)
    assert epochs(tmp_path) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("recipe", [{}, {"loss_weights": {1: 0.5, 2: 1.0, 3: 2.0}}], ids=["equal", "by exit"])
def test_resuming_a_finished_run_gives_its_checkpoint(
    few: Splits, minute: Architecture, tmp_path: Path, recipe: dict[str, object]
) -> None:
    """Nothing is trained again."""
    run = Run(minute, RECIPES["digits"].but(epochs=1, **recipe), "digits", 0)
    first = train(run, few, tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert train(run, few, tmp_path, resume=True).card == first.card
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("finished", [True, False])
def test_a_folder_that_holds_a_run_is_not_overwritten(
    few: Splits, minute: Architecture, tmp_path: Path, finished: bool
) -> None:
    """Finished or interrupted, it takes a word to go on with it."""
    if finished:
        train(a_run(minute), few, tmp_path)
    else:
        interrupt(a_run(minute), few, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert refusal(a_run(minute), few, tmp_path, TrainingError, resume=False) == (
        f"{tmp_path}: holds a run already. Go on with it by --resume, or choose another folder."
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("other", ["recipe", "seed", "architecture", "images"])
def test_somebody_elses_interrupted_run_is_not_gone_on_with(
    few: Splits, minute: Architecture, tmp_path: Path, other: str
) -> None:
    """Another recipe, seed, architecture or training set: refused, and left as it was."""
    interrupt(a_run(minute), few, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    run, splits = a_run(minute), few
    if other == "recipe":
        run = replace(run, recipe=run.recipe.but(epochs=EPOCHS + 1))
    elif other == "seed":
        run = replace(run, seed=1)
    elif other == "architecture":
        run = replace(run, architecture=minute.model_copy(update={"widths": (8, 8, 4)}))
    else:
        splits = replace(few, train=few.calibration)
    assert refusal(run, splits, tmp_path, TrainingError) == (
        f"{tmp_path}: holds a run of another model, recipe, data or seed. Choose another folder."
    )
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("other", ["recipe", "seed", "architecture", "data"])
def test_somebody_elses_finished_run_is_not_taken_for_this_one(
    few: Splits, minute: Architecture, tmp_path: Path, other: str
) -> None:
    """What --resume gives back is the checkpoint that was asked for, or an error."""
    train(a_run(minute), few, tmp_path)
    run = {
        "recipe": replace(a_run(minute), recipe=RECIPES["digits"].but(epochs=EPOCHS, learning_rate=0.2)),
        "seed": replace(a_run(minute), seed=1),
        "architecture": a_run(minute.model_copy(update={"exits": (2, 3)})),
        "data": replace(a_run(minute), data="/somewhere/else"),
    }[other]
    assert refusal(run, few, tmp_path, TrainingError) == (
        f"{tmp_path}: holds a finished run of other settings. Choose another folder."
    )


def test_a_finished_run_of_data_that_have_changed_is_not_taken_for_this_one(
    few: Splits, digits: Splits, minute: Architecture, tmp_path: Path
) -> None:
    """A folder may have grown under the same name."""
    was = digits.record
    assert was is not None
    train(a_run(minute), replace(few, record=was), tmp_path)
    train(a_run(minute), replace(few, record=was), tmp_path, resume=True)
    changed = was.model_copy(update={"parts": was.parts | {"test": was.parts["train"]}})
    assert refusal(a_run(minute), replace(few, record=changed), tmp_path, TrainingError) == (
        f"{tmp_path}: holds a finished run of digits as it was (fingerprint {was.fingerprint}, now "
        f"{changed.fingerprint}). Choose another folder, or give the data of then."
    )


@pytest.mark.parametrize("length", [0, 4, 200, -1])
def test_a_truncated_state_is_named(few: Splits, minute: Architecture, tmp_path: Path, length: int) -> None:
    """The message names the file and what to do about it."""
    interrupt(a_run(minute), few, tmp_path)
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:length])
    message = refusal(a_run(minute), few, tmp_path, ArtifactDamagedError)
    assert message.startswith(f"{tmp_path / STATE}: cannot be resumed from (")
    assert message.endswith("). Remove it to start anew.")


@pytest.mark.parametrize("what", ["tensor", "epochs", "name"])
def test_one_changed_byte_in_a_state_is_found(few: Splits, minute: Architecture, tmp_path: Path, what: str) -> None:
    """In a weight, in the number of epochs or in a name, nothing of which the format itself would notice."""
    interrupt(a_run(minute), few, tmp_path)
    content = (tmp_path / STATE).read_bytes()
    changed = {
        "tensor": content[:-1] + bytes([content[-1] ^ 1]),
        "epochs": content.replace(b'"epochs":"2"', b'"epochs":"1"'),
        "name": content.replace(b'"momentum.0"', b'"momentum.x"'),
    }[what]
    assert changed != content
    (tmp_path / STATE).write_bytes(changed)
    assert refusal(a_run(minute), few, tmp_path, ArtifactDamagedError) == (
        f"{tmp_path / STATE}: cannot be resumed from (it was changed). Remove it to start anew."
    )


def test_a_state_that_was_removed_starts_anew(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """As the message about a damaged one promises; the log begins again too."""
    interrupt(a_run(minute), few, tmp_path)
    (tmp_path / STATE).unlink()
    train(a_run(minute), few, tmp_path)
    assert epochs(tmp_path) == [1, 2, 3, 4, 5]
    assert (tmp_path / CARD).exists()


def test_a_file_is_not_a_folder_to_train_into(few: Splits, minute: Architecture, tmp_path: Path) -> None:
    """Said before anything is trained."""
    out = tmp_path / "model.pt"
    out.write_text("somebody's")
    assert refusal(a_run(minute), few, out, TrainingError, resume=False) == (
        f"{out}: is a file, and a run is a folder. Choose an empty or a new one."
    )
    assert out.read_text() == "somebody's"


def refusal(run: Run, splits: Splits, out: Path, kind: type[OfframpError], *, resume: bool = True) -> str:
    """The message with which a training does not begin."""
    with pytest.raises(kind) as caught:
        train(run, splits, out, resume=resume)
    assert type(caught.value) is kind
    return str(caught.value)
