"""An edge and a cloud that listen at Unix sockets alone, asked over both protocols; one that is killed comes again."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from tritonclient.grpc import InferenceServerClient, InferInput

import offramp
from command_line import Node, running
from offramp.artifacts.bundle import Bundle
from offramp.bench.http_call import UnixConnection
from offramp.exits.answers import Tier
from processes import ended

WAIT = 30.0  # seconds after which a test that hangs fails
PORTABLE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1")
IMAGES = np.zeros((2, 1, 16, 16), np.float32)


@pytest.fixture
def cloud(bundle: Bundle, tmp_path: Path) -> Iterator[str]:
    """The cloud's address."""
    with running("cloud", str(bundle.path), "--host", f"unix:{tmp_path}/cloud.sock", *PORTABLE) as node:
        yield node.address()


def edge(bundle: Bundle, folder: Path, cloud: str) -> Node:
    """An edge of it, over a link."""
    plan = ("--exit", "3", "--threshold", "0.0", "--link", "loopback", "--cloud", cloud)
    return running("edge", str(bundle.path), "--host", f"unix:{folder}/edge.sock", *plan, *PORTABLE)


def test_answers_come_over_both_protocols_and_straight_from_the_cloud(
    bundle: Bundle, tmp_path: Path, cloud: str
) -> None:
    """To our client and to tritonclient; nothing is left at the end."""
    with edge(bundle, tmp_path, cloud) as node:
        assert (node.address(), node.http_address()) == (
            f"unix:{tmp_path}/edge.sock", f"unix:{tmp_path}/edge.http.sock",
        )  # fmt: skip
        for direct in (None, cloud):
            with offramp.Client(node.address(), direct, timeout=WAIT) as client:
                assert (client.infer(IMAGES).tier == Tier.CLOUD).all()
        with closing(InferenceServerClient(node.address())) as triton:
            image = InferInput("image", IMAGES.shape, "FP32")
            image.set_data_from_numpy(IMAGES)
            answer = triton.infer("classifier", [image], client_timeout=WAIT)
            assert answer.as_numpy("tier").tolist() == [b"cloud"] * 2
        with closing(UnixConnection(f"{tmp_path}/edge.http.sock", WAIT)) as web:
            pixels = {"name": "image", "datatype": "FP32", "shape": [1, 1, 16, 16], "data": [0.0] * 256}
            web.request("POST", "/v2/models/classifier/infer", json.dumps({"inputs": [pixels]}))
            assert json.loads(web.getresponse().read())["outputs"][4]["data"] == ["cloud"]
    assert sorted(path.name for path in tmp_path.glob("*.sock")) == ["cloud.http.sock", "cloud.sock"]


def test_a_node_that_was_killed_comes_again_at_the_same_paths(bundle: Bundle, tmp_path: Path, cloud: str) -> None:
    """Its files were left, and its clients find it again."""
    with edge(bundle, tmp_path, cloud) as killed:
        client = offramp.Client(killed.address(), timeout=WAIT)
        client.infer(IMAGES)
        killed.process.kill()
        killed.process.wait(WAIT)
    assert ended(killed.process.pid)
    assert (tmp_path / "edge.sock").is_socket()
    with edge(bundle, tmp_path, cloud) as again, client:
        again.address()
        client.edge.wait_ready(WAIT)
        assert (client.infer(IMAGES).tier == Tier.CLOUD).all()
