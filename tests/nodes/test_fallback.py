"""What an edge answers where its cloud cannot, and how far it gets in the time that is left."""

import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.data.image_set import Splits
from offramp.errors import (
    BundleMismatchError,
    DeadlineError,
    InputError,
    LinkError,
    OfframpError,
    OverloadedError,
    UnreachableError,
)
from offramp.exits.answers import Judged, Tier
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.fallback import Fallback, TimedStep
from offramp.nodes.flight import Answered, Flight
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.upstream import Finished, failed
from offramp.protocol.served import Array, Call
from standing_clock import Clock

ROWS = 120
GONE = UnreachableError("gone.")
ALL_GO_ON = Plan.of(3, 0.0)


class Broken:
    """A cloud that fails at once, and is asked all the same."""

    def __init__(self, error: OfframpError = GONE) -> None:
        self.error, self.waits = error, list[float]()

    def check(self, course: Any, timeout: float) -> None:
        """Seem to be there."""

    def finish(self, flight: Flight, timeout: float, *_: Any) -> Future[Finished]:
        """Fail."""
        self.waits.append(timeout)
        return failed(self.error)


@pytest.fixture(scope="module")
def image(bundle: Bundle, digits: Splits) -> Array:
    """Some of the test set."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:ROWS])


def edge_of(bundle: Bundle, plan: Plan = ALL_GO_ON, error: OfframpError = GONE, **how: Any) -> Edge:
    """An edge in front of a broken cloud."""
    return Edge(bundle, plan, Broken(error), threads=1, **how)


def expected(predictions: Predictions, exit_: int) -> Judged:
    """What the network says at an exit."""
    return Judged.of(predictions.logits[exit_][:ROWS])


def flight_of(edge: Edge, image: Array) -> Flight:
    """What of a batch goes on."""
    *_, flight = edge.parts(image)
    assert isinstance(flight, Flight)
    return flight


@pytest.mark.parametrize(
    "plan",
    [
        Plan.of(3, 0.0),
        Plan.of(3, 0.1),
        Plan.of(3, 0.0, cut=5),
        Plan.of(3, 0.0, cut=0),
        Plan.of(3, 0.0, cut=0, codec="uint8"),
        Plan.checked(active=(), cut=0),
        Plan.checked(active=(), cut=4),
    ],
    ids=str,
)
def test_what_the_cloud_does_not_answer_is_answered_at_the_network_s_end(
    bundle: Bundle, image: Array, predictions: Predictions, plan: Plan
) -> None:
    """With what the whole network says, wherever it is cut and whatever exits there are; marked, and told truly."""
    answers = edge_of(bundle, plan).infer(image)
    here = answers.degraded
    assert 0 < here.sum() == (answers.exit == bundle.manifest.last).sum()
    assert set(answers.tier) == {Tier.EDGE}
    whole = expected(predictions, bundle.manifest.last)
    assert np.allclose(answers.probabilities[here], whole.probabilities[here], atol=1e-5)
    assert np.allclose(answers.score[here], whole.scores[here], atol=1e-5)


@pytest.mark.parametrize("codec", ["fp16", "uint8"])
def test_features_that_were_coded_are_what_it_goes_on_from(bundle: Bundle, image: Array, codec: str) -> None:
    """As the cloud would: the same answers as its own, to rounding."""
    plan = Plan.of(3, 0.0, codec=codec)
    here = edge_of(bundle, plan).infer(image)
    there = Edge(bundle, plan, LocalCloud(bundle), threads=1).infer(image)
    assert np.allclose(here.probabilities, there.probabilities, atol=1e-5)
    assert here.degraded.all()
    assert not there.degraded.any()


@pytest.mark.parametrize(
    "error",
    [
        UnreachableError("gone."),
        DeadlineError("late."),
        OverloadedError("full."),
        BundleMismatchError("another."),
        LinkError("nonsense."),
    ],
)
def test_whatever_the_cloud_s_failure_it_is_answered_and_otherwise_it_is_an_error(
    bundle: Bundle, image: Array, error: LinkError
) -> None:
    """An error of the same kind where a call or the edge wants no degraded answers."""
    edge = edge_of(bundle, error=error)
    assert edge.infer(image).degraded.all()
    with pytest.raises(type(error)):
        edge.infer(image, degraded=False)
    with pytest.raises(type(error)):
        edge_of(bundle, error=error, degraded=False).infer(image)


def test_what_is_the_caller_s_fault_stays_it(bundle: Bundle, image: Array) -> None:
    """No answer in place of an error that the caller can mend."""
    with pytest.raises(InputError, match=r"^bad\.$"):
        edge_of(bundle, error=InputError("bad.")).infer(image)


def test_a_degraded_answer_cannot_be_asked_of_who_gives_none(bundle: Bundle, image: Array) -> None:
    """It would be an error at the first failure only."""
    with pytest.raises(InputError, match=r"^degraded: this edge gives no degraded answers\."):
        edge_of(bundle, degraded=False).infer(image, degraded=True)


class Slow(TimedStep):
    """A step that takes a second of such a clock, and knows it."""

    def __init__(self, timed: TimedStep, clock: Clock) -> None:
        super().__init__(timed.step, (1.0, 1.0))
        self.clock = clock

    def seconds(self, rows: int) -> float:
        """As long as it says."""
        return 1.0

    def run(self, features: dict[str, Array]) -> dict[str, Array]:
        """Take it."""
        self.clock.now += 1
        return self.step.span.run(*features.values())


@pytest.mark.parametrize(
    ("plan", "left", "exit_"),
    [
        (Plan.of(3, 0.0), 0.5, 3),  # no time: what the last local exit said
        (Plan.of(3, 0.0), 1.5, 4),
        (Plan.of(3, 0.0), 5.5, 8),
        (Plan.of(3, 0.0), 6.5, 9),
        (Plan.of(3, 0.0, cut=0), 2.5, 3),  # exits 1 and 2 are run again, and say less
        (Plan.of(3, 0.0, cut=0), 4.5, 4),
        (Plan.checked(active=(), cut=0), 2.5, 2),
        (Plan.checked(active=(), cut=6), 1.5, 7),
    ],
)
def test_it_gets_as_far_as_the_time_goes(
    bundle: Bundle, image: Array, predictions: Predictions, plan: Plan, left: float, exit_: int
) -> None:
    """To the deepest exit that can be reached, and not past the end."""
    edge, clock = edge_of(bundle, plan), Clock()
    made = edge.fallback(edge.course.part)
    slow = Fallback(tuple(Slow(timed, clock) for timed in made.steps))
    assert len(slow.steps) == 9 - plan.cut
    answers = slow.answers(flight_of(edge, image), left, clock)
    assert clock.now <= left
    assert answers is not None
    assert set(answers.exit) == {exit_}
    assert answers.degraded.all()
    assert np.allclose(answers.probabilities, expected(predictions, exit_).probabilities, atol=1e-5)


def test_where_there_is_no_answer_and_no_time_it_is_an_error(bundle: Bundle, image: Array) -> None:
    """It is not made up."""
    edge, clock = edge_of(bundle, Plan.checked(active=(), cut=4)), Clock()
    slow = Fallback(tuple(Slow(timed, clock) for timed in edge.fallback(edge.course.part).steps))
    flight = flight_of(edge, image)
    assert slow.answers(flight, 0.5, clock) is None
    sent = edge.send(flight, degraded=True)
    with pytest.raises(UnreachableError, match=rf"^gone\. {ROWS} of {ROWS} samples"):
        replace(sent, end=0.0)()


def test_time_is_kept_back_for_it(bundle: Bundle, image: Array) -> None:
    """Twice what it takes, or half of what there is; none where an error will do."""
    edge = edge_of(bundle, cloud_timeout=4.0)
    cloud = edge.cloud
    assert isinstance(cloud, Broken)
    takes = edge.fallback(edge.course.part).seconds(ROWS)
    edge.infer(image, timeout=100.0)  # no longer than the edge waits
    assert 3.5 - 2.5 * takes < cloud.waits[-1] < 3.8 - 2 * min(takes, 0.5)
    for timed in edge.fallback(edge.course.part).steps:
        timed.seconds_at = (10.0, 10.0)
    answers = edge.infer(image, timeout=3.0)
    assert 1.0 < cloud.waits[-1] <= 1.5
    assert set(answers.exit) == {3}
    with pytest.raises(LinkError):
        edge.infer(image, timeout=100.0, degraded=False)
    assert 4.0 < cloud.waits[-1] <= 100.0


def test_a_step_learns_that_it_is_slower_and_forgets_it(bundle: Bundle, image: Array) -> None:
    """Between two sizes and beyond them it goes by a line."""
    edge = edge_of(bundle)
    timed = edge.fallback(edge.course.part).steps[0]
    timed = TimedStep(timed.step, (0.001, 0.032))
    assert timed.seconds(1) == pytest.approx(0.001)
    assert timed.seconds(64) == pytest.approx(0.064)
    timed.seconds_at = (1e-12, 32e-12)
    timed.run(flight_of(edge, image).features)
    assert timed.slower > 1e3
    timed.seconds_at = (1e6, 1e6)
    for _ in range(150):
        timed.run(flight_of(edge, image).features)
    assert timed.slower == pytest.approx(1.0, rel=1e-3)


class Silent(Broken):
    """A cloud that never answers."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[Future[Finished]] = []

    def finish(self, *_: Any) -> Future[Finished]:
        """Wait."""
        self.waiting.append(Future())
        return self.waiting[-1]


def test_only_so_many_samples_are_in_flight(bundle: Bundle, image: Array) -> None:
    """What comes on top is answered here at once, and there is room again as soon as some are answered."""
    cloud = Silent()
    edge = Edge(bundle, ALL_GO_ON, cloud, threads=1, in_flight=100)
    flight = flight_of(edge, image[:60])
    first = edge.send(flight, degraded=True)
    assert not first.answer.done()
    second = edge.send(flight, degraded=True)
    assert second.answer.done()
    part = second()
    assert isinstance(part, Answered)
    assert part.answers is not None
    assert part.answers.degraded.all()
    with pytest.raises(
        OverloadedError, match="the cloud has not answered 60 samples yet, 60 would come on top, and 100"
    ):
        edge.send(flight)()
    cloud.waiting[0].set_exception(UnreachableError("gone."))
    assert not edge.send(flight_of(edge, image)).answer.done()  # larger than the bound, and nobody is out
    assert len(cloud.waiting) == 2


def test_a_call_that_fails_before_it_is_out_takes_no_room(bundle: Bundle, image: Array) -> None:
    """An error of ours, or a defect."""

    class Raises(Broken):
        def finish(self, *_: Any) -> Future[Finished]:
            raise InputError("bad.")

    edge = Edge(bundle, ALL_GO_ON, Raises(), threads=1)
    with pytest.raises(InputError):
        edge.infer(image)
    assert edge.room.out == 0


def test_a_request_may_refuse_degraded_answers(bundle: Bundle, image: Array) -> None:
    """By a parameter, true or false, as a word too."""
    model = EdgeModel(edge_of(bundle))
    for value in (False, "false"):
        pending = model.infer(Call({"image": image}, {"degraded": value}))
        with pytest.raises(UnreachableError):
            pending.finish()  # type: ignore[union-attr]
    answer = model.infer(Call({"image": image})).finish()  # type: ignore[union-attr]
    assert answer.outputs["degraded"].all()
    assert set(answer.outputs["tier"]) == {b"edge"}
    with pytest.raises(InputError, match=r"^parameter 'degraded': expected true or false, got 3\.$"):
        model.infer(Call({"image": image}, {"degraded": 3}))


def test_few_are_kept_for_what_calls_ask_for(bundle: Bundle) -> None:
    """The edge's own, and those asked for last."""
    edge = edge_of(bundle)
    own = edge.fallback(edge.course.part)
    for cut in (1, 2, 4, 5, 6, 7):
        edge.fallback(Plan.checked(active=(), cut=cut).first)
    assert list(edge.fallbacks.others) == [(cut, "fp32") for cut in (4, 5, 6, 7)]
    assert list(edge.fallbacks.own) == [(3, "fp32")]
    assert edge.fallback(edge.course.part) is own


def test_a_caller_whose_time_is_over_gets_an_error_and_no_late_answer(bundle: Bundle, image: Array) -> None:
    """One that named no time still waits, however late it is, and gets what there is."""
    edge = edge_of(bundle)
    flight = flight_of(edge, image)
    with pytest.raises(DeadlineError, match=r"^the deadline passed before the cloud was asked\."):
        edge.send(flight, time.monotonic() - 1.0, degraded=True)()
    late = replace(edge.send(flight, degraded=True), end=time.monotonic() - 1.0)()
    assert late.answers is not None
    assert set(late.answers.exit) == {3}
