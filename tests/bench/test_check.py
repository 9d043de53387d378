"""What predictions may say of running nodes, before anything is sent."""

from dataclasses import replace

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.engine import Engine
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.bench.check import check_fits
from offramp.data.image_set import Splits
from offramp.errors import InputError
from offramp.measure.predict import of_bundle, of_plan

PLAN = Plan.of(3, 0.3, codec="uint8")
INT8 = Engine("onnxruntime", "int8")


@pytest.fixture(scope="module")
def by_plan(int8_bundle: Bundle, digits: Splits) -> Predictions:
    """In int8, by the plan that the nodes follow."""
    return of_plan(int8_bundle, PLAN, INT8).predict(digits.test.rows(slice(8)), "test")


def test_in_int8_predictions_of_another_route_are_refused(
    int8_bundle: Bundle, by_plan: Predictions, digits: Splits
) -> None:
    """The whole graph's are another network's numbers, and the message says how to measure the nodes'."""
    whole = of_bundle(int8_bundle, 3, "uint8", INT8).predict(digits.test.rows(slice(8)), "test")
    known = {"images": digits.test.rows(slice(8)), "bundle_id": int8_bundle.id, "engine": INT8}
    check_fits(by_plan, plan=PLAN.but(threshold=0.8), **known)  # type: ignore[arg-type]
    with pytest.raises(InputError) as caught:
        check_fits(whole, plan=PLAN, **known)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "predictions: measured by the whole graph in one piece; the last exit by features cut at 3 in uint8, and the "
        "nodes' plan is exit 3, cut at 3 in uint8: in int8 its numbers are others. Measure by it: offramp predict "
        "BUNDLE --exit 3 --cut 3 --codec uint8 --runtime onnxruntime --precision int8"
    )
    with pytest.raises(InputError, match="in int8 its numbers are others"):
        check_fits(by_plan, plan=PLAN.but(cut=4), **known)  # type: ignore[arg-type]


def test_a_cloud_that_computes_in_another_precision_is_found(
    int8_bundle: Bundle, by_plan: Predictions, digits: Splits
) -> None:
    """Its answers would differ, and the edge's own would not."""
    place = by_plan.header.place
    with pytest.raises(InputError) as caught:
        check_fits(
            by_plan,
            digits.test.rows(slice(8)),
            bundle_id=int8_bundle.id,
            plan=PLAN,
            engine=INT8,
            places=(place, replace(place, precision="fp32")),
        )
    assert str(caught.value) == (
        "predictions: measured in int8, and a node computes in fp32. Run edge and cloud with --precision int8."
    )
