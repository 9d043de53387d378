"""The protocol's messages, held against those of Triton's own client."""

import subprocess
import sys

import pytest
from tritonclient.grpc import model_config_pb2, service_pb2

from offramp.protocol import messages

BOTH = """
import offramp.protocol.messages as ours
from tritonclient.grpc import service_pb2 as theirs
request = ours.ModelInferRequest(model_name="it", id="1")
request.parameters["p"].int64_param = 7
request.inputs.add(name="image", datatype="FP32", shape=[1, 3])
request.raw_input_contents.append(bytes(12))
read = theirs.ModelInferRequest.FromString(request.SerializeToString())
assert str(read) == str(request) and type(read) is not type(request)
"""


@pytest.mark.parametrize("theirs", [model_config_pb2, service_pb2], ids=["model_config", "service"])
def test_the_descriptors_are_the_installed_tritonclients(theirs: object) -> None:
    """Where a newer client has more: a FileDescriptorSet of its two files, in that order, is `triton.binpb`."""
    described = theirs.DESCRIPTOR  # type: ignore[attr-defined]
    assert messages.POOL.FindFileByName(described.name).serialized_pb == described.serialized_pb


@pytest.mark.parametrize("first", ["import offramp.protocol.messages", "import tritonclient.grpc"])
def test_a_program_loads_tritonclient_beside_us_in_either_order(first: str) -> None:
    subprocess.run([sys.executable, "-c", f"{first}\n{BOTH}"], check=True, timeout=60)


def test_a_message_is_made_once_and_one_that_there_is_not_is_an_attribute_error() -> None:
    assert messages.ModelInferRequest is messages.ModelInferRequest
    with pytest.raises(AttributeError, match="the protocol has no message 'ModelGuess'"):
        messages.ModelGuess  # noqa: B018


def test_a_stub_has_the_services_calls_and_no_others() -> None:
    class Channel:
        """What a stub asks of one: each call by its path."""

        def __getattr__(self, kind: str) -> object:
            return lambda path, **named: (kind, path, named["response_deserializer"])

    stub = messages.Stub(Channel())
    kind, path, read = stub.ModelStreamInfer
    assert (kind, path) == ("stream_stream", "/inference.GRPCInferenceService/ModelStreamInfer")
    assert isinstance(read(b""), messages.ModelStreamInferResponse)
    assert stub.ModelInfer[:2] == ("unary_unary", "/inference.GRPCInferenceService/ModelInfer")
    with pytest.raises(AttributeError, match="the protocol has no call 'Guess'"):
        stub.Guess  # noqa: B018
