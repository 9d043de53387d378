"""Measurements as a table: what is rare has a column where there is any of it, and none where there is not."""

import pytest
from rich.console import Console

from offramp.artifacts.plan import Plan
from offramp.bench.table import Line, measurements_table
from outcomes import outcome_of


@pytest.mark.parametrize(
    ("dropped", "degraded", "columns"),
    [(0, 0, []), (2, 0, ["dropped"]), (0, 3, ["degraded"]), (2, 3, ["dropped", "degraded"])],
)
def test_samples_that_were_dropped_or_that_the_cloud_did_not_answer_are_shown(
    dropped: int, degraded: int, columns: list[str]
) -> None:
    """A bench whose cloud was lost says so in its table too."""
    outcome = outcome_of(6, 4, dropped, (0.5, 0.75, 0.6)).model_copy(update={"degraded": degraded})
    table = measurements_table([Line("mem", Plan.of(2, 0.3), outcome, lambda over: 1.0, 4_000)])
    assert [str(column.header) for column in table.columns][3:-7] == ["exited", *columns]
    console = Console(width=140)
    with console.capture() as shown:
        console.print(table)
    row = next(line for line in shown.get().splitlines() if "mem" in line).replace("│", " ").split()
    assert row[3:-7] == [f"6/{10 + dropped}", *(str({"dropped": 2, "degraded": 3}[name]) for name in columns)]


def cells(plan: Plan) -> tuple[list[str], list[str]]:
    """Heads and the one row of a table of a plan, by which 6 of 10 leave before the cloud."""
    outcome = outcome_of(6, 4, 0, (0.5, 0.75, 0.6))
    table = measurements_table([Line("mem", plan, outcome, lambda over: 1.0 if over != "device" else None, 4_000)])
    return [str(column.header) for column in table.columns], [str(next(iter(column.cells))) for column in table.columns]


def test_every_exit_and_every_tier_of_a_plan_has_its_place() -> None:
    """Of several exits each with its threshold; of none a dash, and no number of a cut; of a chain, each tier's."""
    several = Plan.checked(active=[{"exit": 2, "threshold": 0.1}, {"exit": 4, "threshold": 0.3}], cut=4)
    assert cells(several)[1][:4] == ["mem", "2, 4", "0.1, 0.3", "6/10"]
    assert cells(Plan.checked(active=(), cut=4))[1][:4] == ["mem", "–", "–", "6/10"]
    device = {"active": [{"exit": 2, "threshold": 0.1}], "cut": 2}
    chain = Plan.model_validate({"tiers": {"device": device, "edge": {"active": [], "cut": 4}}})
    assert cells(chain) == (
        ["model", "exit", "T", "exited", "device %", "edge %", "cloud %", "all %", "device ms", "edge ms", "cloud ms",
         "all ms", "KB"],
        ["mem", "2 | –", "0.1 | –", "6/10", "–", "50.00", "75.00", "60.00", "–", "1.00", "1.00", "1.00", "4.0"],
    )  # fmt: skip
