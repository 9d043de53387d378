"""A controller on links that are made up, in time that is made up, beside an oracle that knows them."""

import pytest

from made_up_link import plans, run
from offramp.artifacts.choices import Priced
from offramp.link.shape import LinkShape
from offramp.link.trace import Trace
from offramp.nodes.controller import DWELL, READINGS, STALL, Controller, most_switches
from offramp.nodes.estimate import Reading
from traces import SEEDS, made

SECONDS = 300.0
SEED = 18  # of no trace that is measured on
BACK = 2.0  # seconds from the end of an outage until the cloud is used again, as the documentation states


@pytest.mark.parametrize("name", sorted(SEEDS))
def test_it_is_hardly_slower_than_who_knows_the_link(name: str) -> None:
    """Within 5 % in the mean, with few switches, whether the cloud says what it took or not."""
    assert SEED not in SEEDS.values()
    trace, choices = Trace(0.0, made(name, SEED, SECONDS)), plans()
    oracle = run(trace, choices, SEED, SECONDS, knows=True).mean
    # One plan all the time does worse: else nothing is tested.
    alone = min(run(trace, [plan], SEED, SECONDS, knows=True).mean for plan in choices[:2])
    for word in (True, False):
        followed = run(trace, choices, SEED, SECONDS, word=word)
        assert followed.mean <= 1.05 * oracle
        assert followed.mean < 0.97 * alone
        assert 1 <= len(followed.switches) <= most_switches(SECONDS)


def test_an_outage_is_left_at_once_and_the_cloud_used_soon_after_it() -> None:
    """Within the stated times, however often."""
    good, shapes = LinkShape(up=12_000_000, down=12_000_000, delay=0.004), []
    for start in (0.0, 40.0, 80.0):
        shapes += [(start, good), (start + 20, None)]
    ran = run(Trace(0.0, (*shapes, (120.0, good))), plans(), SEED, 140.0)
    assert max(ran.milliseconds) < STALL + 300  # nobody waits for the end of an outage
    for start in (20.0, 60.0, 100.0):
        down = next(now for now, switch in ran.switches if now >= start and switch.to == 0)
        up = next(now for now, switch in ran.switches if now >= start + 20 and switch.to > 0)
        assert down - start < STALL / 1000 + 0.3
        assert up - (start + 20) < BACK


def heard(controller: Controller, now: float, took: float, plan: int, times: int = 1) -> None:
    """Have readings of a plan's size come."""
    size = controller.plans[plan]
    for _ in range(times):
        controller.heard(Reading(now, took, size.bytes_up, size.bytes_down, size.cloud_ms, size.cloud_ms), plan)


def test_there_are_never_more_switches_than_is_stated() -> None:
    """On a link that is another every few seconds, which takes every switch that there is."""
    controller, switches = Controller(plans(), 0.0), 0
    for tenth in range(3000):
        now = tenth / 10
        heard(controller, now, 8.0 if tenth // 25 % 2 else 300.0, 3)
        switches += controller.decide(now) is not None
        assert switches <= most_switches(now)
    assert switches > 20


def test_up_takes_several_good_readings_of_that_plan_and_down_none() -> None:
    """An edge that answers alone goes up by what it has asked for; two bad answers take it down again."""
    controller = Controller(plans(), 0.0)
    for reading in range(READINGS):
        assert controller.decide(reading / 10) is None
        heard(controller, reading / 10, 8.0, 3)
    switch = controller.decide(0.5)
    assert switch is not None
    assert switch.to > 0
    at, now = controller.at, 0.5 + DWELL / 2
    heard(controller, now, 300.0, at)
    assert controller.decide(now) is None  # one packet may have been lost
    heard(controller, now, 300.0, at)
    down = controller.decide(now)
    assert down is not None
    assert down.to < at
    assert "was up" in down.why


def test_with_a_target_the_most_accurate_plan_that_meets_it_is_taken() -> None:
    """And the fastest where none does."""
    rough, exact = plans()[0], plans()[4]
    choices = [
        Priced(**rough.model_dump() | {"accuracy": 0.8, "edge_ms": 5.0}),
        Priced(**exact.model_dump() | {"accuracy": 0.9}),
    ]
    controller = Controller(choices, 0.0, within=20.0)
    now = 0.0
    while controller.decide(now) is None:
        now += 0.1
        heard(controller, now, 12.0, 1)
        assert now < 5
    assert controller.at == 1  # 12 ms are more than 5, and exact
    heard(controller, now, 60.0, 1, times=2)
    down = controller.decide(now)
    assert down is not None
    assert down.to == 0
