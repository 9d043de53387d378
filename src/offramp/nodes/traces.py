"""A node's part of traces, by OpenTelemetry where it is installed and the environment says where spans are sent.

A request is a span, each of its stages one below it; what the cloud does for it stands below `upstream`. Knows no
request but by its record.
"""

import logging
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from offramp.protocol.record import Record
from offramp.protocol.trace_context import TRACEPARENT

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter

# OpenTelemetry's own words, as every program that it is in reads them.
EXPORTER, ENDPOINTS = "OTEL_TRACES_EXPORTER", ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

log = logging.getLogger("offramp")


def traces(service: str, environment: Mapping[str, str] = os.environ) -> "Traces | None":
    """Take part in traces where that was asked for; None where it was not, or cannot be, which the log says."""
    asked = environment.get(EXPORTER) or ("otlp" if any(map(environment.get, ENDPOINTS)) else "none")
    if asked == "none":
        return None
    try:
        exporter = _exporter(asked)
    except ImportError as error:
        log.warning("no traces, though %s asks for them: %s. pip install 'offramp[trace]'", EXPORTER, error)
        return None
    if exporter is None:
        log.warning("no traces: %s is %r; expected otlp, console or none.", EXPORTER, asked)
        return None
    return Traces.to(exporter, environment.get("OTEL_SERVICE_NAME", service))


def _exporter(name: str) -> "SpanExporter | None":
    if name == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter()
    if name != "otlp":
        return None
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()


class Traces:
    """Begins a span for each request that comes, and ends it, with those of its stages, when the request is over."""

    def __init__(self, provider: Any) -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self.provider, self.trace, self.words = provider, trace, TraceContextTextMapPropagator()
        self.tracer = provider.get_tracer("offramp")

    @classmethod
    def to(cls, exporter: "SpanExporter", service: str) -> "Traces":
        """Send spans there, in batches, as those of a service of this name."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        provider = TracerProvider(resource=Resource.create({"service.name": service}), shutdown_on_exit=False)
        provider.add_span_processor(BatchSpanProcessor(exporter))
        return cls(provider)

    def begin(self, record: Record) -> None:
        """Begin the span of a request, below that of whom it comes from."""
        above = self.words.extract({TRACEPARENT: record.trace}) if record.trace else None
        record.span = self.tracer.start_span("request", above, self.trace.SpanKind.SERVER)
        record.trace = self._context(record.span)

    def onward(self, record: Record) -> str:
        """Begin the span of what is asked of the cloud, and give its context."""
        above = self.trace.set_span_in_context(record.span)
        record.upstream = self.tracer.start_span("upstream", above, self.trace.SpanKind.CLIENT)
        return self._context(record.upstream)

    def ended(self, record: Record) -> None:
        """End the span of a request, and make those of its stages, at their times."""
        if record.span is None:
            return
        clock = time.time_ns() - round(1e9 * time.perf_counter())  # what the wall says where the counter says 0
        above = self.trace.set_span_in_context(record.span)
        for stage, start, end in record.stages:
            span = record.upstream if stage == "upstream" and record.upstream is not None else None
            if span is None:
                span = self.tracer.start_span(stage, above, start_time=clock + round(1e9 * start))
            span.end(clock + round(1e9 * end))
        record.span.update_name(record.model or "request")
        said = {"outcome": record.outcome, "model": record.model, "version": record.version, "request": record.id}
        by = {f"samples.{kind}": count for kind, count in record.by.items()}
        record.span.set_attributes({f"offramp.{name}": value for name, value in {**said, **by}.items() if value})
        if record.error is not None:
            record.span.set_status(self.trace.StatusCode.ERROR, str(record.error))
        record.span.end(clock + round(1e9 * record.ended))

    def close(self) -> None:
        """Send what is left."""
        self.provider.shutdown()

    def _context(self, span: Any) -> str:
        carrier: dict[str, str] = {}
        self.words.inject(carrier, self.trace.set_span_in_context(span))
        return carrier[TRACEPARENT]
