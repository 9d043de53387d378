"""The open spans of a bundle: made once each, and so many kept."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import CODECS
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.nodes.cache import Cache
from offramp.nodes.edge import SPANS, Edge
from offramp.nodes.local_cloud import LocalCloud
from offramp.runtime.open import open_span
from offramp.runtime.span import Span, SpanSpec

ONE_THREAD = Engine(threads=1)
Spans = Cache[SpanSpec, Span]

SPECS = [SpanSpec(0, exit_, (exit_,)) for exit_ in range(1, 6)]


@pytest.fixture
def spans(bundle: Bundle) -> Spans:
    """Three at once."""
    return Cache(lambda spec: open_span(bundle, spec, ONE_THREAD), 3)


def test_a_span_is_opened_once(spans: Spans) -> None:
    """The same one is given again."""
    assert spans.get(SPECS[0]) is spans.get(SPECS[0])


def test_a_span_is_opened_once_by_callers_at_the_same_time(spans: Spans) -> None:
    """Who comes second waits for it."""
    with ThreadPoolExecutor(8) as pool:
        assert len({id(span) for span in pool.map(spans.get, [SPECS[4]] * 8)}) == 1


def test_the_span_asked_for_longest_ago_is_let_go(spans: Spans) -> None:
    """Not the one opened longest ago."""
    first, second, *_ = (spans.get(spec) for spec in SPECS[:3])
    assert spans.get(SPECS[0]) is first
    spans.get(SPECS[3])
    assert list(spans.others) == [SPECS[2], SPECS[0], SPECS[3]]
    assert spans.get(SPECS[1]) is not second


def test_what_an_edge_runs_by_its_own_plan_is_never_let_go(spans: Spans) -> None:
    """Whatever else is asked for, and beside the bound."""
    own = spans.get(SPECS[0])
    spans.keep({SPECS[0]: own})
    for spec in SPECS[1:]:
        spans.get(spec)
    assert spans.get(SPECS[0]) is own
    assert len(spans.others) == 3


def test_requests_make_an_edge_keep_no_more_than_the_bound(bundle: Bundle) -> None:
    """By every plan that a request can name, and each is answered."""
    edge = Edge(bundle, Plan.of(3, 0.3), LocalCloud(bundle, ONE_THREAD), threads=1)
    own = dict(edge.spans.own)
    image = np.full((2, *bundle.manifest.preprocessing.shape), 0.5, np.float32)
    asked = 0
    for exit_, cut, codec in itertools.product(range(10), (0, 4, 8, 9), CODECS):
        if cut == 0 or cut >= exit_:
            plan = edge.plan.but(exit_=exit_, cut=cut, codec=codec)
            assert len(edge.infer(image, plan=plan)) == 2
            asked += 1
            assert len(edge.spans.others) <= SPANS
    assert asked > 2 * SPANS
    assert len(edge.spans.others) == SPANS
    assert edge.spans.own == own
