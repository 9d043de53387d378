"""Pictures as a person sees them: turned as EXIF says, on white where they are transparent, whatever way they come."""

import io
import itertools
import re
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image, ImageOps
from pyarrow import parquet

from offramp.artifacts.data_record import POSITION, DataSource
from offramp.artifacts.preprocessing import Fit, Preprocessing, ReadAs
from offramp.data.decode import STRIP, decode
from offramp.data.load import load
from offramp.data.recorded import load_as_trained
from offramp.errors import DataError, InputError
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


def turned(orientation: int, seen: np.ndarray = SEEN, kind: str = "PNG", **options: object) -> bytes:
    """A picture, laid down so that it has to be turned."""
    return encoded(Image.fromarray(np.ascontiguousarray(LAID[orientation](seen))), kind, orientation, **options)


@pytest.mark.parametrize("orientation", LAID)
def test_each_of_the_eight_orientations_is_the_same_picture(orientation: int) -> None:
    """Read plainly, as networks of before read it, all but the first are another one."""
    assert np.array_equal(np.asarray(decode(turned(orientation), "RGB", "one", read_as="upright")), SEEN)
    plain = np.asarray(decode(turned(orientation), "RGB", "one"))
    assert np.array_equal(plain, LAID[orientation](SEEN))


def test_what_is_transparent_is_on_white() -> None:
    """In colour, in grey, and in palettes, of PNG and of GIF; plainly, the colour that lies there is seen."""
    colour = Image.fromarray(CLEAR, "RGBA")
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([200, 10, 10, 0, 100, 0])
    grey = Image.fromarray(np.array([[[7, 0], [90, 255]]], np.uint8), "LA")
    for content in (encoded(colour), encoded(palette, transparency=0), encoded(palette, "GIF", transparency=0)):
        assert np.asarray(decode(content, "RGB", "one", read_as="upright")).tolist() == [ON_WHITE]
    assert np.asarray(decode(encoded(grey), "L", "one", read_as="upright")).tolist() == [[255, 90]]
    assert np.asarray(decode(encoded(colour), "RGB", "one")).tolist() == [[[200, 10, 10], [0, 100, 0]]]
    half = Image.fromarray(np.array([[[0, 0, 0, 128]]], np.uint8), "RGBA")
    assert np.asarray(decode(encoded(half), "L", "one", read_as="upright")).tolist() == [[127]]


@pytest.mark.parametrize("kind", ["RGBA", "LA", "P"])
def test_a_large_transparent_picture_is_put_on_white_to_the_last_bit(kind: str) -> None:
    """It is done strip by strip; of three strips none is left out or put twice."""
    drawn = Image.fromarray(np.random.default_rng(2).integers(0, 256, (430, 500, 4), np.uint8))
    assert 2 * STRIP < 430 * 500 < 4 * STRIP
    image = drawn.convert("RGB").convert(kind) if kind == "P" else drawn.convert(kind)
    whole = Image.new("RGBA", image.size, "white")
    content = encoded(image, transparency=3) if kind == "P" else encoded(image)
    whole.alpha_composite(Image.open(io.BytesIO(content)).convert("RGBA"))
    for mode in ("RGB", "L"):
        assert decode(content, mode, "one", read_as="upright").tobytes() == whole.convert(mode).tobytes()


def test_a_picture_that_claims_too_many_pixels_is_a_bad_one_everywhere(tmp_path: Path) -> None:
    """Before memory is taken for them, and `skip_bad` goes on without it."""
    content = bytearray(encoded(Image.fromarray(SEEN)))
    content[16:24] = (9000).to_bytes(4, "big") * 2
    content[29:33] = zlib.crc32(content[12:29]).to_bytes(4, "big")
    bad, said = bytes(content), "9000 x 9000 pixels, and at most 67108864 are decoded. Make it smaller."
    files = [
        encoded(Image.fromarray(seen)) for seen in np.random.default_rng(3).integers(0, 256, (60, 6, 4, 3), np.uint8)
    ]
    files[7] = bad
    for number, one in enumerate(files):
        (tmp_path / "folder" / str(number % 2)).mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / str(number % 2) / f"{number}.png").write_bytes(one)
    (tmp_path / "tables").mkdir()
    image, label = pa.array([{"bytes": one, "path": None} for one in files]), pa.array([k % 2 for k in range(60)])
    parquet.write_table(pa.table({"image": image, "label": label}), tmp_path / "tables" / "train.parquet")
    for source, name in (("folder", "/1/7.png"), ("tables", ": row 7")):
        message = f"{tmp_path / source}{name}: {said} Or go on without it: --skip-bad"
        with pytest.raises(DataError, match=f"^{re.escape(message)}$"):
            load(str(tmp_path / source), (3, 6, 4))
        record = load(DataSource(data=str(tmp_path / source), skip_bad=True), (3, 6, 4)).record
        assert record is not None
        assert sum(part.images for part in record.parts.values()) == 59
    with pytest.raises(InputError, match=f"^{re.escape(f'image: sample 1: {said}')}$"):
        read_images(Preprocessing(channels=3, height=6, width=4), [files[0], bad])


def test_an_orientation_that_is_none_is_none() -> None:
    """Values that EXIF does not know leave the picture as it lies."""
    content = encoded(Image.fromarray(SEEN), orientation=77)
    assert np.array_equal(np.asarray(decode(content, "RGB", "one", read_as="upright")), SEEN)


def test_exif_that_is_garbage_says_nothing() -> None:
    """The picture is as it lies."""
    content = io.BytesIO()
    Image.fromarray(SEEN).save(content, "JPEG", exif=b"Exif\x00\x00 this is no TIFF at all")
    assert decode(content.getvalue(), "RGB", "one", read_as="upright").size == (4, 6)


def test_folders_parquet_and_the_edge_see_the_same(tmp_path: Path) -> None:
    """The pixels that a network learns from are those that it is asked about, by each rule, whatever the file is."""
    drawn = np.random.default_rng(1).integers(0, 256, (90, 51, 40, 4), np.uint8)
    files = [
        encoded(Image.fromarray(seen, "RGBA"))
        if number % 9 == 0
        else turned(number % 9, seen[..., :3], "JPEG" if number % 2 else "PNG")
        for number, seen in enumerate(drawn)
    ]
    for number, content in enumerate(files):
        folder = tmp_path / "folder" / ("train" if number < 70 else "test") / str(number % 2)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:02}.png").write_bytes(content)  # what is in it says what it is
    for name, numbers in (("train", range(70)), ("test", range(70, 90))):
        image = pa.array([{"bytes": files[number], "path": None} for number in numbers])
        label = pa.array([number % 2 for number in numbers])
        (tmp_path / "tables").mkdir(exist_ok=True)
        parquet.write_table(pa.table({"image": image, "label": label}), tmp_path / "tables" / f"{name}.parquet")

    def rows(images: np.ndarray) -> tuple[bytes, ...]:
        return tuple(sorted(row.tobytes() for row in images))

    seen = set()
    rules: tuple[ReadAs, ...] = ("plain", "upright", "reduced")
    fits: tuple[Fit, ...] = ("stretch", "crop")
    for read_as, fit in itertools.product(rules, fits):
        edge = Preprocessing(channels=3, height=6, width=4, reading=read_as, fit=fit)
        asked = rows(read_images(edge, files[70:]))
        for name in ("folder", "tables"):
            source = DataSource(data=str(tmp_path / name), fit=fit)
            learnt = load(source, edge.shape, read_as=read_as).test.images
            assert rows(edge.from_uint8(learnt)) == asked
        seen.add(asked)
    assert len(seen) == len(rules) * len(fits), "each rule is another: else this test could not fail"


def photograph(height: int, width: int) -> np.ndarray:
    """Something like one: light that changes slowly, finer and finer structure, sharp edges, and noise."""
    draw = np.random.default_rng(height)
    seen = draw.normal(127, 6, (height, width, 1)) + np.zeros(3)
    for octave in range(2, 9):
        coarse = Image.fromarray(draw.integers(0, 256, (2**octave, 2**octave, 3), np.uint8))
        seen += 0.6 ** (octave - 2) * (np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC)) - 127.0)
    rows, columns = np.mgrid[:height, :width]
    for y, x, share in draw.random((12, 3)):
        disc = (rows - y * height) ** 2 + (columns - x * width) ** 2 < ((0.03 + 0.15 * share) * min(height, width)) ** 2
        seen[disc] += 250 * (draw.random(3) - 0.5)
    return np.clip(seen, 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(600, 800), (513, 1027), (1200, 1599)])
def test_a_large_jpeg_is_decoded_at_a_reduced_size_within_a_tolerance(height: int, width: int) -> None:
    """The pages' numbers: 1 of 255 on average and 10 at most, in every orientation, quality and subsampling."""
    seen = photograph(height, width)
    for quality, subsampling, size, orientation in (
        (60, 2, (32, 32), 1), (95, 0, (32, 32), 6), (85, 2, (64, 40), 8), (85, 1, (24, 48), 5), (95, 1, (64, 64), 6),
    ):  # fmt: skip
        content = turned(orientation, seen, "JPEG", quality=quality, subsampling=subsampling)
        fits: tuple[Fit, ...] = ("stretch", "crop")
        for fit in fits:
            whole = np.asarray(decode(content, "RGB", "one", read_as="upright", size=size, fit=fit), np.int16)
            reduced = np.asarray(decode(content, "RGB", "one", read_as="reduced", size=size, fit=fit), np.int16)
            apart = np.abs(whole - reduced)
            assert reduced.shape == (size[1], size[0], 3)
            assert 0 < apart.mean() <= 1
            assert apart.max() <= 10


def test_a_turned_jpeg_is_reduced_by_the_shape_that_is_seen() -> None:
    """As it lies, what is large enough would not seem so, and what is not would."""
    content = turned(6, photograph(64, 1024), "JPEG")
    for size, alike in (((128, 8), False), ((8, 128), True)):
        whole, reduced = (decode(content, "RGB", "one", read_as=how, size=size) for how in ("upright", "reduced"))
        assert (whole.tobytes() == reduced.tobytes()) is alike


@pytest.mark.parametrize(("kind", "shape"), [("PNG", (600, 800)), ("WEBP", (600, 800)), ("JPEG", (190, 190))])
def test_what_is_no_large_jpeg_is_decoded_whole(kind: str, shape: tuple[int, int]) -> None:
    """Other formats, and a JPEG of less than six times the size, are the same to the last bit."""
    content = encoded(Image.fromarray(photograph(*shape)), kind)
    whole, reduced = (decode(content, "RGB", "one", read_as=how, size=(32, 32)) for how in ("upright", "reduced"))
    assert whole.tobytes() == reduced.tobytes()


def test_a_large_jpeg_that_is_cut_short_is_refused() -> None:
    """A reduced half is no picture either."""
    content = encoded(Image.fromarray(photograph(600, 800)), "JPEG")
    with pytest.raises(DataError, match="not an image that Pillow can read"):
        decode(content[: len(content) // 2], "RGB", "one", read_as="reduced", size=(32, 32))


def test_a_network_of_before_is_read_as_it_was(tmp_path: Path) -> None:
    """Its record names no rule: what was split by content was upright, and large JPEGs were decoded whole."""
    for number in range(60):
        (tmp_path / str(number % 2)).mkdir(exist_ok=True)
        noise = np.random.default_rng(number).integers(0, 256, (48, 48, 3), np.uint8)
        (tmp_path / str(number % 2) / f"{number}.jpg").write_bytes(encoded(Image.fromarray(noise), "JPEG"))
    shape = (3, 8, 8)
    new, upright = load(str(tmp_path), shape), load(str(tmp_path), shape, read_as="upright")
    assert new.record is not None
    assert new.record.read_as == "reduced"
    assert not np.array_equal(new.test.images, upright.test.images)
    before = new.record.model_copy(update={"reading": None})
    assert "reading" not in before.model_dump(mode="json")
    assert (before.read_as, before.model_copy(update={"rule": POSITION}).read_as) == ("upright", "plain")
    for record, read in ((new.record, new), (before, upright)):
        again, _ = load_as_trained(None, str(tmp_path), record, shape, seed=0)
        assert np.array_equal(again.test.images, read.test.images)


@pytest.mark.parametrize("size", [(10, 10), (40, 20), (50, 20), (7, 30), (300, 100)])
def test_what_is_too_long_is_cut_off_at_both_ends(size: tuple[int, int]) -> None:
    """As Pillow's own fit does it, and as it is seen: a turned picture is cut on its long sides."""
    for seen in (photograph(40, 100), photograph(100, 40)):
        cropped = decode(turned(6, seen), "RGB", "one", read_as="upright", size=size, fit="crop")
        expected = ImageOps.fit(Image.fromarray(seen), size, Image.Resampling.BILINEAR)
        assert np.array_equal(np.asarray(cropped), np.asarray(expected))


def test_other_data_are_cropped_as_what_was_trained_on(tmp_path: Path) -> None:
    """The record of the network says so, and the summary."""
    for folder in ("mine", "yours"):
        for number in range(60):
            (tmp_path / folder / str(number % 2)).mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng((number, len(folder))).integers(0, 256, (8, 24, 3), np.uint8)
            Image.fromarray(noise).save(tmp_path / folder / str(number % 2) / f"{number}.png")
    shape, said = (3, 8, 8), "  cropped at the centre to the network's shape"
    record = load(DataSource(data=str(tmp_path / "mine"), fit="crop"), shape).record
    assert record is not None
    assert said in record.lines()
    again, lines = load_as_trained(str(tmp_path / "yours"), "mine", record, shape, seed=0)
    assert said in lines
    stretched = load(str(tmp_path / "yours"), shape)
    assert stretched.record is not None
    assert said not in stretched.record.lines()
    assert "fit" not in stretched.record.source.model_dump(mode="json")
    assert not np.array_equal(again.test.images, stretched.test.images)


def test_a_bundle_of_before_reads_plainly_and_keeps_its_id() -> None:
    """What is plain is not written."""
    plain = Preprocessing(channels=1, height=2, width=2)
    assert "reading" not in plain.model_dump(mode="json")
    assert Preprocessing.model_validate(plain.model_dump(mode="json")).reading == "plain"
    assert "fit" not in plain.model_dump(mode="json")
    for asked in ({"reading": "upright"}, {"reading": "reduced"}, {"fit": "crop"}):
        named = plain.model_copy(update=asked)
        assert Preprocessing.model_validate(named.model_dump(mode="json")) == named
