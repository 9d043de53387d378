"""A reproduction, whole, on real nodes: every section, interrupted and resumed, and on nodes that run already."""

from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from command_line import running
from offramp.artifacts.suite import bundles_in
from offramp.cli.reproduce import run_demo
from offramp.errors import InputError, OfframpError
from offramp.paper.progress import Live
from offramp.paper.reproduction import REPRODUCTION, Reproduction, Row, Setup
from offramp.paper.run import Settings, reproduce
from offramp.paper.setups import SECTIONS, Sweep
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
def whole(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> Reproduction:
    """Every section, each over as few links and shares of a core as it can do with."""
    few = Sweep(baseline_links=(), reply_links=(), rates=(100,), cores=(0.5,))
    return reproduce(settings(suite, tmp_path_factory.mktemp("whole"), sweep=few), QUIET)


def accuracies(document: Reproduction) -> list[tuple[object, ...]]:
    """The columns that a repeat must not change, for the paper's section."""
    return [(r.setup.model, r.setup.plan, r.outcome) for r in document.section("paper")]


def test_every_section_is_measured_on_running_nodes(whole: Reproduction) -> None:
    """Nothing is left, every answer that can be held against the offline evaluation agrees, and nobody is missing."""
    assert {row.setup.section for row in whole.rows} == set(SECTIONS)
    assert whole.left == ()
    assert whole.agreement.differing == 0
    assert whole.agreement.compared > 359 * 4 * 2
    for row in whole.rows:
        assert len(row.repeats) == 2
        assert sum(row.outcome.answered.values()) + row.outcome.dropped == row.outcome.n == row.setup.samples
        assert row.outcome.overall is not None


def by(whole: Reproduction, contender: str, *sections: str) -> list[Row]:
    """The rows of a contender, in some sections or all; there are some."""
    found = [r for r in whole.rows if r.setup.contender == contender and r.setup.section in (sections or SECTIONS)]
    assert found, (contender, sections)
    return found


def test_all_at_the_edge_sends_nothing(whole: Reproduction) -> None:
    """Nobody is forwarded."""
    for row in by(whole, "all at the edge"):
        assert (row.outcome.answered, row.bytes_to_cloud) == ({"edge": row.setup.samples}, 0)


def test_all_in_the_cloud_sends_every_image(whole: Reproduction) -> None:
    """And the cloud takes its time for them."""
    rows = by(whole, "all in the cloud")
    assert {row.setup.form for row in rows} == {"uint8", "jpeg"}
    for row in rows:
        assert row.outcome.answered == {"cloud": row.setup.samples}
        assert row.repeats[0].cloud_ms > 0
    for row in rows:
        image = whole.image_bytes if row.setup.form == "uint8" else (whole.jpeg_bytes or 0.0)
        # Each batch of 32 has a frame besides, and each file its length.
        assert image * row.setup.samples * 0.8 < row.bytes_to_cloud < image * row.setup.samples * 1.2 + 4 * 150


def test_a_fixed_split_sends_the_features_of_every_image(whole: Reproduction) -> None:
    """At exit 2 of preset tiny: 1,024 values, a byte a value."""
    for row in by(whole, "fixed split"):
        assert row.outcome.answered == {"cloud": row.setup.samples}
        assert row.setup.samples * 1024 < row.bytes_to_cloud < row.setup.samples * 1024 + 2 * 150


def test_a_cascade_sends_the_images_that_are_not_sure_enough(whole: Reproduction) -> None:
    """Samples leave at the edge as they do without it."""
    (cascade,), (local,) = (by(whole, contender, "baselines") for contender in ("cascade", "local exit"))
    forwarded = cascade.outcome.answered["cloud"]
    assert forwarded * whole.image_bytes < cascade.bytes_to_cloud < forwarded * whole.image_bytes + 2000
    assert cascade.outcome.answered == local.outcome.answered
    assert cascade.outcome.accuracy["edge"] == local.outcome.accuracy["edge"]


def test_a_link_is_felt(whole: Reproduction) -> None:
    """No answer from the cloud comes sooner than there and back."""
    there = [row for row in whole.section("bandwidth") if "cloud" in row.outcome.answered]
    assert {row.setup.contender for row in there} == {"local exit", "all in the cloud"}
    for row in there:
        assert all(repeat.latency_ms["cloud"].p50 >= 10.0 for repeat in row.repeats)


class Interrupted(Live):
    """Ctrl-C comes as the sixth measurement begins."""

    def at(self, setup: Setup, repeat: int) -> None:
        """Count down."""
        self.left = getattr(self, "left", 6) - 1
        if not self.left:
            raise KeyboardInterrupt
        super().at(setup, repeat)


def test_an_interrupted_run_goes_on(suite: Path, tmp_path: Path, whole: Reproduction) -> None:
    """What was measured is kept, what is left is measured, and the answers are those of the other run."""
    part = reproduce(settings(suite, tmp_path, sections=("paper",)), QUIET, Interrupted)
    assert len(part.left) == 3  # one of the four has its second repeat
    assert sum(len(row.repeats) for row in part.rows) == 5
    with pytest.raises(InputError, match="holds a run"):
        reproduce(settings(suite, tmp_path, sections=("paper",)), QUIET)
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


def test_the_demo_is_the_papers_section_measured_anew(tmp_path: Path) -> None:
    """It trains what is not there, measures with every answer held, and writes the report; again, it measures."""
    run_demo(tmp_path, "sem-2", epochs=4, seed=3)
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
    run_demo(tmp_path, "sem-2", epochs=4, seed=3)
    second = Reproduction.read(tmp_path / REPRODUCTION)
    assert accuracies(second) == accuracies(first)
    assert second.rows != first.rows  # other latencies
    assert report.exists()
    assert (tmp_path / "suite" / "runs" / "joint" / "sem-2-seed-3" / "model.safetensors").stat().st_mtime_ns == weights
