"""Decoding one image, and everything that is none."""

import io
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from offramp.data.decode import decode
from offramp.errors import DataError

Png = Callable[..., bytes]


def saved(image: Image.Image, kind: str) -> bytes:
    """An image as a file's bytes."""
    buffer = io.BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def test_a_png_is_decoded_to_its_pixels(png: Png) -> None:
    """Height first, then width, then red, green, blue."""
    found = np.asarray(decode(png(90), "RGB", "one"))
    assert found.shape == (4, 6, 3)
    assert found[0, 0].tolist() == [0, 0, 0]
    assert found[3, 5].tolist() == [90, 90, 90]


def test_a_file_is_decoded_like_its_bytes(png: Png, tmp_path: Path) -> None:
    """A path and what lies at it give the same image."""
    (tmp_path / "a.png").write_bytes(png(90))
    assert decode(tmp_path / "a.png", "RGB", "a").tobytes() == decode(png(90), "RGB", "a").tobytes()


@pytest.mark.parametrize("stored", ["L", "RGB", "RGBA", "P", "1", "CMYK"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_every_8_bit_mode_is_brought_to_the_one_asked_for(stored: str, mode: Literal["L", "RGB"]) -> None:
    """Grey, colour, with transparency or a palette: white stays white."""
    white = Image.new("RGB", (3, 2), (255, 255, 255)).convert(stored)
    found = decode(saved(white, "TIFF"), mode, "one")
    assert found.mode == mode
    assert np.asarray(found).min() == 255


@pytest.mark.parametrize("dtype", [np.uint16, np.int32, np.float32])
def test_more_than_8_bits_are_refused(dtype: type[np.generic]) -> None:
    """Pillow would cut every value off at 255, and a dark sensor image would come out white."""
    deep = Image.fromarray(np.full((2, 2), 600, dtype))
    message = (
        f"one: more than 8 bits a channel (Pillow's mode {deep.mode}), and what is black and what is white is not "
        "said. Scale it to 8 bits first."
    )
    with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
        decode(saved(deep, "TIFF"), "L", "one")


@pytest.mark.parametrize("content", [b"", None, b"not an image", b"\x89PNG\r\n\x1a\n"])
def test_bytes_that_are_no_image_are_refused(content: bytes | None) -> None:
    """The message names the image and what to do."""
    with pytest.raises(DataError, match=r"^one: not an image that Pillow can read \(.*\)\. Mend or remove it\.$"):
        decode(content, "RGB", "one")


def test_a_truncated_png_is_refused(png: Png) -> None:
    """Half an image is not an image with a grey lower half."""
    content = png(90, size=(64, 64))
    with pytest.raises(DataError, match="not an image that Pillow can read"):
        decode(content[: len(content) // 2], "RGB", "one")


def test_a_png_whose_chunk_is_damaged_is_refused() -> None:
    """Of a chunk's name that is none, Pillow raises a SyntaxError: it becomes ours."""
    content = bytearray(saved(Image.effect_noise((400, 400), 50), "PNG"))
    at = content.rindex(b"IDAT")  # of three: the pixels before it are read when it is found
    content[at : at + 4] = b"\x00\x01\x02\x03"
    with pytest.raises(DataError, match="not an image that Pillow can read"):
        decode(bytes(content), "RGB", "one")


def test_an_image_that_claims_to_be_huge_is_refused() -> None:
    """A few bytes that would take gigabytes to decode are refused before memory is taken."""
    content = bytearray(saved(Image.new("RGB", (2, 2)), "BMP"))
    content[18:26] = (100_000).to_bytes(4, "little") * 2
    with pytest.raises(DataError, match="decompression bomb"):
        decode(bytes(content), "RGB", "one")


@settings(max_examples=200)
@given(data=st.data())
def test_a_damaged_png_is_decoded_or_refused(data: st.DataObject) -> None:
    """Whatever bytes are changed, the outcome is an image or an error of ours."""
    content = bytearray(saved(Image.linear_gradient("L").resize((16, 16)), "PNG"))
    for _ in range(data.draw(st.integers(1, 4))):
        # Behind the header's size, which could claim an image that is merely large.
        content[data.draw(st.integers(24, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(DataError):
        assert decode(bytes(content), "RGB", "one").size == (16, 16)
