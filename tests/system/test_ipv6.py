"""An edge and a cloud of two workers that know IPv6 alone, over a link, asked over both protocols."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import suppress

import numpy as np
import pytest

import offramp
from command_line import Node, running
from offramp.artifacts.bundle import Bundle
from offramp.exits.answers import Tier

HERE = "::1"
WAIT = 30.0  # seconds after which a test that hangs fails
PORTABLE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1")


def ipv6() -> bool:
    """Whether this machine has an address of its own in IPv6."""
    with suppress(OSError), socket.socket(socket.AF_INET6) as one:
        one.bind((HERE, 0))
        return True
    return False


pytestmark = pytest.mark.skipif(not ipv6(), reason="this machine has no IPv6")


@pytest.fixture(scope="module")
def edge(bundle: Bundle) -> Iterator[Node]:
    """The edge; hosts are said with brackets and without."""
    cloud = ("cloud", str(bundle.path), "--host", HERE, "--port", "0", "--workers", "2", "--no-http", *PORTABLE)
    with running(*cloud) as behind:
        host, _, port = behind.address().rpartition(":")
        assert host == f"[{HERE}]"
        plan = ("--exit", "3", "--threshold", "0.0", "--link", "loopback", "--cloud", f"{HERE}:{port}")
        with running("edge", str(bundle.path), "--host", f"[{HERE}]", "--port", "0", *plan, *PORTABLE) as node:
            yield node


def test_an_answer_comes_over_grpc(edge: Node) -> None:
    """Through the edge, the link and a worker; the address is said as it can be used."""
    assert edge.address().startswith(f"[{HERE}]:")
    for address in (edge.address(), edge.address().replace("[", "").replace("]", "")):
        with offramp.Client(address, timeout=WAIT) as client:
            assert (client.infer(np.zeros((2, 1, 16, 16), np.float32)).tier == Tier.CLOUD).all()


def test_an_answer_comes_over_http(edge: Node) -> None:
    """On a port of its own."""
    host, _, port = edge.http_address().rpartition(":")
    assert host == f"[{HERE}]"
    client = http.client.HTTPConnection(HERE, int(port), timeout=WAIT)
    pixels = {"name": "image", "datatype": "FP32", "shape": [1, 1, 16, 16], "data": [0.0] * 256}
    client.request("POST", "/v2/models/classifier/infer", json.dumps({"inputs": [pixels]}))
    response = client.getresponse()
    assert response.status == 200, response.read()
    assert json.loads(response.read())["outputs"][4]["data"] == ["cloud"]
    client.close()
