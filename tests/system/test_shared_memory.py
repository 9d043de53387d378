"""An edge and a cloud with shared memory, as processes: tritonclient's tensors lie there, batches of images too."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from secrets import token_hex
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as over_grpc
import tritonclient.http as over_http

from command_line import Node, running
from offramp.artifacts.bundle import Bundle

shm = pytest.importorskip("tritonclient.utils.shared_memory", reason="tritonclient has no shared memory here")

WAIT = 30.0  # seconds after which a test that hangs fails
PORTABLE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1")
IMAGES = np.random.default_rng(0).random((3, 1, 16, 16), np.float32)


@pytest.fixture(scope="module")
def nodes(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Node]]:
    """A cloud at a Unix socket, and an edge of it at a port."""
    folder = tmp_path_factory.mktemp("sockets")
    at = f"unix:{folder}/cloud.sock"
    with running("cloud", str(bundle.path), "--host", at, "--shared-memory", *PORTABLE) as cloud:
        told = ("--exit", "9", "--threshold", "0.0", "--cloud", cloud.address(), "--port", "0", "--http-port", "0")
        with running("edge", str(bundle.path), "--shared-memory", *told, *PORTABLE) as edge:
            edge.address()
            yield {"classifier": edge, "tail-0": cloud}


@pytest.mark.parametrize("model", ["classifier", "tail-0"])
@pytest.mark.parametrize("module", [over_grpc, over_http], ids=["grpc", "http"])
def test_a_batch_is_answered_as_it_is_in_a_message(nodes: dict[str, Node], model: str, module: Any) -> None:
    """To the last bit, by both of the nodes; tritonclient knows no Unix socket over HTTP."""
    node, web = nodes[model], module is over_http
    if web and model == "tail-0":
        pytest.skip("no Unix socket over HTTP")
    output = "probabilities" if model == "classifier" else "logits_9"
    key, size = f"offramp-test-{token_hex(8)}", IMAGES.nbytes
    region = shm.create_shared_memory_region("r", key, size + 120, create_only=True)
    with closing(module.InferenceServerClient(node.http_address() if web else node.address())) as client:
        client.register_system_shared_memory("r", key, size + 120)
        shm.set_shared_memory_region(region, [IMAGES])
        image = module.InferInput("image", list(IMAGES.shape), "FP32")
        image.set_data_from_numpy(IMAGES)
        expected = client.infer(model, [image]).as_numpy(output)
        image.set_shared_memory("r", size)
        asked = module.InferRequestedOutput(output)
        asked.set_shared_memory("r", 120, size)
        client.infer(model, [image], outputs=[asked])
        found = shm.get_contents_as_numpy(region, np.float32, [3, 10], offset=size).copy()
        client.unregister_system_shared_memory("r")
    shm.destroy_shared_memory_region(region)
    assert Path(f"/dev/shm/{key}").exists() is False
    assert found.tolist() == expected.tolist()
