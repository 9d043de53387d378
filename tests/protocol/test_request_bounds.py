"""The bounds of one request, and how they are said."""

import numpy as np
import pytest

from offramp.errors import TooLargeError
from offramp.protocol.request_bounds import ENCODED, SLACK, TEXT, RequestBounds
from offramp.protocol.served import Call, Result, TensorSpec


class Taking:
    """A model that takes these."""

    name, version, config = "taking", "1", {}
    outputs: tuple[TensorSpec, ...] = ()

    def __init__(self, *inputs: TensorSpec) -> None:
        self.inputs = inputs

    def prepare(self) -> None: ...

    def infer(self, call: Call) -> Result:
        return Result({})

    def stream(self, call: Call):  # type: ignore[no-untyped-def]
        yield Result({})


IMAGE = TensorSpec("image", "FP32", (-1, 3, 4, 5))


def test_bounds_are_those_of_the_widest_type_at_the_largest_batch() -> None:
    """60 numbers a sample, 8 bytes each; in JSON three times that."""
    bounds = RequestBounds.of([Taking(IMAGE)], 10)
    assert bounds == RequestBounds(10, 4_800 + SLACK, TEXT * 4_800 + SLACK)


def test_the_inputs_of_the_largest_model_count_together() -> None:
    """They come in one message, and the bounds hold before it is known which model it is for."""
    small = TensorSpec("small", "FP32", (-1, 2))
    bounds = RequestBounds.of([Taking(small), Taking(small, IMAGE), Taking(IMAGE)], 10)
    assert bounds == RequestBounds(10, 4_960 + SLACK, TEXT * 4_960 + SLACK)


def test_encoded_images_get_room() -> None:
    """A camera's JPEG is far larger than what a small network takes."""
    bounds = RequestBounds.of([Taking(TensorSpec("image", "FP32", (-1, 1, 2, 2), ("BYTES",)))], 1)
    assert bounds == RequestBounds(1, ENCODED, ENCODED)


def test_a_node_without_inputs_takes_small_messages() -> None:
    """There is nothing large to send it."""
    assert RequestBounds.of([Taking()], 10) == RequestBounds(10, SLACK, SLACK)


def test_a_batch_over_the_bound_is_said() -> None:
    """With both remedies."""
    model = Taking(IMAGE)
    with pytest.raises(TooLargeError) as caught:
        RequestBounds.of([model], 2).check(model, {"image": np.zeros((3, 1), np.float32)})
    assert str(caught.value) == (
        "image: a batch of 3, and this node takes at most 2 samples in one request. Send smaller batches, or start the "
        "node with a larger --max-batch."
    )


def test_a_batch_at_the_bound_is_taken() -> None:
    """And so is what is no batch at all: the model says what is wrong with it."""
    model = Taking(IMAGE)
    bounds = RequestBounds.of([model], 2)
    bounds.check(model, {"image": np.zeros((2, 1))})
    bounds.check(model, {"image": np.zeros(())})
    bounds.check(model, {"other": np.zeros(100)})


def test_a_body_over_the_bound_is_said() -> None:
    """At the bound it is taken."""
    bounds = RequestBounds(2, 10, 20)
    bounds.check_body(20)
    with pytest.raises(TooLargeError) as caught:
        bounds.check_body(21)
    assert str(caught.value) == (
        "body: 21 bytes, and this node takes at most 20 in one request. Send smaller batches, or start the node with a "
        "larger --max-batch."
    )
