"""Resizing images."""

import io

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from offramp.artifacts.preprocessing import Fit, Resampling
from offramp.data.decode import decode
from offramp.data.resize import brought_to, pillow, resize

IMAGES = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.sampled_from((1, 3)))
)


def test_images_that_fit_stay_as_they_are() -> None:
    """The same array comes back, not a copy."""
    images = np.zeros((2, 4, 5, 3), np.uint8)
    assert resize(images, 4, 5) is images


@given(images=IMAGES, height=st.integers(1, 9), width=st.integers(1, 9), fit=st.sampled_from(("stretch", "crop")))
def test_resizing_gives_the_size_and_stays_within_the_values(
    images: npt.NDArray[np.uint8], height: int, width: int, fit: Fit
) -> None:
    """Number and channels stay, the size is the one asked for, and no image grows brighter or darker than it was."""
    found = resize(images, height, width, fit)
    assert found.dtype == np.uint8
    assert found.shape == (len(images), height, width, images.shape[3])
    for before, after in zip(images, found, strict=True):
        assert before.min() <= after.min()
        assert after.max() <= before.max()


@pytest.mark.parametrize("channels", [1, 3])
def test_each_channel_and_image_is_resized_by_itself(channels: int) -> None:
    """Images of one level each keep it, in every channel."""
    levels = np.arange(2 * channels, dtype=np.uint8).reshape(2, 1, 1, channels) * 40
    found = resize(np.broadcast_to(levels, (2, 4, 4, channels)).copy(), 2, 8)
    np.testing.assert_array_equal(found, np.broadcast_to(levels, (2, 2, 8, channels)))


def test_shrinking_averages_instead_of_skipping() -> None:
    """Stripes one pixel wide become grey at half the size: the filter is antialiased."""
    stripes = np.tile(np.array([0, 255], np.uint8), 8)[None, None, :, None].repeat(16, axis=1)
    found = resize(stripes, 8, 8)[0, :, 1:-1, 0]
    assert np.abs(found.astype(int) - 128).max() <= 64


def test_height_and_width_are_not_exchanged() -> None:
    """A bright top row stays on top."""
    image = np.zeros((1, 2, 2, 1), np.uint8)
    image[0, 0] = 255
    found = resize(image, 4, 2)
    assert found[0, 0, :, 0].tolist() == [255, 255]
    assert found[0, 3, :, 0].tolist() == [0, 0]


def test_what_is_too_long_is_cut_off() -> None:
    """Two bright columns at each end of eight are not seen where it is cropped; stretched, they are."""
    image = np.zeros((1, 4, 8, 1), np.uint8)
    image[:, :, [0, 1, 6, 7]] = 255
    assert resize(image, 4, 4, "crop").tolist() == image[:, :, 2:6].tolist()
    assert resize(image, 4, 4).max() > 200


def test_pillow_is_pillows_image_module() -> None:
    """What the other readers take it for."""
    assert pillow().__name__ == "PIL.Image"


@pytest.mark.parametrize(("height", "width"), [(41, 60), (60, 41), (33, 33), (24, 24), (21, 100)])
@pytest.mark.parametrize("name", ["bilinear", "bicubic", "lanczos", "nearest"])
def test_a_centre_is_cut_out_of_a_side_as_others_do_it(height: int, width: int, name: str) -> None:
    """The shorter side resized, the longer rounded down, and then the middle: torchvision's, timm's, to the pixel."""
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    frame, side, filter_ = Image.fromarray(pixels), 30, Image.Resampling[name.upper()]
    by = Resampling(side, name)  # type: ignore[arg-type]
    long = int(side * max(height, width) / min(height, width))
    between = (long, side) if width > height else (side, long)
    left, top = (round((extent - 24) / 2) for extent in between)
    expected = frame.resize(between, filter_).crop((left, top, left + 24, top + 24))
    np.testing.assert_array_equal(np.asarray(brought_to(frame, (24, 24), "crop", by=by)), np.asarray(expected))
    squashed = frame.resize((side, side), filter_).crop((3, 3, 27, 27))
    np.testing.assert_array_equal(np.asarray(brought_to(frame, (24, 24), "stretch", by=by)), np.asarray(squashed))


def test_pixels_of_the_network_s_size_are_not_cut_again() -> None:
    """In an array they are what the network takes; in a file a picture as any."""
    pixels, by = np.random.default_rng(0).integers(0, 256, (1, 24, 24, 3), np.uint8), Resampling(30)
    assert resize(pixels, 24, 24, "crop", by) is pixels
    assert not np.array_equal(np.asarray(brought_to(Image.fromarray(pixels[0]), (24, 24), "crop", by=by)), pixels[0])


def test_a_reduced_jpeg_is_large_enough_for_the_side() -> None:
    """Of one that is shown 32 pixels of 64, so many are decoded as 64 ask for."""
    rows, columns = np.mgrid[:600, :800]
    waves = np.stack([127 + 120 * np.sin(rows / 9), 127 + 120 * np.cos(columns / 7), (rows + columns) / 6], axis=2)
    content = io.BytesIO()
    Image.fromarray(waves.astype(np.uint8)).save(content, "JPEG", quality=90)
    for fit in ("crop", "stretch"):
        whole, reduced = (
            np.asarray(decode(content.getvalue(), "RGB", "one", read_as=how, size=(32, 32), fit=fit, by=Resampling(64)),
                       np.int16)  # type: ignore[call-overload]
            for how in ("upright", "reduced")
        )  # fmt: skip
        assert np.abs(whole - reduced).mean() <= 1
