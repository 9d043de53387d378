"""A reproduction, whole, on real nodes: every section, interrupted and resumed, and on nodes that run already."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from command_line import running
from offramp.artifacts.suite import bundles_in
from offramp.cli import reproduce as verbs
from offramp.errors import InputError, OfframpError
from offramp.paper import run as runner
from offramp.paper import setups as planning
from offramp.paper.reproduction import REPRODUCTION, Reproduction
from offramp.paper.run import Settings, reproduce
from offramp.paper.setups import SECTIONS
from offramp.suite.budget import Clock
from offramp.suite.run import run_suite, suite_settings
from offramp.train.recipe import RECIPES

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
def whole(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reproduction]:
    """Every section, each over as few links and shares of a core as it can do with."""
    with pytest.MonkeyPatch.context() as patch:
        for name, few in (("BASELINE_LINKS", ()), ("REPLY_LINKS", ()), ("RATES", (100,)), ("CORES", (0.5,))):
            patch.setattr(planning, name, few)
        yield reproduce(settings(suite, tmp_path_factory.mktemp("whole")), QUIET)


def accuracies(document: Reproduction) -> list[tuple[object, ...]]:
    """The columns that a repeat must not change, for the paper's section."""
    return [
        (r.setup.model, r.setup.exit, r.setup.plan.threshold, r.outcome)
        for r in document.section("paper")
    ]  # fmt: skip


def test_every_section_is_measured_on_running_nodes(whole: Reproduction) -> None:
    """Nothing is left, every answer that can be held against the offline evaluation agrees, and nobody is missing."""
    assert {row.setup.section for row in whole.rows} == set(SECTIONS)
    assert whole.left == ()
    assert whole.agreement.differing == 0
    assert whole.agreement.compared > 359 * 4 * 2
    for row in whole.rows:
        assert len(row.repeats) == 2
        assert sum(row.outcome.answered.values()) + row.outcome.dropped == row.setup.samples
        assert row.outcome.overall is not None


def test_who_answers_is_as_the_contender_says(whole: Reproduction) -> None:
    """And what is sent is sent: pixels, features, or nothing."""
    for row in whole.rows:
        setup = row.setup
        if setup.contender == "all at the edge":
            assert (row.outcome.count("cloud"), row.bytes_to_cloud) == (0, 0)
        if setup.contender == "all in the cloud":
            assert row.outcome.count("cloud") == setup.samples
            assert row.repeats[0].cloud_ms > 0
        if setup.contender == "all in the cloud" and setup.form == "uint8":
            assert row.bytes_to_cloud > setup.samples * whole.image_bytes
        if setup.contender == "fixed split":
            assert row.outcome.count("cloud") == setup.samples
            assert row.bytes_to_cloud > row.setup.samples * 1024  # exit 2 of preset tiny, a byte a value
        if setup.contender == "cascade" and row.outcome.count("cloud"):
            assert (
                row.outcome.count("cloud") * whole.image_bytes
                < row.bytes_to_cloud
                < row.outcome.count("cloud") * whole.image_bytes + 2000
            )


def test_a_cascade_asks_the_other_network(whole: Reproduction) -> None:
    """Samples leave at the edge as they do without it."""
    by_contender = {row.setup.contender: row for row in whole.section("baselines") if row.setup.link == "1000mbit,1ms"}
    assert by_contender["cascade"].outcome.local == by_contender["local exit"].outcome.local
    assert by_contender["cascade"].outcome.right("edge") == by_contender["local exit"].outcome.right("edge")


def test_a_link_is_felt(whole: Reproduction) -> None:
    """No answer from the cloud comes sooner than there and back."""
    for row in whole.rows:
        fastest = (
            min(r.latency_ms.cloud.p50 for r in row.repeats if r.latency_ms.cloud)
            if row.outcome.count("cloud")
            else None
        )
        if row.setup.section == "bandwidth" and fastest is not None:
            assert fastest >= 10.0


def test_an_interrupted_run_goes_on(
    suite: Path, tmp_path: Path, whole: Reproduction, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By Ctrl-C: what was measured is kept, what is left is measured, and the answers are those of the other run."""
    true: Callable[..., Any] = runner.drive
    calls: list[int] = []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return true(*arguments, **options)

    monkeypatch.setattr(runner, "drive", interrupted)
    part = reproduce(settings(suite, tmp_path, sections=("paper",)), QUIET)
    assert len(part.left) == 3  # one of the four has its second repeat
    assert sum(len(row.repeats) for row in part.rows) == 5
    with pytest.raises(InputError, match="holds a run"):
        reproduce(settings(suite, tmp_path, sections=("paper",)), QUIET)
    monkeypatch.setattr(runner, "drive", true)
    rest = reproduce(settings(suite, tmp_path, sections=("paper",), resume=True), QUIET)
    assert rest.left == ()
    assert accuracies(rest) == accuracies(whole)
    assert Reproduction.read(tmp_path / REPRODUCTION) == rest


def test_nodes_that_run_already_give_the_same_accuracies(suite: Path, tmp_path: Path, whole: Reproduction) -> None:
    """As those in containers do: found by their addresses, asked for the same networks."""
    folders = tuple(map(str, bundles_in(suite)))
    engine = ("--port", "0", "--no-http", "--runtime", "onnxruntime", "--precision", "fp32")
    with (
        running("cloud", *folders, *engine) as cloud,
        running("edge", *folders, "--threshold", "0.3", "--cloud", cloud.address(), *engine) as edge,
    ):
        at = {"edge": edge.address(), "cloud": cloud.address(), "link": "loopback", "repeats": 1}
        found = reproduce(settings(suite, tmp_path / "out", **at), QUIET)
        assert found.topology == "containers"
        assert {row.setup.section for row in found.rows} == {"paper", "baselines", "drop", "reply"}
        assert accuracies(found) == accuracies(whole)


def test_an_edge_with_other_networks_is_refused(suite: Path, tmp_path: Path) -> None:
    """Before anything is measured."""
    first, _ = bundles_in(suite)
    engine = ("--port", "0", "--no-http", "--runtime", "onnxruntime", "--precision", "fp32")
    with (
        running("edge", str(first), "--cut", "9", *engine) as edge,
        pytest.raises(OfframpError, match=r"serves standard, and not sem-2 in bundle"),
    ):
        reproduce(settings(suite, tmp_path, edge=edge.address(), link="loopback"), QUIET)


def test_an_unknown_link_is_refused_before_anything_is_written(suite: Path, tmp_path: Path) -> None:
    """With the presets that there are."""
    with pytest.raises(InputError, match=r"link 'wlan': no preset of that name.*wifi, lte, 3g, satellite"):
        reproduce(settings(suite, tmp_path / "out", link="wlan"), QUIET)
    assert not (tmp_path / "out").exists()


def test_the_demo_is_the_papers_section_measured_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It trains what is not there, measures with every answer held, and writes the report; again, it measures."""
    monkeypatch.setattr(verbs, "NINE", "sem-2")
    verbs.demo(tmp_path, seed=3)
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
    verbs.demo(tmp_path, seed=3)
    second = Reproduction.read(tmp_path / REPRODUCTION)
    assert accuracies(second) == accuracies(first)
    assert second.rows != first.rows  # other latencies
    assert report.exists()
    assert (tmp_path / "suite" / "runs" / "joint" / "sem-2-seed-3" / "model.safetensors").stat().st_mtime_ns == weights
