"""A suite in words."""

from collections.abc import Callable

from offramp.artifacts.suite import Suite
from offramp.paper.claims import published
from offramp.report.seeds import Spread
from offramp.report.suite_words import (
    difference_rows,
    sampling_sentence,
    signed,
    standard_sentence,
    suite_conditions,
    suite_finding,
)

Build = Callable[..., Suite]


def test_the_finding_names_the_cost_and_the_regime_that_avoids_it(suite: Suite) -> None:
    """With exits and seeds."""
    assert suite_finding(suite, published(suite)) == (
        "Trained as in the paper (joint), many exits cost at worst 3.00 points at an exit (4 exits, 2 seeds, mean); "
        "under distill, the best of 2 regimes on the validation samples, at worst nothing (+0.50 points at the least). "
        "Under joint, 1 of 4 claims of the paper did not hold here, 1 of them in every one of several seeds."
    )


def test_what_is_not_trained_jointly_is_not_trained_as_in_the_paper(make_suite: Build) -> None:
    """Whatever regime comes first is what others are compared with."""
    suite = make_suite(regimes=("distill", "joint"))
    assert suite_finding(suite, published(suite)).startswith("Under distill, many exits cost")


def test_the_finding_says_where_no_regime_helps(make_suite: Build) -> None:
    """Whichever way it turned out."""
    text = suite_finding(make_suite(points={"joint": -1.0, "distill": -2.0}))
    assert "; no other regime does better on the validation samples" in text


def test_without_a_pair_there_is_no_finding(make_suite: Build) -> None:
    """Nothing is made up."""
    assert suite_finding(make_suite(models=("sem-2",))) == "Nothing was trained that could be compared."


def test_a_row_a_regime_and_one_more_where_sems_had_it_too(make_suite: Build) -> None:
    """A dash where an exit has no SEM."""
    rows = difference_rows(make_suite(models=("sem-2", "mem"), cross=True, seeds=(0,)))
    assert [(row.regime, row.against, row.worst) for row in rows] == [
        ("joint", "joint", "-3.00"),
        ("distill", "joint", "+0.50"),
        ("distill", "distill", "+0.50"),
    ]
    assert rows[0].cells == ("–", "-3.00", *["–"] * 6)


def test_a_difference_of_nothing_has_no_sign() -> None:
    """Rounded to 0, it is not below 0."""
    assert signed(Spread(-0.001, -0.001, -0.001, 1)) == "+0.00"
    assert signed(Spread(-0.5, -1.0, 0.0, 2)) == "-0.50 [-1.00, +0.00]"
    assert signed(None) == "–"


def test_the_sampling_error_is_told(suite: Suite, make_suite: Build) -> None:
    """Two standard errors at the exit where they are largest: 74.25 % against 71.25 % over 10,000 samples."""
    error = 2 * ((0.7425 * 0.2575 + 0.7125 * 0.2875) / 10_000) ** 0.5
    text = sampling_sentence(suite)
    assert text is not None
    assert f"over 10,000 samples are at most {100 * error:.2f} points" in text
    assert sampling_sentence(make_suite(models=("mem",))) is None


def test_every_condition_is_named(suite: Suite) -> None:
    """Data, network, recipe, seeds, hardware, speed, commit, and what is finished."""
    found = suite_conditions(suite)
    assert found["Data"] == "cifar10, 10,000 test samples"
    assert found["Seeds"] == "0, 1"
    assert found["Training"] == "7.00 h, 1,500 to 1,500 images/s"
    assert found["Finished"] == "14 of 14 runs"
    assert found["Regimes"] == "joint, distill; SEMs under joint alone"


def test_the_standard_network_is_named(suite: Suite, make_suite: Build) -> None:
    """Where it was trained."""
    assert standard_sentence(suite) == ("The standard network, without local exits, reaches 88.25 % [88.00, 88.50].")
    assert standard_sentence(make_suite(models=("mem",))) is None
