"""What is counted of requests, and how Prometheus reads it."""

import http.client
import os
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from offramp.errors import BundleMismatchError, DeadlineError, InputError, OverloadedError, UnreachableError
from offramp.protocol.counts import Counts, shared_memory
from offramp.protocol.exposition import exposition
from offramp.protocol.gone import GoneError
from offramp.protocol.metrics import FAMILIES, QUEUE, SCORES, SECONDS, Metrics
from offramp.protocol.record import Judgement, Kind, Record
from offramp.protocol.server import Server

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def scraped(text: str) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """Every number of an exposition, by its name and labels, as Prometheus' own parser reads them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def ended(metrics: Metrics, error: BaseException | None = None, **said: Any) -> None:
    """Tell of a request."""
    record = Record(metrics)
    for name, value in {"model": "double", "version": "7", "served": record.began, **said}.items():
        setattr(record, name, value)
    with suppress(BaseException), record:
        if error is not None:
            raise error


@pytest.fixture
def metrics() -> Metrics:
    """Nothing counted yet."""
    return Metrics()


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (OverloadedError("too much."), "refused"),
        (DeadlineError("late."), "late"),
        (InputError("wrong."), "invalid"),
        (UnreachableError("gone."), "unavailable"),
        (BundleMismatchError("another."), "unavailable"),
        (GoneError(), "gone"),
        (GeneratorExit(), "gone"),
        (ZeroDivisionError(), "error"),
    ],
)
def test_a_request_counts_once_by_what_became_of_it(
    metrics: Metrics, error: BaseException | None, outcome: str
) -> None:
    """And in time, unless its caller left."""
    ended(metrics, error)
    found = metrics.read()
    assert {key: value for key, value in found.items() if key[0] == "offramp_requests"} == {
        ("offramp_requests", "double", "7", outcome): [1]
    }
    timed = [key for key in found if key[0] == "offramp_request_seconds"]
    assert [key[-1] for key in timed] == ({"ok": ["success"], "gone": []}.get(outcome, ["fail"]))


def test_samples_count_by_what_answered_and_a_degraded_one_makes_its_request_so(metrics: Metrics) -> None:
    """Those of a request that failed do not."""
    by = {Kind("edge", 2): 3, Kind("edge", 5, "degraded"): 1, Kind("cloud", outcome="direct"): 2}
    ended(metrics, by=by)
    ended(metrics, DeadlineError("late."), by=by)
    found = metrics.read()
    assert {key[1:]: value[0] for key, value in found.items() if key[0] == "offramp_samples"} == {
        ("double", "7", "edge", "2", "ok"): 3,
        ("double", "7", "edge", "5", "degraded"): 1,
        ("double", "7", "cloud", "", "direct"): 2,
    }
    assert found["offramp_requests", "double", "7", "degraded"] == [1]


def test_a_time_is_counted_in_its_bucket_and_in_the_sum(metrics: Metrics) -> None:
    """A time on a bound is within it; one beyond all is in the last bucket alone."""
    ended(metrics, stages=[("local", 1.0, 1.25), ("local", 1.0, 1.0 + SECONDS[4]), ("queue", 0.0, 99.0)])
    text = scraped(exposition(metrics, "")[0].decode())
    labels = {("model", "double"), ("stage", "local")}

    def below(bound: float | str, name: str = "local") -> float:
        of = {("model", "double"), ("stage", name), ("le", str(bound))}
        return text["offramp_stage_seconds_bucket", frozenset(of)]

    assert [below(SECONDS[3]), below(SECONDS[4]), below(0.1), below(0.25), below("+Inf")] == [0, 1, 1, 2, 2]
    assert text["offramp_stage_seconds_sum", frozenset(labels)] == pytest.approx(0.25 + SECONDS[4])
    assert [below(10.0, "queue"), below("+Inf", "queue")] == [0, 1]


def test_scores_are_counted_by_exit_and_decision(metrics: Metrics) -> None:
    """Each sample once."""
    scores = np.float32([0.04, 0.3, 0.31])
    ended(metrics, judged=[Judgement(2, "exit", scores[:2]), Judgement(2, "forward", scores[2:])])
    found = metrics.read()
    left = found["offramp_exit_score", "7", "2", "exit"]
    assert [sum(left[: at + 1]) for at in range(len(SCORES))] == [1] * 6 + [2] * 14  # 0.3 of float32 is above 0.3
    assert left[-1] == pytest.approx(0.34)
    assert sum(found["offramp_exit_score", "7", "2", "forward"][:-1]) == 1


def test_bytes_are_counted_both_ways(metrics: Metrics) -> None:
    """A request that asked no cloud has none of it."""
    ended(metrics, bytes_in=10, bytes_out=3)
    ended(metrics, bytes_in=10, to_cloud=7, from_cloud=2)
    assert {key[1:]: value[0] for key, value in metrics.read().items() if key[0] == "offramp_bytes"} == {
        ("client", "received"): 20,
        ("client", "sent"): 3,
        ("cloud", "sent"): 7,
        ("cloud", "received"): 2,
    }


def test_what_waited_in_a_process_that_died_waits_no_more_and_what_it_counted_counts() -> None:
    """Its successor begins with nothing in its queue; nobody has answered later than it did."""
    memory = shared_memory(1)
    died = Metrics(Counts(memory, 0, 1))
    died.gauge(QUEUE)(7)
    ended(died, by={Kind("edge", 2): 3})
    before = died.read()
    after = Metrics(Counts(memory, 0, 1)).read()
    os.close(memory)
    assert before.pop(("offramp_queue_samples",)) == [7]
    assert after.pop(("offramp_queue_samples",)) == [0]
    assert after == before


def test_of_two_processes_the_later_answer_is_the_last() -> None:
    """Times are no numbers to add up."""
    memory = shared_memory(2)
    both = [Metrics(Counts(memory, place, 2)) for place in (0, 1)]
    for metrics in both:
        ended(metrics)
    (last,) = both[0].read()["offramp_last_request_timestamp_seconds", "double", "7"]
    os.close(memory)
    assert 0 <= time.time() - last < 3600


@pytest.fixture(scope="module")
def server(make: Any) -> Iterator[Server]:
    """A node."""
    node = Server([make()], "127.0.0.1", 0, max_batch=4, http_port=0)
    node.start()
    yield node
    node.stop(0)


def ask(server: Server, method: str, path: str, body: str | None = None, **headers: str) -> tuple[int, str, str]:
    """Status, content type and body."""
    assert server.http is not None
    connection = http.client.HTTPConnection("127.0.0.1", server.http.port, timeout=30)
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    found = answer.status, answer.getheader("content-type") or "", answer.read().decode()
    connection.close()
    return found


GOOD = '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 2], "data": [1, 2, 3, 4]}]}'


def test_a_scraper_finds_what_was_asked_in_the_format_that_it_takes(server: Server) -> None:
    """No value of a label is a client's word: what it calls a model that is not here is no label."""
    for body, path in ((GOOD, "double"), ("{}", "double"), (GOOD, "mine")):
        ask(server, "POST", f"/v2/models/{path}/infer", body)
    status, kind, text = ask(server, "GET", "/metrics")
    assert (status, kind.split(";")[0]) == (200, "text/plain")
    found = {
        tuple(dict(labels).get(name, "") for name in ("model", "outcome")): value
        for (name, labels), value in scraped(text).items()
        if name == "offramp_requests_total"
    }
    assert found == {("double", "ok"): 1, ("", "invalid"): 2}
    assert "mine" not in text
    kind = ask(server, "GET", "/metrics", Accept="application/openmetrics-text; version=1.0.0")[1]
    assert kind.startswith("application/openmetrics-text")
    assert ask(server, "POST", "/metrics")[0] == 405


def test_every_name_and_label_is_in_the_documentation() -> None:
    """And no other is."""
    rows = re.findall(r"^\| `(offramp_\w+)` \| (\w+) \| (.*?) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    ends = {"counter": "_total", "info": "_info"}
    assert {(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows} == {
        (family.name + ends.get(family.kind, ""), family.kind, family.labels) for family in FAMILIES.values()
    }
