"""One encoded image, PNG, JPEG and the like, to 8 bits a channel. Knows nothing of sets, labels or sizes."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from offramp.data.resize import pillow
from offramp.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

WIDE = ("I", "F")  # how Pillow's modes of more than 8 bits begin: converting them would cut every value off at 255


def decode(
    source: Path | bytes | None,
    mode: Literal["L", "RGB"],
    name: str,
    most: int | None = None,
    *,
    upright: bool = False,
) -> "Image":
    """Decode an image from a file or from its bytes; `name` is what messages call it, `most` bounds its pixels.

    `upright` gives it as a person sees it: turned and mirrored as its EXIF orientation says, and what is transparent
    shows white behind it. Without, it is given as it lies in the file, and transparent pixels have whatever colour lies
    there.
    """
    image = pillow()
    try:
        with image.open(source if isinstance(source, Path) else io.BytesIO(source or b"")) as opened:
            width, height = opened.size
            if most is not None and width * height > most:
                raise DataError(f"{name}: {width} x {height} pixels, and at most {most} are decoded. Make it smaller.")
            if opened.mode.startswith(WIDE):
                raise DataError(
                    f"{name}: more than 8 bits a channel (Pillow's mode {opened.mode}), and what is black and what is "
                    "white is not said. Scale it to 8 bits first."
                )
            decoded: Image = (_as_seen(opened) if upright else opened).convert(mode)
            return decoded
    # Pillow says SyntaxError of a PNG whose chunks are damaged; its bomb error is no OSError.
    except (OSError, ValueError, SyntaxError, image.DecompressionBombError) as error:
        unknown = isinstance(error, image.UnidentifiedImageError) and not isinstance(source, Path)
        why = "its format is not known" if unknown else error  # whose words would name an object of Python's
        raise DataError(f"{name}: not an image that Pillow can read ({why}). Mend or remove it.") from error


def _as_seen(image: "Image") -> "Image":
    from PIL import Image, ImageOps

    turned = ImageOps.exif_transpose(image)
    if not turned.has_transparency_data:
        return turned
    return Image.alpha_composite(Image.new("RGBA", turned.size, "white"), turned.convert("RGBA"))
