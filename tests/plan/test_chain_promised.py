"""Promises of a chain: from which candidates, by which predictions, and that they are kept."""

import pytest

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.evaluation import evaluate, route
from offramp.exits.guarantees import digest, gaps
from offramp.plan.chain_path import Shape
from offramp.plan.chain_promised import candidates, promised_chain, routes
from offramp.plan.chain_search import ALL, ChainCandidate, ChainChosen, choose_chain
from offramp.plan.chain_table import ChainTable, Hops, lossy
from offramp.plan.choose import Wanted
from offramp.plan.inputs import Samples
from offramp.plan.table import Crossing
from on_paper import LAST, drawn
from three_tiers import behind, every_hop, prices, small

WANTED = Wanted("latency", 0.02)
TIERS = {"stage": 0.004, "a_byte": 6e-5, "end": 0.05, "edge": {"end": 0.05, "round_trip": 0.01}}
END = Crossing(LAST, "fp32")
LOSING = Crossing(2, "uint8")


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return small()


@pytest.fixture(scope="module")
def chosen(manifest: Manifest) -> ChainChosen:
    """Of samples by every hop, where the last stage takes device and edge long."""
    return choose_chain(every_hop(drawn(manifest, 0, 1500)), prices(manifest, **TIERS), WANTED, "margin")


@pytest.fixture(scope="module")
def calibration(manifest: Manifest) -> Predictions:
    return drawn(manifest, 1, 3000, "calibration", 10**6)


def test_what_is_deployed_says_what_was_shown_of_it(
    chosen: ChainChosen, calibration: Predictions, manifest: Manifest
) -> None:
    """Of its own hops, on samples that it was not chosen on; and it is so of all there are."""
    candidate, plan = promised_chain(chosen, WANTED, every_hop(calibration), 0.95, "accuracy")
    assert plan.promise is not None
    assert (plan.promise.samples, plan.promise.data_sha256) == (3000, digest(calibration))
    assert plan.model_copy(update={"promise": None}) == candidate.plan(LAST, "margin")
    everything = ChainCandidate.of(chosen.table, chosen.prices, Shape((), END, (), END), ())
    assert candidate.figures.mean < 0.9 * everything.figures.mean
    population = every_hop(drawn(manifest, 2, 20000, "test", 10**7))
    by = routes(population, [candidate], [plan]).of(plan)
    assert by.header.follows(plan)
    assert gaps(population.plain, by, plan).mean() < 0.02
    with pytest.raises(InputError, match="40 samples to calibrate on do not show it of any plan"):
        promised_chain(chosen, WANTED, every_hop(calibration.rows(slice(0, 40))), 0.95, "accuracy")


BY_HAND = (
    Shape((2,), LOSING, (4,), END),
    Shape((2,), LOSING, (4,), Crossing(4, "uint8")),
    Shape((2,), LOSING, (), Crossing(4, "fp32")),
    Shape((2,), LOSING, (), LOSING),
    Shape((2,), Crossing(0, "uint8"), (4,), Crossing(4, "uint8")),
    Shape((2, 4), END, (), END),
)


def test_each_candidate_is_judged_by_what_its_own_hops_leave(chosen: ChainChosen) -> None:
    """An exit behind a hop that loses by what it says there: as right as the choice has it, and at the same tiers."""
    of = chosen.table, chosen.prices
    some = candidates(chosen)
    assert any(one.tiers == ALL for one in some)
    accuracies = [float(one.figures.accuracy) for one in some]
    assert max(accuracies) - min(accuracies) > 0.05
    some += [ChainCandidate.of(*of, shape, (0.4,) * len(shape.exits)) for shape in BY_HAND]
    plans = [one.plan(LAST, "margin") for one in some]
    found = routes(chosen.samples, some, plans)
    for one, plan in zip(some, plans, strict=True):
        by = found.of(plan)
        assert by.header.follows(plan)
        outcome = evaluate(route(by, plan), by.labels)
        assert outcome.overall == pytest.approx(float(one.figures.accuracy)), one
        assert outcome.count("device") / outcome.n == pytest.approx(float(one.figures.at_device))
        assert outcome.count("edge") / outcome.n == pytest.approx(float(one.figures.at_edge))


def test_candidates_keep_within_the_other_bounds(manifest: Manifest) -> None:
    """And none has an exit where its crossings allow none."""
    goal = Wanted("latency", 0.05, up=150.0)
    some = candidates(choose_chain(every_hop(drawn(manifest, 0, 400)), prices(manifest, **TIERS), goal, "margin"))
    assert len(some) > 10
    for one in some:
        assert float(one.figures.up) <= 150
        one.plan(LAST).check(manifest)


def test_hops_that_calibration_lacks_are_measured(chosen: ChainChosen, calibration: Predictions) -> None:
    """Or, where nothing measures them, no candidate has them."""
    asked: list[Hops] = []

    def measure(hops: Hops) -> Predictions:
        asked.append(hops)
        first, second = hops
        return behind(calibration, hops if first != second else (first, END))

    candidate, plan = promised_chain(chosen, WANTED, Samples(calibration), 0.95, "accuracy", measure)
    assert asked
    assert len(set(asked)) == len(asked)
    assert (candidate, plan) == promised_chain(chosen, WANTED, every_hop(calibration), 0.95, "accuracy")
    plain, plan = promised_chain(chosen, WANTED, Samples(calibration), 0.95, "accuracy")
    assert not lossy(plain.shape.first)
    assert not lossy(plain.shape.second)


def test_behind_a_hop_that_loses_all_is_measured_to_the_end(manifest: Manifest) -> None:
    """Where the edge hands on what loses nothing as well: predictions that stop there are of no use to other plans."""
    table = ChainTable.of(Samples(drawn(manifest, 0, 40)), manifest, "entropy", hopes=True)
    hands_on = Shape((2,), LOSING, (), Crossing(4, "fp32"))
    assert table.lacks(hands_on) == (LOSING, END)
    assert table.lacks(hands_on._replace(first=Crossing(2, "fp32"))) is None
    assert table.lacks(hands_on._replace(second=Crossing(4, "uint8"))) == (LOSING, Crossing(4, "uint8"))
    assert table.lacks(hands_on._replace(edge=(4,), second=Crossing(4, "uint8"))) == (LOSING, END)
    measured = ChainTable.of(
        Samples(drawn(manifest, 0, 40)).beside(behind(drawn(manifest, 0, 40), (LOSING, END))), manifest, "entropy"
    )
    assert measured.lacks(hands_on) is None
