"""Errors of ours to the protocol's status, of gRPC and of HTTP, and back: one table, read in both directions."""

from typing import Any
from urllib.parse import quote

import grpc

from offramp.errors import (
    BehindError,
    BundleMismatchError,
    BusyError,
    DeadlineError,
    ForbiddenError,
    InputError,
    LinkError,
    MissingExtraError,
    OfframpError,
    OverloadedError,
    RefusedError,
    TooLargeError,
    UnauthenticatedError,
    UnknownModelError,
    UnreachableError,
)
from offramp.protocol.request_bounds import BATCH_BOUND

# An error takes the first row whose class fits it: special before general. A status takes the last row that holds it:
# RESOURCE_EXHAUSTED from another node is its load.
STATUS: tuple[tuple[type[OfframpError], grpc.StatusCode, int], ...] = (
    (UnknownModelError, grpc.StatusCode.NOT_FOUND, 404),
    (TooLargeError, grpc.StatusCode.RESOURCE_EXHAUSTED, 413),
    (InputError, grpc.StatusCode.INVALID_ARGUMENT, 400),
    (MissingExtraError, grpc.StatusCode.UNIMPLEMENTED, 501),
    (BusyError, grpc.StatusCode.ABORTED, 409),
    (UnauthenticatedError, grpc.StatusCode.UNAUTHENTICATED, 401),
    (ForbiddenError, grpc.StatusCode.PERMISSION_DENIED, 403),
    (RefusedError, grpc.StatusCode.FAILED_PRECONDITION, 502),  # by another node: who called this one has done no wrong
    (BundleMismatchError, grpc.StatusCode.FAILED_PRECONDITION, 502),
    (BehindError, grpc.StatusCode.DATA_LOSS, 502),  # between tiers of a chain alone: clients get what was behind it
    (DeadlineError, grpc.StatusCode.DEADLINE_EXCEEDED, 504),
    (OverloadedError, grpc.StatusCode.RESOURCE_EXHAUSTED, 503),
    (UnreachableError, grpc.StatusCode.UNAVAILABLE, 503),
    (LinkError, grpc.StatusCode.INTERNAL, 502),  # another node answered what is no answer
)


# Of more than is taken at once: grpc's own words and our nodes', under the status that means load too, and Triton's.
TOO_LARGE = ("message larger than max", BATCH_BOUND, "batch-size must be <=")
# grpc's words for a peer that is there and shows a certificate that does not do, under the status of one that is not.
ENDED = ("failed to connect", "socket closed")  # one that is there, and ends a connection before anything is said
NOT_TRUSTED = ("handshake failed", "hostname verification", "peer name")


# Bytes of words, as gRPC sends them: above 8 KiB of metadata its client takes an answer or not, by chance, and gives
# the status of load instead.
MOST_WORDS = 6000


def status_of(error: OfframpError) -> grpc.StatusCode:
    """The status that carries an error to a client over gRPC."""
    return next((status for kind, status, _ in STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def end_by(context: grpc.ServicerContext, error: OfframpError) -> None:
    """End a call over gRPC by an error: of words too long for a status, as where they repeat a name, both ends."""
    words = str(error)
    if len(quote(words, errors="replace")) > MOST_WORDS:
        words = f"{words[:250]} … {words[-240:]}"  # at most 12 bytes a letter
    context.abort(status_of(error), words)


def http_status_of(error: OfframpError) -> int:
    """The status that carries an error to a client over HTTP."""
    return next((status for kind, _, status in STATUS if isinstance(error, kind)), 500)


def error_of(error: Any, peer: str) -> OfframpError:
    """The error of ours that a failed call to `peer` means."""
    return _meant(error.code(), error.details() or "no details", peer)


def error_said(message: str, peer: str) -> OfframpError:
    """The error of ours that a message on a stream means: `STATUS: words`, as nodes of ours say it, or words alone."""
    name, _, words = message.partition(": ")
    code = next((code for code in grpc.StatusCode if code.name == name), None)
    return LinkError(f"{peer}: {message}") if code is None else _meant(code, words, peer)


def _meant(code: grpc.StatusCode, detail: str, peer: str) -> OfframpError:
    kind = next((kind for kind, status, _ in reversed(STATUS) if status == code), LinkError)
    # Later would not help, and less at a time would.
    if kind in (OverloadedError, InputError) and any(words in detail for words in TOO_LARGE):
        kind = TooLargeError
    if kind is UnreachableError and any(words in detail.lower() for words in NOT_TRUSTED):
        return UnreachableError(
            f"{peer} is there, and no connection by TLS came about ({detail}). Its certificate must come from the "
            "authority that is trusted here, be in date, and name the host of this address."
        )
    if kind is UnreachableError and all(words in detail.lower() for words in ENDED):
        return UnreachableError(
            f"{peer} ends each connection at once ({detail}). It speaks TLS where this caller does not (--tls-ca), or "
            "asks for another certificate of the caller's (--tls-cert)."
        )
    if kind is UnreachableError:
        return UnreachableError(f"{peer} does not answer ({detail}). Start it, or check the address and the network.")
    if kind is DeadlineError:
        return DeadlineError(f"{peer} did not answer within the deadline ({detail}).")
    if kind in (LinkError, MissingExtraError):  # the other node lacks the extra, not we
        return LinkError(f"{peer} failed with {code.name}: {detail}")
    return kind(f"{peer}: {detail}")
