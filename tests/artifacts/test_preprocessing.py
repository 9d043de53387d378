"""From 8-bit images to what a network takes, and every batch that is refused."""

import math
import re

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offramp.artifacts.preprocessing import RANGE_SLACK, Preprocessing
from offramp.errors import InputError

TAKES = Preprocessing(channels=3, height=4, width=5)


def batch(count: int = 2, fill: float = 0.5) -> npt.NDArray[np.float32]:
    """A batch that the network takes."""
    return np.full((count, 3, 4, 5), fill, np.float32)


def test_the_shape_of_one_sample() -> None:
    """Channels first, then height, then width."""
    assert TAKES.shape == (3, 4, 5)


@given(images=hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(4), st.just(5), st.just(3))))
def test_every_8_bit_image_becomes_a_batch_that_is_taken(images: npt.NDArray[np.uint8]) -> None:
    """Pixel (y, x) of channel c is its 8-bit value over 255, and the whole passes the network's own check."""
    taken = TAKES.check(TAKES.from_uint8(images))
    assert taken.flags.c_contiguous
    for c in range(3):
        np.testing.assert_allclose(taken[:, c], images[:, :, :, c] / 255, atol=1e-7)


def test_an_image_of_another_size_is_refused() -> None:
    """The message gives the size expected, the size found and the remedy."""
    message = (
        "image: expected uint8 of shape (N, 4, 5, 3), got uint8 of shape (1, 5, 4, 3). Resize the images to the "
        "network's size first."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TAKES.from_uint8(np.zeros((1, 5, 4, 3), np.uint8))


def test_an_image_that_is_not_8_bit_is_refused() -> None:
    """Floats are not divided by 255 a second time."""
    with pytest.raises(InputError, match=re.escape("got float32 of shape (1, 4, 5, 3)")):
        TAKES.from_uint8(np.zeros((1, 4, 5, 3), np.float32))  # type: ignore[arg-type]


def test_a_good_batch_is_given_back_without_a_copy() -> None:
    """Checking costs no memory."""
    image = batch()
    assert TAKES.check(image) is image


@pytest.mark.parametrize("value", [-RANGE_SLACK / 2, 0.0, 1.0, 1 + RANGE_SLACK / 2])
def test_values_at_the_ends_of_the_range_are_taken(value: float) -> None:
    """The range is closed, and rounding may overshoot it by a thousandth."""
    TAKES.check(batch(fill=value))


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.uint8, np.int64])
def test_another_dtype_is_refused(dtype: type[np.generic]) -> None:
    """The message names both dtypes, ours by the protocol's name too."""
    message = f"image: expected float32 (FP32), got {np.dtype(dtype)}. Scale 8-bit images to [0, 1]."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TAKES.check(np.zeros((1, 3, 4, 5), dtype))


@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5, 3), (1, 1, 3, 4, 5), (1, 3, 4, 6), (), (0, 3, 4, 6)])
def test_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """A lone sample, channels last, a wrong size: the message gives both shapes."""
    message = f"image: expected shape (N, 3, 4, 5), batch first, got {shape}."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TAKES.check(np.zeros(shape, np.float32))


def test_a_batch_of_zero_is_refused() -> None:
    """An empty batch is an error of its own, not an empty answer."""
    message = "image: the batch is empty (N = 0). Send at least one sample."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TAKES.check(batch(0))


@given(
    sample=st.integers(0, 3),
    place=st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 4)),
    value=st.sampled_from([np.nan, np.inf, -np.inf]),
)
def test_one_value_that_is_no_number_is_found(sample: int, place: tuple[int, int, int], value: float) -> None:
    """Wherever a NaN or infinity stands, the message names the first sample that holds one."""
    image = batch(4)
    image[(sample, *place)] = value
    image[3, 0, 0, 0] = np.nan
    message = f"image: sample {sample} of the batch holds NaN or infinity. Remove it and send the rest."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TAKES.check(image)


def test_values_of_0_to_255_are_refused() -> None:
    """The commonest mistake is named: 8-bit values that nobody divided."""
    image = batch()
    image[1, 2, 3, 4] = 255
    message = "image: expected values in [0, 1], got 0.5 to 255. Divide 8-bit values by 255."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        TAKES.check(image)


@pytest.mark.parametrize("value", [-0.01, 1.01])
def test_one_value_outside_the_range_is_refused(value: float) -> None:
    """A single pixel too dark or too bright is enough, on either side."""
    image = batch()
    image[1, 2, 3, 4] = value
    with pytest.raises(InputError, match=re.escape("image: expected values in [0, 1], got ")):
        TAKES.check(image)


def test_the_range_is_the_networks_own() -> None:
    """A network that takes [-1, 1] accepts -1 and says so when it refuses."""
    signed = Preprocessing(channels=3, height=4, width=5, low=-1)
    signed.check(batch(fill=-1))
    with pytest.raises(InputError, match=re.escape("expected values in [-1, 1], got -2 to -2.")):
        signed.check(batch(fill=-2))


@given(
    values=hnp.arrays(np.float32, (2, 1, 2, 3), elements=st.floats(-1.5, 1.5, width=32) | st.just(np.float32(-0.0))),
    bright=st.booleans(),
    odd=st.sampled_from([0.5, math.nan, math.inf, -math.inf]),
    limits=st.sampled_from([(0.0, 1.0), (-1.0, 1.0), (0.25, 0.75), (-1.0, -0.5)]),
)
def test_what_is_taken_lies_within_the_range(
    values: npt.NDArray[np.float32], bright: bool, odd: float, limits: tuple[float, float]
) -> None:
    """Of every range, whatever values there are: the least and the largest say whether a batch is taken."""
    low, high = limits
    values = np.clip(values, 0, 0.7, dtype=np.float32) if bright else values
    takes, values[1, 0, 1, 1] = Preprocessing(channels=1, height=2, width=3, low=low, high=high), odd
    least, most = values.min() >= low - RANGE_SLACK, values.max() <= high + RANGE_SLACK
    if least and most:
        assert takes.check(values) is values
    else:
        with pytest.raises(InputError, match="image: "):
            takes.check(values)
