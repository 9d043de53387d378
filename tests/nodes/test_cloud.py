"""Tails of a bundle: their answers alone and in batches across callers, what they refuse, and several on one server."""

import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.stages import features_name, logits_name
from offramp.data.image_set import Splits
from offramp.errors import DeadlineError, InputError, OverloadedError, TooLargeError, UnknownModelError
from offramp.nodes.batching import Batcher, Limits
from offramp.nodes.cloud import Tail, tails
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array, Call
from offramp.protocol.server import Server
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec
from until import until

WAIT = 30.0  # seconds after which a test that hangs fails


def test_there_is_a_tail_for_each_codec_that_a_cut_has(bundle: Bundle) -> None:
    """And none for one that its features do not fit into."""
    *others, at_8 = bundle.manifest.cuts
    signed = at_8.model_copy(update={"codecs": {"fp32": at_8.codecs["fp32"]}, "scale": ()})
    manifest = bundle.manifest.model_copy(update={"cuts": (*others, signed)})
    names = [tail.name for tail in tails(replace(bundle, manifest=manifest))]
    assert len(names) == 3 * 8 + 1
    assert names[-3:] == ["tail-7-fp16", "tail-7-uint8", "tail-8"]


@pytest.fixture(scope="module")
def features(bundle: Bundle, digits: Splits) -> Array:
    """The test set's features at boundary 3."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    return open_span(bundle, SpanSpec(0, 3, gives="fp32")).run(pixels)[features_name(3)]


@pytest.fixture(scope="module")
def logits(bundle: Bundle, features: Array) -> Array:
    """Their logits, each sample run by itself."""
    span = open_span(bundle, SpanSpec(3, 9, (9,)))
    return np.concatenate([span.run(features[[row]])[logits_name(9)] for row in range(len(features))])


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    """A small one."""
    batcher = Batcher(Limits(batch=16, queue=64))
    yield batcher
    batcher.close()


@pytest.fixture
def roomy() -> Iterator[Batcher]:
    """One that nothing in these tests can fill."""
    batcher = Batcher(Limits(batch=16, queue=1024))
    yield batcher
    batcher.close()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Callers."""
    with ThreadPoolExecutor(32) as callers:
        yield callers


@contextmanager
def busy(batcher: Batcher, pool: ThreadPoolExecutor) -> Iterator[None]:
    """Keep the runner busy until the end of the block: what tails are asked meanwhile waits."""
    entered, opened = threading.Event(), threading.Event()

    def block(batch: Array) -> Array:
        entered.set()
        assert opened.wait(WAIT)
        return batch

    blocked = pool.submit(batcher.run, block, np.zeros((1, 1)))
    assert entered.wait(WAIT)
    try:
        yield
    finally:
        opened.set()
        blocked.result(WAIT)


def until_waiting(batcher: Batcher, samples: int) -> None:
    """Wait until so many samples wait for their turn."""
    until(lambda: batcher.waiting == samples)


def call(features: Array, timeout: float | None = None) -> Call:
    """A request to tail-3."""
    return Call({features_name(3): features}, timeout=timeout)


def test_callers_of_different_sizes_get_each_their_own_rows(
    bundle: Bundle, roomy: Batcher, pool: ThreadPoolExecutor, features: Array, logits: Array
) -> None:
    """Run together or alone, a sample has the same logits."""
    tail = Tail(bundle, 3, batcher=roomy)
    places = [slice(start, start + 1 + start % 11) for start in range(0, 200, 13)]
    with busy(roomy, pool):
        asked = []
        for place in places[:10]:
            asked.append(pool.submit(tail.infer, call(features[place])))
            until_waiting(roomy, sum(p.stop - p.start for p in places[: len(asked)]))
    asked += [pool.submit(tail.infer, call(features[place])) for place in places[10:]]
    for place, answer in zip(places, asked, strict=True):
        np.testing.assert_array_equal(answer.result(WAIT).outputs[logits_name(9)], logits[place])


def test_several_tails_share_the_runners(
    bundle: Bundle, batcher: Batcher, pool: ThreadPoolExecutor, features: Array, digits: Splits, logits: Array
) -> None:
    """Features of one boundary are never run by the tail of another."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    whole, tail = Tail(bundle, 0, batcher=batcher), Tail(bundle, 3, batcher=batcher)
    with busy(batcher, pool):
        asked: list[Future[Array]] = []
        for row in range(6):
            asked += [pool.submit(whole.finish, pixels[[row]]), pool.submit(tail.finish, features[[row]])]
        until_waiting(batcher, 12)
    for position, answer in enumerate(asked):
        np.testing.assert_array_equal(answer.result(WAIT), logits[[position // 2]])


BAD: dict[str, tuple[Array, str]] = {
    "dtype": (np.zeros((2, 16, 4, 4)), "features_3: expected FP32, got FP64."),
    "shape": (
        np.zeros((2, 16, 8, 8), np.float32),
        "features_3: expected shape (N, 16, 4, 4), batch first, got (2, 16, 8, 8).",
    ),
    "zero batch": (
        np.zeros((0, 16, 4, 4), np.float32),
        "features_3: the batch is empty (N = 0). Send at least one sample.",
    ),
    "NaN": (np.full((1, 16, 4, 4), np.nan, np.float32), "features_3: the batch holds NaN or infinity."),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_batch_is_refused_before_it_waits(
    bundle: Bundle, batcher: Batcher, pool: ThreadPoolExecutor, features: Array, case: str
) -> None:
    """It takes no room in the queue, and fails nobody else's."""
    tail = Tail(bundle, 3, batcher=batcher)
    batch, message = BAD[case]
    with busy(batcher, pool):
        good = pool.submit(tail.finish, features[:2])
        until_waiting(batcher, 2)
        with pytest.raises(InputError) as caught:
            tail.infer(call(batch))
        assert batcher.waiting == 2
    assert str(caught.value) == message
    assert good.result(WAIT).shape == (2, 10)


def test_a_request_keeps_its_deadline_while_it_waits(
    bundle: Bundle, batcher: Batcher, pool: ThreadPoolExecutor, features: Array
) -> None:
    """A cloud that is busy does not hold a caller that no longer waits."""
    tail = Tail(bundle, 3, batcher=batcher)
    with busy(batcher, pool), pytest.raises(DeadlineError):
        tail.infer(call(features[:2], timeout=0.05))
    assert tail.infer(call(features[:2], timeout=WAIT)).outputs[logits_name(9)].shape == (2, 10)


def test_what_a_tail_does_before_its_turn_counts_against_the_deadline(
    bundle: Bundle, batcher: Batcher, features: Array
) -> None:
    """Its first request opens the session, which takes longer than this caller waits."""
    with pytest.raises(DeadlineError):
        Tail(bundle, 3, batcher=batcher).infer(call(features[:2], timeout=1e-3))


@contextmanager
def serving(*models: Tail, max_batch: int = 64) -> Iterator[Peer]:
    """A server of tails, and a client of it."""
    server = Server(models, "127.0.0.1", 0, max_batch=max_batch)
    server.start()
    try:
        with Peer(server.address) as client:
            yield client
    finally:
        server.stop(WAIT)


def test_an_overloaded_cloud_says_so_to_its_client_and_recovers(
    bundle: Bundle, batcher: Batcher, pool: ThreadPoolExecutor, features: Array
) -> None:
    """RESOURCE_EXHAUSTED, with the limit in the message; what waited is answered."""
    with serving(Tail(bundle, 3, batcher=batcher)) as client:
        with busy(batcher, pool):
            waiting = pool.submit(client.infer, "tail-3", {features_name(3): features[:60]}, timeout=WAIT)
            until_waiting(batcher, 60)
            with pytest.raises(OverloadedError) as caught:
                client.infer("tail-3", {features_name(3): features[:5]}, timeout=WAIT)
        assert str(caught.value) == (
            f"{client.address}: overloaded: 60 samples wait, this batch would add 5, and the queue holds 64. Send less "
            "or later; to take on more, serve with more --workers, another node beside this one, or a longer --queue."
        )
        assert waiting.result(WAIT).outputs[logits_name(9)].shape == (60, 10)
        assert len(client.infer("tail-3", {features_name(3): features[:5]}, timeout=WAIT).outputs[logits_name(9)]) == 5


def test_a_message_over_the_bound_is_no_overload(bundle: Bundle, features: Array) -> None:
    """Grpc gives both the same status; sending it later would not help."""
    with serving(Tail(bundle, 3), max_batch=8) as client, pytest.raises(TooLargeError, match="message larger than max"):
        client.infer("tail-3", {features_name(3): features[:200]}, timeout=WAIT)


def test_a_server_that_stops_answers_what_waits(
    bundle: Bundle, batcher: Batcher, pool: ThreadPoolExecutor, features: Array
) -> None:
    """Queued calls finish within the grace."""
    server = Server([Tail(bundle, 3, batcher=batcher)], "127.0.0.1", 0, max_batch=64, calls=8)
    server.start()
    with Peer(server.address) as client:
        with busy(batcher, pool):
            asked = [
                pool.submit(client.infer, "tail-3", {features_name(3): features[:size]}, timeout=WAIT)
                for size in range(1, 9)
            ]
            until_waiting(batcher, 36)
            stopping = pool.submit(server.stop, WAIT)
        assert [len(answer.result(WAIT).outputs[logits_name(9)]) for answer in asked] == [*range(1, 9)]
        stopping.result(WAIT)


@pytest.fixture(scope="module")
def other(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same graph under another manifest: another bundle, whose tails have the same names."""
    folder: Path = tmp_path_factory.mktemp("other") / "bundle"
    shutil.copytree(bundle.path, folder)
    return Bundle.write(
        folder, bundle.manifest.model_copy(update={"model": "other"}), bundle.graph, None, bundle.self_test
    )


def test_tails_of_two_bundles_are_told_apart_by_version(bundle: Bundle, other: Bundle, features: Array) -> None:
    """The bundle's id is the version; a request that names none gets the first; metadata lists both."""
    batch = {features_name(3): features[:2]}
    with serving(*tails(bundle), *tails(other)) as client:
        assert client.metadata("tail-3", WAIT).versions == (bundle.id, other.id)
        client.prepare("tail-3", WAIT, other.id)
        for version in (bundle.id, other.id, ""):
            assert client.infer("tail-3", batch, timeout=WAIT, version=version).outputs[logits_name(9)].shape == (2, 10)
        with pytest.raises(UnknownModelError) as caught:
            client.infer("tail-3", batch, timeout=WAIT, version="3")
    assert str(caught.value) == (
        f"{client.address}: model 'tail-3' version '3': this node serves version {bundle.id} and {other.id}. The two "
        "nodes hold different bundles: give both the same one."
    )
