"""Pictures as a person sees them: turned as EXIF says, on white where they are transparent, whatever way they come."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image
from pyarrow import parquet

from offramp.artifacts.data_record import POSITION
from offramp.artifacts.preprocessing import Preprocessing
from offramp.data.decode import decode
from offramp.data.load import load
from offramp.nodes.images import read_images

ORIENTATION = 0x0112
# How the picture has to be laid down so that each value of EXIF's orientation gives it back: the inverse of its words.
LAID = {
    1: lambda seen: seen,
    2: lambda seen: seen[:, ::-1],
    3: lambda seen: seen[::-1, ::-1],
    4: lambda seen: seen[::-1],
    5: lambda seen: seen.transpose(1, 0, 2),
    6: lambda seen: np.rot90(seen, 1),
    7: lambda seen: seen[::-1, ::-1].transpose(1, 0, 2),
    8: lambda seen: np.rot90(seen, -1),
}
SEEN = np.random.default_rng(0).integers(0, 256, (6, 4, 3), np.uint8)
CLEAR = np.array([[[200, 10, 10, 0], [0, 100, 0, 255]]], np.uint8)  # a pixel that is not seen beside one that is
ON_WHITE = [[255, 255, 255], [0, 100, 0]]


def encoded(image: Image.Image, kind: str = "PNG", orientation: int | None = None, **options: object) -> bytes:
    """An image as a file, with an orientation if one is given."""
    exif = Image.Exif()
    if orientation is not None:
        exif[ORIENTATION] = orientation
    file = io.BytesIO()
    image.save(file, kind, exif=exif, **options) if orientation is not None else image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int, seen: np.ndarray = SEEN) -> bytes:
    """A picture, laid down so that it has to be turned."""
    return encoded(Image.fromarray(np.ascontiguousarray(LAID[orientation](seen))), orientation=orientation)


@pytest.mark.parametrize("orientation", LAID)
def test_each_of_the_eight_orientations_is_the_same_picture(orientation: int) -> None:
    """Read plainly, as networks of before read it, all but the first are another one."""
    assert np.array_equal(np.asarray(decode(turned(orientation), "RGB", "one", upright=True)), SEEN)
    plain = np.asarray(decode(turned(orientation), "RGB", "one"))
    assert np.array_equal(plain, LAID[orientation](SEEN))


def test_what_is_transparent_is_on_white() -> None:
    """In colour, in grey, and in palettes, of PNG and of GIF; plainly, the colour that lies there is seen."""
    colour = Image.fromarray(CLEAR, "RGBA")
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([200, 10, 10, 0, 100, 0])
    grey = Image.fromarray(np.array([[[7, 0], [90, 255]]], np.uint8), "LA")
    for content in (encoded(colour), encoded(palette, transparency=0), encoded(palette, "GIF", transparency=0)):
        assert np.asarray(decode(content, "RGB", "one", upright=True)).tolist() == [ON_WHITE]
    assert np.asarray(decode(encoded(grey), "L", "one", upright=True)).tolist() == [[255, 90]]
    assert np.asarray(decode(encoded(colour), "RGB", "one")).tolist() == [[[200, 10, 10], [0, 100, 0]]]
    half = Image.fromarray(np.array([[[0, 0, 0, 128]]], np.uint8), "RGBA")
    assert np.asarray(decode(encoded(half), "L", "one", upright=True)).tolist() == [[127]]


def test_an_orientation_that_is_none_is_none() -> None:
    """Values that EXIF does not know leave the picture as it lies."""
    content = encoded(Image.fromarray(SEEN), orientation=77)
    assert np.array_equal(np.asarray(decode(content, "RGB", "one", upright=True)), SEEN)


def test_exif_that_is_garbage_says_nothing() -> None:
    """The picture is as it lies."""
    content = io.BytesIO()
    Image.fromarray(SEEN).save(content, "JPEG", exif=b"Exif\x00\x00 this is no TIFF at all")
    assert decode(content.getvalue(), "RGB", "one", upright=True).size == (4, 6)


def test_folders_parquet_and_the_edge_see_the_same(tmp_path: Path) -> None:
    """The pixels that a network learns from are those that it is asked about; by a rule of before, they are plain."""
    drawn = np.random.default_rng(1).integers(0, 256, (90, 6, 4, 4), np.uint8)
    files = [
        encoded(Image.fromarray(seen, "RGBA")) if number % 9 == 0 else turned(number % 9, seen[..., :3])
        for number, seen in enumerate(drawn)
    ]
    for number, content in enumerate(files):
        folder = tmp_path / "folder" / ("train" if number < 70 else "test") / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02}.png").write_bytes(content)
    for name, numbers in (("train", range(70)), ("test", range(70, 90))):
        image = pa.array([{"bytes": files[number], "path": None} for number in numbers])
        label = pa.array([number % 2 for number in numbers])
        (tmp_path / "tables").mkdir(exist_ok=True)
        parquet.write_table(pa.table({"image": image, "label": label}), tmp_path / "tables" / f"{name}.parquet")
    edge = Preprocessing(channels=3, height=6, width=4, reading="upright")
    asked = read_images(edge, [files[number] for number in range(70, 90)])

    def rows(images: np.ndarray) -> list[bytes]:
        return sorted(row.tobytes() for row in images)

    as_seen = rows(asked)
    for source in ("folder", "tables"):
        assert rows(edge.from_uint8(load(str(tmp_path / source), (3, 6, 4)).test.images)) == as_seen
    plain = Preprocessing(channels=3, height=6, width=4)
    before = plain.from_uint8(load(str(tmp_path / "folder"), (3, 6, 4), rule=POSITION).test.images)
    assert rows(before) == rows(read_images(plain, [files[number] for number in range(70, 90)])) != as_seen


def test_a_bundle_of_before_reads_plainly_and_keeps_its_id() -> None:
    """What is plain is not written."""
    plain = Preprocessing(channels=1, height=2, width=2)
    assert "reading" not in plain.model_dump(mode="json")
    assert Preprocessing.model_validate(plain.model_dump(mode="json")).reading == "plain"
    upright = plain.model_copy(update={"reading": "upright"})
    assert Preprocessing.model_validate(upright.model_dump(mode="json")) == upright
