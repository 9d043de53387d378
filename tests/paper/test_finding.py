"""The one-sentence finding: computed, and honest whichever way it turns out."""

from collections.abc import Callable
from math import sqrt

import pytest

from offramp.artifacts.measurement import Latency
from offramp.paper.finding import finding, noise, sampling_error
from offramp.paper.view import View

Look = Callable[..., View]

LOWEST = (
    "at T = 0.3 the lowest overall latency, 2.05 ms (p50), is SEM-3's, with 93.54 % overall accuracy and 35 % of the "
    "samples answered at the edge"
)
FASTEST = f"{LOWEST}; 1 of the 15 others is within the noise of 1 %."


def test_a_worse_mem_is_called_worse(look: Look) -> None:
    """Where MEM's exits are less accurate beyond the sampling error, the sentence says so."""
    assert finding(look(mem_points=-9.0)) == (
        "At the same exit, the MEM is on average 9.00 points less accurate than the SEMs over all 360 test samples "
        f"(8 exits, one seed), more than the sampling error of 5.90; {FASTEST}"
    )


def test_a_better_mem_is_called_better(look: Look) -> None:
    """Where MEM's exits are more accurate beyond the sampling error, against the paper, the sentence says so too."""
    assert finding(look(mem_points=6.0)) == (
        "At the same exit, the MEM is on average 6.00 points more accurate than the SEMs over all 360 test samples "
        f"(8 exits, one seed), more than the sampling error of 4.81; {FASTEST}"
    )


def test_a_small_difference_is_not_made_much_of(look: Look) -> None:
    """A difference that the choice of test samples can explain is said to be one."""
    assert finding(look(mem_points=-1.5)) == (
        "At the same exit, the MEM is on average 1.50 points less accurate than the SEMs over all 360 test samples "
        f"(8 exits, one seed), which is within the sampling error of 5.45; {FASTEST}"
    )


def test_no_difference_is_called_none(look: Look) -> None:
    """Equal accuracies are called equal."""
    assert finding(look(mem_points=0.0)).startswith(
        "At the same exit, the MEM is on average as accurate as the SEMs over all 360 test samples (8 exits, one "
        "seed); "
    )


def test_an_exit_that_makes_most_of_the_difference_is_named(look: Look) -> None:
    """An average that one exit makes is not laid on all of them."""
    whole = look(mem_points=-1.0).reproduction
    first, *others = whole.models
    worse = first.model_copy(update={"test_accuracy": first.test_accuracy | {1: 0.93}})
    view = View.of(whole.model_copy(update={"models": (worse, *others)}))
    assert (
        "the MEM is on average 3.50 points less accurate than the SEMs over all 360 test samples (8 exits, one seed), "
        "which is within the sampling error of 5.27 (exit 1 alone: -21.00 points; the others on average: -1.00); "
    ) in finding(view)


def with_edge_of_mem_5(view: View, latency: Latency | None) -> View:
    """With another edge latency of MEM at exit 5 and T = 0.3, or none."""
    rows = []
    for row in view.reproduction.rows:
        (repeat,) = row.repeats
        if (row.setup.model, row.setup.place, row.setup.plan.threshold) == ("mem", 5, 0.3):
            others = {over: known for over, known in repeat.latency_ms.items() if over != "edge"}
            latencies = others | ({} if latency is None else {"edge": latency})
            repeat = repeat.model_copy(update={"latency_ms": latencies})
        rows.append(row.model_copy(update={"repeats": (repeat,)}))
    return View.of(view.reproduction.model_copy(update={"rows": tuple(rows)}))


def test_latencies_that_equal_work_cannot_tell_apart_are_counted(look: Look) -> None:
    """SEM and MEM compute the same up to an exit: what is between their edge latencies there is the machine's noise."""
    noisy = with_edge_of_mem_5(look(), Latency(mean=9, p50=9, p95=9, p99=9))
    assert noise(noisy) == pytest.approx(9 / (1.0 + 0.21 * 5.3) - 1)
    assert finding(noisy).endswith("; 15 of the 15 others are within the noise of 326 %.")
    assert noise(look(mem=())) is None


def test_an_exit_where_one_answered_nobody_tells_no_noise(look: Look) -> None:
    """The other exits do."""
    assert noise(with_edge_of_mem_5(look(), None)) == noise(look())
    assert noise(with_edge_of_mem_5(look(mem=(5,), sems=(5,)), None)) is None


def test_without_a_mem_only_latency_is_told(look: Look) -> None:
    """There is nothing to compare the SEMs with."""
    assert finding(look(mem=())) == f"A{LOWEST[1:]}."


def test_mems_fastest_exit_is_named(look: Look) -> None:
    """MEM has several exits, so the sentence says which."""
    assert "is MEM's at exit 3, with 93.57 % overall accuracy" in finding(look(sems=()))


def test_without_nodes_only_accuracy_is_told(look: Look) -> None:
    """Accuracy over all test samples needs no running nodes."""
    assert finding(look(thresholds=(), mem_points=-9.0, sems=(4,))) == (
        "At the same exit, the MEM is on average 9.00 points less accurate than the SEM over all 360 test samples "
        "(1 exit, one seed), more than the sampling error of 6.19."
    )


def test_the_threshold_nearest_to_the_papers_speaks(look: Look) -> None:
    """Where T = 0.3 was not measured, the nearest that was is named instead."""
    assert "at T = 0.5 the lowest overall latency" in finding(look(thresholds=(0.5, 0.8)))


def test_an_empty_experiment_finds_nothing(look: Look) -> None:
    """Nothing measured, nothing claimed."""
    assert finding(look(sems=(), mem=())) == "Nothing was measured that could be compared."


def test_the_sampling_error_is_two_standard_errors() -> None:
    """For one pair it is the binomial formula; for equal pairs no smaller, as exits may err together."""
    one = sampling_error([(0.9, 0.8)], 100)
    assert one == pytest.approx(2 * sqrt((0.09 + 0.16) / 100))
    assert sampling_error([(0.9, 0.8)] * 8, 100) == pytest.approx(one)
