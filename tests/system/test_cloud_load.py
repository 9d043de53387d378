"""Real cloud processes under many clients: batching, shedding, worker processes, and their ends."""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferenceServerException, InferInput

from command_line import Node, running, samples
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import features_name, logits_name
from offramp.bench.load import Calls, load
from offramp.bench.scenario import Query, Rows
from offramp.data.image_set import Splits
from offramp.nodes.cloud import Tail
from offramp.nodes.edge import Edge
from offramp.nodes.flight import Flight
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.remote_cloud import RemoteCloud
from offramp.nodes.route import Course
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array, Result
from offramp.protocol.tensors import write_request
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec
from ports import HERE, held_port
from processes import children, computing, ended
from until import until

WAIT = 60.0
SETTINGS = ("--port", "0", "--runtime", "onnxruntime", "--precision", "fp32")


@pytest.fixture(scope="module")
def features(bundle: Bundle, digits: Splits) -> Array:
    """The test set's features at boundary 3."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    return open_span(bundle, SpanSpec(0, 3, gives="fp32")).run(pixels)[features_name(3)]


@pytest.fixture(scope="module")
def logits(bundle: Bundle, features: Array) -> Array:
    """Their logits."""
    return Tail(bundle, 3).finish(features)


@contextmanager
def connected(address: str) -> Iterator[InferenceServerClient]:
    """Somebody else's client, unmodified, on a connection that it shares with no other."""
    with InferenceServerClient(address, channel_args=[("grpc.use_local_subchannel_pool", 1)]) as client:
        yield client


def finish(client: InferenceServerClient, features: Array, timeout: float | None = WAIT) -> Array:
    """Ask tail-3."""
    tensor = InferInput(features_name(3), list(features.shape), "FP32")
    tensor.set_data_from_numpy(features)
    logits: Array = client.infer("tail-3", [tensor], client_timeout=timeout).as_numpy(logits_name(9))
    return logits


def answering(address: str) -> int:
    """The process that answers a new connection; it is tried again where its worker has just died."""
    for _ in range(100):
        with connected(address) as client:
            try:
                config = client.get_model_config("tail-3", client_timeout=WAIT).config
            except InferenceServerException as error:
                assert error.status() == "StatusCode.UNAVAILABLE", error  # noqa: PT017
                threading.Event().wait(0.1)
                continue
            return int(config.parameters["process"].string_value)
    raise AssertionError("nobody answers")


def workers_of(node: Node) -> set[int]:
    """The processes that a node has started."""
    return children(node.process.pid)


@pytest.mark.parametrize("options", [(), ("--max-wait-ms", "5", "--batch-size", "8"), ("--workers", "2")])
def test_many_clients_get_each_their_own_rows(
    bundle: Bundle, features: Array, logits: Array, options: tuple[str, ...]
) -> None:
    """Twelve clients on connections of their own, batches of 1 to 12 samples: as the network gives them alone."""
    rows = (np.arange(7 * turn + size, 7 * turn + 2 * size) for turn in range(10) for size in range(1, 13))
    with running("cloud", str(bundle.path), *SETTINGS, *options) as cloud, ExitStack() as stack:
        peers = [stack.enter_context(Peer(cloud.address(), alone=True)) for _ in range(12)]

        def begin(client: int, _query: int, rows: Rows) -> Future[Result]:
            return peers[client].begin(write_request("tail-3", "", {features_name(3): features[rows]}), WAIT)

        answered = load((Query(some, None) for some in rows), Calls(begin), clients=12, count=120)
    assert len(answered) == 120
    for one in answered:
        found = one.answer.outputs[logits_name(9)]
        np.testing.assert_array_equal(found, logits[one.rows])


def test_a_call_without_a_deadline_is_answered(bundle: Bundle, features: Array, logits: Array) -> None:
    """As curl, grpcurl and Triton's own client send it; also while others wait."""
    room = ("--queue", str(8 * len(features)), "--max-batch", str(len(features)))
    with running("cloud", str(bundle.path), *SETTINGS, *room) as cloud, ThreadPoolExecutor(8) as clients:
        address = cloud.address()

        def ask(_: int) -> Array:
            with connected(address) as client:
                return finish(client, features, timeout=None)

        for found in clients.map(ask, range(8)):
            np.testing.assert_array_equal(found, logits)


def test_a_cloud_with_more_than_it_can_do_sheds_load_and_recovers(
    bundle: Bundle, features: Array, logits: Array
) -> None:
    """Every call ends: with its rows, or with RESOURCE_EXHAUSTED and what helps. The next one is answered."""
    options = ("--queue", "1", "--threads", "1", "--max-batch", "4096")
    batch = np.tile(features, (8, 1, 1, 1))
    with running("cloud", str(bundle.path), *SETTINGS, *options) as cloud, ThreadPoolExecutor(12) as clients:
        address = cloud.address()
        together = threading.Barrier(12)

        def ask(_: int) -> str:
            with connected(address) as client:
                assert client.is_server_ready(client_timeout=WAIT)
                together.wait(WAIT)
                try:
                    assert len(finish(client, batch)) == len(batch)
                except InferenceServerException as error:
                    return f"{error.status()}: {error.message()}"
                return "answered"

        said = list(clients.map(ask, range(12)))
        assert said.count("answered") >= 2
        shed = [message for message in said if message != "answered"]
        assert shed, "twelve batches of thousands found room in a queue of one"
        start = f"StatusCode.RESOURCE_EXHAUSTED: overloaded: {len(batch)} samples wait, "
        less = (
            "Send less or later; to take on more, serve with more --workers, another node beside this one, or a longer "
            "--queue."
        )
        assert set(shed) <= {  # before it was read, or by who came to the queue a moment later
            f"{start}and the queue holds 1. {less}",
            f"{start}this batch would add {len(batch)}, and the queue holds 1. {less}",
        }
        with connected(address) as client:
            np.testing.assert_array_equal(finish(client, features[:4]), logits[:4])


def test_workers_share_the_port_and_one_that_is_killed_is_replaced(
    bundle: Bundle, features: Array, logits: Array
) -> None:
    """Several processes answer; kill -9 of one is survived; SIGTERM ends all of them and gives 0."""
    cloud = running("cloud", str(bundle.path), *SETTINGS, "--workers", "2")
    try:
        address = cloud.address()
        first = workers_of(cloud)
        assert len(first) == 2
        found: set[int] = set()
        until(lambda: found.add(answering(address)) or found == first)  # type: ignore[func-returns-value]

        for _ in range(6):
            with connected(address) as client:
                finish(client, features[:4])
        before = samples(cloud)
        assert before == 24
        killed, kept = sorted(first)
        os.kill(killed, signal.SIGKILL)
        until(lambda: len(workers_of(cloud)) == 2 and killed not in workers_of(cloud))
        second = workers_of(cloud)
        assert kept in second
        found.clear()
        until(lambda: found.add(answering(address)) or found == second)  # type: ignore[func-returns-value]
        with connected(address) as client:
            np.testing.assert_array_equal(finish(client, features[:4]), logits[:4])
        for asked in range(3):  # of either worker: each answers for both, and for the one that was killed
            assert samples(cloud) == before + 4 * (asked + 1)
            with connected(address) as client:
                finish(client, features[:4])
    finally:
        code = cloud.stop()
    assert code == 0
    assert all(map(ended, first | second))
    said = "".join(cloud.output)
    assert f"worker 1 (process {killed}) died (SIGKILL): started again in 0.1 s\n" in said or (
        f"worker 2 (process {killed}) died (SIGKILL): started again in 0.1 s\n" in said
    )
    assert len(re.findall(r"^ready ", said, re.MULTILINE)) == 1


def test_an_edge_uses_a_cloud_of_workers(bundle: Bundle, digits: Splits) -> None:
    """To an edge they are one cloud."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:32])
    plan = Plan.of(3, 0.0)
    expected = Edge(bundle, plan, LocalCloud(bundle)).infer(pixels)
    with running("cloud", str(bundle.path), *SETTINGS, "--workers", "2") as cloud:
        upstream = RemoteCloud(bundle, cloud.address())
        upstream.check(Course(plan), WAIT)
        np.testing.assert_array_equal(Edge(bundle, plan, upstream).infer(pixels).label, expected.label)
        upstream.close()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sigterm_lets_every_process_finish_what_it_has_taken_on(bundle: Bundle, workers: str) -> None:
    """Calls that run and calls that wait are answered before the node ends with 0."""
    options = ("--workers", workers, "--threads", "1", "--max-batch", "4096", "--queue", "4096")
    pixels = np.full((800, 1, 16, 16), 0.5, np.float32)  # five of the six fit into the queue
    cloud = running("cloud", str(bundle.path), *SETTINGS, *options)
    try:
        address = cloud.address()
        begun = threading.Barrier(7)

        def ask(_: int) -> int:
            with connected(address) as client:
                tensor = InferInput("image", list(pixels.shape), "FP32")
                tensor.set_data_from_numpy(pixels)
                assert client.is_server_ready(client_timeout=WAIT)
                begun.wait(WAIT)
                return len(client.infer("tail-0", [tensor], client_timeout=WAIT).as_numpy(logits_name(9)))

        with ThreadPoolExecutor(6) as clients:
            asked = [clients.submit(ask, number) for number in range(6)]
            busy = computing(cloud.process.pid)
            begun.wait(WAIT)
            until(busy)  # all of them take a second of a core, and come at once
            assert not all(answer.done() for answer in asked), "the batches were too small to be in flight"
            cloud.process.send_signal(signal.SIGTERM)
            assert [answer.result(WAIT) for answer in asked] == [800] * 6
        assert cloud.process.wait(WAIT) == 0
    finally:
        cloud.stop()


def test_workers_end_with_the_node_however_it_ends(bundle: Bundle) -> None:
    """A node that is killed leaves nothing behind that would answer for it, and its port is free."""
    with held_port() as port:
        settings = (str(bundle.path), *SETTINGS[2:], "--port", str(port), "--no-http")
        with running("cloud", *settings, "--workers", "2") as cloud:
            assert cloud.address() == f"{HERE}:{port}"
            workers = workers_of(cloud)
            assert len(workers) == 2
            cloud.process.kill()
            until(lambda: all(map(ended, workers)))
            with running("cloud", *settings) as again:
                assert again.address() == f"{HERE}:{port}"


@pytest.mark.parametrize("first", [(), ("--workers", "2")])
@pytest.mark.parametrize("second", [(), ("--workers", "2")])
def test_two_nodes_never_share_a_port(
    bundle: Bundle, first: tuple[str, ...], second: tuple[str, ...], refusal: Callable[..., str]
) -> None:
    """Only the workers of one node do."""
    with running("cloud", str(bundle.path), *SETTINGS, *first) as cloud:
        port = cloud.address().split(":")[1]
        refused = refusal("serve", "cloud", str(bundle.path), *SETTINGS[2:], "--port", port, *second)
    assert refused == (
        f"cannot listen on 127.0.0.1:{port}: the port is taken, or the host is not this machine's. Choose another with "
        "--port (HTTP is one below it, or --http-port), or stop what listens there."
    )


def test_several_bundles_are_served_by_one_cloud(bundle: Bundle, tmp_path: Path, features: Array) -> None:
    """Each edge finds its own by the bundle's id."""
    Bundle.write(tmp_path, bundle.manifest.model_copy(update={"model": "other"}), bundle.graph, None, bundle.self_test)
    other = Bundle.open(tmp_path)
    with running("cloud", str(bundle.path), str(other.path), *SETTINGS) as cloud, Peer(cloud.address()) as client:
        assert client.metadata("tail-3", WAIT).versions == (bundle.id, other.id)
        for one in (bundle, other):
            upstream = RemoteCloud(one, client.address)
            course = Course(Plan.of(3, 0.3))
            upstream.check(course, WAIT)
            flight = Flight(course, np.arange(3), {features_name(3): features[:3]}, 3)
            found = upstream.finish(flight, WAIT).result(WAIT).answers
            assert found is not None
            assert found.probabilities.shape == (3, 10)
            upstream.close()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--workers", "0"), "workers 0: expected 1 to 256. More than there are cores gain nothing."),
        (("--queue", "0"), "queue 0: expected 1 to 4096. A request that waits or runs holds a thread."),
        (("--batch-size", "0"), "batch size 0: expected 1 to 4096. A request that waits or runs holds a thread."),
        (("--max-wait-ms=-1",), "maximum wait -1 ms: expected 0 to 1000. Every sample that waits pays it."),
        (("--max-wait-ms", "nan"), "maximum wait nan ms: expected 0 to 1000. Every sample that waits pays it."),
    ],
)
def test_values_that_make_no_sense_are_refused(
    bundle: Bundle, options: tuple[str, ...], message: str, refusal: Callable[..., str]
) -> None:
    """Exit code 2, and what would do."""
    assert refusal("serve", "cloud", str(bundle.path), "--port", "0", *options) == message


def test_the_same_bundle_twice_is_refused(bundle: Bundle, refusal: Callable[..., str]) -> None:
    """One of them would never be asked."""
    assert refusal("serve", "cloud", str(bundle.path), str(bundle.path), "--port", "0") == (
        f"{bundle.path} and {bundle.path}: the same bundle {bundle.id}. Name it once."
    )
