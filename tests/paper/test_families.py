"""Which measurement belongs to which line of a figure."""

from collections.abc import Callable

import pytest
from offramp.paper.experiment import Experiment

from offramp.paper.families import Family, label, local_exits, main_threshold, measured, models, thresholds

Build = Callable[..., Experiment]


def test_models_are_told_apart_by_their_exits(experiment: Experiment) -> None:
    """SEM-k stands at its exit, MEM at all of its own, whatever they are called."""
    renamed = experiment.model_copy(
        update={"models": tuple(m.model_copy(update={"model": f"x{i}"}) for i, m in enumerate(experiment.models))}
    )
    assert {k: m.model for k, m in models(renamed, Family.SEM).items()} == {k: f"x{k - 1}" for k in range(1, 9)}
    assert {k: m.model for k, m in models(renamed, Family.MEM).items()} == dict.fromkeys(range(1, 9), "x8")


def test_the_standard_network_belongs_to_neither(experiment: Experiment) -> None:
    """A network without local exits has no place on an axis of exits."""
    standard = experiment.models[0].model_copy(update={"model": "standard", "exits": (9,)})
    found = experiment.model_copy(update={"models": (standard,)})
    assert not models(found, Family.SEM)
    assert not models(found, Family.MEM)


def test_the_papers_deployment_is_preferred(experiment: Experiment) -> None:
    """Where an exit was also measured with another codec or cut, figures show fp32 features cut at the exit."""
    paper = next(m for m in experiment.measurements if (m.model, m.plan.exit, m.plan.threshold) == ("sem-3", 3, 0.3))
    others = tuple(
        paper.model_copy(update={"plan": paper.plan.but(**update)})
        for update in ({"codec": "uint8"}, {"cut": 0, "codec": "uint8"}, {"cut": 5, "codec": "fp32"})
    )
    for order in ((paper, *others), (*others, paper)):
        found = experiment.model_copy(update={"measurements": order})
        assert measured(found, Family.SEM, 0.3) == {3: paper}


def test_the_axis_holds_exits_that_were_not_measured(build: Build) -> None:
    """Of a nine-stage network every local exit has its place, so that a gap can be seen."""
    assert local_exits(build(sems=(3,), mem=())) == tuple(range(1, 9))


def test_the_papers_threshold_is_the_main_one(build: Build) -> None:
    """T = 0.3, or the measured one nearest to it."""
    assert thresholds(build(thresholds=(0.8, 0.1))) == (0.1, 0.8)
    assert main_threshold(build()) == 0.3
    assert main_threshold(build(thresholds=(0.8, 0.1))) == 0.1


@pytest.mark.parametrize(
    ("name", "shown"), [("sem-3", "SEM-3"), ("mem", "MEM"), ("exits-2-5", "exits-2-5"), ("sem-x", "sem-x")]
)
def test_names_are_the_papers(name: str, shown: str) -> None:
    """Names that the paper has are written its way; others stay as they are."""
    assert label(name) == shown
