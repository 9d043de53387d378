"""A choice among plans of three tiers, in words and cells."""

import pytest

from offramp.artifacts.promise import Promise
from offramp.plan.chain_path import ChainFigures, Shape
from offramp.plan.chain_search import ALL, ChainCandidate, ChainChosen
from offramp.plan.chain_table import ChainTable
from offramp.plan.goal import Goal
from offramp.plan.inputs import Samples
from offramp.plan.table import Crossing
from offramp.report.chain_words import COLUMNS, answer, kept, rows_of
from on_paper import LAST, drawn
from three_tiers import prices, small

THREE = Shape((2,), Crossing(2, "uint8"), (4,), Crossing(4, "fp32"))
RELAYED = Shape((2,), Crossing(2, "fp32"), (), Crossing(2, "fp32"))
END = Crossing(LAST, "fp32")


def figures(mean: float, cloud: float, accuracy: float = 0.9) -> ChainFigures:
    """Some."""
    names = dict.fromkeys(ChainFigures._fields, 0.0)
    named = {"accuracy": accuracy, "mean": mean, "p95": 2 * mean, "first": 300.0, "second": 40.0, "up": 340.0}
    shares = {"at_device": 0.5, "at_edge": 0.5 - cloud, "onward": cloud}
    return ChainFigures(**(names | named | shares))  # type: ignore[arg-type]


def chosen(*ranked: ChainCandidate, minimise: str = "latency") -> ChainChosen:
    """As ranked."""
    manifest = small()
    samples = Samples(drawn(manifest, 0, n=40))
    table = ChainTable.of(samples, manifest, "entropy")
    goal = Goal(minimise, accuracy=0.8)  # type: ignore[arg-type]
    return ChainChosen(samples, table, prices(manifest), goal, 0.91, 1000, ranked)


def all_three(mean: float, accuracy: float = 0.9) -> ChainCandidate:
    return ChainCandidate(THREE, (0.3, 0.25), figures(mean, 0.2, accuracy), ALL)


def relayed(mean: float) -> ChainCandidate:
    return ChainCandidate(RELAYED, (0.3,), figures(mean, 0.5), ("device", "cloud"))


def test_a_third_tier_that_pays_is_said_with_what_it_saves() -> None:
    """Against the best of fewer; who answers how much."""
    (said,) = answer(chosen(all_three(0.008), relayed(0.01)))
    assert said == (
        "A third tier pays: mean latency 8 ms, 20.0 % less than mean latency 10 ms by the best of fewer (device and "
        "cloud, device 2:0.3 → 2 fp32 → edge → 2 fp32 → cloud). Device 2:0.3 → 2 uint8 → edge 4:0.25 → 4 fp32 → cloud; "
        "predicted: mean latency 8 ms, 1.00 points lost. It answers: the device 50.0 %, the edge 30.0 %, the cloud "
        "20.0 %."
    )


def test_one_that_does_not_is_said_with_what_it_costs() -> None:
    """And who only hands on."""
    said, more = answer(chosen(relayed(0.01), all_three(0.012)))
    assert said.startswith(
        "A third tier does not pay: device and cloud is the best. By all three, mean latency 12 ms, 20.0 % more than "
        "mean latency 10 ms by it. Device 2:0.3 → 2 fp32"
    )
    assert more == "The edge only hands on what comes."
    missed, _ = answer(chosen(relayed(0.01), all_three(0.012, accuracy=0.7)))
    assert "by it, which is not within what was asked." in missed


@pytest.mark.parametrize(("minimise", "unit"), [("bytes", "340 bytes on the links"), ("loss", "right 90.00 %")])
def test_what_is_made_least_has_its_unit(minimise: str, unit: str) -> None:
    """Bytes are of both hops."""
    assert unit in answer(chosen(all_three(0.008), relayed(0.01), minimise=minimise))[0]


def test_rows_have_the_choice_last() -> None:
    """A row for each choice of tiers, with the bytes of each hop."""
    rows = rows_of(chosen(all_three(0.008), relayed(0.01), all_three(0.009)))
    assert [row[0] for row in rows] == ["device and cloud", "the choice, all three"]
    assert all(len(row) == len(COLUMNS) for row in rows)
    assert rows[-1][3:9] == ("8", "16", "300", "40", "0", "50 30 20")


def test_what_is_promised_stands_behind_the_choice() -> None:
    """It may be a stricter plan, and it is the one that is written."""
    of, stricter = chosen(relayed(0.01), all_three(0.012)), all_three(0.02)
    promise = Promise(
        max_loss=0.01, confidence=0.95, samples=500, data="digits calibration", data_sha256="", source="bundle:1",
        route="", runtime="onnxruntime", precision="fp32",
    )  # fmt: skip
    assert rows_of(of, stricter)[:-1] == rows_of(of)
    assert rows_of(of, stricter)[-1][0] == "promised, all three"
    said, shown = kept(of, stricter, promise)
    assert said.startswith(
        "The plan that is promised: device 2:0.3 → 2 uint8 → edge 4:0.25 → 4 fp32 → cloud; predicted:"
    )
    assert shown == (
        "Promised (accuracy): at most 1 point lost, with a confidence of 95 %, shown on 500 samples of digits "
        "calibration."
    )
    (nothing,) = kept(of, None, None)
    assert nothing.startswith("Nothing is promised:")
