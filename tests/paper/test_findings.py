"""The paper's findings against worlds in which they hold, fail, and cannot be told; and against what is missing."""

from collections.abc import Callable

import pytest

from offramp.paper.findings import Finding, findings
from offramp.paper.reproduction import Reproduction, Row

Build = Callable[..., Reproduction]
COUNT = 23
SIDES = {1: "holds", -1: "does not hold", 0: "depends"}
ALSO_WITHOUT_NODES = 6  # of section 4.5


@pytest.fixture(scope="module")
def by_side(reproduce: Build) -> dict[int, list[Finding]]:
    """Of each world."""
    return {side: findings(reproduce(side=side)) for side in SIDES}


@pytest.mark.parametrize("number", range(COUNT))
@pytest.mark.parametrize("side", SIDES)
def test_every_finding_has_every_verdict(by_side: dict[int, list[Finding]], side: int, number: int) -> None:
    """It holds where the paper is right, does not where all goes the other way, and depends where nothing differs."""
    assert len(by_side[side]) == COUNT
    found = by_side[side][number]
    assert (found.says, found.verdict) == (found.says, SIDES[side])


def named(reproduction: Reproduction, says: str) -> Finding:
    (found,) = [each for each in findings(reproduction) if each.says == says]
    return found


def changed(
    reproduction: Reproduction, model: str, threshold: float, *, count: int | None = None, right: float | None = None
) -> Reproduction:
    """With other answers of the edge in some rows of the paper's part: none at all, or those given."""

    def change(row: Row) -> Row:
        setup, outcome = row.setup, row.outcome
        answered = outcome.answered if count is None else outcome.answered | {"edge": count}
        accuracy = outcome.accuracy if right is None else outcome.accuracy | {"edge": right}
        if count == 0:
            answered, accuracy = ({tier: of[tier] for tier in of if tier != "edge"} for of in (answered, accuracy))
        changed = outcome.model_copy(update={"answered": answered, "accuracy": accuracy})
        same = (setup.section, setup.model, setup.plan.threshold) == ("paper", model, threshold)
        return row.model_copy(update={"outcome": changed}) if same else row

    return reproduction.model_copy(update={"rows": tuple(map(change, reproduction.rows))})


def test_a_finding_that_fails_at_one_threshold_depends(reproduction: Reproduction) -> None:
    """SEM-1 exits nearly all at T = 0.5 and the fewest elsewhere."""
    found = named(changed(reproduction, "sem-1", 0.5, count=9_900), "SEM-1 exits the fewest samples")
    assert found.verdict == "depends"
    assert [c.outcome for c in found.comparisons] == ["for", "for", "against", "for"]
    assert found.numbers == "3 for, 1 against, 0 within noise: from -63.00 points (T = 0.5) to +8.00 points (T = 0.1)"


def test_a_trend_depends_where_neighbours_go_the_other_way(reproduction: Reproduction) -> None:
    """The last exit is still more accurate than the first, but the fifth is the worst."""
    found = named(changed(reproduction, "sem-5", 0.3, right=0.5), "Later exits give higher edge accuracy")
    assert found.verdict == "depends"
    against = [c for c in found.comparisons if c.outcome == "against"]
    assert [(c.where, c.found) for c in against] == [("T = 0.3, neighbouring exits", "SEM-5 50.00 %, SEM-4 83.00 %")]


def test_the_best_exit_that_stays_the_same_speaks_against_a_change(reproduce: Build) -> None:
    """At both rates, by how far the next one is behind."""
    found = named(reproduce(side=-1), "The best exit changes with the bandwidth")
    assert [(c.where, c.found) for c in found.comparisons] == [
        ("1 Mbit/s", "SEM-1 3.00 ms, SEM-2 4.00 ms"),
        ("1000 Mbit/s", "SEM-1 3.00 ms, SEM-2 4.00 ms"),
    ]


def test_of_one_repeat_no_latency_speaks(reproduce: Build) -> None:
    """Its spread is not known."""
    found = findings(reproduce(repeats=1))
    in_ms = [each for each in found if any(c.unit == "ms" for c in each.comparisons)]
    assert len(in_ms) == 7
    assert {each.verdict for each in in_ms} == {"depends"}
    assert {c.noise for each in in_ms for c in each.comparisons} == {None}


def test_without_nodes_only_training_is_judged(reproduce: Build) -> None:
    """The rest was not measured, and says so."""
    found = findings(reproduce(sections=()))
    measured = [each for each in found if each.verdict != "not measured"]
    assert {each.section for each in measured} == {"4.5"}
    assert len(measured) == ALSO_WITHOUT_NODES
    missing = next(each for each in found if each.verdict == "not measured")
    assert (missing.comparisons, missing.numbers) == ((), "nothing that could tell was measured")


@pytest.mark.parametrize(
    "partial",
    [
        {"mem": False},
        {"exits": ()},
        {"exits": (3,)},
        {"exits": (2, 8), "thresholds": (0.3,), "sections": ("paper",)},
        {"exits": (), "mem": False, "sections": ()},
        {"sections": ("bandwidth",)},
    ],
)
def test_partial_reproductions_are_judged_by_what_they_hold(reproduce: Build, partial: dict[str, object]) -> None:
    """Nothing fails, and nothing is found to fail."""
    assert {each.verdict for each in findings(reproduce(**partial))} <= {"holds", "not measured"}


def test_tiers_that_answered_nothing_are_left_out(reproduction: Reproduction) -> None:
    """A missing accuracy is no zero."""
    found = named(
        changed(reproduction, "sem-8", 0.1, count=0),
        "Later exits give higher edge accuracy",
    )
    (first,) = [c for c in found.comparisons if c.where == "T = 0.1, first and last exit"]
    assert first.found == "SEM-7 89.50 %, SEM-1 80.50 %"


def test_what_all_samples_say_is_compared_exit_by_exit(reproduction: Reproduction) -> None:
    """A SEM with the MEM at the next exit; and from exit 6 on, with the MEM's last."""
    later = named(reproduction, "A SEM is more accurate than the MEM one exit later").comparisons
    assert [c.where for c in later] == [f"exits {k} and {k + 1}" for k in range(1, 8)]
    assert later[2].found == "SEM exit 3 76.00 %, MEM exit 4 73.00 %"
    last = named(reproduction, "From exit 6 on, a SEM's local exit is more accurate than the MEM's last").comparisons
    assert [c.found for c in last] == [f"SEM exit {k} {70 + 2 * k}.00 %, MEM's last 78.00 %" for k in (6, 7, 8)]
