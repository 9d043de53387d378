"""One encoded image, PNG, JPEG and the like, to 8 bits a channel and a size. Knows nothing of sets or labels."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from offramp.artifacts.preprocessing import BILINEAR, Fit, ReadAs, Resampling
from offramp.data.resize import brought_to, pillow
from offramp.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

WIDE = ("I", "F")  # how Pillow's modes of more than 8 bits begin: converting them would cut every value off at 255
PIXELS = 1 << 26  # of one image: a few bytes can claim to be gigabytes
STRIP = 1 << 16  # pixels that are put on white at once
ORIENTATION, ON_ITS_SIDE = 0x0112, (5, 6, 7, 8)  # EXIF's tag, and its values that swap height and width
FINER = 3  # times the network's size that a reduced JPEG still has, at least; at 2, 4:2:2 differs twice as much


def decode(
    source: Path | bytes | None,
    mode: Literal["L", "RGB"],
    name: str,
    *,
    read_as: ReadAs = "plain",
    size: tuple[int, int] | None = None,
    fit: Fit = "stretch",
    by: Resampling = BILINEAR,
) -> "Image":
    """Decode an image from a file or from its bytes; `name` is what messages call it.

    Plainly, it is given as it lies in the file, and transparent pixels have whatever colour lies there. `upright` is as
    a person sees it: turned and mirrored as its EXIF orientation says, and what is transparent shows white behind it.
    With a `size` (width, height) it is brought to that, whole or cropped as `fit` and `by` say. `reduced` is upright,
    and a JPEG of at least six times that size is decoded at 1/2, 1/4 or 1/8 first, by libjpeg: faster, and close.
    """
    image = pillow()
    try:
        with image.open(source if isinstance(source, Path) else io.BytesIO(source or b"")) as opened:
            width, height = opened.size
            if width * height > PIXELS:
                raise DataError(
                    f"{name}: {width} x {height} pixels, and at most {PIXELS} are decoded. Make it smaller."
                )
            if opened.mode.startswith(WIDE):
                raise DataError(
                    f"{name}: more than 8 bits a channel (Pillow's mode {opened.mode}), and what is black and what is "
                    "white is not said. Scale it to 8 bits first."
                )
            if size and read_as == "reduced" and (reduced := _reduced(opened, mode, size, fit, by)):
                return reduced
            decoded = opened.convert(mode) if read_as == "plain" else _as_seen(opened, mode)
            return brought_to(decoded, size, fit, by=by) if size else decoded
    # Pillow says SyntaxError of a PNG whose chunks are damaged; its bomb error is no OSError.
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        unknown = isinstance(error, image.UnidentifiedImageError) and not isinstance(source, Path)
        why = "its format is not known" if unknown else error  # whose words would name an object of Python's
        raise DataError(f"{name}: not an image that Pillow can read ({why}). Mend or remove it.") from error


def _reduced(image: "Image", mode: str, size: tuple[int, int], fit: Fit, by: Resampling) -> "Image | None":
    """A large JPEG of `size`, as it is seen; None where nothing is gained, or the format knows no reduced size."""
    from PIL import ImageOps

    lying = size[::-1] if image.getexif().get(ORIENTATION) in ON_ITS_SIDE else size
    whole, wanted = image.size, lying if by.side is None else (by.side, by.side)
    drafted = image.draft(None, (FINER * wanted[0], FINER * wanted[1]))
    if drafted is None or image.size == whole:
        return None
    _, (_, _, *extent) = drafted  # within the last pixel, where the reduction does not divide the size
    return ImageOps.exif_transpose(brought_to(image.convert(mode), lying, fit, (extent[0], extent[1]), by))


def _as_seen(image: "Image", mode: str) -> "Image":
    """Turn the image itself, and put it on white strip by strip: the whole is in memory twice and no more."""
    from PIL import Image, ImageOps

    ImageOps.exif_transpose(image, in_place=True)
    if not image.has_transparency_data:
        return image.convert(mode)
    seen, width = Image.new(mode, image.size), image.width
    rows = max(1, STRIP // width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, width, min(top + rows, image.height))).convert("RGBA")
        seen.paste(Image.alpha_composite(Image.new("RGBA", strip.size, "white"), strip).convert(mode), (0, top))
    return seen
