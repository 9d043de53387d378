"""A batch of more samples than the next tier takes in one request: it goes there in pieces, and nobody notices."""

from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.data.image_set import Splits
from offramp.errors import DeadlineError, LinkError, OverloadedError, TooLargeError, UnreachableError
from offramp.exits.answers import Answers, Judged, Tier, merge
from offramp.nodes.cloud import tails
from offramp.nodes.contract import Reply, most_of
from offramp.nodes.edge import Edge
from offramp.nodes.flight import Answered, Flight
from offramp.nodes.limit import Limit
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.pieces import in_turn, pieces
from offramp.nodes.remote_cloud import RemoteCloud
from offramp.nodes.replies import Replies
from offramp.nodes.route import Course
from offramp.nodes.streamed import sent_in_parts
from offramp.nodes.tier_model import Followers, TierModel
from offramp.nodes.upstream import Finished, failed
from offramp.protocol.gone import Gone
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array, Served
from offramp.protocol.server import Server

WAIT = 30.0  # seconds after which a test that hangs fails
TWO = Plan.of(3, 0.0)
THREE = Plan.model_validate(
    {
        "tiers": {
            "device": {"active": [{"exit": 2, "threshold": 0.5}], "cut": 3},
            "edge": {"active": [{"exit": 4, "threshold": 0.1}], "cut": 6},
        }
    }
)


def flight(rows: int) -> Flight:
    """A batch whose features are its numbers, of rows that had others before them."""
    return Flight(Course(TWO), np.arange(rows) + 100, {"x": np.arange(rows, dtype=np.float32)[:, None]}, rows + 100)


@pytest.mark.parametrize(("rows", "most", "sizes"), [(5, None, [5]), (5, 5, [5]), (6, 5, [3, 3]), (11, 4, [4, 4, 3])])
def test_a_flight_is_cut_where_it_is_too_large(rows: int, most: int | None, sizes: list[int]) -> None:
    """Into as few pieces as there can be, of about one size, in their order."""
    whole = flight(rows)
    found = [*pieces(whole, most)]
    assert [len(piece.rows) for piece in found] == sizes
    assert np.concatenate([piece.rows for piece in found]).tolist() == whole.rows.tolist()
    assert np.concatenate([piece.features["x"] for piece in found]).tolist() == whole.features["x"].tolist()


class Next:
    """Answers a piece when it is told to; remembers what it was asked, with the seconds left."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], float]] = []
        self.answers: list[Future[Finished]] = []

    def send(self, piece: Flight, timeout: float) -> Future[Finished]:
        """Begin."""
        self.asked.append((piece.rows.tolist(), timeout))
        self.answers.append(Future())
        return self.answers[-1]

    def answer(self, rows: int, exit_: int, took: float | None = 1.0) -> None:
        """What was asked last gets answers of this exit."""
        judged = Judged.of(np.zeros((rows, 2), np.float32), "entropy").answers(exit_, Tier.CLOUD)
        self.answers[-1].set_result(Finished(judged, 10, 5, took, {"cloud": 3}, {"late": True}))


def test_a_piece_is_sent_when_the_one_before_is_answered() -> None:
    """All are one answer in the end: sizes and times added up, in what time is left."""
    there = Next()
    answer = in_turn([*pieces(flight(5), 2)], there.send, WAIT)
    for number, rows in enumerate((2, 2, 1)):
        assert len(there.asked) == number + 1
        assert not answer.done()
        there.answer(rows, number)
    found = answer.result(WAIT)
    assert [rows for rows, _ in there.asked] == [[100, 101], [102, 103], [104]]
    assert WAIT >= there.asked[0][1] >= there.asked[1][1] >= there.asked[2][1] > 0
    assert found.answers is not None
    assert found.answers.exit.tolist() == [0, 0, 1, 1, 2]
    assert (found.bytes_sent, found.bytes_received, found.took, found.requests) == (30, 15, 3.0, 3)
    assert (found.hops, found.said) == ({"cloud": 9}, {"late": True})


def test_what_does_not_say_how_long_it_took_is_not_added_up() -> None:
    """Nor are answers that the client has got directly any here."""
    there = Next()
    answer = in_turn([*pieces(flight(2), 1)], there.send, WAIT)
    for _ in range(2):
        there.answers[-1].set_result(Finished(None, 10))
    assert answer.result(WAIT) == Finished(None, 20, requests=2)


def test_a_piece_that_fails_fails_the_whole() -> None:
    """Nothing more is sent, and whoever stands in answers every row."""
    there = Next()
    answer = in_turn([*pieces(flight(4), 2)], there.send, WAIT)
    there.answers[0].set_exception(UnreachableError("gone."))
    with pytest.raises(UnreachableError, match=r"gone\."):
        answer.result(WAIT)
    assert len(there.asked) == 1
    now = in_turn([*pieces(flight(4), 2)], lambda piece, left: failed(LinkError("refused.")), WAIT)
    assert str(now.exception(WAIT)) == "refused."


def test_whoever_goes_ends_the_piece_that_is_under_way() -> None:
    """And no other is sent."""
    there = Next()
    answer = in_turn([*pieces(flight(6), 2)], there.send, WAIT)
    there.answer(2, 0)
    assert answer.cancel()
    assert there.answers[1].cancelled()
    assert len(there.asked) == 2


@pytest.mark.parametrize(("said", "most"), [("64", 64), ("0", None), ("many", None), (None, None)])
def test_a_node_says_how_much_it_takes(said: str | None, most: int | None) -> None:
    """Or it does not, as another maker's may not; none takes nothing."""
    assert most_of({} if said is None else {"max_batch": said}) == most


@pytest.fixture(scope="module")
def image(bundle: Bundle, digits: Splits) -> Array:
    """Samples of the test set."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:40])


@contextmanager
def serving(models: list[Served], max_batch: int, port: int = 0) -> Iterator[Server]:
    """A node that takes no more at once."""
    server = Server(models, "127.0.0.1", port, max_batch=max_batch)
    server.start()
    try:
        yield server
    finally:
        server.stop(0)


def same(found: Answers, expected: Answers) -> None:
    """The same answers in the same order."""
    for name in ("label", "exit", "tier", "degraded"):
        assert np.array_equal(getattr(found, name), getattr(expected, name)), name
    np.testing.assert_allclose(found.probabilities, expected.probabilities, atol=1e-5)


def test_a_cloud_of_small_requests_costs_no_answer(bundle: Bundle, image: Array) -> None:
    """It is asked as often as it takes, straight or for a client's stream."""
    replies = Replies(bundle.id)
    with serving([*tails(bundle, replies=replies), replies], 7) as cloud, ExitStack() as held:
        edge = Edge(bundle, TWO, cloud.address, threads=1)
        held.callback(edge.cloud.close)  # type: ignore[union-attr]
        edge.check(WAIT)
        same(edge.infer(image, degraded=False), Edge(bundle, TWO, LocalCloud(bundle), threads=1).infer(image))
        stream = held.enter_context(opened(cloud, "t" * 16))
        (onward,) = (part for part in edge.parts(image) if isinstance(part, Flight))
        assert edge.send(onward, None, Reply("t" * 16, "1"))().answers is None
        rows = [next(stream).outputs["row"] for _ in range(6)]
        assert np.concatenate(rows).tolist() == onward.rows.tolist()


@contextmanager
def opened(cloud: Server, token: str) -> Iterator[Iterator[Any]]:
    """A client's stream for direct replies."""
    with Peer(cloud.address) as peer:
        stream = peer.stream("replies", iter([({}, {"token": token})]), timeout=WAIT)
        parts = iter(stream)
        next(parts)  # its word that it is open
        yield parts
        stream.cancel()


@contextmanager
def device_behind_small_tiers(bundle: Bundle) -> Iterator[Edge]:
    """The first of three tiers, the others of which take four samples and three in a request."""
    with ExitStack() as held:
        cloud = held.enter_context(serving([*tails(bundle)], 3))
        edge = Edge(bundle, THREE, cloud.address, threads=1, tier="edge")
        between = held.enter_context(serving([TierModel(Followers(edge), 3, "fp32")], 4))
        device = Edge(bundle, THREE, between.address, threads=1, tier="device")
        for node in (edge, device):
            held.callback(node.cloud.close)  # type: ignore[union-attr]
        yield device


def test_a_tier_between_of_small_requests_costs_no_answer(bundle: Bundle, image: Array) -> None:
    """Nor the one behind it; in one answer, and in parts."""
    with device_behind_small_tiers(bundle) as device:
        device.check(WAIT)
        whole = device.infer(image, degraded=False)
        assert set(whole.tier.tolist()) == {Tier.DEVICE, Tier.EDGE, Tier.CLOUD}
        one_by_one = [device.infer(image[row : row + 1], degraded=False) for row in range(len(image))]
        same(whole, merge([(np.array([row]), one) for row, one in enumerate(one_by_one)], len(image)))
        parts = [*device.parts(image)]
        onward = parts.pop()
        assert isinstance(onward, Flight)
        assert len(onward.rows) > 8
        came = [*sent_in_parts(device, onward, None, False, Gone())]
        assert len(came) > 2
        assert [one.last for one in came] == [False] * (len(came) - 1) + [True]
        every = [(one.rows, one.answers) for one in [*parts, *came] if isinstance(one, Answered)]
        same(merge([(rows, answers) for rows, answers in every if answers is not None], len(image)), whole)
        breaker = device.cloud.health  # type: ignore[union-attr]
        breaker.failed(DeadlineError("late."))
        assert list(sent_in_parts(device, onward.of_rows(onward.rows < onward.rows[3]), None, False, Gone()))
        assert breaker.row == 0  # answers in parts are answers too


def test_a_cloud_that_was_never_asked_is_asked_when_it_refuses_a_batch(bundle: Bundle, image: Array) -> None:
    """Also the one that was asked, and takes less since it was started anew: no sample is degraded, then or later."""
    expected = Edge(bundle, TWO, LocalCloud(bundle), threads=1).infer(image)
    edge: Edge | None = None
    port = 0
    for most in (20, 7):
        with serving([*tails(bundle)], most, port) as cloud:
            port = int(cloud.address.rpartition(":")[2])
            edge = edge or Edge(bundle, TWO, cloud.address, threads=1)
            assert isinstance(edge.cloud, RemoteCloud)
            edge.cloud.wait_ready(WAIT)
            rows = len(image)
            for left in (rows // most + 3, rows // most + 1):  # a refusal and the question, once
                (onward,) = (part for part in edge.parts(image) if isinstance(part, Flight))
                found = edge.cloud.finish(onward, WAIT).result(WAIT)
                assert found.requests <= left
                assert (found.requests > edge.cloud.requests(rows)) == (left == rows // most + 3)
                same(edge.infer(image, degraded=False), expected)
            assert edge.cloud.limit.most == most
    assert edge is not None
    edge.cloud.close()  # type: ignore[union-attr]


def test_what_is_refused_by_who_says_nothing_of_it_is_not_sent_again() -> None:
    """Whoever stands in for the next tier answers it."""
    refused = OverloadedError("cloud: so many.")
    refused.__cause__ = TooLargeError("so many.")
    said: Future[dict[str, str]] = Future()
    said.set_result({})
    answer = Limit().sent(flight(5), lambda piece, left: failed(refused), lambda piece, left: said, WAIT)
    assert answer.exception(WAIT) is refused


def test_a_tier_between_that_was_never_asked_answers_in_parts(bundle: Bundle, image: Array) -> None:
    """Each sample once, in pieces that it takes."""
    with device_behind_small_tiers(bundle) as device:
        (onward,) = (part for part in device.parts(image) if isinstance(part, Flight))
        came = [*sent_in_parts(device, onward, None, False, Gone())]
        assert sorted(np.concatenate([one.rows for one in came]).tolist()) == onward.rows.tolist()
        assert not any(one.answers.degraded.any() for one in came if one.answers is not None)


def test_whoever_goes_ends_what_is_sent_again() -> None:
    """Whether the next tier is asked what it takes, or has a piece."""
    refused = OverloadedError("cloud: so many.")
    refused.__cause__ = TooLargeError("so many.")
    for learnt in (False, True):
        there, said = Next(), Future[dict[str, str]]()
        answer = Limit().sent(flight(5), there.send, lambda piece, left, said=said: said, WAIT)
        there.answers[0].set_exception(refused)
        if learnt:
            said.set_result({"max_batch": "2"})
            assert [rows for rows, _ in there.asked[1:]] == [[100, 101]]
        assert answer.cancel()
        assert there.answers[-1].cancelled() if learnt else said.cancelled()
