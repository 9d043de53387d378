"""What goes along from tier to tier: the plan, whole or by its id, and what a request says of its samples."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.data.image_set import Splits
from offramp.errors import BundleMismatchError, DeadlineError, InputError, LinkError, UnknownModelError
from offramp.exits.answers import Answers, Tier, tier_name, tier_names, tier_number
from offramp.exits.evaluation import evaluate
from offramp.nodes.batched import Caller, batched, called_by
from offramp.nodes.batching import Batcher
from offramp.nodes.chain import KEPT, LONGEST, Followed, check_next, follows, plan_id, told_if_unknown
from offramp.nodes.contract import read_answers
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import result_of
from offramp.nodes.flight import Answered, Flight
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.replied import check_answers
from offramp.nodes.replies import Replies
from offramp.nodes.route import Course
from offramp.nodes.tier_model import Followers, TierModel
from offramp.protocol.served import Array, Call, Pending, Result
from offramp.runtime.span import Tensors
from until import until


def chain(*cuts: int, threshold: float = 0.0) -> Plan:
    """A plan of a device and an edge, each of which answers what is below a threshold where it is cut."""
    parts = [{"active": [{"exit": cut, "threshold": threshold}], "cut": cut} for cut in cuts]
    return Plan.model_validate({"tiers": dict(zip(("device", "edge"), parts, strict=False))})


OWN, OTHER = chain(2, 5), chain(3, 5)


def test_a_plan_is_said_whole_once_and_by_its_id_from_then_on() -> None:
    """What a tier follows itself it knows without; another it knows when it has been told."""
    followed = Followed()
    assert followed.meant(follows(OWN, known=True), OWN) is OWN
    with pytest.raises(UnknownModelError, match=r"no plan .* is known here"):
        followed.meant(follows(OTHER, known=True), OWN)
    assert followed.meant(follows(OTHER, known=False), OWN) == OTHER
    assert followed.meant(follows(OTHER, known=True), OWN) == OTHER


def test_what_is_promised_of_a_plan_does_not_go_along() -> None:
    """It is a long text about data that the next tier never saw, and the same plan has the same name without it."""
    assert len(follows(OWN, known=True)) == len(plan_id(OWN)) == 16
    assert "promise" not in follows(OWN, known=False)
    assert plan_id(OWN) != plan_id(OTHER)


def test_so_many_plans_are_remembered() -> None:
    """The one asked for longest ago is forgotten first."""
    followed, plans = Followed(), [chain(2, 5, threshold=(n + 1) / 1000) for n in range(KEPT + 1)]
    for plan in plans:
        followed.meant(follows(plan, known=False), OWN)
        followed.meant(follows(plans[0], known=True), OWN)
    followed.meant(follows(plans[0], known=True), OWN)
    with pytest.raises(UnknownModelError):
        followed.meant(follows(plans[1], known=True), OWN)


@pytest.mark.parametrize(("said", "why"), [("{}", "format"), ("{" + " " * LONGEST, "expected 65,536 at most")])
def test_what_is_no_plan_is_refused(said: str, why: str) -> None:
    """As a fault of who sent it."""
    with pytest.raises(InputError, match=why):
        Followed().meant(said, OWN)


def asked(*answers: "Result | Exception") -> "tuple[Future[Result], list[float]]":
    """A request that is answered so, and when it is sent again so; with the seconds that were left each time."""
    waits: list[float] = []

    def begun(left: float = 0.0) -> "Future[Result]":
        waits.append(left)
        answer: Future[Result] = Future()
        answer.set_running_or_notify_cancel()
        came = answers[len(waits) - 1]
        if isinstance(came, Exception):
            answer.set_exception(came)
        else:
            answer.set_result(came)
        return answer

    return told_if_unknown(begun(), begun, 10.0), waits


def test_a_plan_that_was_forgotten_is_said_again_and_once() -> None:
    """Whoever waits hears of the second answer; any other error is not asked about twice."""
    forgotten = UnknownModelError("parameter 'follows': no plan is known here.")
    answer, waits = asked(forgotten, Result({}))
    assert answer.result(1) == Result({})
    assert len(waits) == 2
    assert 9 < waits[1] <= 10
    answer, waits = asked(forgotten, forgotten)
    assert (answer.exception(1), len(waits)) == (forgotten, 2)
    answer, waits = asked(gone := LinkError("gone"))
    assert (answer.exception(1), len(waits)) == (gone, 1)


def test_whoever_goes_is_not_asked_for_again() -> None:
    """Cancelled, what is under way is."""
    first: Future[Result] = Future()
    told_if_unknown(first, lambda left: pytest.fail("asked again"), 10.0).cancel()
    assert first.cancelled()


@pytest.mark.parametrize(
    ("tier", "said"),
    [
        ("edge", None),
        (None, "is no tier of a chain, and by the plan the edge follows. Start it as --tier edge"),
        ("region", "is the region, and by the plan the edge follows."),
        ("device", "is the device, and by the plan the edge follows: the chain closes on itself."),
    ],
)
def test_the_next_tier_is_the_one_that_the_plan_names(tier: str | None, said: str | None) -> None:
    """Whatever answers at its address."""
    course = Course(OWN, tier=Tier.DEVICE)
    if said is None:
        check_next(course, tier, "x:1")
    else:
        with pytest.raises(BundleMismatchError) as refused:
            check_next(course, tier, "x:1")
        assert f"x:1 {said}" in str(refused.value)


def test_tiers_of_other_names_have_numbers_of_their_own() -> None:
    """The same each time, and the three that have always been there keep theirs; the cloud is the last by name."""
    number = tier_number("gateway")
    assert (tier_number("gateway"), tier_name(number)) == (number, "gateway")
    assert number > max(Tier)
    assert [tier_number(name) for name in ("device", "edge", "cloud")] == list(Tier)
    assert tier_names()[-1] == "cloud"
    answers = made(2, tier="gateway")
    assert evaluate(answers, answers.label).answered == {"gateway": 2}
    said = result_of(Answered(np.arange(2), answers), None, "cloud")
    assert said.outputs["tier"].tolist() == [b"gateway", b"gateway"]
    assert read_answers(said.outputs).tier.tolist() == [number, number]


def made(rows: int, *, exit_: int = 5, tier: str = "edge", classes: int = 10) -> Answers:
    """Answers as they might come."""
    flags = np.zeros(rows, np.bool_)
    return Answers(
        np.full((rows, classes), 1 / classes, np.float32),
        np.zeros(rows, np.int64),
        np.full(rows, exit_, np.int64),
        np.full(rows, 0.5, np.float32),
        np.full(rows, tier_number(tier), np.int8),
        flags,
        flags,
    )


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (made(2, classes=9), r"expected probabilities as FP32 of shape \(2, 10\), got FP32 of shape \(2, 9\)"),
        (made(1), "expected probabilities"),
        (made(2, exit_=2), "answered at exit 2, which is none behind the cut"),
        (made(2, tier="device"), "answered by tier 'device', and behind this one there are edge, cloud"),
    ],
)
def test_answers_that_do_not_fit_are_not_taken(answers: Answers, said: str) -> None:
    """Of another network, to another batch, or from where nothing went."""
    with pytest.raises(LinkError, match=said):
        check_answers("edge x:1", answers, 2, 10, (3, 5, 9), ("edge", "cloud"))
    assert check_answers("edge x:1", made(2), 2, 10, (3, 5, 9), ("edge", "cloud")).exit.tolist() == [5, 5]


def test_answers_that_are_not_finite_are_not_taken() -> None:
    """Nor labels that name no class."""
    answers = made(2)
    answers.score[1] = np.nan
    with pytest.raises(LinkError, match="NaN or infinity"):
        check_answers("edge x:1", answers, 2, 10, (5,), ("edge",))
    answers = made(2)
    answers.label[0] = 10
    with pytest.raises(LinkError, match="beyond the 10 classes"):
        check_answers("edge x:1", answers, 2, 10, (5,), ("edge",))


class Slow:
    """A span that doubles, and begins its first batch when it is let go."""

    def __init__(self) -> None:
        self.sizes, self.go = list[int](), threading.Event()

    def run(self, *tensors: Array) -> Tensors:
        """Keep how many rows came at once."""
        assert self.go.wait(30)
        self.sizes.append(len(tensors[0]))
        return {"twice": 2 * tensors[0], "same": tensors[0]}


def test_spans_run_what_several_ask_at_once_as_one_batch() -> None:
    """Each gets its own rows of every tensor."""
    batcher, span = Batcher(), Slow()
    shared = batched(span, batcher)
    with closing(batcher), ThreadPoolExecutor(3) as pool:
        first = pool.submit(shared.run, np.zeros((1, 2)))
        until(lambda: batcher.running == 1)
        others = [pool.submit(shared.run, np.full((rows, 2), float(rows))) for rows in (2, 3)]
        until(lambda: batcher.waiting == 5)
        span.go.set()
        assert [len(first.result(30)["same"]), *(len(one.result(30)["same"]) for one in others)] == [1, 2, 3]
        assert [one.result()["twice"].max() for one in others] == [4.0, 6.0]
    assert span.sizes == [1, 5]


def test_who_waits_for_a_batch_waits_no_longer_than_its_caller() -> None:
    """Said for the thread that runs spans, and for no other after that."""
    batcher, span = Batcher(), Slow()
    with closing(batcher), ThreadPoolExecutor(1) as pool:
        pool.submit(batched(span, batcher).run, np.zeros((1, 2)))
        until(lambda: batcher.running == 1)
        with called_by(Caller(timeout=0.01)), pytest.raises(DeadlineError):
            batched(span, batcher).run(np.zeros((1, 2)))
        span.go.set()
    assert batched(span, None) is span


@pytest.fixture
def between(bundle: Bundle) -> Iterator[TierModel]:
    """An edge between a device and the cloud, as a model on a server."""
    with closing(Batcher()) as batcher:
        cloud = LocalCloud(bundle, Engine(threads=1))
        edge = Edge(bundle, chain(2, 5, threshold=0.3), cloud, threads=1, tier="edge", batcher=batcher)
        yield TierModel(Followers(edge), 2, "fp32", Replies(bundle.id))


def test_a_tier_between_answers_by_the_plan_that_goes_along(bundle: Bundle, digits: Splits, between: TierModel) -> None:
    """Its own where none does; at other exits by another."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:20])
    flight = next(iter(Edge(bundle, chain(2, 5), LocalCloud(bundle), threads=1, tier="device").parts(pixels)))
    assert isinstance(flight, Flight)

    def exits(**parameters: str) -> set[int]:
        found = between.infer(Call(flight.features, parameters))
        result = found.finish() if isinstance(found, Pending) else found
        return {int(exit_) for exit_ in result.outputs["exit"]}

    other = chain(2, 7, threshold=0.3)
    assert exits() == {5, 9}
    assert exits(follows=follows(other, known=False)) == {7, 9}
    assert exits(follows=follows(other, known=True)) == {7, 9}
    with pytest.raises(InputError, match="takes what crosses boundary 3 as fp32"):
        exits(follows=follows(OTHER, known=False))


def test_a_tier_between_tells_a_client_what_it_answers(bundle: Bundle, digits: Splits, between: TierModel) -> None:
    """By the rows of the client's own batch, and the tier before that all has been said."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:20])
    flight = next(iter(Edge(bundle, chain(2, 5), LocalCloud(bundle), threads=1, tier="device").parts(pixels)))
    assert isinstance(flight, Flight)
    to = {"reply_to": "t" * 16, "reply_as": "seven"}
    with pytest.raises(InputError, match="row: a direct reply says which rows it answers"):
        between.infer(Call(flight.features, to))
    with pytest.raises(InputError, match="no stream is open here under this token"):
        between.infer(Call({**flight.features, "row": np.arange(100, 120)}, to))
