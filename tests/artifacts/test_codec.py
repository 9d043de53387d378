"""The forms in which an image crosses from one node to another."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offramp.artifacts.codec import CODEC_BYTES, CODECS, Codec, encode_image
from offramp.artifacts.preprocessing import Preprocessing

IMAGES = hnp.arrays(np.uint8, st.tuples(st.integers(1, 3), st.just(4), st.just(5), st.just(2)))
TAKES = Preprocessing(channels=2, height=4, width=5)


@given(images=IMAGES)
def test_uint8_gives_the_8_bit_image_back(images: npt.NDArray[np.uint8]) -> None:
    """What preprocessing made of 8-bit values travels as exactly these values."""
    travelling = encode_image(TAKES.from_uint8(images), "uint8")
    assert travelling.dtype == np.uint8
    np.testing.assert_array_equal(travelling, images.transpose(0, 3, 1, 2))


@pytest.mark.parametrize(("value", "level"), [(-0.01, 0), (0.0, 0), (0.5, 128), (1.0, 255), (1.0009, 255), (1.2, 255)])
def test_uint8_rounds_and_stays_in_range(value: float, level: int) -> None:
    """A value that overshoots the range by rounding becomes the nearest level instead of wrapping around."""
    assert encode_image(np.full((1, 1, 1, 1), value, np.float32), "uint8").item() == level


def test_fp32_is_the_image_itself() -> None:
    """The uncoded form costs no copy."""
    image = np.zeros((1, 1, 2, 2), np.float32)
    assert encode_image(image, "fp32") is image


@given(image=hnp.arrays(np.float32, (1, 1, 2, 3), elements=st.floats(0, 1, width=32)))
def test_fp16_is_within_half_a_thousandth(image: npt.NDArray[np.float32]) -> None:
    """Eleven bits of mantissa: a value in [0, 1] moves by at most 2^-12."""
    assert np.abs(encode_image(image, "fp16").astype(np.float32) - image).max() <= 2**-12


@pytest.mark.parametrize("codec", CODECS)
def test_the_stated_size_is_the_real_one(codec: Codec) -> None:
    """Bytes of one value by codec are those of the array that travels."""
    assert encode_image(np.zeros((1, 1, 2, 2), np.float32), codec).itemsize == CODEC_BYTES[codec]
