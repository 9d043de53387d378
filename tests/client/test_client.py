"""A user's client: whole, in parts, and direct, against an edge in memory."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
import pytest

import offramp
from offramp.artifacts.plan import Plan
from offramp.client.conversation import Conversation
from offramp.errors import DeadlineError, InputError, LinkError, OverloadedError
from offramp.exits.answers import Tier
from offramp.nodes.contract import DIRECT
from offramp.nodes.replies import Replies
from offramp.protocol.peer import Peer
from offramp.protocol.served import Call, Pending, Result
from offramp.protocol.server import Server
from offramp.protocol.tensors import write_request
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails
LIGHT = np.array([0.9, 0.1, 0.8, 0.2, 0.3], np.float32)
IMAGES = np.ones((5, 1, 2, 2), np.float32) * LIGHT[:, None, None, None]


@pytest.fixture
def through(edge: Server) -> Iterator[offramp.Client]:
    """A client whose answers all come through the edge."""
    with offramp.Client(edge.address, timeout=WAIT) as client:
        yield client


@pytest.fixture
def direct(edge: Server, cloud: Server) -> Iterator[offramp.Client]:
    """A client that the cloud answers itself."""
    with offramp.Client(edge.address, cloud.address, timeout=WAIT) as client:
        yield client


def test_a_batch_is_answered_whole_in_its_order(through: offramp.Client) -> None:
    """A row an image, whoever answered it."""
    answers = through.infer(IMAGES)
    assert answers.label.tolist() == [1, 0, 1, 0, 0]
    assert answers.tier.tolist() == [Tier.EDGE, Tier.CLOUD, Tier.EDGE, Tier.CLOUD, Tier.CLOUD]


def test_a_plan_of_the_call_stands_in_for_the_edges(through: offramp.Client, bright: Any) -> None:
    """Its parts are parameters of the request, beside the time that the caller waits."""
    assert through.infer(IMAGES, threshold=0.25).label.tolist() == [1, 0, 1, 0, 1]
    assert bright.calls[0].parameters == {"threshold": 0.25, "timeout": int(WAIT * 1e6)}


def test_parts_come_before_the_cloud_has_answered(through: offramp.Client, bright: Any) -> None:
    """Who leaves at the edge does not wait."""
    bright.cloud_opened.clear()
    parts = through.stream(IMAGES)
    first = next(parts)
    assert (first.rows.tolist(), first.answers.label.tolist()) == ([0, 2], [1, 1])
    bright.cloud_opened.set()
    (second,) = parts
    assert (second.rows.tolist(), second.bytes_to_cloud) == ([1, 3, 4], 7)


def test_a_direct_reply_that_is_none_is_the_cloud_s_error(direct: offramp.Client, bright: Any, cloud: Server) -> None:
    """Nobody stands between to look at it: the client does."""
    bright.logit = np.nan
    with pytest.raises(LinkError) as caught:
        direct.infer(IMAGES, degraded=False)
    assert str(caught.value) == (
        f"{cloud.address}: logits_9 holds NaN or infinity, first in row 0 of 3. Look at its log."
    )


def test_direct_replies_come_from_the_cloud(direct: offramp.Client) -> None:
    """Judged here: the cloud gives logits. The edge's word that it is done is no part."""
    parts = list(direct.stream(IMAGES))
    assert sorted(part.rows.tolist() for part in parts) == [[0, 2], [1, 3, 4]]
    answers = direct.infer(IMAGES)
    assert answers.tier.tolist() == [Tier.EDGE, Tier.CLOUD, Tier.EDGE, Tier.CLOUD, Tier.CLOUD]
    assert answers.exit.tolist() == [3, 9, 3, 9, 9]
    assert answers.probabilities[1] == pytest.approx(np.exp([4, 0]) / np.exp([4, 0]).sum(), abs=1e-6)


def test_streams_are_kept_from_batch_to_batch(direct: offramp.Client) -> None:
    """Opening one to the cloud takes a round trip."""
    direct.infer(IMAGES)
    (kept,) = direct.idle
    direct.infer(IMAGES)
    assert direct.idle == [kept]


def test_a_batch_given_up_leaves_nothing_to_the_next(through: offramp.Client, bright: Any) -> None:
    """Its stream is not used again: its rest may still come."""
    bright.cloud_opened.clear()
    parts = through.stream(IMAGES)
    assert next(parts).rows.tolist() == [0, 2]
    parts.close()  # type: ignore[attr-defined]
    assert through.idle == []
    bright.cloud_opened.set()
    assert [part.rows.tolist() for part in through.stream(IMAGES[:1])] == [[0]]


def test_a_stream_that_has_ended_is_replaced(through: offramp.Client) -> None:
    """A node may have been started again between two batches."""
    list(through.stream(IMAGES))
    (kept,) = through.idle
    kept.streams[0].cancel()
    ended = kept.results.get(timeout=WAIT)
    kept.results.put(ended)
    assert len(list(through.stream(IMAGES))) == 2
    assert through.idle != [kept]


def test_several_threads_ask_at_once(direct: offramp.Client) -> None:
    """Each gets its own rows."""
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda size: direct.infer(IMAGES[:size]).label.tolist(), [1, 2, 3, 4, 5] * 4))
    assert found == [[1, 0, 1, 0, 0][:size] for size in [1, 2, 3, 4, 5] * 4]


def test_encoded_images_go_as_they_are(through: offramp.Client, bright: Any) -> None:
    """A list of bytes is a batch; this edge takes none, and says so."""
    with pytest.raises(InputError, match="expected float32, got object"):
        through.infer([b"a jpeg", b"another"])
    assert bright.calls[0].inputs["image"].tolist() == [b"a jpeg", b"another"]


def test_what_the_edge_serves_is_told(through: offramp.Client) -> None:
    """The first of its networks, where none is named."""
    served = through.served
    assert (served.model, served.bundle, served.plan, served.shape) == ("bright", "a" * 32, Plan.of(3, 0.5), (1, 2, 2))


def test_a_network_is_chosen_by_its_name(edge: Server, bright: Any) -> None:
    """And asked by its bundle's id."""
    with offramp.Client(edge.address, model="other") as client:
        assert client.served.bundle == "b" * 32
        assert client.infer(IMAGES).label.tolist() == [1, 0, 1, 0, 0]
        assert [part.rows.tolist() for part in client.stream(IMAGES)] == [[0, 2], [1, 3, 4]]
    assert bright.calls == []


def test_a_part_of_no_plan_is_refused(through: offramp.Client) -> None:
    """Before anything is sent: the edge would hand it back as a parameter of the caller's own."""
    with pytest.raises(InputError) as caught:
        through.infer(IMAGES, treshold=0.3)
    assert str(caught.value) == (
        "'treshold': not a part of a plan. Expected cloud_version, codec, cut, degraded, drop_threshold, exit, "
        "sample, threshold, traceparent, view."
    )


def test_errors_of_the_edge_are_ours(through: offramp.Client) -> None:
    """By their kind, whole and on a stream, and the next batch is answered."""
    with pytest.raises(OverloadedError, match="too much to do"):
        through.infer(IMAGES, threshold=1)
    with pytest.raises(OverloadedError, match="too much to do"):
        list(through.stream(IMAGES, threshold=1))
    assert len(list(through.stream(IMAGES))) == 2


def test_a_wait_is_bounded(through: offramp.Client, bright: Any) -> None:
    """By the call's own time, whole and in parts."""
    bright.cloud_opened.clear()
    with pytest.raises(DeadlineError):
        through.infer(IMAGES, timeout=0.1)
    with pytest.raises(DeadlineError, match="no answer in time"):
        list(through.stream(IMAGES, timeout=0.1))
    bright.cloud_opened.set()


def test_a_call_s_time_is_not_begun_anew_by_each_part() -> None:
    """Parts that keep coming do not put off the end; what is there by then is still given."""
    with Peer("127.0.0.1:1") as nobody:
        talk = Conversation(nobody)
        word = (0.0, True, Result({}, {DIRECT: True}, last=False))

        def feed() -> None:
            for _ in range(400):
                talk.results.put(word)
                threading.Event().wait(0.02)
            talk.results.put((0.0, True, Result({}, {DIRECT: True}, last=True)))

        threading.Thread(target=feed, daemon=True).start()
        with pytest.raises(DeadlineError, match="no answer in time"):
            list(talk.ask(IMAGES, {}, timeout=0.3))
        talk.results.put(word)
        assert len(next(talk.ask(IMAGES, {}, timeout=-1.0))) == 0


def test_an_edge_is_told_what_is_left_of_the_time(direct: offramp.Client, bright: Any) -> None:
    """Opening a stream to the cloud has taken some."""
    direct.infer(IMAGES)
    assert 0 < bright.calls[0].parameters["timeout"] < int(WAIT * 1e6)


def test_closing_ends_what_waits(edge: Server, bright: Any) -> None:
    """Somebody else's thread gets an error at once, and later calls are refused."""
    client = offramp.Client(edge.address, timeout=WAIT)
    bright.cloud_opened.clear()
    with ThreadPoolExecutor(1) as pool:
        first = threading.Event()

        def read() -> list[int]:
            sizes = []
            for part in client.stream(IMAGES):
                sizes.append(len(part))
                first.set()
            return sizes

        waiting = pool.submit(read)
        assert first.wait(WAIT)
        client.close()
        with pytest.raises(LinkError, match="the stream has ended"):
            waiting.result(WAIT)
    bright.cloud_opened.set()
    with pytest.raises(InputError, match=r"closed\. Make another one"):
        client.infer(IMAGES)


def test_a_cloud_that_is_not_there_is_said(edge: Server, caplog: pytest.LogCaptureFixture) -> None:
    """In the log, where the edge can do without; in an error, where it is told not to."""
    with offramp.Client(edge.address, "127.0.0.1:1") as client:
        with pytest.raises(LinkError, match=r"127\.0\.0\.1:1"):
            client.infer(IMAGES, degraded=False)
        assert client.infer(IMAGES).label.tolist() == [1, 0, 1, 0, 0]
    said = [record.getMessage() for record in caplog.records]
    assert all(
        line.startswith("cloud 127.0.0.1:1 answers nothing directly, all comes through the edge: ") for line in said
    )
    assert said


def test_a_tier_that_is_left_out_is_named_and_all_comes_through_the_edge(
    edge: Server, cloud: Server, bright: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """What it should have answered would come back degraded, and only the edge's log would say why."""
    bright.config["behind"] = "edge,cloud"
    message = (
        f"what {edge.address} hands on is answered by edge and cloud, and edge is not among those named. Name every "
        "tier behind the first, with commas between them."
    )
    with offramp.Client(edge.address, cloud.address, timeout=WAIT) as client:
        assert client.infer(IMAGES).label.tolist() == [1, 0, 1, 0, 0]
        with pytest.raises(InputError) as caught:
            client.infer(IMAGES, degraded=False)
    assert str(caught.value) == message
    assert "reply_to" not in bright.calls[0].parameters
    (said,) = {record.getMessage() for record in caplog.records}
    assert said == f"cloud {cloud.address} answers nothing directly, all comes through the edge: {message}"


def test_a_node_of_before_it_said_its_tier_may_be_any(
    edge: Server, bright: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It answers directly as it did."""
    bright.config["behind"] = "edge,cloud"
    with ExitStack() as held:
        replies = Untold(bright.replies.version)
        bright.replies = replies
        cloud = Server([replies], "127.0.0.1", 0, max_batch=64)
        cloud.start()
        held.callback(cloud.stop, 0)
        client = held.enter_context(offramp.Client(edge.address, cloud.address, timeout=WAIT))
        client.infer(IMAGES)
    assert "reply_to" in bright.calls[0].parameters
    assert caplog.records == []


class Untold(Replies):
    """A cloud's open streams, as a release before this one had them."""

    def stream(self, call: Call) -> Iterator[Result | Pending]:
        """The same, without its tier."""
        parts = super().stream(call)
        assert next(parts)
        yield Result({}, {"open": True}, last=False)
        yield from parts


def test_direct_answers_that_are_none_are_asked_of_the_edge_again(direct: offramp.Client, bright: Any) -> None:
    """Each row has one answer, and the whole comes in its order."""
    bright.logit = np.nan
    parts = list(direct.stream(IMAGES))
    assert sorted(row for part in parts for row in part.rows.tolist()) == [0, 1, 2, 3, 4]
    assert len(bright.calls) == 2
    assert (bright.calls[1].inputs["image"] == IMAGES[[1, 3, 4]]).all()
    assert "reply_to" not in bright.calls[1].parameters
    assert direct.infer(IMAGES).label.tolist() == [1, 0, 1, 0, 0]  # without the cloud, for now
    assert direct.second_answers == 0


def test_what_a_cloud_has_taken_on_and_not_answered_is_asked_of_the_edge_again(
    direct: offramp.Client, bright: Any, cloud: Server
) -> None:
    """It was killed in between."""
    bright.no_reply = lambda: cloud.stop(0) is None
    answers = direct.infer(IMAGES)
    assert answers.label.tolist() == [1, 0, 1, 0, 0]
    assert answers.tier.tolist() == [Tier.EDGE, Tier.CLOUD, Tier.EDGE, Tier.CLOUD, Tier.CLOUD]


def test_a_cloud_that_stops_ends_its_idle_streams_at_once(
    direct: offramp.Client, bright: Any, cloud: Server, replies: Replies
) -> None:
    """The client goes on through the edge, and asks again what was not answered."""
    assert direct.infer(IMAGES).exit.tolist() == [3, 9, 3, 9, 9]
    assert replies.listeners == 1
    with ThreadPoolExecutor(1) as pool:
        pool.submit(cloud.stop, 3600.0).result(WAIT)
    assert replies.listeners == 0
    assert direct.infer(IMAGES).label.tolist() == [1, 0, 1, 0, 0]
    assert [call.parameters.get("reply_to") is None for call in bright.calls] == [False, True]


def test_a_cloud_that_stops_sends_directly_what_is_under_way(
    edge: Server, bright: Any, replies: Replies, caplog: pytest.LogCaptureFixture
) -> None:
    """Its streams are open for as long as any call may bring something."""
    computing, going_on = threading.Event(), threading.Event()
    cloud = Server([Slow(computing, going_on), replies], "127.0.0.1", 0, max_batch=64)
    cloud.start()
    with ThreadPoolExecutor(2) as pool, Peer(cloud.address) as asked, ExitStack() as stack:
        client = stack.enter_context(offramp.Client(edge.address, cloud.address, timeout=WAIT))
        client.infer(IMAGES)
        stack.callback(cloud.stop, 0)
        stack.callback(going_on.set)
        pending = asked.begin(write_request("slow", "", {}), WAIT)
        assert computing.wait(WAIT)
        stopping = pool.submit(cloud.stop, 3600.0)
        until(lambda: cloud.streams.ending)
        assert client.infer(IMAGES).exit.tolist() == [3, 9, 3, 9, 9]
        assert client.second_answers == 0
        assert len(bright.calls) == 2
        going_on.set()
        pending.result(WAIT)
        stopping.result(WAIT)
    assert not caplog.records


class Slow:
    """A model that computes for as long as it is told to."""

    name, version, config = "slow", "1", {"kind": "slow"}
    inputs, outputs = (), ()

    def __init__(self, computing: threading.Event, going_on: threading.Event) -> None:
        self.computing, self.going_on = computing, going_on

    def prepare(self) -> None:
        """Nothing has to be opened."""

    def infer(self, call: Call) -> Result:
        """Answer nothing, late."""
        self.computing.set()
        assert self.going_on.wait(WAIT)
        return Result({})

    def stream(self, call: Call) -> Iterator[Result]:
        """The same."""
        yield self.infer(call)


def test_a_second_answer_is_dropped_and_counted(direct: offramp.Client, bright: Any) -> None:
    """Whichever comes first is the row's, also where the other comes while a later batch is asked about."""
    bright.stands_in = True
    for _ in range(3):
        rows = np.concatenate([part.rows for part in direct.stream(IMAGES)])
        assert sorted(rows.tolist()) == [0, 1, 2, 3, 4]
    bright.stands_in = False
    assert direct.infer(IMAGES).exit.tolist() == [3, 9, 3, 9, 9]  # behind all that the cloud has sent before
    assert direct.second_answers == 9


def test_a_cloud_that_opens_its_stream_too_late_is_done_without(edge: Server, cloud: Server, replies: Replies) -> None:
    """Its word that it is open is no answer to the next batch."""
    with Peer(edge.address) as asked, Peer(cloud.address) as late, ExitStack() as stack:
        with replies.changing:
            talk = stack.enter_context(Conversation(asked, (late,), opening=0.01))
        until(lambda: talk.results.qsize() == 1)
        assert talk.gone is not None
        parts = list(filter(len, talk.ask(IMAGES, {}, WAIT)))
    assert sorted(row for part in parts for row in part.rows.tolist()) == [0, 1, 2, 3, 4]
