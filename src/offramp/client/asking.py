"""A client's span in a trace: of a program that uses OpenTelemetry, and of no other. Knows no node."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from offramp.protocol.served import Parameters
from offramp.protocol.trace_context import TRACEPARENT


@contextmanager
def asking(parameters: Parameters) -> Iterator[Parameters]:
    """Give a request's parameters, with the context of a span of its own where the program is in one."""
    trace = sys.modules.get("opentelemetry.trace")  # who has not loaded it is in no trace
    if trace is None or TRACEPARENT in parameters or not trace.get_current_span().get_span_context().is_valid:
        yield parameters
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    # Not the program's current span: who takes a stream's parts does other things between them.
    span = trace.get_tracer("offramp").start_span("offramp.Client", kind=trace.SpanKind.CLIENT)
    try:
        TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(span))
        yield {**parameters, **carrier}
    except Exception as error:
        span.set_status(trace.StatusCode.ERROR, str(error))
        raise
    finally:
        span.end()
