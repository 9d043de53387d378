"""Requests that cannot be answered, from unmodified clients to real nodes: what is said, and the next good one."""

import http.client
import io
import json
import struct
import zlib
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image
from tritonclient.grpc import service_pb2, service_pb2_grpc

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS, tail_name
from offramp.protocol.served import Array

WAIT = 30.0  # seconds after which a test that hangs fails
Side = Any  # of conftest
Triton = Any
Asked = tuple[tuple[Any, ...], dict[str, Any]]  # arguments and options of `infer`
Read = Callable[..., dict[str, Array]]

INVALID, LARGE, MISSING = ("INVALID_ARGUMENT", 400), ("RESOURCE_EXHAUSTED", 413), ("NOT_FOUND", 404)
OVER = (
    "{name}: a batch of 33, and this node takes at most 32 samples in one request. Send smaller batches, or start the "
    "node with a larger --max-batch."
)


def files(*contents: bytes) -> Array:
    """Encoded images."""
    array = np.empty(len(contents), np.object_)
    array[:] = contents
    return array


def png(width: int, height: int) -> bytes:
    """A PNG that says no more than how large it is."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"IDAT" + zlib.compress(b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def jpeg() -> bytes:
    """A good one."""
    file = io.BytesIO()
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(file, "JPEG")
    return file.getvalue()


def batch(array: Array) -> Callable[[Triton, Side], Asked]:
    """A batch, in the input that the model has."""
    return lambda client, side: (client.request(side, array), {})


def options(**given: Any) -> Callable[[Triton, Side], Asked]:
    """The good batch, with options of `infer`."""
    return lambda client, side: (client.request(side), given)


def inputs(*sent: tuple[str, Array]) -> Callable[[Triton, Side], Asked]:
    """Inputs of these names."""
    return lambda client, side: ((side.model, [client.tensor(name, array) for name, array in sent]), {})


def resized(*shape: int) -> Callable[[Triton, Side], Asked]:
    """The good batch under another shape."""

    def ask(client: Triton, side: Side) -> Asked:
        model, (tensor,) = client.request(side)
        tensor.set_shape(list(shape))
        return (model, [tensor]), {}

    return ask


def shared(client: Triton, side: Side) -> Asked:
    """An input from shared memory."""
    model, (tensor,) = client.request(side)
    tensor.set_shared_memory("region", 16)
    return (model, [tensor]), {}


def into_shared(client: Triton, side: Side) -> Asked:
    """An output into shared memory."""
    output = client.output(side.output)
    output.set_shared_memory("region", 16)
    return client.request(side), {"outputs": [output]}


def classes(count: int, name: str = "") -> Callable[[Triton, Side], Asked]:
    """An output as so many of its classes."""

    def ask(client: Triton, side: Side) -> Asked:
        output = client.module.InferRequestedOutput(name or side.output, class_count=count)
        return client.request(side), {"outputs": [output]}

    return ask


def unknown_output(client: Triton, side: Side) -> Asked:
    """An output that there is not."""
    return client.request(side), {"outputs": [client.output("logits_99")]}


def unknown_version(client: Triton, side: Side) -> Asked:
    """A version that there is not."""
    return client.request(side), {"model_version": "9"}


GOOD = np.full((2, 1, 16, 16), 0.5, np.float32)
Bad = tuple[Callable[[Triton, Side], Asked], tuple[str, int], str]
EDGE: dict[str, Bad] = {
    "no input": (inputs(), INVALID, "inputs: expected exactly one, 'image', got nothing."),
    "another input": (inputs(("picture", GOOD)), INVALID, "inputs: expected exactly one, 'image', got picture."),
    "an input more": (
        inputs(("image", GOOD), ("mask", GOOD)),
        INVALID,
        "inputs: expected exactly one, 'image', got image, mask.",
    ),
    "an input twice": (inputs(("image", GOOD), ("image", GOOD)), INVALID, "input 'image': sent twice. Send it once."),
    "shape": (
        batch(np.zeros((2, 1, 8, 8), np.float32)),
        INVALID,
        "image: expected shape (N, 1, 16, 16), batch first, got (2, 1, 8, 8).",
    ),
    "rank": (
        batch(np.zeros((1, 16, 16), np.float32)),
        INVALID,
        "image: expected shape (N, 1, 16, 16), batch first, got (1, 16, 16).",
    ),
    "dtype": (
        batch(np.zeros((2, 1, 16, 16), np.int32)),
        INVALID,
        "image: expected float32 (FP32), got int32. Scale 8-bit images to [0, 1].",
    ),
    "length": (resized(1, 1, 16, 16), INVALID, "image: shape [1, 1, 16, 16] of FP32 takes 1024 bytes, got 24576."),
    "a negative extent": (resized(-1, 1, 16, 16), INVALID, "image: shape [-1, 1, 16, 16] has a negative extent."),
    "zero batch": (
        batch(np.zeros((0, 1, 16, 16), np.float32)),
        INVALID,
        "image: the batch is empty (N = 0). Send at least one sample.",
    ),
    "zero batch of 8 bits": (
        batch(np.zeros((0, 16, 16, 1), np.uint8)),
        INVALID,
        "image: the batch is empty (N = 0). Send at least one sample.",
    ),
    "NaN": (
        batch(np.where(np.arange(4)[:, None, None, None] == 2, np.float32(np.nan), GOOD[:1])),
        INVALID,
        "image: sample 2 of the batch holds NaN or infinity. Remove it and send the rest.",
    ),
    "range": (
        batch(GOOD * 255),
        INVALID,
        "image: expected values in [0, 1], got 127.5 to 127.5. Divide 8-bit values by 255.",
    ),
    "channels first in 8 bits": (
        batch(np.zeros((2, 1, 16, 16), np.uint8)),
        INVALID,
        "image: expected uint8 of shape (N, 16, 16, 1), got uint8 of shape (2, 1, 16, 16). Resize the images to the "
        "network's size first.",
    ),
    "no image": (
        batch(files(jpeg(), b"no image")),
        INVALID,
        "image: sample 1: not an image that Pillow can read (its format is not known). Mend or remove it.",
    ),
    "a JPEG cut short": (
        batch(files(jpeg()[:-20])),
        INVALID,
        "image: sample 0: not an image that Pillow can read (image file is truncated (12 bytes not processed)). Mend "
        "or remove it.",
    ),
    "an empty file": (
        batch(files(b"")),
        INVALID,
        "image: sample 0: not an image that Pillow can read (its format is not known). Mend or remove it.",
    ),
    "an image that claims to be large": (
        batch(files(png(9_000, 9_000))),
        INVALID,
        "image: sample 0: 9000 x 9000 pixels, and at most 67108864 are decoded. Make it smaller.",
    ),
    "an image that claims to be huge": (
        batch(files(png(50_000, 50_000))),
        INVALID,
        "image: sample 0: not an image that Pillow can read (Image size (2500000000 pixels) exceeds limit of 178956970 "
        "pixels, could be decompression bomb DOS attack.). Mend or remove it.",
    ),
    "files in a table": (
        batch(files(jpeg()).reshape(1, 1)),
        INVALID,
        "image: expected encoded images of shape (N,), got (1, 1).",
    ),
    "batch": (batch(np.zeros((33, 1, 16, 16), np.float32)), LARGE, OVER.format(name="image")),
    "batch of files": (batch(files(*[jpeg()] * 33)), LARGE, OVER.format(name="image")),
    "threshold x": (
        options(parameters={"threshold": "x"}),
        INVALID,
        "parameter 'threshold': expected a number, got 'x'.",
    ),
    "threshold true": (
        options(parameters={"threshold": True}),
        INVALID,
        "parameter 'threshold': expected a number, got True.",
    ),
    "threshold 2": (
        options(parameters={"threshold": 2}),
        INVALID,
        "threshold 2.0: expected a number in [0, 1]. A sample leaves when its score is below the threshold: at 0 none "
        "does.",
    ),
    "exit 99": (
        options(parameters={"exit": 99}),
        INVALID,
        "exit 99: mem has the exits 1, 2, 3, 4, 5, 6, 7, 8, 9. Choose one of them.",
    ),
    "exit 2.5": (
        options(parameters={"exit": "2.5"}),
        INVALID,
        "parameter 'exit': expected a whole number, got '2.5'.",
    ),
    "timeout 0": (
        options(timeout=0),
        INVALID,
        "parameter 'timeout': expected microseconds above 0, got 0.",
    ),
    "a direct reply to nobody": (
        options(parameters={"reply_to": "f" * 32}),
        INVALID,
        "parameter 'reply_to': a whole answer leaves no rows out. Use the streaming call (ModelStreamInfer).",
    ),
    "unknown output": (
        unknown_output,
        INVALID,
        "output 'logits_99': classifier gives probabilities, label, exit, score, tier, degraded, dropped, row, "
        "class_name.",
    ),
    "shared memory": (shared, INVALID, "image: shared memory is not offered. Send the tensor in the request."),
    "shared memory for an output": (
        into_shared,
        INVALID,
        "probabilities: shared memory is not offered. Send the tensor in the request.",
    ),
    "classes of what has none": (
        classes(3, "label"),
        INVALID,
        "output 'label': has no classes to choose from. Outputs that have some: probabilities.",
    ),
}
FEATURES = np.zeros((2, 16, 4, 4), np.float32)
CLOUD: dict[str, Bad] = {
    "no input": (inputs(), INVALID, "inputs: expected exactly one, 'features_3', got nothing."),
    "an input more": (
        inputs(("features_3", FEATURES), ("row", np.arange(2))),
        INVALID,
        "inputs: expected exactly one, 'features_3', got features_3, row.",
    ),
    "shape": (
        batch(np.zeros((2, 16, 8, 8), np.float32)),
        INVALID,
        "features_3: expected shape (N, 16, 4, 4), batch first, got (2, 16, 8, 8).",
    ),
    "rank": (
        batch(np.zeros((16, 4, 4), np.float32)),
        INVALID,
        "features_3: expected shape (N, 16, 4, 4), batch first, got (16, 4, 4).",
    ),
    "dtype": (batch(FEATURES.astype(np.float64)), INVALID, "features_3: expected FP32, got FP64."),
    "another codec": (batch(FEATURES.astype(np.uint8)), INVALID, "features_3: expected FP32, got UINT8."),
    "length": (resized(3, 16, 4, 4), INVALID, "features_3: shape [3, 16, 4, 4] of FP32 takes 3072 bytes, got 24576."),
    "zero batch": (batch(FEATURES[:0]), INVALID, "features_3: the batch is empty (N = 0). Send at least one sample."),
    "NaN": (batch(FEATURES * np.float32(np.nan)), INVALID, "features_3: the batch holds NaN or infinity."),
    "batch": (batch(np.zeros((33, 16, 4, 4), np.float32)), LARGE, OVER.format(name="features_3")),
    "timeout 0": (options(timeout=0), INVALID, "parameter 'timeout': expected microseconds above 0, got 0."),
    "a direct reply without rows": (
        options(parameters={"reply_to": "f" * 32}),
        INVALID,
        "row: a direct reply says which rows it answers. Expected INT64 of shape (N,).",
    ),
    "unknown output": (unknown_output, INVALID, "output 'logits_99': tail-3 gives logits_9."),
    "shared memory": (shared, INVALID, "features_3: shared memory is not offered. Send the tensor in the request."),
    "shared memory for an output": (
        into_shared,
        INVALID,
        "logits_9: shared memory is not offered. Send the tensor in the request.",
    ),
    "classes by a number below 1": (
        classes(-1),
        INVALID,
        "output 'logits_9': classification: expected how many classes, from 1, got -1.",
    ),
}


def refused(client: Triton, side: Side, bad: Callable[[Triton, Side], Asked]) -> tuple[str, str]:
    """Status and message of a request that is refused; the next one on the connection is answered."""
    arguments, given = bad(client, side)
    error, answer = client.all(("infer", arguments, given), ("infer", client.request(side), {}))
    assert answer.as_numpy(side.output).shape == (len(side.batch), 10)
    return error.status(), error.message()


def status(client: Triton, expected: tuple[str, int]) -> str:
    """A status as a client says it."""
    return str(expected[1]) if client.http else f"StatusCode.{expected[0]}"


@pytest.mark.parametrize("case", EDGE)
def test_the_edge_says_what_is_wrong_and_answers_the_next_request(
    kind: str, edge: Side, client_of: Callable[[str, Side], Triton], case: str
) -> None:
    """The same words over gRPC and HTTP, under the status of each."""
    client, (bad, expected, message) = client_of(kind, edge), EDGE[case]
    assert refused(client, edge, bad) == (status(client, expected), message)


@pytest.mark.parametrize("case", CLOUD)
def test_the_cloud_says_what_is_wrong_and_answers_the_next_request(
    kind: str, cloud: Side, client_of: Callable[[str, Side], Triton], case: str
) -> None:
    """The same words over gRPC and HTTP, under the status of each."""
    client, (bad, expected, message) = client_of(kind, cloud), CLOUD[case]
    assert refused(client, cloud, bad) == (status(client, expected), message)


def test_an_unknown_model_is_said(client: Triton, side: Side, bundle: Bundle) -> None:
    """With those that there are."""
    tails = [tail_name(cut.boundary, codec) for cut in bundle.manifest.cuts for codec in CODECS]
    names = ["classifier"] if side.model == "classifier" else [*tails, "replies"]
    found = refused(client, side, lambda client, side: (("resnet", client.request(side)[1]), {}))
    assert found == (
        status(client, MISSING),
        f"model 'resnet': unknown here. This node serves {', '.join(names)}.",
    )


def test_an_unknown_version_is_said(client: Triton, side: Side, bundle: Bundle) -> None:
    """Weights of another bundle are never answered with."""
    assert refused(client, side, unknown_version) == (
        status(client, MISSING),
        f"model {side.model!r} version '9': this node serves version {bundle.id}. The two nodes hold different "
        "bundles: give both the same one.",
    )


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")  # aiohttp's advice to its caller
def test_an_oversize_message_is_refused(client: Triton, side: Side) -> None:
    """Before it is decoded; HTTP's clients get to read why though they have sent it all."""
    found = refused(client, side, lambda client, side: (client.request(side, np.zeros((1 << 23,), np.float32)), {}))
    assert found[0] == status(client, LARGE)
    if client.http:
        assert found[1].startswith("body: ")
        assert found[1].endswith("Send smaller batches, or start the node with a larger --max-batch.")
    else:
        assert "Received message larger than max (" in found[1]


def test_both_forms_of_one_input_are_refused_over_grpc(side: Side) -> None:
    """Which one is meant?"""
    request = service_pb2.ModelInferRequest(model_name=side.model, raw_input_contents=[side.batch.tobytes()])
    tensor = request.inputs.add(name=side.input, datatype="FP32", shape=side.batch.shape)
    tensor.contents.fp32_contents.extend(side.batch.ravel().tolist())
    with grpc.insecure_channel(side.node.address()) as channel:
        infer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer
        with pytest.raises(grpc.RpcError) as caught:
            infer(request, timeout=WAIT)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert caught.value.details() == f"input {side.input!r}: both raw and typed contents. Send one of the two."
        del request.raw_input_contents[:]
        assert len(infer(request, timeout=WAIT).outputs) > 0


def test_both_forms_of_one_input_are_refused_over_http(side: Side) -> None:
    """Which one is meant?"""
    tensor = {"name": side.input, "datatype": "FP32", "shape": side.batch.shape, "data": side.batch.ravel().tolist()}
    raw = side.batch.tobytes()
    header = json.dumps({"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}]}).encode()
    connection = http.client.HTTPConnection(*side.node.http_address().split(":"), timeout=WAIT)
    path = f"/v2/models/{side.model}/infer"
    connection.request("POST", path, header + raw, {"Inference-Header-Content-Length": str(len(header))})
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (
        400,
        {"error": f"input {side.input!r}: both raw and typed contents. Send one of the two."},
    )
    connection.request("POST", path, json.dumps({"inputs": [tensor]}))
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize("exit_", [2.5, 1e300, "1e2"])
def test_a_fraction_of_an_exit_is_refused(edge: Side, exit_: Any) -> None:
    """In JSON, where numbers have no type of their own."""
    body = {
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [2, 1, 16, 16], "data": GOOD.ravel().tolist()}],
        "parameters": {"exit": exit_},
    }
    connection = http.client.HTTPConnection(*edge.node.http_address().split(":"), timeout=WAIT)
    connection.request("POST", "/v2/models/classifier/infer", json.dumps(body))
    response = connection.getresponse()
    message = json.loads(response.read())["error"]
    connection.close()
    assert response.status == 400
    assert message == (
        f"exit {int(1e300)}: mem has the exits 1, 2, 3, 4, 5, 6, 7, 8, 9. Choose one of them."
        if exit_ == 1e300
        else f"parameter 'exit': expected a whole number, got {exit_!r}."
    )
