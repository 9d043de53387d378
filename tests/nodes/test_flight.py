"""What goes on of a batch: what is known of it, and that nobody's thread waits for it."""

from collections import Counter
from concurrent.futures import Future
from dataclasses import fields, replace

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.data.image_set import Splits
from offramp.errors import InputError, UnreachableError
from offramp.exits.answers import Answers, Judged, Tier
from offramp.exits.evaluation import route
from offramp.nodes.contract import Reply
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.flight import Answered, Flight
from offramp.nodes.route import Course
from offramp.nodes.upstream import Finished, at_once
from offramp.protocol.served import Array, Call, Pending, Result
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

ONE_THREAD = Engine(threads=1)

WAIT = 30.0  # seconds after which a test that hangs fails
PLAN = Plan.checked(active=[{"exit": 2, "threshold": 0.2}, {"exit": 5, "threshold": 0.1}], cut=5)


class Bounded(Future[Finished]):
    """Who waits on its own thread for an answer that never comes fails, and does not hang."""

    def result(self, timeout: float | None = None) -> Finished:
        """Wait, and not for ever."""
        return super().result(WAIT if timeout is None else timeout)


class Silent:
    """An upstream that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Flight, Reply | None, Future[Finished]]] = []

    def check(self, course: Course, timeout: float) -> None:
        """It is there."""

    def finish(
        self, flight: Flight, timeout: float, to: Reply | None = None, version: str | None = None
    ) -> Future[Finished]:
        """Take note."""
        self.asked.append((flight, to, Bounded()))
        return self.asked[-1][2]

    def answer(self, position: int) -> None:
        """Give some answer: the class 7, at the last exit."""
        flight, to, waiting = self.asked[position]
        logits = np.zeros((len(flight.rows), 10), np.float32)
        logits[:, 7] = 9
        waiting.set_result(Finished(None, 11) if to else Finished.by_cloud(flight, logits, 9, 11))


class Instead(Silent):
    """One that answers in the cloud's place: with what the edge's last exit said, which is better than nothing."""

    def finish(self, flight: Flight, *_: object) -> Future[Finished]:
        """Answer at once."""
        assert flight.judged is not None
        assert flight.exit is not None
        judged, exit_ = flight.judged, flight.exit
        return at_once(lambda: Finished(judged.answers(exit_, flight.course.tier)))


class Degraded(Silent):
    """One that answers with what the edge's last exit said, and says so."""

    def finish(self, flight: Flight, *_: object) -> Future[Finished]:
        """Answer at once."""
        judged, exit_ = flight.judged, flight.exit
        assert judged is not None
        assert exit_ is not None
        return at_once(
            lambda: Finished(replace(judged.answers(exit_, Tier.EDGE), degraded=np.ones(len(flight.rows), bool)))
        )


@pytest.fixture(scope="module")
def image(bundle: Bundle, digits: Splits) -> Array:
    """The test set."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images)


@pytest.fixture
def cloud() -> Silent:
    """It has said nothing yet."""
    return Silent()


@pytest.fixture
def model(bundle: Bundle, cloud: Silent) -> EdgeModel:
    """An edge in front of it."""
    return EdgeModel(Edge(bundle, PLAN, cloud, threads=1, degraded=False))


def told(result: Result) -> Counter[str]:
    """How many rows what answered, in words."""
    return Counter({str(kind): count for kind, count in result.by.items()})


def test_a_flight_has_the_last_local_answer_of_its_rows(
    bundle: Bundle, predictions: Predictions, image: Array, cloud: Silent
) -> None:
    """And the features of just those rows, and what share of the batch they are."""
    *left, flight = Edge(bundle, PLAN, cloud, threads=1).parts(image)
    assert isinstance(flight, Flight)
    gone = [row for part in left if isinstance(part, Answered) for row in part.rows]
    assert sorted([*gone, *flight.rows]) == list(range(len(image)))
    assert 0 < len(flight.rows) < len(image) == flight.of
    assert flight.exit == 5
    assert flight.judged is not None
    expected = Judged.of(predictions.at(5)[flight.rows])
    np.testing.assert_allclose(flight.judged.probabilities, expected.probabilities, rtol=0, atol=0)
    np.testing.assert_allclose(flight.judged.scores, expected.scores, rtol=0, atol=0)
    expected_features = open_span(bundle, SpanSpec(0, 5, gives="fp32"), ONE_THREAD).run(image[flight.rows])
    assert list(flight.features) == list(expected_features)
    for name, values in flight.features.items():
        np.testing.assert_allclose(values, expected_features[name], rtol=0, atol=0)


def test_somebody_can_answer_in_the_cloud_s_place(bundle: Bundle, predictions: Predictions, image: Array) -> None:
    """Every row gets what its last local exit said, in its place."""
    found = Edge(bundle, PLAN, Instead(), threads=1).infer(image)
    expected = route(predictions, PLAN)
    local = expected.tier == Tier.EDGE
    assert np.array_equal(found.exit, np.where(local, expected.exit, 5))
    assert (found.tier == Tier.EDGE).all()
    labels = np.where(local, expected.label, predictions.at(5).argmax(axis=1))
    assert np.array_equal(found.label, labels)


def test_without_a_local_exit_there_is_no_local_answer(bundle: Bundle, image: Array, cloud: Silent) -> None:
    """Nobody was asked."""
    (flight,) = Edge(bundle, Plan.checked(active=[], cut=3), cloud, threads=1).parts(image[:2])
    assert isinstance(flight, Flight)
    assert (flight.judged, flight.exit) == (None, None)


def test_many_requests_wait_and_no_thread_does(model: EdgeModel, cloud: Silent, image: Array) -> None:
    """All on this one thread; each gets its own answer, whichever comes first."""
    waiting = [model.infer(Call({"image": image[row : row + 8]})) for row in range(40)]
    for position in reversed(range(len(cloud.asked))):
        cloud.answer(position)
    assert len(cloud.asked) > 10
    whole = [found.finish() if isinstance(found, Pending) else found for found in waiting]
    for found, result in zip(waiting, whole, strict=True):
        assert result.outputs["row"].tolist() == list(range(8))
        clouds = result.outputs["tier"] == b"cloud"
        assert clouds.any() == isinstance(found, Pending)
        assert (result.outputs["label"][clouds] == 7).all()
        assert result.parameters == {"bytes_to_cloud": 11 if clouds.any() else 0}


def test_what_leaves_here_is_streamed_before_the_cloud_has_answered(
    model: EdgeModel, cloud: Silent, image: Array
) -> None:
    """The last part waits, and no other."""
    *left, last = model.stream(Call({"image": image}))
    assert all(isinstance(part, Result) and not part.last for part in left)
    assert isinstance(last, Pending)
    assert not last.answer.done()
    cloud.answer(0)
    assert last.finish().outputs["row"].tolist() == cloud.asked[0][0].rows.tolist()


def test_of_a_direct_reply_only_the_rows_come_back(model: EdgeModel, cloud: Silent, image: Array) -> None:
    """The client has the answers from the cloud."""
    *_, last = model.stream(Call({"image": image}, {"reply_to": "somebody", "reply_as": "4"}))
    assert isinstance(last, Pending)
    assert cloud.asked[0][1] == Reply("somebody", "4")
    cloud.answer(0)
    result = last.finish()
    assert list(result.outputs) == ["row"]
    assert result.parameters == {"bytes_to_cloud": 11, "direct": True}
    assert told(result) == {"direct": len(result.outputs["row"])}


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            UnreachableError("cloud gone."),
            "cloud gone. {n} of 80 samples are not sure enough at exit 5 to be answered without it.",
        ),
        (InputError("no such thing."), "no such thing."),
    ],
)
def test_an_upstream_s_error_says_whom_it_concerns(
    model: EdgeModel, cloud: Silent, image: Array, error: Exception, message: str
) -> None:
    """Where the link is at fault; any other is as it is."""
    pending = model.infer(Call({"image": image[:80]}))
    assert isinstance(pending, Pending)
    flight, _, waiting = cloud.asked[0]
    waiting.set_exception(error)
    with pytest.raises(type(error)) as caught:
        pending.finish()
    assert str(caught.value) == message.format(n=len(flight.rows))


def test_parts_of_a_batch_are_the_whole(bundle: Bundle, image: Array, model: EdgeModel, cloud: Silent) -> None:
    """Whole or in parts, a sample has one answer."""
    *left, last = model.stream(Call({"image": image}))
    cloud.answer(0)
    assert isinstance(last, Pending)
    joined = model.infer(Call({"image": image}))
    cloud.answer(1)
    assert isinstance(joined, Pending)
    whole = joined.finish().outputs
    for part in (*left, last.finish()):
        assert isinstance(part, Result)
        for name, values in part.outputs.items():
            assert np.array_equal(whole[name][part.outputs["row"]], values), name
    assert {field.name for field in fields(Answers)} | {"row"} == set(whole)


def test_an_answer_says_who_gave_it_for_the_statistics(bundle: Bundle, image: Array) -> None:
    """The exit and its tier, whole as in parts; what was dropped, or answered here for want of a cloud, apart."""
    drop = Plan.checked(
        active=[{"exit": 2, "threshold": 0.2}, {"exit": 5, "threshold": 0.1}], cut=5, drop_threshold=0.3
    )
    cloud = Silent()
    edge = EdgeModel(Edge(bundle, drop, cloud, threads=1))
    whole = edge.infer(Call({"image": image}))
    *left, last = edge.stream(Call({"image": image}))
    for position in (0, 1):
        cloud.answer(position)
    assert isinstance(whole, Pending)
    assert isinstance(last, Pending)
    result = whole.finish()
    columns = (result.outputs[name].tolist() for name in ("tier", "exit", "dropped"))
    said = Counter(
        f"{tier.decode()}: exit {exit_}" + (", dropped" if dropped else "")
        for tier, exit_, dropped in zip(*columns, strict=True)
    )
    assert told(result) == said
    assert said.keys() == {"edge: exit 2", "edge: exit 5", "edge: exit 5, dropped", "cloud: exit 9"}
    assert sum((told(part) for part in (*left, last.finish()) if isinstance(part, Result)), Counter()) == said
    instead = EdgeModel(Edge(bundle, PLAN, Degraded(), threads=1)).infer(Call({"image": image}))
    assert isinstance(instead, Pending)
    assert told(instead.finish()).keys() == {"edge: exit 2", "edge: exit 5", "edge: exit 5, degraded"}
