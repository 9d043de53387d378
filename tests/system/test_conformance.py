"""Somebody else's clients of the protocol against a running edge and a running cloud: every call that there is."""

import asyncio
import io
import json
import os
import queue
import signal
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import numpy as np
import pytest
from PIL import Image
from tritonclient.grpc import InferenceServerClient, InferInput, service_pb2, service_pb2_grpc
from tritonclient.grpc import aio as grpc_aio
from tritonclient.utils import InferenceServerException

from offramp._version import __version__
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.data.image_set import Splits
from offramp.exits.answers import Answers, Tier
from offramp.exits.evaluation import route
from offramp.nodes.contract import read_answers
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array
from offramp.protocol.tensors import read_parameters
from processes import stop

WAIT = 30.0  # seconds after which a test that hangs fails
ROWS = 24  # of the test set
EVERYTHING = ("probabilities", "label", "exit", "score", "tier", "degraded", "dropped", "row")
Side = Any  # of conftest
Triton = Any
Read = Callable[..., dict[str, Array]]


@pytest.fixture
def expected(predictions: Predictions) -> Answers:
    """What offline evaluation says of the first rows of the test set."""
    header = predictions.header
    few = Predictions(
        header,
        predictions.index[:ROWS],
        predictions.labels[:ROWS],
        {exit_: logits[:ROWS] for exit_, logits in predictions.logits.items()},
    )
    return route(few, Plan.of(3, 0.3))


def outputs_of(side: Side) -> tuple[str, ...]:
    """All that a side gives."""
    return EVERYTHING if side.model == "classifier" else (side.output,)


def ours(side: Side) -> dict[str, Array]:
    """The same batch through our own client."""
    with Peer(side.node.address()) as client:
        return client.infer(side.model, {side.input: side.batch}, timeout=WAIT).outputs


def same(left: dict[str, Array], right: dict[str, Array]) -> bool:
    """Bit for bit."""
    return left.keys() == right.keys() and all(
        left[name].dtype == right[name].dtype
        and left[name].shape == right[name].shape
        and np.array_equal(left[name], right[name])
        for name in left
    )


def plain(told: Any) -> Any:
    """What is told, with 64-bit numbers as numbers: protobuf writes them as text in JSON."""
    if isinstance(told, dict):
        return {name: plain(value) for name, value in told.items()}
    if isinstance(told, list):
        return [plain(value) for value in told]
    return int(told) if isinstance(told, str) and told.lstrip("-").isdigit() else told


def as_json(client: Triton) -> dict[str, bool]:
    """The option by which gRPC's clients give JSON, as the others do."""
    return {} if client.http else {"as_json": True}


def test_a_node_is_live_and_ready(client: Triton, side: Side) -> None:
    """And so is its model, by name and by version."""
    assert client("is_server_live")
    assert client("is_server_ready")
    assert client("is_model_ready", side.model)
    assert client("is_model_ready", side.model, side.version)


def test_a_model_that_there_is_not_is_not_ready(client: Triton) -> None:
    """HTTP's clients are told no, gRPC's why."""
    if client.http:
        assert not client("is_model_ready", "resnet")
    else:
        with pytest.raises(InferenceServerException) as caught:
            client("is_model_ready", "resnet")
        assert caught.value.status() == "StatusCode.NOT_FOUND"


def test_a_server_says_what_it_is(client: Triton) -> None:
    """Name, version and extensions."""
    assert client("get_server_metadata", **as_json(client)) == {
        "name": "offramp",
        "version": __version__,
        "extensions": ["binary_tensor_data", "classification", "model_configuration", "parameters", "statistics"],
    }


def tensors(side: Side) -> dict[str, Any]:
    """What each side takes and gives."""
    if side.model == "tail-3":
        return {
            "inputs": [{"name": "features_3", "datatype": "FP32", "shape": [-1, 16, 4, 4]}],
            "outputs": [{"name": "logits_9", "datatype": "FP32", "shape": [-1, 10]}],
        }
    return {
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 16, 16]}],
        "outputs": [
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "exit", "datatype": "INT64", "shape": [-1]},
            {"name": "score", "datatype": "FP32", "shape": [-1]},
            {"name": "tier", "datatype": "BYTES", "shape": [-1]},
            {"name": "degraded", "datatype": "BOOL", "shape": [-1]},
            {"name": "dropped", "datatype": "BOOL", "shape": [-1]},
            {"name": "row", "datatype": "INT64", "shape": [-1]},
            {"name": "class_name", "datatype": "BYTES", "shape": [-1]},
        ],
    }


@pytest.mark.parametrize("versioned", [False, True])
def test_a_model_says_what_it_takes_and_gives(client: Triton, side: Side, versioned: bool) -> None:
    """True shapes and datatypes."""
    told = client("get_model_metadata", side.model, side.version if versioned else "", **as_json(client))
    assert {**told, **plain({name: told[name] for name in ("inputs", "outputs")})} == {
        "name": side.model,
        "versions": [side.version],
        "platform": "offramp",
        **tensors(side),
    }


def test_a_model_says_how_it_is_configured(client: Triton, side: Side, bundle: Bundle) -> None:
    """Triton's configuration, with what a node says of itself as parameters."""
    told = client("get_model_config", side.model, **as_json(client))
    told = told if client.http else told["config"]
    kinds = {"BYTES": "TYPE_STRING"}
    for key in ("input", "output"):
        assert plain(told[key]) == [
            {
                "name": tensor["name"],
                "data_type": kinds.get(tensor["datatype"], f"TYPE_{tensor['datatype']}"),
                "dims": tensor["shape"],
            }
            for tensor in tensors(side)[f"{key}s"]
        ]
    assert (told["name"], told["platform"]) == (side.model, "offramp")
    assert told["parameters"]["bundle"] == {"string_value": bundle.id}


def test_statistics_count_what_is_answered(client: Triton, side: Side) -> None:
    """Requests once, samples each."""
    ask = ("get_inference_statistics", (side.model,), as_json(client))
    before, answer, after = client.all(ask, ("infer", client.request(side), {}), ask)
    counted = [plain(told["model_stats"][0]) for told in (before, after)]
    assert counted[1]["name"] == side.model
    assert counted[1].get("inference_count", 0) - counted[0].get("inference_count", 0) == ROWS
    counts = [told["inference_stats"]["success"].get("count", 0) for told in counted]
    assert counts[1] - counts[0] == 1
    if side.model == "classifier":
        by = [
            Counter({name: stats["success"]["count"] for name, stats in told.get("response_stats", {}).items()})
            for told in counted
        ]
        tiers, exits = (answer.as_numpy(name).tolist() for name in ("tier", "exit"))
        said = Counter(f"{tier.decode()}: exit {exit_}" for tier, exit_ in zip(tiers, exits, strict=True))
        assert by[1] - by[0] == said
        assert len(said) == 2, "an edge's exit and the cloud's"
    assert client("get_inference_statistics", **as_json(client))["model_stats"]


def test_the_repository_is_listed(client: Triton, side: Side) -> None:
    """Every model, ready."""
    told = client("get_model_repository_index", **as_json(client))
    index = told if client.http else told["models"]
    assert [model for model in index if model["name"] == side.model] == [
        {"name": side.model, "version": side.version, "state": "READY"} | ({"reason": ""} if client.http else {})
    ]


def test_a_batch_is_answered_as_offline_evaluation_says(
    client: Triton, side: Side, read: Read, expected: Answers, predictions: Predictions
) -> None:
    """Labels, exits, tiers and scores, or logits."""
    found = read(client.infer(side), *outputs_of(side))
    if side.model == "tail-3":
        np.testing.assert_array_equal(found["logits_9"], predictions.at(9)[:ROWS])
        return
    answers = read_answers(found)
    assert {*answers.tier} == {Tier.EDGE, Tier.CLOUD}, "the batch is divided"
    for field in ("label", "exit", "tier", "degraded", "dropped"):
        assert np.array_equal(getattr(answers, field), getattr(expected, field)), field
    np.testing.assert_allclose(answers.score, expected.score, atol=1e-5)
    assert found["row"].tolist() == [*range(ROWS)]


def test_every_client_gets_the_same_answer(client: Triton, side: Side, read: Read) -> None:
    """Bit for bit, whichever way it asks."""
    assert same(read(client.infer(side), *outputs_of(side)), ours(side))


def test_a_request_with_a_version_is_answered(client: Triton, side: Side, read: Read) -> None:
    """The bundle's id."""
    assert read(client.infer(side, model_version=side.version), side.output)[side.output].shape == (ROWS, 10)


def test_the_outputs_asked_for_come_alone(client: Triton, side: Side, read: Read) -> None:
    """By name."""
    answer = client.infer(side, outputs=[client.output(side.output)])
    described = answer.get_response()
    outputs = described["outputs"] if client.http else described.outputs
    assert [output["name"] if client.http else output.name for output in outputs] == [side.output]
    assert same(read(answer, side.output), {side.output: ours(side)[side.output]})


def test_an_output_is_given_as_its_top_classes(client: Triton, side: Side, digits: Splits) -> None:
    """Triton's classification extension: value, index and label of each, the largest first."""
    asked = client.module.InferRequestedOutput(side.output, class_count=3)
    found = client.infer(side, outputs=[asked]).as_numpy(side.output)
    assert found.shape == (ROWS, 3)
    values, classes = ours(side)[side.output], digits.test.classes
    for row, told in enumerate(found):
        order = np.argsort(-values[row], kind="stable")[:3]
        assert [one.decode() for one in told] == [f"{values[row, k]:.6f}:{k}:{classes[k]}" for k in order]


def test_the_names_of_classes_come_where_they_are_asked_for(
    kind: str, edge: Side, client_of: Callable[[str, Side], Triton], read: Read, digits: Splits
) -> None:
    """Beside the label that they name, of samples of either tier; an answer that nobody asked for them has none."""
    client = client_of(kind, edge)
    outputs = [client.output(name) for name in ("class_name", "label")]
    found = read(client.infer(edge, outputs=outputs), "class_name", "label")
    assert [name.decode() for name in found["class_name"]] == [digits.test.classes[k] for k in found["label"]]
    assert client.infer(edge).as_numpy("class_name") is None


def test_ids_and_parameters_come_back(client: Triton, side: Side) -> None:
    """A client finds its own marks again; what the protocol consumes stays out."""
    parameters = {"mark": "a", "number": 3, "deep": True}
    answer = client.infer(side, request_id="mine", parameters=parameters, timeout=20_000_000, priority=1).get_response()
    if client.http:
        assert answer["id"] == "mine"
        found = answer["parameters"]
    else:
        assert answer.id == "mine"
        found = read_parameters(answer.parameters)
    assert found == parameters | ({"bytes_to_cloud": found.get("bytes_to_cloud")} if side.model == "classifier" else {})


def test_the_answer_names_its_model(client: Triton, side: Side) -> None:
    """And the version that answered."""
    answer = client.infer(side).get_response()
    for name, expected in (("model_name", side.model), ("model_version", side.version)):
        assert (answer[name] if client.http else getattr(answer, name)) == expected


def test_the_edge_takes_a_threshold_and_an_exit_for_one_call(
    kind: str, edge: Side, client_of: Callable[[str, Side], Triton], read: Read
) -> None:
    """As numbers, or as the text that some clients make of them; the next call is the edge's own plan again."""
    client = client_of(kind, edge)
    everywhere = client.infer(edge, parameters={"exit": 9})
    nowhere = client.infer(edge, parameters={"threshold": "0"})
    assert set(read(everywhere, "tier")["tier"]) == {b"edge"}
    assert set(read(nowhere, "tier")["tier"]) == {b"cloud"}
    assert same(read(client.infer(edge), *EVERYTHING), ours(edge))


@pytest.mark.parametrize("binary_in", [False, True])
@pytest.mark.parametrize("binary_out", [False, True])
@pytest.mark.parametrize("kind", ["http", "http.aio"], indirect=True)
def test_json_and_binary_forms_say_the_same(
    client: Triton, side: Side, read: Read, binary_in: bool, binary_out: bool
) -> None:
    """In each direction, bit for bit."""
    outputs = [client.output(name, binary=binary_out) for name in outputs_of(side)]
    answer = client("infer", *client.request(side, binary=binary_in), outputs=outputs)
    assert same(read(answer, *outputs_of(side)), ours(side))


def test_typed_contents_say_the_same_as_raw(side: Side) -> None:
    """Over gRPC, by hand: tritonclient sends raw contents only."""
    request = service_pb2.ModelInferRequest(model_name=side.model)
    tensor = request.inputs.add(name=side.input, datatype="FP32", shape=side.batch.shape)
    tensor.contents.fp32_contents.extend(side.batch.ravel().tolist())
    with grpc.insecure_channel(side.node.address()) as channel:
        answer = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=WAIT)
    position = [output.name for output in answer.outputs].index(side.output)
    found = np.frombuffer(answer.raw_output_contents[position], np.float32).reshape(ROWS, 10)
    assert np.array_equal(found, ours(side)[side.output])


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_packed_requests_are_unpacked(client: Triton, side: Side, read: Read, algorithm: str) -> None:
    """And who would take a packed answer takes a plain one too."""
    options = (
        {"request_compression_algorithm": algorithm, "response_compression_algorithm": algorithm}
        if client.http
        else {"compression_algorithm": algorithm}
    )
    assert same(read(client.infer(side, **options), *outputs_of(side)), ours(side))


@pytest.mark.parametrize("kind", ["http"], indirect=True)
def test_http_answers_several_requests_at_once(client: Triton, side: Side, read: Read) -> None:
    """`async_infer`."""
    expected = ours(side)
    with client.module.InferenceServerClient(client.address, concurrency=4) as connection:
        asked = [connection.async_infer(*client.request(side), request_id=str(number)) for number in range(8)]
        answers = [one.get_result(timeout=WAIT) for one in asked]
    assert [answer.get_response()["id"] for answer in answers] == [str(number) for number in range(8)]
    for answer in answers:
        found = read(answer, side.output)[side.output]
        np.testing.assert_array_equal(found, expected[side.output])


@pytest.mark.parametrize("kind", ["grpc"], indirect=True)
def test_grpc_answers_several_requests_at_once(client: Triton, side: Side, read: Read) -> None:
    """`async_infer`."""
    expected, answers = ours(side), queue.SimpleQueue[tuple[Any, Any]]()
    with client.module.InferenceServerClient(client.address) as connection:
        for number in range(8):
            connection.async_infer(
                *client.request(side), lambda result, error: answers.put((result, error)), request_id=str(number)
            )
        found = [answers.get(timeout=WAIT) for _ in range(8)]
    assert [str(error) for _, error in found] == ["None"] * 8
    assert {result.get_response().id for result, _ in found} == {str(number) for number in range(8)}
    for result, _ in found:
        np.testing.assert_array_equal(read(result, side.output)[side.output], expected[side.output])


def joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    """Parts of an answer, in the order of the rows."""
    whole = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.argsort(whole["row"])
    return {name: array[order] for name, array in whole.items()}


def final(answer: Any) -> bool:
    """Whether no part follows."""
    return bool(answer.get_response().parameters["triton_final_response"].bool_param)


def test_a_stream_answers_local_exits_while_the_cloud_is_away(edge: Side, cloud: Side, read: Read) -> None:
    """They come at once; the cloud's rows come when it does."""
    parts: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
    tensor = inputs_of(edge)
    with InferenceServerClient(edge.node.address()) as client:
        client.start_stream(lambda result, error: parts.put((result, error)), stream_timeout=2 * WAIT)
        stop(cloud.node.process.pid)
        try:
            client.async_stream_infer(edge.model, tensor, request_id="mine", enable_empty_final_response=True)
            first, error = parts.get(timeout=WAIT)
        finally:
            os.kill(cloud.node.process.pid, signal.SIGCONT)
        assert error is None
        assert set(read(first, "tier")["tier"]) == {b"edge"}
        assert not final(first)
        second, error = parts.get(timeout=WAIT)
        assert error is None
        assert set(read(second, "tier")["tier"]) == {b"cloud"}
        assert final(second)
    assert [answer.get_response().id for answer in (first, second)] == ["mine", "mine"]
    assert same(joined([read(first, *EVERYTHING), read(second, *EVERYTHING)]), ours(edge))


def inputs_of(side: Side) -> list[Any]:
    """The good batch as gRPC's inputs."""
    tensor = InferInput(side.input, list(side.batch.shape), "FP32")
    tensor.set_data_from_numpy(side.batch)
    return [tensor]


def test_a_stream_goes_on_after_a_request_that_failed(side: Side, read: Read) -> None:
    """The error comes to its own request; the next one is answered."""
    parts: queue.SimpleQueue[tuple[Any, Any]] = queue.SimpleQueue()
    with InferenceServerClient(side.node.address()) as client:
        client.start_stream(lambda result, error: parts.put((result, error)), stream_timeout=2 * WAIT)
        client.async_stream_infer("resnet", inputs_of(side))
        client.async_stream_infer(side.model, inputs_of(side))
        _, error = parts.get(timeout=WAIT)
        assert error.message().startswith("NOT_FOUND: model 'resnet': unknown here. This node serves ")
        while True:
            result, error = parts.get(timeout=WAIT)
            assert error is None
            if final(result):
                break


def test_a_stream_is_answered_in_asyncio_too(side: Side, read: Read) -> None:
    """Each request's parts come before the next one's."""

    async def requests() -> AsyncIterator[dict[str, Any]]:
        for number in range(2):
            yield {
                "model_name": side.model,
                "inputs": inputs_of(side),
                "request_id": str(number),
                "outputs": None,
            }

    async def ask() -> list[tuple[Any, Any]]:
        async with grpc_aio.InferenceServerClient(side.node.address()) as client:
            return [part async for part in client.stream_infer(requests(), stream_timeout=WAIT)]

    parts = asyncio.run(ask())
    assert [error for _, error in parts] == [None] * len(parts)
    ids = [result.get_response().id for result, _ in parts]
    assert ids == sorted(ids)
    for number in ("0", "1"):
        mine = [result for result, _ in parts if result.get_response().id == number]
        assert [final(result) for result in mine] == [False] * (len(mine) - 1) + [True]
        found = [read(result, *outputs_of(side)) for result in mine]
        assert same(joined(found) if len(found) > 1 else found[0], ours(side))


@pytest.mark.parametrize("kind", ["grpc", "grpc.aio"], indirect=True)
def test_a_client_that_does_not_wait_is_told_and_the_next_request_is_answered(client: Triton, side: Side) -> None:
    """Its own deadline, over gRPC, at a node that is held up for longer."""
    asked, process = ("infer", client.request(side)), side.node.process.pid
    stop(process)
    try:
        late, answer = client.all(
            (*asked, {"client_timeout": 0.2}), (lambda: os.kill(process, signal.SIGCONT), (), {}), (*asked, {})
        )
    finally:
        os.kill(process, signal.SIGCONT)
    assert late.status() == "StatusCode.DEADLINE_EXCEEDED"
    assert answer.as_numpy(side.output).shape == (ROWS, 10)


@pytest.mark.parametrize("kind", ["grpc", "grpc.aio"], indirect=True)
def test_a_client_that_sets_no_deadline_is_answered(client: Triton, side: Side) -> None:
    """It waits for ever, and so does nobody for it: the edge has a deadline of its own for its cloud."""
    assert client.infer(side, client_timeout=None).as_numpy(side.output).shape == (ROWS, 10)


def test_a_request_states_its_deadline(client: Triton, side: Side, expected: Answers) -> None:
    """In microseconds, over HTTP too; the next request is answered."""
    asked = ("infer", client.request(side))
    late, answer = client.all((*asked, {"timeout": 1}), (*asked, {"timeout": 20_000_000}))
    assert late.status() == ("504" if client.http else "StatusCode.DEADLINE_EXCEEDED")
    if client.http:  # its time runs from when it came
        said = "the deadline passed before this node came to the request."
    elif side.model == "tail-3":
        said = (
            f"the deadline passed before this batch of {ROWS} was answered. Give it more time, or this node less to do."
        )
    else:
        forwarded = (expected.tier == Tier.CLOUD).sum()
        said = (
            f"the deadline passed before the cloud was asked. {forwarded} of {ROWS} samples are not sure enough at "
            "exit 3 to be answered without it."
        )
    assert late.message() == said
    assert answer.as_numpy(side.output).shape == (ROWS, 10)


def test_a_deadline_in_the_far_future_is_one(client: Triton, side: Side) -> None:
    """The largest that the protocol can say."""
    assert client.infer(side, timeout=2**63 - 1).as_numpy(side.output).shape == (ROWS, 10)


NOT_OFFERED: dict[str, tuple[tuple[Any, ...], str, str]] = {
    "load_model": (("m",), "RepositoryModelLoad", "/v2/repository/models/m/load"),
    "unload_model": (("m",), "RepositoryModelUnload", "/v2/repository/models/m/unload"),
    "get_system_shared_memory_status": ((), "SystemSharedMemoryStatus", "/v2/systemsharedmemory/status"),
    "register_system_shared_memory": (
        ("r", "/r", 16),
        "SystemSharedMemoryRegister",
        "/v2/systemsharedmemory/region/r/register",
    ),
    "unregister_system_shared_memory": ((), "SystemSharedMemoryUnregister", "/v2/systemsharedmemory/unregister"),
    "get_cuda_shared_memory_status": ((), "CudaSharedMemoryStatus", "/v2/cudasharedmemory/status"),
    "register_cuda_shared_memory": (
        ("r", b"aGFuZGxl", 0, 16),
        "CudaSharedMemoryRegister",
        "/v2/cudasharedmemory/region/r/register",
    ),
    "unregister_cuda_shared_memory": ((), "CudaSharedMemoryUnregister", "/v2/cudasharedmemory/unregister"),
    "get_trace_settings": ((), "TraceSetting", "/v2/trace/setting"),
    "update_trace_settings": ((), "TraceSetting", "/v2/trace/setting"),
    "get_log_settings": ((), "LogSettings", "/v2/logging"),
    "update_log_settings": (({"log_info": True},), "LogSettings", "/v2/logging"),
}


def test_what_is_not_offered_is_said(client: Triton) -> None:
    """By the protocol's own status, with the name of the call."""
    errors = client.all(*((method, arguments, {}) for method, (arguments, _, _) in NOT_OFFERED.items()))
    for error, (_, call, path) in zip(errors, NOT_OFFERED.values(), strict=True):
        assert error.status() == ("501" if client.http else "StatusCode.UNIMPLEMENTED")
        assert error.message() == f"{path if client.http else call}: this node does not offer it."


def encoded(images: Array, form: str, **options: Any) -> tuple[Array, Array]:
    """Images as files, and the pixels that those hold."""
    files, pixels = [], np.empty_like(images)
    for row, image in enumerate(images):
        file = io.BytesIO()
        Image.fromarray(image[..., 0]).save(file, form, **options)
        files.append(file.getvalue())
        pixels[row, ..., 0] = np.asarray(Image.open(io.BytesIO(file.getvalue())))
    contents = np.empty(len(files), np.object_)
    contents[:] = files
    return contents, pixels


@pytest.mark.parametrize("form", ["UINT8", "PNG", "JPEG"])
def test_images_of_8_bits_give_what_their_pixels_give(
    kind: str,
    edge: Side,
    client_of: Callable[[str, Side], Triton],
    read: Read,
    bundle: Bundle,
    digits: Splits,
    form: str,
) -> None:
    """As they are, or as files: the edge brings them into the network's form itself, bit for bit."""
    client, images = client_of(kind, edge), digits.test.images[:ROWS]
    sent, pixels = (images, images) if form == "UINT8" else encoded(images, form)
    if form != "JPEG":
        assert np.array_equal(pixels, images)
    scaled = bundle.manifest.preprocessing.from_uint8(pixels)
    assert same(read(client.infer(edge, sent), *EVERYTHING), read(client.infer(edge, scaled), *EVERYTHING))


IMAGE_FILE: list[dict[str, str]] = [{"Content-Type": "image/png"}, {"Inference-Header-Content-Length": "0"}]


@pytest.mark.parametrize("headers", IMAGE_FILE, ids=["as a browser sends it", "as Triton has it"])
def test_an_image_file_is_a_request(edge: Side, digits: Splits, headers: dict[str, str]) -> None:
    """No JSON around it: every output comes, the class's name too; in binary form where Triton's header asks so."""
    files, _ = encoded(digits.test.images[:1], "PNG")
    url = f"http://{edge.node.http_address()}/v2/models/classifier/infer"
    with urllib.request.urlopen(urllib.request.Request(url, files[0], headers), timeout=WAIT) as response:
        content, length = response.read(), response.headers["Inference-Header-Content-Length"]
    answer = json.loads(content[: None if length is None else int(length)])
    assert [output["name"] for output in answer["outputs"]] == [*EVERYTHING, "class_name"]
    assert (length is None) == ("Content-Type" in headers)
    raw = [output.get("parameters", {}).get("binary_data_size") for output in answer["outputs"]]
    if length is None:
        named = answer["outputs"][-1]["data"][0]
        label = answer["outputs"][1]["data"][0]
    else:
        assert sum(raw) == len(content) - int(length)
        named = content[-raw[-1] + 4 :].decode()
        label = int.from_bytes(content[int(length) + raw[0] :][: raw[1]], "little")
    assert (named, label) == (digits.test.classes[label], ours(edge)["label"][0])


def test_plain_json_is_answered(edge: Side) -> None:
    """As curl sends it: nested numbers, no header but the type."""
    body = {"inputs": [{"name": "image", "shape": [2, 1, 16, 16], "datatype": "FP32", "data": edge.batch[:2].tolist()}]}
    request = urllib.request.Request(
        f"http://{edge.node.http_address()}/v2/models/classifier/infer",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=WAIT) as response:
        answer = json.load(response)
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert list(outputs) == list(EVERYTHING)
    assert outputs["label"]["data"] == ours(edge)["label"][:2].tolist()
    assert outputs["tier"]["data"] == [tier.decode() for tier in ours(edge)["tier"][:2]]
    assert outputs["degraded"]["data"] == [False, False]
    assert outputs["probabilities"]["shape"] == [2, 10]
