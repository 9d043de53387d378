"""Errors of ours to the protocol's status and back: one table, read in both directions."""

from typing import Any

import grpc

from offramp.errors import (
    BundleMismatchError,
    DeadlineError,
    InputError,
    LinkError,
    OfframpError,
    OverloadedError,
    UnknownModelError,
    UnreachableError,
)

# The first row whose class fits is taken: special before general.
STATUS: tuple[tuple[type[OfframpError], grpc.StatusCode], ...] = (
    (UnknownModelError, grpc.StatusCode.NOT_FOUND),
    (InputError, grpc.StatusCode.INVALID_ARGUMENT),
    (BundleMismatchError, grpc.StatusCode.FAILED_PRECONDITION),
    (DeadlineError, grpc.StatusCode.DEADLINE_EXCEEDED),
    (OverloadedError, grpc.StatusCode.RESOURCE_EXHAUSTED),
    (UnreachableError, grpc.StatusCode.UNAVAILABLE),
)


def status_of(error: OfframpError) -> grpc.StatusCode:
    """The status that carries an error to a client."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), grpc.StatusCode.INTERNAL)


def error_of(error: Any, peer: str) -> OfframpError:
    """The error of ours that a failed call to `peer` means."""
    code, detail = error.code(), error.details() or "no details"
    kind = next((kind for kind, status in STATUS if status == code), LinkError)
    if kind is UnreachableError:
        return UnreachableError(f"{peer} does not answer ({detail}). Start it, or check the address and the network.")
    if kind is DeadlineError:
        return DeadlineError(f"{peer} did not answer within the deadline ({detail}).")
    if kind is LinkError:
        return LinkError(f"{peer} failed with {code.name}: {detail}")
    return kind(f"{peer}: {detail}")
