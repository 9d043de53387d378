"""The protocol's calls as Ray's own gRPC proxies are told of them: messages go through them as bytes, unread.

Ray pickles a message on its way to a replica, and classes that are made from descriptors at run time cannot be.
"""

from typing import Any

import grpc

from offramp.protocol import messages as pb

CALLS = (*pb.CALLS, "ModelStreamInfer")
SERVICER = f"{__name__}:add_to_proxy"  # what Ray imports on each machine


def add_to_proxy(servicer: Any, server: Any) -> None:
    """Tell a proxy of the calls; it puts handlers of its own in place of these, and keeps how messages are read."""
    handlers = {}
    for name in CALLS:
        kind = "stream_stream" if name == "ModelStreamInfer" else "unary_unary"
        handlers[name] = getattr(grpc, f"{kind}_rpc_method_handler")(getattr(servicer, name))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(pb.SERVICE, handlers),))


class Message(bytes):
    """A message that has been written already, as Ray asks for one."""

    def SerializeToString(self) -> bytes:  # noqa: N802  # the name that Ray calls
        """Give it."""
        return bytes(self)


class Loopback:
    """The calls of a proxy, handed on as they are to the node in this process, which answers as it answers anybody."""

    def __init__(self, address: str, token: str) -> None:
        self.address, self.metadata = address, (("authorization", f"Bearer {token}"),)
        self.channel: Any = None

    async def call(self, name: str, request: bytes, context: Any) -> Message:
        """One that has one answer; an error's status is the proxy's."""
        call = self._channel().unary_unary(f"/{pb.SERVICE}/{name}")
        try:
            return Message(await call(request, metadata=self.metadata))
        except grpc.aio.AioRpcError as error:
            context.set_code(error.code())
            context.set_details(error.details())
            raise

    async def stream(self, requests: Any) -> Any:
        """A stream: its answers one by one."""
        call = self._channel().stream_stream(f"/{pb.SERVICE}/ModelStreamInfer")
        async for message in call(requests, metadata=self.metadata):
            yield Message(message)

    def _channel(self) -> Any:
        """Made on the event loop that asks for it first."""
        if self.channel is None:
            options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
            self.channel = grpc.aio.insecure_channel(self.address, [*options, ("grpc.enable_http_proxy", 0)])
        return self.channel
