"""What all ways into a node share: deadlines, echoed parameters, the outputs asked for, bounds and counts."""

from typing import Any

import numpy as np
import pytest

from offramp.errors import InputError, TooLargeError
from offramp.protocol.data_plane import CONSUMED, DataPlane
from offramp.protocol.served import Call, TensorSpec


@pytest.fixture
def plane(double: Any) -> DataPlane:
    """Of one model."""
    return DataPlane([double], max_batch=4, consumed=["secret"])


def call(rows: int = 2, **parameters: Any) -> Call:
    """A request."""
    return Call({"x": np.ones((rows, 2), np.float32)}, parameters)


@pytest.mark.parametrize(
    ("connection", "parameter", "seconds"),
    [
        (None, None, None),
        (3.0, None, 3.0),
        (None, 1_500_000, 1.5),
        (None, "1500000", 1.5),
        (None, 2e6, 2.0),
        (3.0, 1_000_000, 1.0),
        (0.5, 1_000_000, 0.5),
        (9.2e18, None, None),
        (9.2e18, 1_000_000, 1.0),
        (None, 2**63 - 1, None),
        (3.0, 2**63 - 1, 3.0),
    ],
)
def test_a_deadline_is_the_earlier_of_the_connection_s_and_the_request_s(
    plane: DataPlane, double: Any, connection: float | None, parameter: Any, seconds: float | None
) -> None:
    """The request's is Triton's `timeout`, in microseconds."""
    parameters = {} if parameter is None else {"timeout": parameter}
    plane.infer(double, Call(call().inputs, parameters, connection))
    assert double.calls[0].timeout == seconds


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "parameter 'timeout': expected microseconds above 0, got 0."),
        (-5, "parameter 'timeout': expected microseconds above 0, got -5."),
        (2.5, "parameter 'timeout': expected a whole number, got 2.5."),
        (True, "parameter 'timeout': expected a whole number, got True."),
        ("soon", "parameter 'timeout': expected a whole number, got 'soon'."),
        (float("inf"), "parameter 'timeout': expected a whole number, got inf."),
        (float("nan"), "parameter 'timeout': expected a whole number, got nan."),
    ],
)
def test_a_deadline_that_is_none_is_said(plane: DataPlane, double: Any, value: Any, message: str) -> None:
    """Before the model is asked."""
    with pytest.raises(InputError) as caught:
        plane.infer(double, Call(call().inputs, {"timeout": value}))
    assert str(caught.value) == message
    assert double.calls == []


def test_parameters_come_back_with_the_answer_s_own(plane: DataPlane, double: Any) -> None:
    """A client finds its marks again."""
    result = plane.infer(double, call(mark="a", number=3, deep=True))
    assert result.parameters == {"mark": "a", "number": 3, "deep": True, "rows": 2}


def test_what_the_answer_says_goes_before_what_was_asked(plane: DataPlane, double: Any) -> None:
    """A parameter of the same name is the answer's."""
    assert plane.infer(double, call(rows=1)).parameters == {"rows": 1}
    assert plane.infer(double, Call(call().inputs, {"rows": 99})).parameters == {"rows": 2}


def test_parameters_that_the_protocol_consumes_do_not_come_back(plane: DataPlane, double: Any) -> None:
    """A secret token least of all."""
    consumed: dict[str, Any] = dict.fromkeys([*CONSUMED, "secret"], "x") | {"timeout": 1_000_000}
    assert plane.infer(double, Call(call().inputs, consumed)).parameters == {"rows": 2}


def test_all_outputs_come_where_none_is_asked_for(plane: DataPlane, double: Any) -> None:
    """In the model's order."""
    assert list(plane.infer(double, call()).outputs) == ["twice", "word"]


def test_the_outputs_asked_for_come_alone(plane: DataPlane, double: Any) -> None:
    """In the order in which they were asked for."""
    assert list(plane.infer(double, call(), {"word": 0}).outputs) == ["word"]
    assert list(plane.infer(double, call(), {"word": 0, "twice": 0}).outputs) == ["word", "twice"]


def test_an_output_that_there_is_not_is_said_before_the_model_is_asked(plane: DataPlane, double: Any) -> None:
    """With those that there are."""
    with pytest.raises(InputError) as caught:
        plane.infer(double, call(), {"twice": 0, "thrice": 0})
    assert str(caught.value) == "output 'thrice': double gives twice, word."
    assert double.calls == []


def test_a_batch_over_the_bound_is_refused_before_the_model_is_asked(plane: DataPlane, double: Any) -> None:
    """Whole or in parts."""
    with pytest.raises(TooLargeError):
        plane.infer(double, call(rows=5))
    with pytest.raises(TooLargeError):
        next(plane.stream(double, call(rows=5)))
    assert double.calls == []


def test_parts_are_given_as_they_come(plane: DataPlane, double: Any) -> None:
    """Each with the request's parameters and the outputs asked for; the last says so."""
    parts = list(plane.stream(double, call(mark="a"), {"word": 0}))
    assert [list(part.outputs["word"]) for part in parts] == [[b"row 0"], [b"row 1"]]
    assert [part.parameters for part in parts] == [{"mark": "a", "row": 0}, {"mark": "a", "row": 1}]
    assert [part.last for part in parts] == [False, True]


def test_answers_and_failures_are_counted(plane: DataPlane, double: Any) -> None:
    """What was refused is a failure too; an answer in parts is one."""
    plane.infer(double, call())
    list(plane.stream(double, call()))
    with pytest.raises(InputError):
        plane.infer(double, call(), {"thrice": 0})
    found = plane.statistics.of(double)
    assert found["inference_count"] == 4
    assert [found["inference_stats"][kind]["count"] for kind in ("success", "fail")] == [2, 1]


def test_other_models_are_served_from_now_on_and_counts_go_on(plane: DataPlane, double: Any, make: Any) -> None:
    """What has begun ends by those of before."""
    other = make()
    other.version = "8"
    plane.infer(double, call())
    plane.serve([other])
    assert plane.catalog.find("double") is other
    assert plane.catalog.metadata(double)["versions"] == ["8"]
    plane.infer(double, call())
    plane.serve([other, double])
    assert [told["inference_count"] for told in plane.told("double", "")["model_stats"]] == [0, 4]


def test_models_of_larger_requests_are_not_served_in_their_place(plane: DataPlane, make: Any) -> None:
    """The bound of a message is fixed when a node starts."""
    large = make()
    large.inputs = (TensorSpec("x", "FP32", (-1, 100)),)
    before = plane.catalog
    with pytest.raises(InputError) as caught:
        plane.serve([large])
    assert str(caught.value) == (
        "a batch of 4 would be up to 68736 bytes, and this node was started for 65600. Start it anew for networks of "
        "larger inputs."
    )
    assert plane.catalog is before
