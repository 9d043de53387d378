"""What several test files share: the command line, and a small trained network as checkpoint and bundle."""

import fcntl
import io
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from pathlib import Path

# Before torch is imported: pools of several processes that spin for the same cores take minutes for seconds' work.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import hypothesis
import pytest
import torch

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.names import parse_exits
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.views import ViewsFolder
from offramp.cli import main
from offramp.data.image_set import SPLITS, Splits
from offramp.data.load import load
from offramp.data.load_views import load_views
from offramp.data.view_set import ViewSplits
from offramp.export.views import export_views
from offramp.export.write import export
from offramp.measure.predict import of_bundle
from offramp.models.architecture import preset
from offramp.models.checkpoint import Checkpoint
from offramp.models.views import ViewsNetwork
from offramp.train.loop import Run, train
from offramp.train.recipe import recipe
from offramp.train.views import ViewsRecipe, takes_of, train_views

# A machine that others use stalls: 200 ms an example, its default, is a bound on the clock.
hypothesis.settings.register_profile("offramp", deadline=None)
hypothesis.settings.load_profile("offramp")

MadeOnce = Callable[[str, Callable[[Path], object]], Path]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole nodes first: their files take longest, and what is run last should leave no worker waiting for another."""
    items.sort(key=lambda item: "system" not in item.path.parts)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What nodes choose under test is kept for the tests, and not in the user's own cache."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OFFRAMP_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def drawn_alike() -> None:
    """Weights that a test draws are the same in each run: those of a bad day would make it fail once in hundreds."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def digits() -> Splits:
    """The digits at the size of the tiny preset."""
    return load("digits", (1, 16, 16))


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Makes a folder by the first of a run's processes that asks for its name: what takes seconds takes them once.

    Each gets a copy of its own, and may write into it.
    """
    # Mutation testing runs a few tests hundreds of times, and names a folder where what is made is kept.
    kept, base = os.environ.get("OFFRAMP_TESTS_NETWORK"), tmp_path_factory.getbasetemp()
    shared = Path(kept) if kept else base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, make: Callable[[Path], object]) -> Path:
        whole, unfinished = shared / f"made-{name}", shared / f"unfinished-{name}"
        shared.mkdir(parents=True, exist_ok=True)
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not whole.exists():
                shutil.rmtree(unfinished, ignore_errors=True)
                make(unfinished)
                unfinished.rename(whole)
        return Path(shutil.copytree(whole, tmp_path_factory.mktemp(name) / name))

    return made


@pytest.fixture(scope="session")
def checkpoint(digits: Splits, made_once: MadeOnce) -> Checkpoint:
    """MEM, trained just long enough to be sure of some digits and unsure of others at every exit from 2 on."""

    def make(folder: Path) -> None:
        architecture = preset("tiny").architecture(parse_exits("mem", 9), digits.train.classes)
        settings = Run(architecture, recipe("digits").but(epochs=6), "digits", 0)
        # On one thread, the weights do not depend on how many cores there are or how many test processes share them.
        export(train(settings, digits, folder, threads=1), folder / "bundle", digits.calibration)

    return Checkpoint.open(made_once("checkpoint", make))


@pytest.fixture(scope="session")
def bundle(checkpoint: Checkpoint) -> Bundle:
    """The network as nodes run it."""
    return Bundle.open(checkpoint.path / "bundle")


@pytest.fixture(scope="session")
def int8_bundle(checkpoint: Checkpoint, digits: Splits, made_once: MadeOnce) -> Bundle:
    """The same with an int8 graph beside the other."""
    return Bundle.open(made_once("int8", lambda folder: export(checkpoint, folder, digits.calibration, int8=True)))


@pytest.fixture(scope="session")
def seen_views() -> ViewSplits:
    """Three of the six devices that see the digits."""
    splits = load_views("digits", train=640)
    parts = {name: splits.part(name).only(("view-1", "view-2", "view-5")) for name in SPLITS}
    return ViewSplits(**parts)


@pytest.fixture(scope="session")
def views(seen_views: ViewSplits, made_once: MadeOnce) -> ViewsFolder:
    """A network of these three, trained for bits just long enough that joined they know more than each alone."""

    def make(folder: Path) -> None:
        train = seen_views.train
        document = ViewsNetwork(takes=takes_of(train), classes=train.classes, join="concat", bits=True, front=(8, 8, 8))
        trained = train_views(document, seen_views, ViewsRecipe(epochs=8), 0, threads=1)
        export_views(trained, folder, seen_views.calibration, "digits")

    return ViewsFolder.open(made_once("views", make))


@pytest.fixture(scope="session")
def predictions(bundle: Bundle, digits: Splits) -> Predictions:
    """Its logits at every exit on the test set."""
    return of_bundle(bundle).predict(digits.test, "test")


@pytest.fixture(scope="session")
def predictions_file(predictions: Predictions, bundle: Bundle) -> Path:
    """The same as a file."""
    path = bundle.path.parent / "predictions.parquet"
    predictions.write(path)
    return path


def _offramp(*arguments: str, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    out, err, code = io.StringIO(), io.StringIO(), 0
    with chdir(cwd or "."), redirect_stdout(out), redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def offramp() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs the program as a user does, but in this process: a new one takes seconds to import what is here already."""
    return _offramp


@pytest.fixture(scope="session")
def refusal() -> Callable[..., str]:
    """Runs the program expecting it to refuse with exit code 2 and one message; gives the message."""

    def refused(*arguments: str) -> str:
        done = _offramp(*arguments)
        assert done.returncode == 2, done.stdout + done.stderr
        assert done.stderr.startswith("offramp: error: "), done.stderr
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr.removeprefix("offramp: error: ").rstrip("\n")

    return refused
