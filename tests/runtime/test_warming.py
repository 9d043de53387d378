"""Sizes that are run before a request brings them: which, and when."""

import threading
import time
from functools import partial

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.stages import features_name
from offramp.runtime.open import open_span, warm_up
from offramp.runtime.span import Array, SpanSpec
from offramp.runtime.warming import LARGEST, BySize, Warming
from until import until


class Counter(BySize):
    """Writes down the size of each batch that it runs, and waits where it is told to."""

    def __init__(self, *, opened: bool = True) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.entered, self.opened = threading.Event(), threading.Event()
        if opened:
            self.opened.set()

    def run(self, *tensors: Array) -> None:
        """Run."""
        self.entered.set()
        assert self.opened.wait(30)
        self.sizes.append(len(tensors[0]))
        self.ran(len(tensors[0]))


def noise(size: int) -> tuple[Array, ...]:
    """A batch."""
    return (np.zeros((size, 2), np.float32),)


def ended(warming: Warming) -> bool:
    """Whether nothing is left to run, and no thread waits for more."""
    return warming.thread is None


def test_each_size_that_was_not_met_is_run_once_and_the_thread_ends() -> None:
    warming, spans = Warming(largest=6, quiet=0), [Counter(), Counter()]
    for span in spans:
        span.ran(2)
        warming.add(span, noise)
    until(lambda: ended(warming))
    assert [span.sizes for span in spans] == [[1, 3, 4, 5, 6]] * 2
    late = Counter()
    warming.add(late, noise)
    until(lambda: late.sizes == [1, 2, 3, 4, 5, 6])


def test_nothing_is_run_while_somebody_asks() -> None:
    warming, span = Warming(largest=3, quiet=0.001), Counter()
    warming.asked = time.monotonic() + 1000  # somebody always has, just now
    warming.add(span, noise)
    thread = warming.thread
    assert thread is not None
    warming.close()
    assert (span.sizes, thread.is_alive()) == ([], False)


def test_what_a_request_brings_meanwhile_is_not_run_again() -> None:
    warming, span = Warming(largest=4, quiet=0), Counter(opened=False)
    warming.add(span, noise)
    assert span.entered.wait(30)
    span.ran(3)
    span.opened.set()
    until(lambda: ended(warming))
    assert span.sizes == [1, 2, 4]


def test_a_span_that_nobody_holds_is_not_run() -> None:
    warming, first, gone = Warming(largest=2, quiet=0), Counter(opened=False), Counter()
    warming.add(first, noise)
    assert first.entered.wait(30)
    sizes = gone.sizes
    warming.add(gone, noise)
    del gone
    first.opened.set()
    until(lambda: ended(warming))
    assert (first.sizes, sizes) == ([1, 2], [])


def test_a_batch_under_way_is_waited_for_at_the_end() -> None:
    warming, span = Warming(largest=9, quiet=0), Counter(opened=False)
    warming.add(span, noise)
    assert span.entered.wait(30)
    threading.Timer(0.05, span.opened.set).start()
    warming.close()
    assert span.sizes == [1]


def test_openvino_answers_as_before_once_it_has_met_every_size(bundle: Bundle) -> None:
    spec, warming = SpanSpec(3, 5, gives="fp32"), Warming(quiet=0)
    span = open_span(bundle, spec, Engine("openvino", "fp32", 1))
    batch = spec.noise(bundle, 7)
    before = span.run(*batch)[features_name(5)]
    assert isinstance(span, BySize)
    warming.add(span, partial(spec.noise, bundle))
    until(lambda: ended(warming))
    assert span.met == set(range(1, LARGEST + 1))
    np.testing.assert_array_equal(span.run(*batch)[features_name(5)], before)


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_a_node_that_warms_a_span_up_has_the_other_sizes_run_behind_it(bundle: Bundle, runtime: str) -> None:
    """Where that helps: a session of onnxruntime takes any size alike."""
    spec = SpanSpec(3, 5, gives="fp32")
    span = open_span(bundle, spec, Engine(runtime, "fp32", 1))  # type: ignore[arg-type]
    warm_up(span, bundle, spec)
    if runtime == "onnxruntime":
        assert not isinstance(span, BySize)
    else:
        until(lambda: {1, 2, 3, 32} <= span.met)  # type: ignore[attr-defined]
