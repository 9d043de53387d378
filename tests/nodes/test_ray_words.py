"""What is asked of a cluster, and what is said where it cannot be: all of it without Ray."""

import os
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.stages import features_name, logits_name
from offramp.data.image_set import Splits
from offramp.errors import InputError, LinkError, RefusedError, UnreachableError
from offramp.nodes.cloud import tails
from offramp.nodes.contract import REPLY_TO
from offramp.nodes.ray.asked import Replicas
from offramp.nodes.ray.balance import Balance, Place
from offramp.nodes.ray.cluster import ALIVE, alive, check_resources, joined, said, within
from offramp.nodes.ray.relay import relays
from offramp.nodes.ray.scaling import Flying, by_flight
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.peer import Peer
from offramp.protocol.record import Record
from offramp.protocol.served import Call
from offramp.protocol.server import Server
from offramp.runtime.open import open_span
from offramp.runtime.span import SpanSpec

WAIT = 30.0  # seconds after which a test that hangs fails


@contextmanager
def head(token: str) -> Iterator[str]:
    """What a cluster's head says of itself to who shows its token, at HOST:PORT."""

    def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
        if dict(context.invocation_metadata()).get("authorization") != f"Bearer {token}":
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no.")
        return b""

    service, _, call = ALIVE.strip("/").partition("/")
    server = grpc.server(futures.ThreadPoolExecutor(2))
    handlers = {call: grpc.unary_unary_rpc_method_handler(answer)}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait(WAIT)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, where Ray keeps a token, and an environment that says nothing of one."""
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray" / "auth_token").write_text("secret\n")
    return tmp_path


def test_a_cluster_that_asks_for_a_token_is_told_from_one_that_is_not_there(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And it is said where the token lies, that Ray does not look there, and what has it look; never the token."""
    with head("secret") as address:
        with pytest.raises(RefusedError, match=r"auth_token, which Ray does not look for .* RAY_AUTH_MODE=token"):
            joined(address).__enter__()
        monkeypatch.setenv("RAY_AUTH_MODE", "token")
        assert alive(address) is None
        (home / ".ray" / "auth_token").write_text("another\n")
        with pytest.raises(RefusedError, match="does not know this token"):
            joined(address).__enter__()
    with pytest.raises(UnreachableError, match=f"no Ray cluster answers at {address} "):
        joined(address).__enter__()
    with pytest.raises(InputError, match="no URL"):
        joined("ray://10.0.0.1:10001").__enter__()


def test_fewer_cores_than_asked_are_said_with_what_there_is() -> None:
    """Of machines that are alive; a replica does not stand on two of them."""
    nodes = [{"Alive": True, "Resources": {"CPU": 3.0}}, {"Alive": True, "Resources": {}}]
    nodes.append({"Alive": False, "Resources": {"CPU": 64.0}})
    ray = SimpleNamespace(nodes=lambda: nodes)
    check_resources(ray, 1, 2, "replicas")
    check_resources(ray, 30, 0.1, "replicas")
    with pytest.raises(InputError, match=r"2 replicas of 2 cores each: .* room for 1 \(2 machines with 3, 0 cores\)"):
        check_resources(ray, 2, 2, "replicas")


def test_an_error_of_ours_is_found_in_a_traceback_of_rays() -> None:
    """Else its last line is the best there is."""
    assert said("ray.E\n  File x\nofframp.errors.InputError: a: b: c.\nmore\n") == "a: b: c."
    assert said("one\n\ntwo: three\n") == "two: three"
    assert within(WAIT, lambda: 3, "counting") == 3
    assert within(0.01, lambda: __import__("threading").Event().wait(1), "waiting") is None
    assert within(WAIT, lambda: 1 // 0, "dividing") is None


@pytest.mark.parametrize(
    ("text", "more", "error"),
    [
        ("0", {}, "expected 1 to 1024"), ("4:2", {}, "expected 1 to 1024"), ("two", {}, "like 1:4"),
        ("1", {"cpus": 0.0}, "0.01 to 1024 cores"), ("1", {"cpus": float("nan")}, "0.01 to 1024 cores"),
        ("1", {"application": "a b"}, "letters, digits"), ("1", {"proxy": 0}, "expected a port"),
        ("1", {"target": 0.0}, "above 0"),
    ],
)  # fmt: skip
def test_what_is_asked_makes_sense(text: str, more: dict[str, Any], error: str) -> None:
    """Before a cluster hears of it."""
    with pytest.raises(InputError, match=error):
        Replicas.of(text, **more)
    assert (Replicas.of("3").most, Replicas.of("1:4", cpus=2.5).most, Replicas.of("1:4", cpus=2.5).threads) == (3, 4, 2)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (("--replicas", "2"), "replicas 2: is of a cluster"),
        (("--engine", "spark"), "engine 'spark': unknown"),
        (("--engine", "ray", "--replicas", "none"), "replicas 'none'"),
    ],
)
def test_the_command_line_says_what_is_of_no_use(
    refusal: Callable[..., str], words: tuple[str, ...], error: str
) -> None:
    """In one line."""
    assert refusal("serve", "cloud", "nowhere", *words).startswith(error)


def test_what_is_in_flight_says_how_many_replicas_there_should_be() -> None:
    """By Little's law; a replica that has not reported leaves it as it is."""
    flying = Flying()
    flying.since -= 10
    for _ in range(100):
        record = Record()
        record.ended = record.began + 0.5
        flying.ended(record)
    assert flying.mean() == pytest.approx(5, rel=0.01)
    assert flying.mean() == 0
    context = SimpleNamespace(
        aggregated_metrics={"in_flight": {"a": 3.0, "b": 2.5}}, current_num_replicas=2,
        config=SimpleNamespace(target_ongoing_requests=2),
    )  # fmt: skip
    assert by_flight(context) == (3, {})
    context.aggregated_metrics = {}
    assert by_flight(context) == (2, {})


def test_a_relay_answers_as_the_tail_that_it_stands_for(bundle: Bundle, digits: Splits) -> None:
    """Through a real node; what is wrong with a request is said before it travels."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:5])
    features = open_span(bundle, SpanSpec(0, 3, gives="fp32")).run(pixels)[features_name(3)]
    server = Server(tails(bundle), "127.0.0.1", 0, max_batch=8)
    server.start()
    balance = Balance(lambda address: Peer(address, alone=True), 8)
    balance.update([Place(server.address, "one")])
    plane = DataPlane(relays([bundle], balance, {"runtime": "theirs"}), 8)
    relay, tail = plane.catalog.find("tail-3", bundle.id), tails(bundle)[0]
    assert relay.config["runtime"] == "theirs"
    assert {one.name for one in relays([bundle], balance, {})} == {one.name for one in tails(bundle)}
    found = plane.infer(relay, Call({features_name(3): features})).outputs[logits_name(9)]
    whole = open_span(bundle, SpanSpec(3, 9, (9,))).run(features)[logits_name(9)]
    np.testing.assert_allclose(found, whole, atol=1e-5)
    assert tail.version == relay.version
    bad = features.copy()
    bad[0, 0, 0, 0] = np.nan
    for call, error in (
        (Call({features_name(3): bad}), "NaN"),
        (Call({features_name(3): features}, {REPLY_TO: "x" * 32}), "no direct replies"),
    ):
        with pytest.raises(InputError, match=error):
            plane.infer(relay, call)
    server.stop(0)
    with pytest.raises(LinkError):
        plane.infer(relay, Call({features_name(3): features}, timeout=WAIT))
    balance.close()
