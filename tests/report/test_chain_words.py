"""A choice among plans of three tiers, in words and cells."""

import pytest

from offramp.plan.chain_path import ChainFigures, Shape
from offramp.plan.chain_search import ALL, ChainCandidate, ChainChosen
from offramp.plan.chain_table import ChainTable
from offramp.plan.goal import Goal
from offramp.plan.inputs import Samples
from offramp.plan.table import Crossing
from offramp.report.chain_words import COLUMNS, answer, rows_of
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
    table = ChainTable.of(Samples(drawn(manifest, 0, n=40)), manifest, "entropy")
    goal = Goal(minimise, accuracy=0.8)  # type: ignore[arg-type]
    return ChainChosen(table, prices(manifest), goal, 0.91, 1000, ranked)


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
