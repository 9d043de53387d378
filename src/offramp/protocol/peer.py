"""A node at the other end: every call has a deadline, every failure is an error of ours that names the peer."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import grpc

from offramp.errors import InputError, LinkError, UnreachableError
from offramp.protocol import messages as pb
from offramp.protocol.catalog import MAX_BATCH
from offramp.protocol.credentials import NOTHING, Credentials, Shown
from offramp.protocol.served import TOOK, Parameters, Result
from offramp.protocol.status import error_of, error_said
from offramp.protocol.tensors import FINAL, read_outputs, read_parameters, write_request
from offramp.protocol.trace_context import TRACEPARENT
from offramp.sockets import check_address, split_address
from offramp.unix_sockets import path_of

T = TypeVar("T")

# A network that dies quietly during a call is noticed after this and the time-out below, not after minutes. Between
# calls nothing is sent: other makers' servers end a connection that pings them more than every five minutes.
KEEPALIVE_MS = 10_000
LOOK = 0.1  # seconds between looks at a node that is not ready yet
OPTIONS: list[tuple[str, Any]] = [
    ("grpc.max_send_message_length", -1),  # the server states and enforces the bound
    ("grpc.max_receive_message_length", 256 * 2**20),
    ("grpc.keepalive_time_ms", KEEPALIVE_MS),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.ping_timeout_ms", 5_000),  # else a ping has a minute, whatever stands above
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # how long one attempt may take: over a satellite, two round trips
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.enable_http_proxy", 0),  # nodes reach each other directly
]


@dataclass(frozen=True)
class ModelMetadata:
    """What a node says of one of its models."""

    name: str
    versions: tuple[str, ...]
    inputs: dict[str, tuple[str, tuple[int, ...]]]  # name: datatype, shape
    outputs: dict[str, tuple[str, tuple[int, ...]]]


@dataclass(frozen=True)
class ModelStatistics:
    """What a model has answered.

    The time of a request is the node's own, from its decoded message to its last result. It has all that the model
    does for it, the wait for its turn and for what it asks of other nodes, and on a stream the sending of its parts; it
    has neither the network nor the decoding of messages. Of a model that is asked one request at a time and asks nobody
    else this is its computing.
    """

    samples: int
    seconds: float  # of the requests that were answered, added up


class Peer:
    """Calls one node. Safe to use from several threads at once.

    It is at HOST:PORT or unix:/PATH. With `via`, the address of a link to it, it is called there, and goes by its own
    in errors, and in what its certificate has to name, all the same. Without `credentials`, it is called in plain text
    and without a token.
    """

    def __init__(
        self, address: str, via: str | None = None, *, alone: bool = False, credentials: Credentials | None = None
    ) -> None:
        self.address, self.via, self.credentials = check_address(address), via, credentials
        # Else the library gives every client of an address in this process the same connection.
        self.own: list[tuple[str, Any]] = [("grpc.use_local_subchannel_pool", 1)] if alone else []
        if via is not None and path_of(self.address) is None:
            self.own.append(("grpc.ssl_target_name_override", split_address(self.address)[0]))
        self.channel: grpc.Channel | None = None
        self.former: grpc.Channel | None = None  # the one before, on which calls may still end
        self.show(NOTHING if credentials is None else credentials.read(self.address))

    def show(self, shown: Shown) -> None:
        """Make the calls that begin from now on by these."""
        self.shown, by = shown, shown.channel
        to, options = self.via or self.address, OPTIONS + self.own
        if self.former is not None:
            self.former.close()
        self.former = self.channel
        self.channel = grpc.insecure_channel(to, options) if by is None else grpc.secure_channel(to, by, options)
        self.stub = pb.Stub(self.channel)

    def renew(self) -> Shown:
        """Show what the files of its credentials hold now, and give what was shown before.

        Raises InputError, and changes nothing, where one of them does not do.
        """
        before = self.shown
        if self.credentials is not None and (now := self.credentials.read(self.address)) != before:
            self.show(now)
        return before

    def again(self) -> Self:
        """Another client of the node, on a connection of its own."""
        return type(self)(self.address, self.via, alone=True, credentials=self.credentials)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        for channel in (self.channel, self.former):
            if channel is not None:
                channel.close()

    def wait_ready(self, timeout: float) -> None:
        """Wait until the node says that it can answer; UnreachableError after `timeout` seconds."""
        end = time.monotonic() + timeout
        while True:
            try:
                left = max(end - time.monotonic(), LOOK)
                if self.stub.ServerReady(pb.ServerReadyRequest(), timeout=left, wait_for_ready=True).ready:
                    return
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise UnreachableError(
                        f"{self.address} does not answer (waited {timeout:g} s{self._why_not()}). "
                        "Start it, or check the address and the network."
                    ) from error
                raise error_of(error, self.address) from error
            if time.monotonic() + LOOK > end:
                raise UnreachableError(
                    f"{self.address} answers that it is not ready (waited {timeout:g} s). Look at its log."
                )
            time.sleep(LOOK)

    def _why_not(self) -> str:
        """What there is to say of a connection by TLS that does not come about: who waits for it is not told."""
        if not self.shown.tls:
            return ""
        try:
            self.stub.ServerReady(pb.ServerReadyRequest(), timeout=LOOK)
        except grpc.RpcError as error:
            return f"; {error.details()}"
        return ""

    def prepare(self, model: str, timeout: float, version: str = "") -> None:
        """Ask a model to be ready.

        Raises UnknownModelError where the node does not serve it, UnreachableError where it says that it is not ready.
        """
        if not self._told(self.stub.ModelReady, pb.ModelReadyRequest(name=model, version=version), timeout).ready:
            raise UnreachableError(f"{self.address} answers that model {model!r} is not ready. Look at its log.")

    def metadata(self, model: str, timeout: float, version: str = "") -> ModelMetadata:
        """Ask what a model takes and gives, and in which versions."""
        answer = self._told(self.stub.ModelMetadata, pb.ModelMetadataRequest(name=model, version=version), timeout)
        inputs, outputs = (
            {tensor.name: (tensor.datatype, tuple(tensor.shape)) for tensor in tensors}
            for tensors in (answer.inputs, answer.outputs)
        )
        return ModelMetadata(answer.name, tuple(answer.versions), inputs, outputs)

    def config(self, model: str, timeout: float, version: str = "") -> dict[str, str]:
        """Ask what else there is to know of a model. Its largest batch is where Triton says it, or a node of ours."""
        return _config(self._told(self.stub.ModelConfig, pb.ModelConfigRequest(name=model, version=version), timeout))

    def ask_config(self, model: str, timeout: float, version: str = "") -> "Future[dict[str, str]]":
        """The same, and no thread waits for it; see `begin`."""
        request = pb.ModelConfigRequest(name=model, version=version)
        call = self.stub.ModelConfig.future(request, timeout=timeout, metadata=self.shown.metadata)
        return self._answer(call, lambda: _config(call.result()))

    def statistics(self, model: str = "", timeout: float = 10.0) -> dict[tuple[str, str], ModelStatistics]:
        """Ask what a model's every version, or every model, has answered since the node started, by name and version.

        The difference of two askings is what was answered between them.
        """
        answer = self._told(self.stub.ModelStatistics, pb.ModelStatisticsRequest(name=model), timeout)
        return {
            (found.name, found.version): ModelStatistics(found.inference_count, found.inference_stats.success.ns / 1e9)
            for found in answer.model_stats
        }

    def begin(self, request: pb.ModelInferRequest, timeout: float, trace: str = "") -> "Future[Result]":
        """Send a request and give what will be its whole answer, or its error, after `timeout` seconds at the latest.

        No thread waits for it. What is called back when it is done is called on the connection's own thread. Cancelled,
        the node is told that nobody waits any more. `trace` is the context of a trace that goes along.
        """
        call = self.stub.ModelInfer.future(request, timeout=timeout, metadata=self._metadata(trace))
        return self._answer(call, lambda: _result(call.result(), self.address, _took(call)))

    def look(self, timeout: float) -> "Future[None]":
        """Ask whether the node is there, in next to no bytes, and give what will be the answer, or why it is not.

        An answer is one, whatever it says: it has come there and back.
        """
        call = self.stub.ServerReady.future(pb.ServerReadyRequest(), timeout=timeout, metadata=self.shown.metadata)

        def read() -> None:
            call.result()

        return self._answer(call, read)

    def _answer(self, call: Any, read: Callable[[], T]) -> "Future[T]":
        """What will be read of a call that has begun, or its error; cancelled, it cancels the call."""
        answer: Future[T] = Future()

        def done(_: object) -> None:
            if not answer.set_running_or_notify_cancel():
                return
            try:
                answer.set_result(read())
            except grpc.RpcError as error:
                failed = error_of(error, self.address)
                failed.__cause__ = error
                answer.set_exception(failed)
            except Exception as error:
                answer.set_exception(error)

        answer.add_done_callback(lambda answer: answer.cancelled() and call.cancel())
        call.add_done_callback(done)
        return answer

    def send(self, request: pb.ModelInferRequest, timeout: float) -> Result:
        """Send a request and wait for its whole answer."""
        return _result(self._told(self.stub.ModelInfer, request, timeout), self.address)

    def infer(
        self,
        model: str,
        inputs: dict[str, Any],
        *,
        timeout: float,
        version: str = "",
        parameters: Parameters | None = None,
    ) -> Result:
        """Ask a model and wait for its whole answer."""
        return self.send(write_request(model, version, inputs, parameters), timeout)

    def stream(
        self,
        model: str,
        requests: Iterator[tuple[dict[str, Any], Parameters]],
        *,
        timeout: float,
        version: str = "",
    ) -> "ResultStream":
        """Ask a model one thing after another (inputs and parameters); iterate over the parts of the answers.

        `timeout` bounds the stream as a whole.
        """
        messages = (write_request(model, version, inputs, parameters) for inputs, parameters in requests)
        return self.answered_in_parts(messages, timeout)

    def answered_in_parts(
        self, requests: Iterator[pb.ModelInferRequest], timeout: float, trace: str = ""
    ) -> "ResultStream":
        """Send requests one after another, and give what will be the parts of their answers; see `begin`, `stream`."""
        call = self.stub.ModelStreamInfer(requests, timeout=timeout, metadata=self._metadata(trace))
        return ResultStream(call, self.address)

    def _metadata(self, trace: str) -> Any:
        shown = self.shown.metadata
        return (*(shown or ()), (TRACEPARENT, trace)) if trace else shown

    def _told(self, call: Any, request: Any, timeout: float) -> Any:
        try:
            return call(request, timeout=timeout, metadata=self.shown.metadata)
        except grpc.RpcError as error:
            raise error_of(error, self.address) from error


class ResultStream:
    """The results of a stream as they come. Can be ended from another thread."""

    def __init__(self, call: Any, peer: str) -> None:
        self.call, self.peer = call, peer

    def __iter__(self) -> Iterator[Result]:
        try:
            for message in self.call:
                if message.error_message:
                    raise error_said(message.error_message, self.peer)
                yield _result(message.infer_response, self.peer)
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.CANCELLED:
                raise error_of(error, self.peer) from error

    def cancel(self) -> None:
        """End it; the iteration stops."""
        self.call.cancel()


def _took(call: Any) -> float | None:
    """Seconds that a request was in the node, where that says so; another maker's does not."""
    for name, value in call.trailing_metadata() or ():
        if name == TOOK:
            with suppress(ValueError):
                return float(value)
    return None


def _config(answer: Any) -> dict[str, str]:
    config = answer.config
    largest = {MAX_BATCH: str(config.max_batch_size)} if config.max_batch_size > 0 else {}
    return largest | {name: value.string_value for name, value in config.parameters.items()}


def _result(response: pb.ModelInferResponse, peer: str, took: float | None = None) -> Result:
    try:
        parameters = read_parameters(response.parameters)
        last, size = bool(parameters.get(FINAL, True)), response.ByteSize()
        return Result(read_outputs(response), parameters, last, size=size, took=took)
    except InputError as error:
        raise LinkError(f"{peer}: its answer does not hold together: {error}") from error
