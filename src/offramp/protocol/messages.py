"""Triton's messages and service of the Open Inference Protocol over gRPC: `messages.ModelInferRequest` and the others.

Made of Triton's own descriptors (`triton.binpb`: grpc_service.proto and model_config.proto of its repository `common`;
the licence is `triton.LICENSE`), which tritonclient holds as well. They lie in a pool of their own: a program may load
both, of any versions, and a node needs no client, 26 MB of its install with what that needs.
"""

from importlib.resources import files
from typing import Any

import grpc
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

POOL = DescriptorPool()
for _file in FileDescriptorSet.FromString(files("offramp.protocol").joinpath("triton.binpb").read_bytes()).file:
    POOL.Add(_file)
DESCRIBED = POOL.FindServiceByName("inference.GRPCInferenceService")
SERVICE: str = DESCRIBED.full_name


def __getattr__(name: str) -> Any:
    """The class of a message, made when it is first asked for."""
    try:
        described = POOL.FindMessageTypeByName(f"inference.{name}")
    except KeyError:
        raise AttributeError(f"the protocol has no message {name!r}") from None
    return globals().setdefault(name, GetMessageClass(described))


class Stub:
    """The service's calls by name, on a channel."""

    def __init__(self, channel: grpc.Channel) -> None:
        for name, asked, answered, kind in _calls():
            call = getattr(channel, kind)
            serialize, read = asked.SerializeToString, answered.FromString
            path = f"/{SERVICE}/{name}"
            # Registered, as generated code has it: the channel looks the path up once, and not at each call.
            known = {"_registered_method": True}
            setattr(self, name, call(path, request_serializer=serialize, response_deserializer=read, **known))

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"the protocol has no call {name!r}")


def add_service(server: grpc.Server, service: Any) -> None:
    """Make a gRPC server answer each of the service's calls by the attribute of its name."""
    handlers = {}
    for name, asked, answered, kind in _calls():
        handler = getattr(grpc, f"{kind}_rpc_method_handler")
        read, serialize = asked.FromString, answered.SerializeToString
        handlers[name] = handler(getattr(service, name), request_deserializer=read, response_serializer=serialize)
    server.add_registered_method_handlers(SERVICE, handlers)


def _calls() -> list[tuple[str, Any, Any, str]]:
    """Of each call its name, the classes of request and response, and whether either comes as a stream."""
    sides = {False: "unary", True: "stream"}
    return [
        (
            method.name,
            GetMessageClass(method.input_type),
            GetMessageClass(method.output_type),
            f"{sides[method.client_streaming]}_{sides[method.server_streaming]}",
        )
        for method in DESCRIBED.methods
    ]
