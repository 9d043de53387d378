"""The suite: what it trains, that it stops in time and goes on, and which folders it refuses."""

import io
import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from offramp.artifacts.data_record import DataSource
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.suite import PREDICTIONS, SUITE, Suite, SuiteSettings
from offramp.errors import InputError, TrainingError
from offramp.exits.evaluation import accuracy_at
from offramp.models.checkpoint import Checkpoint
from offramp.suite.budget import Clock
from offramp.suite.run import run_suite, suite_settings
from offramp.train.loop import STATE
from offramp.train.recipe import RECIPES
from offramp.train.regimes.settings import RegimeSettings

QUIET = Console(quiet=True)
THRESHOLDS = (0.3, 0.8)


def settings(**changes: object) -> SuiteSettings:
    """Two models under two regimes, two epochs each."""
    values: dict[str, object] = {
        "data": "digits", "preset_name": "tiny", "recipe": RECIPES["digits"].but(epochs=2),
        "models": "sem-2,2+5", "regimes": "joint,mixed", "seeds": "0",
    }  # fmt: skip
    return suite_settings(**(values | changes))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished suite, that was interrupted by its budget at the first possibility."""
    out = tmp_path_factory.mktemp("suite")
    begun = run_suite(settings(), out, clock=Clock(0), console=QUIET)
    assert begun.runs == ()
    assert [str(key) for key in begun.left] == [
        "sem-2 joint seed 0",
        "exits-2-5 joint seed 0",
        "exits-2-5 mixed seed 0",
    ]
    run_suite(settings(), out, thresholds=THRESHOLDS, clock=Clock(None), console=QUIET)
    return out


def test_single_exit_models_are_trained_under_the_first_regime_alone() -> None:
    """Unless crossed with the others; and one seed is whole before the next begins."""
    once = settings(models="sem-2,mem", seeds="0,1")
    assert [str(key) for key in once.planned()] == [
        f"{model} seed {seed}" for seed in (0, 1) for model in ("sem-2 joint", "mem joint", "mem mixed")
    ]
    assert len(settings(models="sem-2,mem", cross=True).planned()) == 4


def test_a_recipes_own_regime_is_known_by_its_name(tmp_path: Path) -> None:
    """One that no name stands for, from a recipe's document; it is trained as it is written there."""
    mine = RegimeSettings(name="mine", teacher="ensemble", distill_share=0.5)
    recipe = RECIPES["digits"].but(epochs=1, regime=mine)
    own = settings(recipe=recipe, models="2+5", regimes="joint,mine")
    assert own.own_regimes == {"mine": mine.model_dump(mode="json")}
    run_suite(own, tmp_path, clock=Clock(None), console=QUIET)
    found = Checkpoint.open(tmp_path / "runs/mine/exits-2-5-seed-0").card.recipe["regime"]
    assert found == mine.model_dump(mode="json")


def test_a_run_stopped_by_the_budget_can_be_resumed(tmp_path: Path) -> None:
    """By a clock that ticks when it is looked at: after one of two epochs the state is there, and no checkpoint."""
    stopped = run_suite(
        settings(models="2+5", regimes="joint"), tmp_path, clock=Clock(4, now=itertools.count().__next__), console=QUIET
    )
    assert stopped.runs == ()
    assert (tmp_path / "runs/joint/exits-2-5-seed-0" / STATE).exists()
    assert Suite.read(tmp_path / SUITE).left == stopped.left


def test_each_run_is_a_checkpoint_with_its_log_and_predictions(folder: Path) -> None:
    """And the summary's numbers are theirs."""
    suite = Suite.read(folder / SUITE)
    assert suite.left == ()
    assert suite.test_samples == 359
    for run in suite.runs:
        checkpoint = Checkpoint.open(folder / run.key.folder)
        assert checkpoint.card.recipe["regime"]["name"] == run.key.regime
        predictions = Predictions.read(folder / run.key.folder / PREDICTIONS)
        assert run.test_accuracy == {k: accuracy_at(predictions, k) for k in run.exits}
        assert [point.epoch for point in run.training] == [1, 2]
        assert run.training[-1].validation_accuracy == checkpoint.card.validation_accuracy
        assert [(at.exit, at.threshold) for at in run.tiered] == [(k, t) for k in run.exits[:-1] for t in THRESHOLDS]
        assert sum(run.stage_macs.values()) > 2_500_000


def test_finished_runs_are_not_trained_again(folder: Path) -> None:
    """Nothing in the folder changes."""
    before = (folder / SUITE).read_bytes()
    run_suite(settings(), folder, clock=Clock(None), console=QUIET)
    assert (folder / SUITE).read_bytes() == before


def test_a_suite_may_grow(folder: Path) -> None:
    """By models, regimes and seeds: what is finished stays, what is new is left to do."""
    grown = run_suite(settings(models="sem-2,2+5,mem", seeds="0,1"), folder, clock=Clock(0), console=QUIET)
    assert len(grown.runs) == 3
    assert [str(key) for key in grown.left if key.seed == 0] == ["mem joint seed 0", "mem mixed seed 0"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"recipe": RECIPES["digits"].but(epochs=3)},
            "holds a suite with another recipe: {'epochs': 2}, asked for is {'epochs': 3}. ",
        ),
        ({"head": "conv"}, "holds a suite with another head: 'linear', asked for is 'conv'. Choose another folder."),
        (
            {"regimes": "mixed"},
            "holds a suite that compares with regime joint, asked for is mixed. Name joint first, or choose another "
            "folder.",
        ),
    ],
)
def test_a_folder_of_another_suite_is_refused(folder: Path, changes: dict[str, object], message: str) -> None:
    """Numbers of different recipes are not put side by side."""
    with pytest.raises(TrainingError) as caught:
        run_suite(settings(**changes), folder, clock=Clock(None), console=QUIET)
    assert str(caught.value).startswith(f"{folder}: {message}")


def test_a_suite_is_not_gone_on_with_on_data_that_have_changed(tmp_path: Path) -> None:
    """Runs side by side have one test set; a folder may have grown under the same name."""
    random, data = np.random.default_rng(0), tmp_path / "data"
    for name, count in (("cat", 30), ("owl", 30)):
        (data / name).mkdir(parents=True)
        for number in range(count):
            Image.fromarray(random.integers(0, 256, (16, 16), np.uint8)).save(data / name / f"{number}.png")
    asked = {"data": str(data), "recipe": RECIPES["digits"].but(epochs=1), "regimes": "joint"}
    out = tmp_path / "suite"
    run_suite(settings(**asked, models="sem-2"), out, clock=Clock(None), console=QUIET)
    grown = run_suite(settings(**asked, models="sem-2", seeds="0,1"), out, clock=Clock(None), console=QUIET)
    assert len(grown.runs) == 2

    Image.fromarray(random.integers(0, 256, (16, 16), np.uint8)).save(data / "owl" / "new.png")
    with pytest.raises(TrainingError) as caught:
        run_suite(settings(**asked, models="sem-2,sem-3"), out, clock=Clock(None), console=QUIET)
    assert str(caught.value) == (
        f"{out}: holds runs of {data} as it was: 60 images, and now there are 61 or other ones in its test set. "
        "Choose another folder, or give the data of then."
    )


def test_a_file_is_no_folder_for_a_suite(tmp_path: Path) -> None:
    """Said before anything is trained."""
    (tmp_path / "file").write_text("")
    with pytest.raises(TrainingError, match="is a file, and a suite is a folder"):
        run_suite(settings(), tmp_path / "file", clock=Clock(None), console=QUIET)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"models": "sem-9"}, "model 'sem-9': unknown. Choose standard, sem-1 to sem-8, mem, or list exits"),
        ({"regimes": "joint,magic"}, "regime 'magic': unknown. Choose one of joint, early, "),
        ({"seeds": "0,one"}, "seeds '0,one': expected whole numbers like 0,1,2."),
        ({"preset_name": "huge"}, "preset 'huge': unknown. Choose one of tiny, small, medium, slim, full."),
        ({"head": "deep"}, "head 'deep': unknown. Choose one of linear, conv."),
        ({"bottlenecks": {9: 3}}, "bottlenecks: a boundary must lie within 1 to 8, got 9."),
    ],
)
def test_what_is_not_known_is_refused(changes: dict[str, object], message: str) -> None:
    """Before a folder is made."""
    with pytest.raises(InputError) as caught:
        settings(**changes)
    assert str(caught.value).startswith(message)


def test_the_summary_is_a_document(folder: Path) -> None:
    """With a format and a version, and read back as it was written."""
    raw = json.loads((folder / SUITE).read_text())
    assert (raw["format"], raw["version"]) == ("offramp.suite", 2)
    assert Suite.read(folder / SUITE).to_json() == (folder / SUITE).read_text()


def test_what_stands_in_for_parts_of_the_data_is_part_of_the_settings(tmp_path: Path) -> None:
    """A suite of the data as they are is written as before there was any of it, but for how images are read."""
    plain = settings()
    assert plain == settings(data=DataSource(data="digits"))
    assert {"source", "reading"} & set(plain.model_dump(mode="json")) == {"reading"}
    mirrored = settings(data=DataSource(data="digits", mirror=True))
    assert mirrored.source is not None
    done = run_suite(mirrored, tmp_path, clock=Clock(0.0), console=Console(file=(said := io.StringIO())))
    assert done.settings.source == mirrored.source
    assert "mirrored: yes, as asked for" in said.getvalue()
    with pytest.raises(TrainingError, match="holds a suite with another source"):
        run_suite(plain, tmp_path, clock=Clock(0.0), console=Console(quiet=True))


@pytest.mark.parametrize(("split", "reading"), [("position", "plain"), ("content", "upright")])
def test_a_suite_of_before_goes_on_reading_as_it_began(split: str, reading: str) -> None:
    """It says nothing of it."""
    before = SuiteSettings.model_validate(settings().model_dump(exclude={"reading"}) | {"split": split})
    assert (before.reading, before.read_as) == (None, reading)
    assert settings().read_as == "reduced"
