"""One request to a model over HTTP that has come whole: its body to a call, and what the model gives to a response.

Runs on whatever thread. Knows neither sockets nor how the request came.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from time import perf_counter

from offramp.errors import InputError, OfframpError
from offramp.protocol.coding import is_plain, unpacked
from offramp.protocol.data_plane import DataPlane
from offramp.protocol.gone import Gone, GoneError
from offramp.protocol.record import Record
from offramp.protocol.rest_body import Asked, read_raw, read_request, stated_timeout, to_json, write_response
from offramp.protocol.served import Call, Result, Served
from offramp.protocol.shared_memory import Regions
from offramp.protocol.status import http_status_of
from offramp.protocol.trace_context import TRACEPARENT, checked

log = logging.getLogger("offramp")

Headers = Iterable[tuple[bytes, bytes]]

DIGITS = 18  # of a number in a header
HEADER_LENGTH = b"inference-header-content-length"
CODING = b"content-encoding"
ID, TRACE = b"x-request-id", TRACEPARENT.encode()
IMAGE = b"image/"  # a content type of an image file: what a browser says of one
OK = 200
JSON = ((b"content-type", b"application/json"),)
OCTETS = (b"content-type", b"application/octet-stream")


@dataclass(frozen=True)
class Response:
    """What is sent back."""

    body: bytes
    status: int = OK
    headers: Headers = JSON


class SilentError(GoneError):
    """The client is there and sends no more of its request, or next to nothing."""


class Arrival:
    """A request that has come, or will have, for a model: first its headers, by name, and then its body."""

    __slots__ = ("asked", "body", "gone", "headers", "memory", "model", "path", "record")

    def __init__(
        self, model: Served, path: str, headers: dict[bytes, bytes], record: Record, memory: Regions | None = None
    ) -> None:
        self.model, self.path, self.headers, self.record, self.memory = model, path, headers, record, memory
        self.body, self.gone = b"", Gone()
        self.asked: Asked | None = None

    def came(self, body: bytes) -> None:
        """It has come whole: what the client took to send it counts for nothing."""
        self.body, self.record.began, self.record.bytes_in = body, perf_counter(), len(body)

    def timeout(self) -> float:
        """The seconds that it states as its deadline, found without decoding it."""
        return stated_timeout(self.body, number(self.headers, HEADER_LENGTH))

    def call(self, plane: DataPlane) -> Call:
        """Decode it."""
        record, headers = self.record, self.headers
        start = record.stage("wait", record.began)
        coding = headers.get(CODING, b"").lower()
        body = self.body if is_plain(coding) else unpacked(coding, self.body, plane.bounds.body)
        length = number(headers, HEADER_LENGTH)
        if length == 0 or (length is None and headers.get(b"content-type", b"").lower().startswith(IMAGE)):
            asked = read_raw(body, self.model, binary=length == 0)
        else:
            asked = read_request(body, length, self.memory)
        self.asked = asked
        record.id = asked.id or record.id
        record.stage("decode", start)
        waited = start - record.began
        return Call(asked.inputs, asked.parameters, waited=waited, cancelled=self.gone, record=record)

    def response(self, result: Result) -> Response:
        """Encode what the model gave."""
        asked, model, record = self.asked, self.model, self.record
        assert asked is not None  # it was called
        content, length = write_response(model.name, model.version, asked, result.outputs, result.parameters)
        record.stage("respond", record.answered)
        record.bytes_out = len(content)
        if length is None:
            return Response(content)
        return Response(content, headers=(OCTETS, (HEADER_LENGTH, b"%d" % length)))

    def answered(self, plane: DataPlane) -> Response:
        """Decode, infer and encode."""
        call = self.call(plane)
        return self.response(plane.infer(self.model, call, self.classes))

    @property
    def classes(self) -> dict[str, int]:
        """The outputs that it asks for, each with how many of its classes; of one that was decoded."""
        assert self.asked is not None
        return self.asked.classes


def failed(error: Exception, path: str) -> Response:
    """What is said of an error; a defect is written down."""
    match error:
        case OfframpError():
            return error_response(str(error), http_status_of(error))
        case SilentError():
            return error_response(str(error), 408, (b"connection", b"close"))
        case GoneError():
            return error_response("the client has gone.", 400)
    log.error("a defect while answering %s", path, exc_info=error)
    return error_response("the node failed; its log has the details.", 500)


def error_response(message: str, status: int, *headers: tuple[bytes, bytes]) -> Response:
    """A message that says what is wrong."""
    return Response(to_json({"error": message}), status, (*JSON, *headers))


def number(headers: dict[bytes, bytes], name: bytes) -> int | None:
    """A header's number; None where it was not sent."""
    value = headers.get(name)
    if value is None:
        return None
    if not value.isdigit() or len(value) > DIGITS:
        raise InputError(f"header {name.decode()}: expected a whole number, got {value[:DIGITS].decode('latin1')!r}.")
    return int(value)


def request_id(headers: dict[bytes, bytes]) -> str:
    """What a client or a proxy calls its request."""
    return headers.get(ID, b"").decode("latin1")


def given(trace: bytes) -> str:
    """The context of a trace that a request came with."""
    return checked(trace.decode("latin1")) if trace else ""
