"""Requests that an edge answers at once, as one batch: each as if it had been alone, to the last bit."""

from typing import Any

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.data.image_set import Splits
from offramp.nodes.contract import CLASS_NAME
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import EdgeModel
from offramp.nodes.local_cloud import LocalCloud
from offramp.protocol.metrics import Metrics
from offramp.protocol.served import Array, Call, Pending

PLANS = {
    "whole": Plan.of(9, 0.0),
    "an exit before": Plan.checked(active=({"exit": 3, "threshold": 0.3},), cut=9),
    "two before": Plan.checked(active=({"exit": 2, "threshold": 0.1}, {"exit": 5, "threshold": 0.2}), cut=9),
}
LOCAL = "offramp_exit_score"  # of what is counted, what the exits said


@pytest.fixture(scope="module")
def image(bundle: Bundle, digits: Splits) -> Array:
    """Forty samples."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:40])


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_each_gets_what_it_would_alone(bundle: Bundle, image: Array, plan: Plan) -> None:
    """Outputs, parameters, what answered, and what its record tells to be counted; batches of one to seven rows."""
    model = EdgeModel(Edge(bundle, plan, threads=1))
    sizes = (1, 7, 1, 3, 1)
    ends = np.cumsum(sizes)
    batches = [image[end - size : end] for size, end in zip(sizes, ends, strict=True)]
    together = [Call({"image": batch}, asked=[CLASS_NAME] if len(batch) == 3 else []) for batch in batches]
    found = model.at_once(together)
    assert found is not None
    for call, result in zip(together, found, strict=True):
        own = Call(call.inputs, asked=call.asked)
        expected = model.infer(own)
        assert not isinstance(expected, Pending)
        assert result.outputs.keys() == expected.outputs.keys()
        for name, array in expected.outputs.items():
            assert result.outputs[name].dtype == array.dtype
            assert result.outputs[name].tolist() == array.tolist(), name
        assert (result.parameters, result.by, result.last) == (expected.parameters, expected.by, True)
        assert scores(call) == scores(own)
        assert {stage for stage, _, _ in call.record.stages} == {"local"}


def scores(call: Call) -> dict[Any, list[int]]:
    """How many scores of each exit and decision would be counted, and where."""
    metrics = Metrics()
    metrics.ended(call.record)
    return {key: told[:-1] for key, told in metrics.read().items() if key[0] == LOCAL}


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (Plan.of(3, 0.3), {}),  # some go on
        (PLANS["whole"], {"exit": 3}),
        (PLANS["whole"], {"timeout": 10}),
        (PLANS["whole"], {"reply_to": "x"}),
    ],
)
def test_what_may_have_to_wait_is_asked_for_alone(bundle: Bundle, image: Array, plan: Plan, said: Any) -> None:
    """By the plan in force, or by what one of them says."""
    model = EdgeModel(Edge(bundle, plan, LocalCloud(bundle), threads=1))
    assert model.at_once([Call({"image": image[:1]}), Call({"image": image[:1]}, said)]) is None


@pytest.mark.parametrize(
    "batch", [np.zeros((1, 8, 8, 1), np.uint8), np.zeros((1, 1, 9, 9), np.float32), np.zeros(1, np.float32)]
)
def test_of_another_form_none_is_joined(bundle: Bundle, image: Array, batch: Array) -> None:
    """Whether it is one that an edge takes or not."""
    model = EdgeModel(Edge(bundle, PLANS["whole"], threads=1))
    assert model.at_once([Call({"image": image[:1]}), Call({"image": batch})]) is None
    assert model.at_once([Call({})]) is None


def test_a_runtime_that_gives_other_bits_in_a_batch_joins_nothing(bundle: Bundle, image: Array) -> None:
    """One alone is answered at once all the same."""
    edge = Edge(bundle, PLANS["whole"], threads=1)
    model = EdgeModel(edge)
    step = edge.course.route.exits[-1]
    run = step.span.run
    object.__setattr__(step, "span", Rounded(run))
    assert model.at_once([Call({"image": image[:1]})] * 2) is None
    assert model.at_once([Call({"image": image[:1]})]) is not None


class Rounded:
    """A span that is off by a bit in batches."""

    def __init__(self, run: Any) -> None:
        self.as_it_is = run

    def run(self, *tensors: Array) -> dict[str, Array]:
        """The outputs."""
        found = self.as_it_is(*tensors)
        return {name: array if len(array) == 1 else np.nextafter(array, np.float32(9)) for name, array in found.items()}
