"""Plans of three tiers: the search against a walk of every sample through every plan, hop by hop."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations, product

import numpy as np
import pytest

from offramp.artifacts.manifest import Manifest
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.errors import InputError
from offramp.exits.answers import Tier as Answering
from offramp.exits.evaluation import route
from offramp.plan.chain_path import ChainPath, ChainPrices, Shape, priced
from offramp.plan.chain_scan import ChainScan
from offramp.plan.chain_search import ALL, ChainCandidate, choose_chain
from offramp.plan.chain_table import ChainTable, Hops, hops, lossy, plan_measured
from offramp.plan.choose import Wanted
from offramp.plan.goal import Goal
from offramp.plan.inputs import Samples
from offramp.plan.table import Crossing
from offramp.plan.wire import tier_answer_bytes, tier_request_bytes
from on_paper import LAST, drawn
from three_tiers import LOCAL, behind, every_hop, lose, prices, small

GRID = np.array([0.1, 0.3, 0.6, 1.0])
END = Crossing(LAST, "fp32")
CODECS = ("fp32", "uint8")


@pytest.fixture(scope="module")
def manifest() -> Manifest:
    return small()


@pytest.fixture(scope="module")
def plain(manifest: Manifest) -> Predictions:
    return drawn(manifest, 3, n=160)


@pytest.fixture(scope="module")
def table(plain: Predictions, manifest: Manifest) -> ChainTable:
    return ChainTable.of(every_hop(plain), manifest, "entropy")


def every_shape() -> Iterator[Shape]:
    """By hand: what a device, an edge and a cloud can do with this network."""
    ways = [Crossing(0, "uint8"), *(Crossing(k, codec) for k in LOCAL for codec in CODECS), END]
    sets = [chosen for size in range(3) for chosen in combinations(LOCAL, size)]
    for first, second, device, edge in product(ways, ways, sets, sets):
        if first == END:
            if second == END and not edge:
                yield Shape(device, END, (), END)
            continue
        in_row = all(k > max([first.cut, *device]) for k in edge)
        back = first.cut == 0 or all(k <= first.cut for k in device)
        ahead = second.cut >= max([first.cut, *edge]) or second.cut == first.cut == 0
        same = second.cut != first.cut or not lossy(first) or first == second
        if in_row and back and ahead and same and set(edge) | {k for k in LOCAL if k <= first.cut} >= set(edge):
            yield Shape(device, first, edge, second)


def plan_of(shape: Shape, threshold: float) -> Plan:
    return ChainCandidate(shape, (threshold,) * len(shape.exits), None, ()).plan(LAST)  # type: ignore[arg-type]


@lru_cache
def up_bytes(crossing: Crossing) -> int:
    return tier_request_bytes(small(), crossing.cut, crossing.codec)


@lru_cache
def down_bytes(tier: str, sent: int) -> int:
    return tier_answer_bytes(small(), tier, "cloud", sent)


def walked(plain: Predictions, shape: Shape, threshold: float, of: ChainPrices) -> dict[str, float]:
    """A sample at a time, through every tier that it comes to."""
    plan, losing = plan_of(shape, threshold), hops(shape)
    heard = {k: lose(plain.at(k), *((shape.first,) if k in shape.edge else ())) for k in LOCAL}
    logits = {**heard, LAST: lose(plain.at(LAST), *losing)}
    fp32 = plan.model_copy(  # the numbers are what the hops made of them already
        update={"tiers": {name: part.model_copy(update={"codec": "fp32"}) for name, part in plan.tiers.items()}}
    )
    answers = route(Predictions(plain.header, plain.index, plain.labels, logits), fp32)
    seconds, first, second = np.zeros((3, len(answers)))
    for tier, exit_ in {*zip(answers.tier.tolist(), answers.exit.tolist(), strict=True)}:
        spent, sent, more = 0.0, 0, 0
        device, edge = of.device, of.edge
        asked = [k for k in shape.device if k <= exit_] if tier == Answering.DEVICE else list(shape.device)
        deepest = int(exit_) if tier == Answering.DEVICE else max([shape.first.cut, *shape.device])
        spent += 0.004 * deepest + 0.0005 * (len(asked) + (tier == Answering.DEVICE and exit_ == LAST))
        if tier != Answering.DEVICE:
            asked = [k for k in shape.edge if k <= exit_] if tier == Answering.EDGE else list(shape.edge)
            deepest = int(exit_) if tier == Answering.EDGE else max([shape.second.cut, *shape.edge])
            spent += 0.001 * (deepest - shape.first.cut)
            spent += 0.0002 * (len(asked) + (tier == Answering.EDGE and exit_ == LAST))
            sent = up_bytes(shape.first)
            on_edge = next(iter(reversed(plan.tiers.values())))
            if tier == Answering.CLOUD:
                more = edge.bytes_up(on_edge)
                spent += edge.passing(more, edge.bytes_down(on_edge)) + 0.0001 * (LAST - shape.second.cut)
            name = "cloud" if tier == Answering.CLOUD else "edge"
            spent += device.passing(sent, down_bytes(name, more))
        here = (answers.tier == tier) & (answers.exit == exit_)
        seconds[here], first[here], second[here] = spent, sent, more
    late = np.sort(seconds)[int(np.ceil(0.95 * len(seconds))) - 1]
    return {
        "accuracy": float((answers.label == plain.labels).mean()), "mean": float(np.mean(seconds)), "p95": float(late),
        "first": float(np.mean(first)), "second": float(np.mean(second)),
        "at_device": float((answers.tier == Answering.DEVICE).mean()),
        "at_edge": float((answers.tier == Answering.EDGE).mean()),
        "onward": float((answers.tier == Answering.CLOUD).mean()),
    }  # fmt: skip


@pytest.fixture(scope="module")
def tried(plain: Predictions, manifest: Manifest) -> list[tuple[Shape, dict[str, float]]]:
    """Every plan with one threshold, walked."""
    of = prices(manifest)
    each = ((shape, float(one)) for shape in every_shape() for one in (GRID if shape.exits else GRID[:1]))
    return [(shape, walked(plain, shape, threshold, of)) for shape, threshold in each]


@pytest.mark.parametrize("wanted", [("latency", 0.02), ("p95", 0.05), ("bytes", 0.03), ("loss", None)], ids=str)
def test_the_search_finds_what_trying_all_finds(
    wanted: tuple[str, float | None],
    tried: "list[tuple[Shape, dict[str, float]]]",
    table: ChainTable,
    manifest: Manifest,
) -> None:  # fmt: skip
    """The best of all with one threshold, for each choice of tiers that compute; by every sample's own way."""
    minimise, loss = wanted
    whole = float(table.plain.ends[END].mean())
    goal = Goal(minimise, None if loss is None else whole - loss, deadline=0.06)  # type: ignore[arg-type]
    least: dict[tuple[str, ...], tuple[float, float]] = {}
    for shape, found in tried:
        tiers = shape.computes(LAST)
        if not found[{"device": "at_device", "edge": "at_edge", "cloud": "onward"}[tiers[-1]]]:
            continue  # nobody comes there
        over = max(0.0, 0.0 if goal.accuracy is None else goal.accuracy - found["accuracy"])
        over = max(over, (found["p95"] - 0.06) / 0.06)
        figures = found | {"up": found["first"] + found["second"], "loss": -found["accuracy"]}
        cost = figures[{"latency": "mean", "bytes": "up"}.get(minimise, minimise)]
        key = (round(over, 9) if over > 1e-9 else 0.0, round(cost, 9))
        least[tiers] = min(least.get(tiers, (9.0, 9.0)), key)
    scan = ChainScan.of(table, prices(manifest), goal, GRID)
    best: dict[tuple[str, ...], tuple[float, float]] = {}
    for one in scan.best:
        key = (round(float(goal.missed(one.figures)), 9), round(float(goal.cost(one.figures)), 9))
        best[one.tiers] = min(best.get(one.tiers, (9.0, 9.0)), key)
    assert best.keys() == least.keys()
    assert len(best) == 7
    for tiers, one_of_them in best.items():
        assert one_of_them == pytest.approx(least[tiers], abs=2e-9), tiers
    assert scan.count == len(tried)


def test_every_figure_of_a_plan_is_a_sum_over_samples(
    plain: Predictions, table: ChainTable, manifest: Manifest
) -> None:
    """Of plans drawn at random, with the bytes of each hop; of single plans as of the scan's."""
    of, shapes = prices(manifest), list(every_shape())
    for place in np.random.default_rng(0).choice(len(shapes), 40, replace=False):
        shape = shapes[place]
        found = ChainCandidate.of(table, of, shape, [0.3] * len(shape.exits)).figures.floats()
        by_hand = walked(plain, shape, 0.3, of)
        assert {name: found[name] for name in by_hand} == pytest.approx(by_hand)
        assert found["up"] == pytest.approx(found["first"] + found["second"])
        assert found["at_device"] + found["at_edge"] + found["onward"] == pytest.approx(1)
        assert found["device"] + found["edge"] + found["cloud"] < found["mean"] + 1e-9
    scan = ChainScan.of(table, of, Goal(), GRID)
    for one in scan.best[::7]:
        again = ChainCandidate.of(table, of, one.shape, [one.threshold] * len(one.shape.exits))
        assert again.figures.floats() == pytest.approx(one.figures.floats())


def test_what_was_computed_twice_is_counted_twice(manifest: Manifest) -> None:
    """The image goes on behind the device's exit, and behind the edge's."""
    image = Crossing(0, "uint8")
    path = prices(manifest).path(Shape((2,), image, (4,), image))
    assert path.macs == (302, 302 + 1004, 302 + 1004 + 1505)
    assert path.places == (0, 1, 2)
    alone = prices(manifest).path(Shape((2,), Crossing(2, "fp32"), (4,), Crossing(4, "fp32")))
    assert alone.macs == (302, 1006, 1511)


def paying(manifest: Manifest) -> ChainPrices:
    """The last stage is too much for device and edge, and the links take long."""
    edge = {"stage": 0.002, "round_trip": 0.02, "a_byte": 1e-6, "end": 0.2}
    return prices(manifest, stage=0.01, round_trip=0.03, a_byte=1e-6, end=0.2, edge=edge)


def test_a_third_tier_pays_or_does_not(plain: Predictions, manifest: Manifest) -> None:
    """Where the device is no slower than the edge, nothing is left to that; where it is and links are slow, it is."""
    samples, wanted = every_hop(plain), Wanted(max_loss=0.01)
    quick = choose_chain(samples, prices(manifest, stage=0.0005, head=0.0001), wanted, grid=GRID)
    assert not quick.pays
    assert "edge" not in quick.best.tiers
    slow = choose_chain(samples, paying(manifest), wanted, grid=GRID)
    assert slow.pays
    assert slow.best.tiers == ALL
    assert slow.fewer.figures.mean > slow.best.figures.mean
    assert slow.best.figures.accuracy >= slow.whole - 0.01
    plan = slow.best.plan(LAST)
    assert list(plan.tiers) == ["device", "edge"]
    plan.check(manifest)


@pytest.mark.parametrize("loss", [0.9, 0.3, 0.05])
@pytest.mark.parametrize("direct", [False, True])
def test_a_plan_hands_on_to_no_tier_that_it_is_not_said_to_need(
    loss: float, direct: bool, plain: Predictions, manifest: Manifest
) -> None:
    """Where none of the samples comes to a tier, no other one does either."""
    of = prices(manifest, direct=direct, stage=0.0002, end=0.2, edge={"stage": 0.0001, "round_trip": 0.02, "end": 0.2})
    found = choose_chain(every_hop(plain), of, Wanted(max_loss=loss), grid=GRID)
    for tiers, one in found.by_tiers.items():
        assert one.shape.computes(LAST) == tiers


def test_a_way_round_the_edge_is_taken_where_it_is_shorter(plain: Predictions, manifest: Manifest) -> None:
    """A link from the device to the cloud; its plan has no edge."""
    of = prices(manifest, direct=True)
    found = [
        one for one in choose_chain(Samples(plain), of, Wanted(max_loss=0.05), grid=GRID).ranked if one.shape.direct
    ]
    assert list(found[0].plan(LAST).tiers) == ["device"]
    path = of.path(Shape((), Crossing(2, "fp32"), (), Crossing(2, "fp32"), True))
    assert of.direct is not None
    assert path.second == (0,)
    assert path.seconds[0] == pytest.approx(
        of.direct.onward(plan_of(Shape((), Crossing(2, "fp32"), (), END), 0.3).first)
    )


def test_what_the_answer_hangs_on_is_measured_first(plain: Predictions, manifest: Manifest) -> None:
    """And only that: hoped to be right until then, as often as the network in one piece."""
    asked: list[Hops] = []

    def measure(hop: Hops) -> Predictions:
        asked.append(hop)
        return behind(plain, hop)

    of = paying(manifest)
    found = choose_chain(Samples(plain), of, Wanted(max_loss=0.01), measure=measure, grid=GRID)
    assert asked
    assert len(asked) == len(set(asked))
    for one in (found.best, found.fewer, found.three):
        assert one is None or found.table.knows(one.shape)
    all_known = choose_chain(every_hop(plain), of, Wanted(max_loss=0.01), grid=GRID)
    assert found.best.figures.mean <= all_known.best.figures.mean * (1 + 1e-9)
    given = [choose_chain(Samples(plain), of, Wanted(max_loss=0.01), grid=GRID).best.shape]
    assert not any(lossy(hop) for shape in given for hop in hops(shape))


def test_exits_that_a_second_hop_leaves_out_are_measured_by_themselves(plain: Predictions, manifest: Manifest) -> None:
    """Of two lossy hops the end alone is known, where the edge does not come to every exit; else it is refused."""
    first, second = Crossing(0, "fp16"), Crossing(2, "uint8")
    table = ChainTable.of(Samples(plain, (behind(plain, (first, second)),)), manifest, "entropy")
    assert first not in table.behind
    assert (first, second) in table.pairs
    with pytest.raises(InputError, match="the edge may have any exit behind the first cut"):
        ChainTable.of(Samples(plain, (behind(plain, (first, Crossing(2, "fp32"))),)), manifest, "entropy")


def test_who_is_late_is_told_whatever_place_is_the_slowest() -> None:
    """An exit's answer may take longer than what goes on: a profile's noise may say so."""
    none = (0,) * 3
    path = ChainPath((3.0, 1.0, 2.0), none, none, none, none, none, none, none, (0, 1, 2))
    left = np.array([[0.04, 0.06], [0.5, 0.5], [0.46, 0.44]])
    assert list(priced([path], left, left.sum(axis=0)[None]).p95[0]) == [2.0, 3.0]


def test_plans_that_measure_hear_every_exit_behind_the_hop(manifest: Manifest) -> None:
    """What a lossy hop does is seen at all of them at once."""
    plan = plan_measured(manifest, Crossing(2, "uint8"), END)
    assert [one.exit for one in plan.tiers["edge"].active] == [4]
    assert (plan.tiers["device"].codec, plan.tiers["edge"].cut) == ("uint8", LAST)


def test_a_goal_that_nothing_meets_names_the_nearest(plain: Predictions, manifest: Manifest) -> None:
    """With what it would come to."""
    with pytest.raises(InputError, match=r"nothing meets 95 % .* within 0\.01 ms and .* The nearest is device"):
        choose_chain(Samples(plain), prices(manifest), Wanted(max_loss=0.01, deadline=1e-5), grid=GRID)
