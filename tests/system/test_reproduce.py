"""A reproduction, whole, on real nodes: every section, interrupted and resumed, and on nodes that run already."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from certificates import Authority, secret, token
from command_line import running
from made_up_profile import made_up_profile
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.suite import bundles_in
from offramp.cli.reproduce import measure_digits
from offramp.cli.reproduce_tiers import Asked as Chains
from offramp.cli.reproduce_tiers import reproduce_tiers
from offramp.errors import InputError, OfframpError
from offramp.exits.answers import Tier
from offramp.exits.evaluation import route
from offramp.paper import planned
from offramp.paper.reproduction import REPRODUCTION, Reproduction, Row
from offramp.paper.run import PREDICTIONS, Settings, reproduce
from offramp.paper.setups import SECTIONS, Varied
from offramp.paper.stage import Nodes, Own, Stage, processes
from offramp.protocol.credentials import Credentials
from offramp.suite.budget import Clock
from offramp.suite.run import run_suite, suite_settings
from offramp.train.recipe import RECIPES
from reproductions import build_reproduction

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks, trained until some digits leave at exit 2 and some do not."""
    out = tmp_path_factory.mktemp("suite")
    settings = suite_settings(
        data="digits", preset_name="tiny", recipe=RECIPES["digits"].but(epochs=5), models="standard,sem-2",
        regimes="joint", seeds="0",
    )  # fmt: skip
    run_suite(settings, out, clock=Clock(None), console=QUIET, threads=1)
    return out


def settings(suite: Path, out: Path, **changes: Any) -> Settings:
    """Few samples, two repeats."""
    values: dict[str, Any] = {"suite": suite, "out": out, "repeats": 2, "samples": 64, "link": "1000mbit,1ms"}
    return Settings(**(values | changes))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the whole."""
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(suite: Path, folder: Path) -> Reproduction:
    """Every section, each over as few links and shares of a core as it can do with."""
    few = Varied(baseline_links=(), reply_links=(), rates=(100,), cores=(0.5,))
    with pytest.MonkeyPatch.context() as patch:  # profiling has tests of its own, and takes a minute
        patch.setattr(planned, "profile_device", lambda bundle, *_: made_up_profile(bundle))
        return reproduce(settings(suite, folder, varied=few), QUIET)


def outcomes(document: Reproduction) -> list[tuple[object, ...]]:
    """What a repeat must not change, for the paper's section."""
    return [(row.setup.model, row.setup.plan, row.outcome) for row in document.section("paper")]


def of(whole: Reproduction, contender: str) -> list[Row]:
    """The rows of a contender: some, or there is nothing to hold."""
    rows = [row for row in whole.rows if row.setup.contender == contender]
    assert rows
    return rows


def test_every_section_is_measured_on_running_nodes(whole: Reproduction) -> None:
    """Nothing is left, every answer that can be held against the offline evaluation agrees, and nobody is missing."""
    assert {row.setup.section for row in whole.rows} == set(SECTIONS)
    assert whole.left == ()
    assert whole.agreement.differing == 0
    assert {one.link for one in whole.planned} == {row.setup.link for row in of(whole, "planned")} == {"1000mbit,1ms"}
    exits = ("local exit", "planned")
    fp32 = [row for row in whole.rows if row.setup.plan.codec == "fp32" and row.setup.contender in exits]
    held = sum(row.setup.samples for row in [*fp32, *of(whole, "all at the edge")])
    assert whole.agreement.compared + whole.agreement.ties == 2 * held >= 2 * 359 * 4
    for row in whole.rows:
        assert len(row.repeats) == 2
        assert sum(row.outcome.answered.values()) + row.outcome.dropped == row.setup.samples
        assert row.outcome.overall is not None


def test_who_answers_is_as_the_contender_says(whole: Reproduction) -> None:
    """And what is sent is sent: pixels, features, or nothing."""
    for row in of(whole, "all at the edge"):
        assert (row.outcome.answered, row.bytes_to_cloud) == ({"edge": row.setup.samples}, 0)
    for row in of(whole, "all in the cloud"):
        assert row.outcome.answered == {"cloud": row.setup.samples}
        assert row.repeats[0].cloud_ms > 0
    uint8 = [row for row in of(whole, "all in the cloud") if row.setup.form == "uint8"]
    assert uint8
    for row in uint8:
        assert row.bytes_to_cloud > row.setup.samples * whole.image_bytes
    for row in of(whole, "fixed split"):
        assert row.outcome.answered == {"cloud": row.setup.samples}
        assert row.bytes_to_cloud > row.setup.samples * 1024  # exit 2 of preset tiny, a byte a value
    for row in of(whole, "cascade"):
        images = row.outcome.count("cloud") * whole.image_bytes
        assert 0 < images < row.bytes_to_cloud < images + 2000


def test_a_cascade_asks_the_other_network(whole: Reproduction, folder: Path) -> None:
    """Samples leave at the edge as they do without it, and the others are answered as that network does."""
    (row,) = of(whole, "cascade")
    sem, standard = (
        Predictions.read(folder / PREDICTIONS / f"{name}.parquet").rows(slice(0, row.setup.samples))
        for name in ("sem-2", "standard")
    )
    goes = route(sem, Plan.of(2, row.setup.plan.threshold)).tier == Tier.CLOUD
    assert row.outcome.answered == {"edge": (~goes).sum(), "cloud": goes.sum()}
    assert row.outcome.right("cloud") == (standard.at(9).argmax(1) == standard.labels)[goes].mean()


def test_a_link_is_felt(whole: Reproduction) -> None:
    """No answer from the cloud comes sooner than there and back."""
    fastest = [
        repeat.latency_ms["cloud"].p50
        for row in whole.section("bandwidth")
        for repeat in row.repeats
        if row.outcome.count("cloud")
    ]
    assert len(fastest) >= 2
    assert min(fastest) >= 10.0


class Interrupted(Nodes):
    """Nodes under which Ctrl-C is pressed when the cloud's time is read for the eleventh time: in the sixth repeat."""

    def cloud_seconds(self) -> float:
        if next(READINGS) == 10:
            raise KeyboardInterrupt
        return super().cloud_seconds()


READINGS = itertools.count()


@dataclass(frozen=True)
class Pressed:
    """A stage of such nodes."""

    stage: Stage

    @contextmanager
    def nodes(self, link_text: str, cores: float | None, own: Own | None = None) -> Iterator[Nodes]:
        with self.stage.nodes(link_text, cores, own) as nodes:
            yield Interrupted(nodes.edge, nodes.cloud, nodes.front, nodes.planned, nodes.counts)


def test_an_interrupted_run_goes_on(suite: Path, tmp_path: Path, whole: Reproduction) -> None:
    """By Ctrl-C: what was measured is kept, what is left is measured, and the answers are those of the other run."""
    papers = settings(suite, tmp_path, sections=("paper",))
    with processes(bundles_in(suite), None) as stage:
        part = reproduce(papers, QUIET, Pressed(stage))
        assert len(part.left) == 3  # one of the four has its second repeat
        assert sum(len(row.repeats) for row in part.rows) == 5
        with pytest.raises(InputError, match="holds a run"):
            reproduce(papers, QUIET, stage)
        rest = reproduce(replace(papers, resume=True), QUIET, stage)
    assert rest.left == ()
    assert outcomes(rest) == outcomes(whole)
    assert Reproduction.read(tmp_path / REPRODUCTION) == rest


def test_nodes_that_run_already_give_the_same_outcomes(suite: Path, tmp_path: Path, whole: Reproduction) -> None:
    """As those in containers do: found by their addresses, asked for the same networks; here by TLS, with a token."""
    folders, value, ca = tuple(map(str, bundles_in(suite))), token(), Authority(tmp_path)
    node, mine = ca.signed("node"), secret(tmp_path / "mine", value)
    engine = ("--port", "0", "--no-http", "--runtime", "onnxruntime", "--precision", "fp32")
    tls = ("--tls-cert", node.cert, "--tls-key", node.key, "--tls-client-ca", ca.ca)
    door = (*tls, "--tokens", secret(tmp_path / "tokens", f"all infer,read {value}"))
    shown = ("--cloud-tls-ca", ca.ca, "--cloud-tls-cert", node.cert, "--cloud-tls-key", node.key)
    by = Credentials(ca=ca.ca, cert=node.cert, key=node.key, token_file=mine)
    with (
        running("cloud", *folders, *engine, *door) as cloud,
        running(
            "edge", *folders, "--threshold", "0.3", "--cloud", cloud.address(), *engine, *door, *shown,
            "--cloud-token-file", mine,
        ) as edge,
    ):  # fmt: skip
        at = {"edge": edge.address(), "cloud": cloud.address(), "credentials": by, "link": "loopback", "repeats": 1}
        found = reproduce(settings(suite, tmp_path / "out", **at), QUIET)
        assert found.topology == "containers"
        assert {row.setup.section for row in found.rows} == {"paper", "baselines", "drop", "reply"}
        assert outcomes(found) == outcomes(whole)


def test_an_edge_with_other_networks_is_refused(suite: Path, tmp_path: Path) -> None:
    """Before anything is measured."""
    first, _ = bundles_in(suite)
    engine = ("--port", "0", "--no-http", "--runtime", "onnxruntime", "--precision", "fp32")
    with (
        running("edge", str(first), "--cut", "9", *engine) as edge,
        pytest.raises(OfframpError, match=r"serves standard, and not sem-2 in bundle"),
    ):
        reproduce(settings(suite, tmp_path, edge=edge.address(), link="loopback"), QUIET)


def test_chains_are_not_measured_beside_a_run_of_other_networks(suite: Path, tmp_path: Path) -> None:
    """They would be no section of its report."""
    build_reproduction(exits=(3,), sections=()).write(tmp_path / REPRODUCTION)
    asked = Chains(suite, tmp_path, None, None, 1, 8, (), near="loopback", far="loopback")
    with pytest.raises(InputError, match=r"holds a run of other networks\. Choose another folder by --out\."):
        reproduce_tiers(asked)
    assert [path.name for path in tmp_path.iterdir()] == [REPRODUCTION]


def test_an_unknown_link_is_refused_before_anything_is_written(suite: Path, tmp_path: Path) -> None:
    """With the presets that there are."""
    with pytest.raises(InputError, match=r"link 'wlan': no preset of that name.*wifi, lte, 3g, satellite"):
        reproduce(settings(suite, tmp_path / "out", link="wlan"), QUIET)
    assert not (tmp_path / "out").exists()


def test_the_demo_is_the_papers_section_measured_anew(tmp_path: Path) -> None:
    """It trains what is not there, measures with every answer held, and writes the report; again, it measures."""
    measure_digits(tmp_path, "sem-2", epochs=2, seed=3)
    first = Reproduction.read(tmp_path / REPRODUCTION)
    assert [model.model for model in first.models] == ["sem-2"]
    assert first.trained.seed == 3
    assert {row.setup.section for row in first.rows} == {"paper"}
    assert (len(first.rows), first.repeats, first.left) == (4, 3, ())
    assert first.agreement.compared + first.agreement.ties == 3 * 4 * first.test_samples
    assert first.agreement.differing == 0
    weights = (tmp_path / "suite" / "runs" / "joint" / "sem-2-seed-3" / "model.safetensors").stat().st_mtime_ns
    report = tmp_path / "report.html"
    report.unlink()
    measure_digits(tmp_path, "sem-2", epochs=2, seed=3)
    second = Reproduction.read(tmp_path / REPRODUCTION)
    assert outcomes(second) == outcomes(first)
    assert second.rows != first.rows  # other latencies
    assert report.exists()
    assert (tmp_path / "suite" / "runs" / "joint" / "sem-2-seed-3" / "model.safetensors").stat().st_mtime_ns == weights
