"""Requests made once and sent many times, over gRPC and over HTTP, and in one word what came of each.

A driver that makes and reads messages itself measures itself: here a request is bytes that are there already, and of
an answer only what tells the words apart is looked at.
"""

import asyncio
import json
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import grpc
import httptools
import numpy as np
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc import service_pb2_grpc

from offramp.protocol.data_plane import TIMEOUT
from offramp.protocol.datatypes import NAMES
from offramp.protocol.peer import OPTIONS
from offramp.protocol.rest_app import OK
from offramp.protocol.served import Array
from offramp.protocol.tensors import encode, write_request

ANSWERED, DEGRADED, REFUSED, LATE, FAILED = WORDS = ("answered", "degraded", "refused", "late", "failed")
CODES = {grpc.StatusCode.RESOURCE_EXHAUSTED: REFUSED, grpc.StatusCode.DEADLINE_EXCEEDED: LATE}
STATUSES = {503: REFUSED, 504: LATE}
CONNECTIONS = 4  # over gRPC, which answers many requests on one
MARK = "degraded"  # the output that says so, where a model has it


@dataclass(frozen=True)
class Question:
    """What is asked of a model, and the outputs that are wanted; the last of them may be the mark."""

    model: str
    input: str
    batch: Array
    outputs: tuple[str, ...]


class Way(Protocol):
    """Asks a node."""

    def begin(self, number: int, timeout: float) -> "Future[str]":
        """Send one of the questions; of what will be there: what came of it, in one of the words."""

    def close(self) -> None:
        """End the connections."""


class Grpc:
    """Asks over gRPC, on a few connections."""

    def __init__(self, address: str, questions: Sequence[Question]) -> None:
        own = [*OPTIONS, ("grpc.use_local_subchannel_pool", 1)]
        self.channels = [grpc.insecure_channel(address, own) for _ in range(CONNECTIONS)]
        self.stubs = [service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer for channel in self.channels]
        self.requests = [self._request(question) for question in questions]
        self.marked = MARK in questions[0].outputs

    @staticmethod
    def _request(question: Question) -> pb.ModelInferRequest:
        request = write_request(question.model, "", {question.input: question.batch})
        for name in question.outputs:
            request.outputs.add(name=name)
        return request

    def begin(self, number: int, timeout: float) -> "Future[str]":
        answer: Future[str] = Future()
        call = self.stubs[number % CONNECTIONS].future(self.requests[number % len(self.requests)], timeout=timeout)
        call.add_done_callback(lambda call: answer.set_result(self._word(call)))
        return answer

    def _word(self, call: grpc.Future) -> str:
        if (code := call.code()) is not grpc.StatusCode.OK:
            return CODES.get(code, FAILED)
        return DEGRADED if self.marked and any(call.result().raw_output_contents[-1]) else ANSWERED

    def close(self) -> None:
        for channel in self.channels:
            channel.close()


class Http:
    """Asks over HTTP, on as many connections as there are requests under way."""

    def __init__(self, address: str, questions: Sequence[Question], deadline: float) -> None:
        self.host, _, port = address.rpartition(":")
        self.port, self.idle = int(port), deque["_Connection"]()
        self.requests = [_body(question, address, deadline) for question in questions]
        self.marks = len(questions[0].batch) if MARK in questions[0].outputs else 0  # bytes, the last of an answer
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="http", daemon=True)
        self.thread.start()

    def begin(self, number: int, timeout: float) -> "Future[str]":
        answer: Future[str] = Future()
        self.loop.call_soon_threadsafe(self._send, self.requests[number % len(self.requests)], answer)
        return answer

    def _send(self, request: bytes, answer: "Future[str]") -> None:
        if self.idle:
            self.idle.pop().ask(request, answer)
        else:
            self.loop.create_task(self._send_on_another(request, answer))  # the answer is waited for

    async def _send_on_another(self, request: bytes, answer: "Future[str]") -> None:
        try:
            _, connection = await self.loop.create_connection(lambda: _Connection(self), self.host, self.port)
        except OSError:
            answer.set_result(FAILED)
        else:
            connection.ask(request, answer)

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        for connection in self.idle:
            connection.transport.abort()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()


class _Connection(asyncio.Protocol):
    """One request after another."""

    transport: asyncio.Transport

    def __init__(self, way: Http) -> None:
        self.way, self.answer, self.body = way, Future[str](), b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def ask(self, request: bytes, answer: "Future[str]") -> None:
        """Send a request whole."""
        self.answer, self.body, self.parser = answer, b"", httptools.HttpResponseParser(self)
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """Keep a part of it."""
        self.body += body

    def on_message_complete(self) -> None:
        """Give the word, and be free for the next."""
        status = self.parser.get_status_code()
        word = STATUSES.get(status, FAILED)
        if status == OK:
            word = DEGRADED if self.way.marks and any(self.body[-self.way.marks :]) else ANSWERED
        if self.parser.should_keep_alive():
            self.way.idle.append(self)
        else:
            self.transport.close()
        self.answer.set_result(word)

    def connection_lost(self, error: Exception | None) -> None:
        with suppress(ValueError):
            self.way.idle.remove(self)
        if not self.answer.done():
            self.answer.set_result(FAILED)


def _body(question: Question, address: str, deadline: float) -> bytes:
    """A request, head and body, in the protocol's binary form."""
    raw = bytes(encode(np.ascontiguousarray(question.batch)))
    tensor = {
        "name": question.input,
        "shape": question.batch.shape,
        "datatype": NAMES[question.batch.dtype],
        "parameters": {"binary_data_size": len(raw)},
    }
    header = json.dumps(
        {
            "inputs": [tensor],
            "outputs": [{"name": name, "parameters": {"binary_data": True}} for name in question.outputs],
            "parameters": {TIMEOUT: int(deadline * 1e6)},
        }
    ).encode()
    head = (
        f"POST /v2/models/{question.model}/infer HTTP/1.1\r\nhost: {address}\r\n"
        f"content-length: {len(header) + len(raw)}\r\ninference-header-content-length: {len(header)}\r\n\r\n"
    )
    return head.encode() + header + raw
