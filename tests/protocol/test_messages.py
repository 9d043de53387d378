"""The protocol's messages, held against those of Triton's own client."""

import gc
import subprocess
import sys
import weakref
from typing import Any

import pytest
from google.protobuf.message_factory import GetMessageClass
from tritonclient.grpc import model_config_pb2, service_pb2

from offramp.protocol import messages
from offramp.runtime import onnx_messages

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


# What a node neither writes nor reads; it is kept as it came.
LEFT_OUT = {
    "ModelConfig": {
        "backend", "runtime", "version_policy", "batch_input", "batch_output", "optimization", "dynamic_batching",
        "sequence_batching", "ensemble_scheduling", "instance_group", "default_model_filename", "cc_model_filenames",
        "metric_tags", "model_warmup", "model_operations", "model_transaction_policy", "model_repository_agents",
        "response_cache", "model_metrics",
    },
    "ModelInput": {
        "format", "reshape", "is_shape_tensor", "allow_ragged_batch", "optional", "is_non_linear_format_io",
    },
    "ModelOutput": {"reshape", "label_filename", "is_shape_tensor", "is_non_linear_format_io"},
    "ModelStatistics": {"memory_usage"},
}  # fmt: skip


def same(mine: Any, theirs: Any, seen: set[str]) -> None:
    """Hold one message's fields against another's, and those of what they are made of."""
    if mine.full_name in seen:
        return
    seen.add(mine.full_name)
    left_out = LEFT_OUT.get(mine.name, set())
    assert set(mine.fields_by_name) == set(theirs.fields_by_name) - left_out, mine.full_name
    for name, one in mine.fields_by_name.items():
        other = theirs.fields_by_name[name]
        for what in ("number", "type", "is_repeated", "has_presence", "is_packed"):
            assert getattr(one, what) == getattr(other, what), (mine.full_name, name, what)
        choices = [found.containing_oneof and found.containing_oneof.name for found in (one, other)]
        assert choices[0] == choices[1], (mine.full_name, name)
        if one.enum_type is not None:
            values = [{value.name: value.number for value in found.enum_type.values} for found in (one, other)]
            assert values[0] == values[1]
        if one.message_type is not None:
            assert one.message_type.GetOptions().map_entry == other.message_type.GetOptions().map_entry
            same(one.message_type, other.message_type, seen)


def test_the_service_is_the_installed_tritonclients() -> None:
    """Every call by its name and kind, and every field of what is asked and answered."""
    (theirs,) = service_pb2.DESCRIPTOR.services_by_name.values()
    assert theirs.full_name == messages.SERVICE
    assert set(messages.DESCRIBED.methods_by_name) == set(theirs.methods_by_name)
    seen = set[str]()
    for method in messages.DESCRIBED.methods:
        other = theirs.methods_by_name[method.name]
        for what in ("client_streaming", "server_streaming"):
            assert getattr(method, what) == getattr(other, what), method.name
        if method.name not in messages.NOT_OFFERED:
            same(method.input_type, other.input_type, seen)
            same(method.output_type, other.output_type, seen)
    assert len(seen) > 30


def test_what_is_not_read_is_kept() -> None:
    """A field of theirs that is not in our table goes through."""
    theirs = model_config_pb2.ModelConfig(name="it", backend="onnxruntime", max_batch_size=8)
    mine = messages.ModelConfig.FromString(theirs.SerializeToString())
    assert (mine.name, mine.max_batch_size) == ("it", 8)
    assert model_config_pb2.ModelConfig.FromString(mine.SerializeToString()) == theirs


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


@pytest.mark.parametrize(("module", "package"), [(messages, "inference"), (onnx_messages, "offramp.onnx")])
def test_no_class_of_a_message_is_ever_collected(module: Any, package: str) -> None:
    """Nobody has to hold one, its descriptor, or a message of it: it is there before and after a collection."""
    find = module.POOL.FindMessageTypeByName
    before = {name: weakref.ref(GetMessageClass(find(f"{package}.{name}"))) for name in module.CLASSES}
    assert len(before) > 5
    gc.collect()
    assert [name for name, held in before.items() if held() is None] == []
