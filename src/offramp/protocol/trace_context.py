"""A trace's context as it travels (W3C Trace Context): from whom a request comes to whom it makes ask others.

In a header or in gRPC's metadata, or, where one stream carries many requests, in a parameter. It is passed on whether
anybody here takes part in the trace or not.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

TRACEPARENT = "traceparent"  # the header, the metadata's key, the parameter
FORM = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?", re.ASCII)


def checked(context: object) -> str:
    """A context that came, if it is one; else none, as the standard has it."""
    return context if isinstance(context, str) and FORM.fullmatch(context) else ""


def of_metadata(metadata: Iterable[Any], parameters: Mapping[str, Any]) -> str:
    """The context of a request over gRPC: its own where it names one, or the call's."""
    if TRACEPARENT in parameters:
        return checked(parameters[TRACEPARENT].string_param)
    return next((checked(value) for key, value in metadata if key == TRACEPARENT), "")


def trace_id(context: str) -> str:
    """The trace that a context is of."""
    return context[3:35]
