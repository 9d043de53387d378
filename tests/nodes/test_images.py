"""The forms in which an edge takes images."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from offramp.artifacts.preprocessing import Preprocessing
from offramp.errors import InputError
from offramp.nodes.images import read_images

COLOUR = Preprocessing(channels=3, height=4, width=6)
GREY = Preprocessing(channels=1, height=4, width=6)


def png(array: np.ndarray) -> bytes:
    """An image as a file holds it."""
    file = io.BytesIO()
    Image.fromarray(array).save(file, "PNG")
    return file.getvalue()


def files(*arrays: np.ndarray) -> np.ndarray:
    """A batch of encoded images."""
    batch = np.empty(len(arrays), np.object_)
    batch[:] = [png(array) for array in arrays]
    return batch


def some(seed: int, *shape: int) -> np.ndarray:
    """Random 8-bit values."""
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def test_pixels_in_8_bits_and_in_files_are_the_same_batch() -> None:
    """Channels first, in [0, 1]."""
    images = some(0, 2, 4, 6, 3)
    expected = COLOUR.from_uint8(images)
    np.testing.assert_allclose(expected, images.transpose(0, 3, 1, 2) / 255, atol=1e-6)
    np.testing.assert_array_equal(read_images(COLOUR, images), expected)
    np.testing.assert_array_equal(read_images(COLOUR, files(*images)), expected)
    np.testing.assert_array_equal(read_images(COLOUR, expected), expected)


def test_a_file_of_another_size_or_in_colour_becomes_the_networks() -> None:
    """As Pillow resizes and greys it."""
    image = some(1, 9, 11, 3)
    frame = Image.fromarray(image).convert("L").resize((6, 4), Image.Resampling.BILINEAR)
    expected = np.asarray(frame)[None, None] / np.float32(255)
    np.testing.assert_allclose(read_images(GREY, files(image)), expected, atol=1e-6)


def test_what_is_no_batch_of_images_is_refused() -> None:
    """By the row that is wrong."""
    for empty in (np.zeros((0, 4, 6, 3), np.uint8), np.zeros(0, np.object_)):
        with pytest.raises(InputError) as caught:
            read_images(COLOUR, empty)
        assert str(caught.value) == "image: the batch is empty (N = 0). Send at least one sample."
    with pytest.raises(InputError) as caught:
        read_images(COLOUR, files(some(2, 4, 6, 3), some(3, 4, 6, 3)).reshape(2, 1))
    assert str(caught.value) == "image: expected encoded images of shape (N,), got (2, 1)."
    broken = files(some(4, 4, 6, 3), some(5, 4, 6, 3))
    broken[1] = broken[1][:40]
    with pytest.raises(InputError, match=r"^image: sample 1"):
        read_images(COLOUR, broken)


@pytest.mark.parametrize(
    ("passed", "message"),
    [
        (b"abc", "got 3 bytes. Put an encoded image into a list: [image]."),
        (None, "got None. Send at least one image."),
        ([], "got an empty list. Send at least one image."),
        ([some(0, 4, 6, 3)] * 2, "got a list of ndarray. Stack arrays with numpy.stack."),
        ([[0.5, 0.5]], "got a list of list. Make one array of them with numpy.asarray."),
        ([b"a", "b"], "got a list of bytes, str. Read files first: pathlib.Path(name).read_bytes()."),
        ([Path("a.png")], f"got a list of {type(Path()).__name__}. Read files first: pathlib.Path(name).read_bytes()."),
        (torch.zeros(1, 3, 4, 6), "got a torch Tensor. Pass its .numpy()."),
        (0.5, "got float. Convert it with numpy.asarray."),
    ],
)
def test_what_is_no_array_is_told_what_to_pass(passed: object, message: str) -> None:
    """Whatever a program has at hand."""
    expected = (
        "image: expected a NumPy array, float32 (N, C, H, W) in [0, 1] or uint8 (N, H, W, C), or a list of encoded "
        f"images (bytes), {message}"
    )
    with pytest.raises(InputError, match=f"^{re.escape(expected)}$"):
        read_images(COLOUR, passed)


def test_a_list_of_files_is_a_batch_of_them() -> None:
    """As an array of objects is, whatever holds their bytes."""
    batch = files(some(1, 4, 6, 3), some(2, 4, 6, 3))
    read = read_images(COLOUR, batch)
    assert np.array_equal(read_images(COLOUR, list(batch)), read)
    batch[:] = [bytearray(batch[0]), memoryview(batch[1])]
    assert np.array_equal(read_images(COLOUR, batch), read)
    assert np.array_equal(read_images(COLOUR, list(batch)), read)
