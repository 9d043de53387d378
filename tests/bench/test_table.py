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
