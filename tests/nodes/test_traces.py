"""Traces through a node: what comes is passed on, and with OpenTelemetry each request has its spans."""

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.client.client import Client
from offramp.data.image_set import Splits
from offramp.nodes.cloud import tails
from offramp.nodes.contract import CONSUMED
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.logs import JsonLines, RequestLog
from offramp.nodes.traces import Traces, traces
from offramp.protocol.peer import Peer
from offramp.protocol.record import Kind, Record
from offramp.protocol.server import Server
from offramp.protocol.trace_context import checked

CAME = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept:
    """Keeps the context of each request that has come."""

    def __init__(self) -> None:
        self.contexts: list[str] = []

    def ended(self, record: Record) -> None:
        """Keep it."""
        self.contexts.append(record.trace)


def nodes(bundle: Bundle, cloud: dict[str, Any], edge: dict[str, Any]) -> tuple[Server, Server]:
    """A cloud and an edge that sends it everything, in this process."""
    upper = Server(tails(bundle), "127.0.0.1", 0, max_batch=64, **cloud)
    upper.start()
    model = EdgeModel(Edge(bundle, Plan.of(2, 0.0), upper.address, threads=1))
    lower = Server([model], "127.0.0.1", 0, max_batch=64, consumed=CONSUMED, **edge)
    lower.start()
    return upper, lower


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """What spans are sent to."""
    kept = InMemorySpanExporter()
    yield kept
    kept.shutdown()


@pytest.fixture
def provider(exporter: InMemorySpanExporter) -> TracerProvider:
    """Whose spans these are."""
    made = TracerProvider(shutdown_on_exit=False)
    made.add_span_processor(SimpleSpanProcessor(exporter))
    return made


@pytest.mark.parametrize("way", ["infer", "stream"])
def test_without_a_part_in_it_a_trace_s_context_is_passed_on(bundle: Bundle, digits: Splits, way: str) -> None:
    """From the client through the edge to the cloud, as it came; an answer does not give it back."""
    kept = Kept()
    upper, lower = nodes(bundle, {"hooks": [kept]}, {})
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:2])
    with Client(lower.address) as client:
        answers = getattr(client, way)(pixels, traceparent=CAME)
        assert way == "infer" or list(answers)
    with Peer(lower.address) as peer:
        result = peer.infer("classifier", {"image": pixels}, timeout=30, parameters={"traceparent": CAME})
        assert "traceparent" not in result.parameters
    lower.stop(0)
    upper.stop(0)
    assert kept.contexts[-2:] == [CAME, CAME]


def test_over_http_a_request_s_headers_say_its_name_and_trace(bundle: Bundle, digits: Splits) -> None:
    """Where its body says no name of its own; a context that is none is dropped."""
    found: list[tuple[str, str, str]] = []

    class Names:
        def ended(self, record: Record) -> None:
            found.append((record.front, record.id, record.trace))

    node = Server(tails(bundle), "127.0.0.1", 0, max_batch=64, http_port=0, hooks=[Names()])
    node.start()
    assert node.http is not None
    for body, context in ((b"{}", CAME), (b'{"id": "own", "inputs": []}', "nonsense")):
        headers = {"traceparent": context, "X-Request-ID": "a9"}
        with pytest.raises(HTTPError) as caught:
            urlopen(Request(f"http://{node.http.address}/v2/models/tail-0/infer", body, headers), timeout=30)
        caught.value.close()
    node.stop(0)
    assert found == [("http", "a9", CAME), ("http", "own", "")]


def test_one_trace_shows_client_edge_and_cloud_with_their_stages(
    bundle: Bundle, digits: Splits, exporter: InMemorySpanExporter, provider: TracerProvider
) -> None:
    """Each below who asked: the cloud's request below the edge's wait for it."""
    part = Traces(provider)
    on = {"hooks": [part], "tracing": part}
    upper, lower = nodes(bundle, on, on)
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:2])
    with Client(lower.address) as client, pytest.MonkeyPatch.context() as patch:
        patch.setattr(trace, "get_tracer", provider.get_tracer)  # the process's own provider is set once and for all
        client.infer(pixels)  # of no trace: it begins at the edge
        with provider.get_tracer("program").start_as_current_span("program"):
            client.infer(pixels)
    lower.stop(0)
    upper.stop(0)
    spans = exporter.get_finished_spans()
    (program,) = (span for span in spans if span.name == "program")
    own = [span for span in spans if span.context.trace_id == program.context.trace_id]
    names = {span.context.span_id: span.name for span in own}

    def below(name: str) -> set[str]:
        return {span.name for span in own if span.parent and names.get(span.parent.span_id) == name}

    assert below("program") == {"offramp.Client"}
    assert below("offramp.Client") == {"classifier"}
    assert below("classifier") == {"wait", "decode", "local", "encode", "upstream", "respond"}
    assert below("upstream") == {"tail-2"}
    assert below("tail-2") == {"wait", "decode", "respond"}
    edge = next(span for span in own if span.name == "classifier")
    assert edge.attributes is not None
    assert edge.attributes["offramp.outcome"] == "ok"
    assert edge.attributes["offramp.samples.cloud: exit 9"] == 2
    assert edge.start_time is not None
    assert edge.end_time is not None
    for span in own:
        if span.name in below("classifier"):
            assert span.start_time is not None
            assert span.end_time is not None
            assert span.start_time <= span.end_time <= edge.end_time


def test_who_does_not_ask_for_traces_has_no_part_in_them(caplog: pytest.LogCaptureFixture) -> None:
    """Nor one whose environment names what is not known, which is said."""
    assert traces("edge", {}) is None
    assert traces("edge", {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://a"}) is None
    assert not caplog.records
    assert traces("edge", {"OTEL_TRACES_EXPORTER": "zipkin"}) is None
    assert caplog.messages == ["no traces: OTEL_TRACES_EXPORTER is 'zipkin'; expected otlp, console or none."]
    part = traces("edge", {"OTEL_TRACES_EXPORTER": "console"})
    assert part is not None
    part.close()


@pytest.mark.parametrize(
    "context", [CAME, "", CAME.upper(), CAME[:-1], f"ff{CAME[2:]}", f"00-{'0' * 32}-{'1' * 16}-01", "x" * 10_000, None]
)
def test_what_is_no_context_is_dropped(context: Any) -> None:
    """As the standard has it: a bad one is as none."""
    assert checked(context) == (context if context == CAME else "")


def test_a_line_of_json_has_the_request_that_it_is_about(caplog: pytest.LogCaptureFixture) -> None:
    """Its own name for it and its trace, what became of it, and an error in one line."""
    with suppress(ZeroDivisionError), caplog.at_level("INFO"), Record(RequestLog(), "http", "a7", CAME) as record:
        record.model = "classifier"
        record.count({Kind("edge", 2): 3})
        record.stage("local", 1.0, 1.5)
        raise ZeroDivisionError("a defect\nof two lines")
    (line,) = (JsonLines().format(one) for one in caplog.records)
    said = json.loads(line)
    assert "\n" not in line
    assert said.pop("time").endswith("Z")
    assert said.pop("process") > 0
    assert said.pop("ms") > 0
    assert said.pop("message").startswith("request a7: classifier error in ")
    assert said == {
        "level": "INFO", "request": "a7", "trace": CAME[3:35], "model": "classifier", "front": "http",
        "error": "a defect\nof two lines", "outcome": "error", "answered": "3 edge: exit 2", "stages": {"local": 500.0},
    }  # fmt: skip


def test_a_traceback_is_in_its_line(caplog: pytest.LogCaptureFixture) -> None:
    """And the name of the request that it is about, which who writes it down does not know."""
    try:
        with Record(None, "grpc", "a8"):
            np.zeros(1)[2]
    except IndexError:
        logging.getLogger("offramp").exception("a defect")
    said = json.loads(JsonLines().format(caplog.records[-1]))
    assert said["message"] == "a defect"
    assert "IndexError" in said["exception"]
    assert (said["request"], said["front"]) == ("a8", "grpc")
