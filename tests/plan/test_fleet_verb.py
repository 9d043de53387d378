"""`offramp fleet`: what it prints, and what it refuses."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("simpy", reason="simpy is not installed")

from made_up_profile import made_up_profile
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def asked(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A fleet of a made-up device."""
    folder = tmp_path_factory.mktemp("fleet")
    Plan.of(3, 0.3, codec="uint8").write(folder / "plan.json")
    made_up_profile(bundle).write(folder / "edge.json")
    return [
        "fleet", str(bundle.path), "--plan", str(folder / "plan.json"), "--profile", str(folder / "edge.json"),
        "--edges", "100", "--rate", "20", "--link", "wifi", "--samples", "2000",
    ]  # fmt: skip


def test_every_figure_is_said_to_be_predicted(asked: list[str], offramp: Run) -> None:
    """In the title, over each column and in the answer."""
    done = offramp(*asked, "--onward", "50%", "--within", "60ms")
    assert done.returncode == 0, done.stderr
    heads = done.stdout.split("replicas ┃")[0]
    assert "All predicted" in done.stdout
    assert done.stdout.count("(predicted)") == 6, heads
    assert done.stdout.splitlines()[-1].startswith("predicted: ")
    assert done.stdout.splitlines()[-1].endswith(" replicas keep 95 % of the answers within 60 ms")


def test_a_program_gets_the_same_as_json(asked: list[str], predictions_file: Path, offramp: Run) -> None:
    """By predictions; numbers that were asked for are there."""
    done = offramp(*asked, "--predictions", str(predictions_file), "--replicas", "1", "--replicas", "30", "--json")
    found = json.loads(done.stdout)
    assert found["predicted"] is True
    assert (found["edges"], found["rate"], found["bound"], found["least"]) == (100, 20, None, None)
    assert 0 < found["onward"] < 1
    few, many = found["replicas"]
    assert (few["replicas"], many["replicas"]) == (1, 30)
    assert (few["overloaded"], many["overloaded"]) == (True, False)
    assert many["cloud_ms"]["p50"] <= many["cloud_ms"]["p95"]
    assert many["utilisation"] < 1


def test_what_no_number_of_replicas_mends_is_said(asked: list[str], offramp: Run) -> None:
    """A link alone may take longer."""
    done = offramp(*asked, "--onward", "50%", "--within", "1ms", "--samples", "200")
    assert done.stdout.splitlines()[-1] == (
        "predicted: no number of replicas keeps 95 % of the answers within 1 ms. What is late is so at the edge, on "
        "the link or in one call of the cloud."
    )


def test_one_edge_whose_requests_are_dealt_out_is_helped_by_more_replicas_than_edges(
    asked: list[str], offramp: Run
) -> None:
    """More than one edge has to itself; and the percentile of the bound stands in the table."""
    device = Path(asked[asked.index("--profile") + 1])
    profile = json.loads(device.read_text())
    for one in profile["spans"]:
        one["ms"] = {name: 20.0 if one["start"] else value for name, value in one["ms"].items()}
    (device.parent / "slow.json").write_text(json.dumps(profile))
    options = ("--onward", "100%", "--cloud-profile", str(device.parent / "slow.json"), "--percentile", "99")
    done = offramp(*asked, "--edges", "1", "--rate", "100", *options, "--within", "200ms", "--per-request", "--json")
    found = json.loads(done.stdout)
    assert found["least"] > 1, done.stderr
    kept = next(one for one in found["replicas"] if one["replicas"] == found["least"])
    assert kept["whole_ms"]["p99"] <= 200


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "onward: say which share of the samples goes on, either by --predictions FILE (of: offramp predict "
             "BUNDLE) or by --onward, like 30%."),
        (("--onward", "half"), "onward 'half': expected a share like 1% or 0.01."),
        (("--onward", "30%", "--within", "fast"), "within 'fast': expected a time like 50ms or 2s."),
        (("--onward", "30%", "--within", "9ms", "--percentile", "0"),
         "percentile 0: expected a number above 0, at most 100."),
        (("--onward", "30%", "--replicas", "0"), "replicas 0: expected at least 1, at most 4,096."),
        (("--onward", "0%", "--rate", "5000"),
         "rate 5000: an edge takes 4.21 ms a sample by this plan, in the mean, so it keeps up with less than 238 a "
         "second; of more, the wait grows for as long as one looks, whatever the cloud does. Ask for a lower rate, or "
         "have the edge do less."),
        (("--onward", "30%", "--edges", "0"), "edges 0: expected at least 1."),
        (("--onward", "30%", "--rate", "0"), "rate 0: expected samples a second of each edge, above 0."),
        (("--onward", "30%", "--queue", "0"), "queue 0: of a replica, expected at least 1."),
        (("--onward", "30%", "--link", "none"),
         "link none: without a cloud there is nothing to size. Name what lies before it."),
    ],
)  # fmt: skip
def test_what_makes_no_fleet_is_refused(
    asked: list[str], refusal: Callable[..., str], options: tuple[str, ...], expected: str
) -> None:
    """In one line."""
    assert refusal(*asked, *options) == expected
