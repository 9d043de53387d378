"""Errors of ours to the protocol's status and back."""

from dataclasses import dataclass

import grpc
import pytest

from offramp.errors import (
    BundleMismatchError,
    BusyError,
    DeadlineError,
    ForbiddenError,
    InputError,
    LinkError,
    MissingExtraError,
    OfframpError,
    OverloadedError,
    PortInUseError,
    RefusedError,
    TooLargeError,
    UnauthenticatedError,
    UnknownModelError,
    UnreachableError,
)
from offramp.protocol.status import error_of, error_said, http_status_of, status_of

OUT: list[tuple[type[OfframpError], grpc.StatusCode, int]] = [
    (UnknownModelError, grpc.StatusCode.NOT_FOUND, 404),
    (TooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    (InputError, grpc.StatusCode.INVALID_ARGUMENT, 400),
    (MissingExtraError, grpc.StatusCode.UNIMPLEMENTED, 501),
    (BusyError, grpc.StatusCode.ABORTED, 409),
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED, 401),
    (ForbiddenError, grpc.StatusCode.PERMISSION_DENIED, 403),
    (RefusedError, grpc.StatusCode.FAILED_PRECONDITION, 502),
    (BundleMismatchError, grpc.StatusCode.FAILED_PRECONDITION, 502),
    (DeadlineError, grpc.StatusCode.DEADLINE_EXCEEDED, 504),
    (OverloadedError, grpc.StatusCode.RESOURCE_EXHAUSTED, 503),
    (UnreachableError, grpc.StatusCode.UNAVAILABLE, 503),
    (LinkError, grpc.StatusCode.INTERNAL, 502),
    (PortInUseError, grpc.StatusCode.INTERNAL, 502),
    (OfframpError, grpc.StatusCode.INTERNAL, 500),
]


@pytest.mark.parametrize(("error", "status", "http"), OUT)
def test_an_error_has_its_status(error: type[OfframpError], status: grpc.StatusCode, http: int) -> None:
    """On both ways out."""
    assert (status_of(error("why")), http_status_of(error("why"))) == (status, http)


@dataclass
class Failed:
    """A call that failed, as grpc tells it."""

    status: grpc.StatusCode
    detail: str | None = "why"

    def code(self) -> grpc.StatusCode:
        return self.status

    def details(self) -> str | None:
        return self.detail


BACK: list[tuple[Failed, type[OfframpError], str]] = [
    (Failed(grpc.StatusCode.NOT_FOUND), UnknownModelError, "cloud:1: why"),
    (Failed(grpc.StatusCode.INVALID_ARGUMENT), InputError, "cloud:1: why"),
    (Failed(grpc.StatusCode.RESOURCE_EXHAUSTED), OverloadedError, "cloud:1: why"),
    (
        Failed(grpc.StatusCode.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)"),
        TooLargeError,
        "cloud:1: Received message larger than max (9 vs. 4)",
    ),
    (
        Failed(grpc.StatusCode.RESOURCE_EXHAUSTED, "x: 9, and this node takes at most 4 samples in one request."),
        TooLargeError,
        "cloud:1: x: 9, and this node takes at most 4 samples in one request.",
    ),
    (
        Failed(grpc.StatusCode.INVALID_ARGUMENT, "inference request batch-size must be <= 4 for 'tail-3'"),
        TooLargeError,
        "cloud:1: inference request batch-size must be <= 4 for 'tail-3'",
    ),
    (Failed(grpc.StatusCode.FAILED_PRECONDITION), BundleMismatchError, "cloud:1: why"),
    (
        Failed(grpc.StatusCode.DEADLINE_EXCEEDED),
        DeadlineError,
        "cloud:1 did not answer within the deadline (why).",
    ),
    (
        Failed(grpc.StatusCode.UNAVAILABLE),
        UnreachableError,
        "cloud:1 does not answer (why). Start it, or check the address and the network.",
    ),
    (
        Failed(grpc.StatusCode.UNAVAILABLE, "Tls handshake failed: CERTIFICATE_VERIFY_FAILED"),
        UnreachableError,
        "cloud:1 is there, and no connection by TLS came about (Tls handshake failed: CERTIFICATE_VERIFY_FAILED). Its "
        "certificate must come from the authority that is trusted here, be in date, and name the host of this address.",
    ),
    (
        Failed(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses; last error: Socket closed"),
        UnreachableError,
        "cloud:1 ends each connection at once (failed to connect to all addresses; last error: Socket closed). It "
        "speaks TLS where this caller does not (--tls-ca), or asks for another certificate of the caller's "
        "(--tls-cert).",
    ),
    (Failed(grpc.StatusCode.UNAUTHENTICATED), UnauthenticatedError, "cloud:1: why"),
    (Failed(grpc.StatusCode.PERMISSION_DENIED), ForbiddenError, "cloud:1: why"),
    (Failed(grpc.StatusCode.UNIMPLEMENTED), LinkError, "cloud:1 failed with UNIMPLEMENTED: why"),
    (Failed(grpc.StatusCode.INTERNAL), LinkError, "cloud:1 failed with INTERNAL: why"),
    (Failed(grpc.StatusCode.UNKNOWN, None), LinkError, "cloud:1 failed with UNKNOWN: no details"),
]


@pytest.mark.parametrize(("failed", "kind", "message"), BACK)
def test_a_status_is_an_error_that_names_the_peer(failed: Failed, kind: type[OfframpError], message: str) -> None:
    """Exactly that error, no kin of it."""
    error = error_of(failed, "cloud:1")
    assert type(error) is kind
    assert str(error) == message


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("DEADLINE_EXCEEDED: late.", DeadlineError, "edge:1 did not answer within the deadline (late.)."),
        ("INVALID_ARGUMENT: image: too small.", InputError, "edge:1: image: too small."),
        ("RESOURCE_EXHAUSTED: much to do.", OverloadedError, "edge:1: much to do."),
        ("INTERNAL: it failed.", LinkError, "edge:1 failed with INTERNAL: it failed."),
        ("in request 7: no such model", LinkError, "edge:1: in request 7: no such model"),  # another maker's words
    ],
)
def test_an_error_on_a_stream_is_what_its_status_says(said: str, kind: type[OfframpError], message: str) -> None:
    """Exactly that error, as of a call that is no stream."""
    error = error_said(said, "edge:1")
    assert type(error) is kind
    assert str(error) == message
