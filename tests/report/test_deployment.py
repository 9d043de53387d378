"""A deployment in words: what each tier runs, who leaves there, what crosses; and the verb that shows it."""

import json
from pathlib import Path

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.cli.deployment import is_plan, show_plan
from offramp.errors import ArtifactMissingError, InputError
from offramp.exits.evaluation import evaluate, route
from offramp.report.deployment import deployment, rows_of
from on_paper import drawn, network

DEVICE = {"active": [{"exit": 1, "threshold": 0.4}], "cut": 2, "codec": "fp32", "drop_threshold": 0.99}
EDGE = {"active": [{"exit": 3, "threshold": 0.3}, {"exit": 4, "threshold": 0.2}], "cut": 4}
PLAN = Plan.model_validate({"tiers": {"device": DEVICE, "edge": EDGE}})


def test_each_tier_is_told_with_what_crosses_behind_it() -> None:
    """Stages, exits with the share that leaves there, bytes, shares and accuracies as the evaluation counts them."""
    paper = network()
    samples = drawn(paper, 0)
    device, edge, cloud = deployment(PLAN, paper, samples)
    outcome = evaluate(answers := route(samples, PLAN), samples.labels)
    assert [one.name for one in (device, edge, cloud)] == ["device", "edge", "cloud"]
    assert [one.runs for one in (device, edge, cloud)] == ["stages 1–2", "stages 3–4", "stage 5"]
    assert device.hop is not None
    assert edge.hop is not None
    assert (device.hop.what, device.hop.size, edge.hop.size) == ("boundary 2 in fp32", 400, 100)
    assert device.hop.onward == pytest.approx(float((answers.tier > 0).mean()))
    assert edge.hop.onward == pytest.approx(outcome.answered["cloud"] / 400)
    assert (device.macs, edge.macs, cloud.macs) == (100 + 200 + 1, 300 + 400 + 3 + 4, 500 + 5)
    assert edge.answers == pytest.approx(outcome.answered["edge"] / 400)
    assert edge.right == pytest.approx(outcome.accuracy["edge"])
    assert sum(one.share or 0 for one in edge.left) == pytest.approx(edge.answers)
    assert device.leaving[1:] == ["dropped above 0.99"]
    assert cloud.leaving == ["at the end: the rest"]
    assert sum(one.answers or 0 for one in (device, edge, cloud)) == pytest.approx(1)


def test_without_a_bundle_and_samples_there_is_what_the_plan_says() -> None:
    """No bytes, no shares, and nobody knows how many stages the cloud has."""
    rows = rows_of(deployment(PLAN))
    assert rows[0] == ("device", "stages 1–2", "exit 1 below 0.4\ndropped above 0.99", "", "", "", "")
    assert rows[1] == ("  ↓", "", "", "boundary 2 in fp32", "", "", "")
    assert rows[-1][:2] == ("cloud", "stages 5 on")


@pytest.mark.parametrize(
    ("tiers", "runs"),
    [
        ({"device": {"active": [], "cut": 0, "codec": "uint8"}, "edge": EDGE}, ["nothing: a relay", "stages 1–4"]),
        ({"device": DEVICE, "edge": {**EDGE, "cut": 5}}, ["stages 1–2", "stages 3–5"]),
        ({"device": {**DEVICE, "cut": 5}, "edge": {"active": [], "cut": 5}}, ["stages 1–5"]),
        ({"device": {**DEVICE, "cut": 0}, "edge": {"active": [], "cut": 0}}, ["stage 1", "nothing: a relay"]),
    ],
)
def test_a_tier_may_run_nothing_or_all(tiers: dict[str, object], runs: list[str]) -> None:
    """A relay, a tier where the network ends, and those behind it that no sample reaches."""
    found = deployment(Plan.model_validate({"tiers": tiers}), network())
    assert [one.runs for one in found if one.name != "cloud"] == runs
    assert (found[-1].name == "cloud") == (5 not in [part["cut"] for part in tiers.values()])  # type: ignore[index]
    assert found[-1].hop is None


def test_the_verb_prints_and_draws(bundle: Bundle, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As a table, and as SVG with the same words."""
    PLAN.write(tmp_path / "plan.json")
    show_plan(tmp_path / "plan.json", bundle.path, None, tmp_path / "plan.svg")
    said, svg = capsys.readouterr().out, (tmp_path / "plan.svg").read_text()
    for word in (
        "device",
        "edge",
        "cloud",
        "exit 3 below 0.3",
        "stages 3–4",
        f"{bundle.manifest.cut(2).codecs['fp32'].bytes_per_sample:,}",
    ):
        assert word in svg
    assert "boundary 2 in fp32" in said
    with pytest.raises(InputError, match=r"plan\.gif: expected a file that ends in \.svg or \.png"):
        show_plan(tmp_path / "plan.json", None, None, tmp_path / "plan.gif")
    drawn(network(), 0).write(tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"other\.parquet: of bundle:.* Measure its own"):
        show_plan(tmp_path / "plan.json", bundle.path, tmp_path / "other.parquet", None)


def test_a_file_that_is_no_plan_is_refused(tmp_path: Path) -> None:
    """A name and a folder are a network's."""
    assert not is_plan(tmp_path)
    assert not is_plan(Path("mem"))
    for content in ("[1]", "not JSON", json.dumps({"format": "offramp.link"})):
        (tmp_path / "other.json").write_text(content)
        with pytest.raises(InputError, match=r"other\.json: a file, and none of a plan\. Expected a model's name"):
            is_plan(tmp_path / "other.json")


def test_no_samples_have_no_shares() -> None:
    """And nothing is divided by them."""
    paper = network()
    (device, *_) = deployment(PLAN, paper, drawn(paper, 0).rows(np.arange(0)))
    assert (device.answers, device.right, device.left[0].share) == (None, None, None)


def test_a_plan_s_file_that_is_not_there_is_no_model(tmp_path: Path) -> None:
    """What ends in .json is called a file that is missing; a model's name is left to who knows models."""
    with pytest.raises(ArtifactMissingError, match=r"nope\.json: no such file"):
        is_plan(tmp_path / "nope.json")
    assert not is_plan(tmp_path / "mem")
