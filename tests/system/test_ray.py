"""A cloud on a Ray cluster: the same answers, through the front and Ray's proxies; ends and errors.

Machines that are killed stand in `benchmarks/ray.py`: a cluster of several takes a minute to come.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.suite import SUITE, Suite
from offramp.children import Child
from offramp.errors import LinkError
from offramp.models.checkpoint import CARD, ModelCard
from offramp.suite.budget import Clock
from offramp.suite.lease import begun
from offramp.suite.run import run_suite, suite_settings
from offramp.train.loop import STATE
from offramp.train.recipe import RECIPES
from until import until

pytest.importorskip("ray", reason="ray is not installed")

from offramp.nodes.ray.cluster import alive
from ray_load import Load
from raylets import SETTINGS, Raylets, raylets, why_none

WAIT = 120.0  # seconds: who starts on a cluster starts processes there
PROXY = 19000

pytestmark = [
    pytest.mark.skipif(bool(why_none()), reason=why_none()),
    pytest.mark.timeout(600),
]


@pytest.fixture(scope="module")
def machines() -> Iterator[Raylets]:
    """One of four cores beside its head."""
    with pytest.MonkeyPatch.context() as environment, raylets(1) as found:
        for name, value in SETTINGS.items():
            environment.setenv(name, value)
        yield found


@pytest.fixture(scope="module")
def cluster(machines: Raylets) -> str:
    """HOST:PORT of the head."""
    return machines.address


def front(bundle: Bundle | Path, cluster: str, *more: str) -> Child:
    """Start one."""
    path = str(bundle.path if isinstance(bundle, Bundle) else bundle)
    arguments = ("serve", "cloud", path, "--engine", "ray", "--ray-address", cluster, "--port", "0", *more)
    return Child("the front", ("-m", "offramp", *arguments), "", kept=True)


def refused(bundle: Bundle | Path, cluster: str, *more: str) -> str:
    """What one says that does not come about: one line, and exit code 2."""
    with front(bundle, cluster, *more) as failing:
        with pytest.raises(LinkError):
            failing.address(WAIT)
        assert failing.why() == "exit code 2", "".join(failing.output)
        lines = [line for line in failing.output if line.startswith("offramp: error: ")]
        assert len(lines) == 1, "".join(failing.output)
        return lines[0]


def actors() -> list[str]:
    """The replicas, and what else of Ray Serve's, that run on this machine."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True, timeout=30).stdout
    return [line for line in found.splitlines() if line.startswith(("ray::Serve", "ray::Proxy"))]


def test_replicas_answer_as_the_network_alone_and_go_with_their_front(bundle: Bundle, cluster: str) -> None:
    """Through the front and through Ray's proxy: each sample of the test set, from several clients."""
    with front(bundle, cluster, "--replicas", "2", "--replica-cpus", "0.5", "--ray-proxy", str(PROXY)) as node:
        for address, application in ((node.address(WAIT), None), (f"127.0.0.1:{PROXY}", "offramp")):
            load = Load(bundle, 3, address, 4, application)
            load.clients[0].peer.wait_ready(WAIT)
            load.rush(120)
            assert load.told() == {"answered": 120, "wrong": 0, "failed": 0, "first_failures": []}
        said = refused(bundle, cluster, "--replica-cpus", "0.5")
        assert "another front balances over it" in said
    until(lambda: not actors())


def test_a_replica_that_is_killed_loses_nothing(bundle: Bundle, cluster: str) -> None:
    """What it was asked is asked of the other; nobody is answered twice."""
    with front(bundle, cluster, "--replicas", "2", "--replica-cpus", "0.5") as node:
        load = Load(bundle, 3, node.address(WAIT), 4)
        load.clients[0].peer.wait_ready(WAIT)
        answered = len(load.clients[0].seconds)

        def kill() -> None:
            until(lambda: len(load.clients[0].seconds) > answered + 20)
            replica = subprocess.run(["pgrep", "-f", "^ray::ServeReplica"], capture_output=True, text=True, timeout=30)
            os.kill(int(replica.stdout.split()[0]), signal.SIGKILL)

        killing = threading.Thread(target=kill)
        killing.start()
        load.rush(1200)
        killing.join(WAIT)
        assert load.told() == {"answered": 1200, "wrong": 0, "failed": 0, "first_failures": []}
        assert any(": lost (" in line for line in node.output)
    until(lambda: not actors())


def test_what_cannot_be_says_so_and_leaves_nothing(bundle: Bundle, machines: Raylets, tmp_path: Path) -> None:
    """Fewer cores than asked; a bundle that the replicas cannot read; a cluster that is not there."""
    cluster = machines.address
    assert "room for 4" in refused(bundle, cluster, "--replicas", "5")
    hidden = Path(shutil.copytree(bundle.path, tmp_path / "hidden"))
    machines.machines[0].hide(hidden)
    assert f"on a machine of the cluster: {hidden}: not a bundle" in refused(hidden, cluster)
    host, _, port = cluster.partition(":")
    assert f"no Ray cluster answers at {host}:1 " in refused(bundle, f"{host}:1")
    assert alive(f"{host}:{port}") is None
    assert not actors()


def test_a_suite_on_a_cluster_is_that_of_one_machine_though_a_run_is_killed(cluster: str, tmp_path: Path) -> None:
    """Which goes on from its last epoch: to the same weights and figures."""
    settings = suite_settings(
        data="digits", preset_name="tiny", recipe=RECIPES["digits"].but(epochs=5), models="sem-2,2+5",
        regimes="joint", seeds="0",
    )  # fmt: skip
    one = run_suite(settings, tmp_path / "one", clock=Clock(None), console=Console(quiet=True), threads=1)
    words = ("--models", "sem-2,2+5", "--epochs", "5", "--engine", "ray", "--ray-address", cluster)
    command = (sys.executable, "-m", "offramp", "suite", "digits", "--out", str(tmp_path / "two"), *words)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as suite:
        run = tmp_path / "two" / one.runs[1].key.folder
        until(lambda: (run / STATE).exists(), within=WAIT)
        for pid in subprocess.run(["pgrep", "-f", "^ray::_train"], capture_output=True, text=True).stdout.split():
            os.kill(int(pid), signal.SIGKILL)
        printed = suite.communicate(timeout=4 * WAIT)[0]
    assert suite.returncode == 0, printed
    two = Suite.read(tmp_path / "two" / SUITE)
    assert [run.key for run in two.runs] == [run.key for run in one.runs]
    for alone, there in zip(one.runs, two.runs, strict=True):
        assert (there.test_accuracy, there.training) == (alone.test_accuracy, alone.training)
        weights = [ModelCard.read(tmp_path / name / alone.key.folder / CARD).weights_sha256 for name in ("one", "two")]
        assert weights[0] == weights[1]
    assert [one["from_epoch"] == 0 for one in begun(run)] == [True, False], printed
    assert "from epoch" in printed


def test_the_load_tells_what_went_wrong(bundle: Bundle) -> None:
    """Else nothing above would be seen."""
    script = Path(sys.modules["ray_load"].__file__ or "")
    asked = [sys.executable, str(script), str(bundle.path), "127.0.0.1:1", "--clients", "1", "--requests", "1"]
    told = json.loads(subprocess.run(asked, capture_output=True, text=True, check=True, timeout=WAIT).stdout)
    assert [told["answered"], told["failed"]] == [0, 1]
