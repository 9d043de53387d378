"""Every load says what was read, refuses what cannot be meant, and lists what cannot be read."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.data_record import DataSource
from offramp.client.describe import TrainedOn
from offramp.data.load import load
from offramp.data.recorded import load_as_trained
from offramp.errors import DataError

Write = Callable[..., Path]
Png = Callable[..., bytes]
SHAPE = (3, 4, 6)


@pytest.fixture
def photographs(tmp_path: Path, write_folder: Write) -> Path:
    """Cats and owls, a hundred, with what systems leave beside them."""
    folder = write_folder(tmp_path / "data", {"cat": range(0, 100, 2), "owl": range(1, 100, 2)})
    for name in ("cat/._000.png", "@eaDir/a.png", "__MACOSX/cat/b.png", ".ipynb_checkpoints/c.png", "cat/note.txt"):
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_bytes(b"none of the user's images")
    (folder / "yak").mkdir()
    return folder


def test_a_load_ends_in_a_summary(photographs: Path) -> None:
    """Images, classes, splits and their origins, mirroring, and everything that was passed over, with the reason."""
    record = load(str(photographs), SHAPE).record
    assert record is not None
    said = record.lines()
    assert said[0] == f"{photographs}: 100 images of 2 classes, fingerprint {record.fingerprint}"
    assert said[1] == f"  train: {record.parts['train'].images} from ."
    assert said[4].endswith(f"test: {record.parts['test'].images} from ., cut by the images' content")
    assert said[5] == "  classes: cat 50, owl 50"
    assert said[6].startswith("  mirrored: no, since nobody said")
    assert said[7:] == [
        "  passed over, hidden, or no user's own file: 4 (.ipynb_checkpoints, @eaDir, __MACOSX, …)",
        "  passed over, .txt is not read: 1 (cat/note.txt)",
        "  passed over, an empty folder: 1 (yak)",
    ]


def test_what_was_read_in_another_order_of_classes_is_read_so_again(photographs: Path) -> None:
    """A network's order, which need not be that of the names: every sample keeps its class."""
    order = ("owl", "cat")
    plain, splits = load(str(photographs), SHAPE), load(str(photographs), SHAPE, classes=order)
    again, _ = load_as_trained(None, str(photographs), splits.record, SHAPE, seed=0)
    for one in (splits, again):
        assert one.calibration.classes == order
        assert (one.calibration.labels == 1 - plain.calibration.labels).all()
    assert load(str(photographs), SHAPE, classes=("owl", "yak")).train.classes == ("cat", "owl")


def test_classes_that_a_part_has_no_image_of_are_named(tmp_path: Path, write_folder: Write) -> None:
    """Of many classes with few images each, a part is cut by content, and an accuracy on it says nothing of some."""
    folder = write_folder(tmp_path / "data", {f"class {k:02d}": range(4 * k, 4 * k + 4) for k in range(50)})
    record = load(str(folder), SHAPE).record
    assert record is not None
    part = record.parts["test"]
    none = [name for name, count in part.classes.items() if not count]
    assert len(none) > 3
    assert record.lines()[4] == (
        f"  test: {part.images} from ., cut by the images' content; none of {len(none)} of the 50 classes: "
        f"{', '.join(none[:3])} and {len(none) - 3} more"
    )


def test_a_label_that_no_row_has_is_named(tmp_path: Path, write_parquet: Write) -> None:
    """Rows that count from 1 have a class 0 of nothing."""
    write_parquet(tmp_path / "train.parquet", [1, 2] * 12)
    record = load(str(tmp_path), SHAPE).record
    assert record is not None
    assert record.lines()[1].endswith("; none of 1 of the 3 classes: 0")


def test_a_fingerprint_is_of_the_content(photographs: Path, png: Png) -> None:
    """Names and places do not matter, one pixel does; nor does the network's size."""
    first = load(str(photographs), SHAPE).record
    (photographs / "cat" / "000.png").rename(photographs / "cat" / "zzz.png")
    moved = photographs.rename(photographs.with_name("moved"))
    again = load(str(moved), (1, 8, 8)).record
    assert first is not None
    assert again is not None
    assert again.fingerprint == first.fingerprint
    (moved / "cat" / "zzz.png").write_bytes(png(1, size=(5, 6)))
    changed = load(str(moved), SHAPE).record
    assert changed is not None
    assert changed.fingerprint != first.fingerprint


def test_one_class_is_refused(tmp_path: Path, write_folder: Write) -> None:
    """A folder one level too high: the message names the one that is meant."""
    write_folder(tmp_path / "pictures", {"cat": range(50), "owl": range(50, 100)})
    said = (
        f"{tmp_path}: 100 images of one class, 'pictures', and a network tells at least two apart. It holds cat, owl: "
        f"if these are the classes, give --data {tmp_path / 'pictures'}"
    )
    with pytest.raises(DataError, match=f"^{re.escape(said)}$"):
        load(str(tmp_path), SHAPE)


def test_what_cannot_be_read_is_listed_all_at_once(photographs: Path) -> None:
    """And passed over where that is asked for."""
    for name in ("cat/004.png", "owl/007.png"):
        (photographs / name).write_bytes(b"broken")
    with pytest.raises(DataError) as caught:
        load(str(photographs), SHAPE)
    assert str(caught.value) == (
        f"{photographs}: 2 of 100 images cannot be read. Mend or remove them, or go on without them: --skip-bad. They "
        "are cat/004.png, owl/007.png"
    )
    record = load(DataSource(data=str(photographs), skip_bad=True), SHAPE).record
    assert record is not None
    assert record.passed["not read"] == 2
    assert sum(part.images for part in record.parts.values()) == 98


def test_rows_that_cannot_be_read_are_skipped_with_their_labels(tmp_path: Path, write_parquet: Write, png: Png) -> None:
    """In parquet the same, and every other image keeps its label."""
    rows = [png(level) if level % 10 else b"broken" for level in range(100)]
    write_parquet(tmp_path / "train.parquet", [level % 2 for level in range(100)], images=rows)
    with pytest.raises(DataError, match="10 of 100 images cannot be read"):
        load(str(tmp_path), SHAPE)
    splits = load(DataSource(data=str(tmp_path), skip_bad=True), SHAPE)
    assert len(splits.train) + len(splits.validation) + len(splits.calibration) + len(splits.test) == 90
    assert (splits.train.images[:, 3, 5, 0] % 2).tolist() == splits.train.labels.tolist()


def test_a_class_of_images_that_are_not_read_is_refused(photographs: Path) -> None:
    """It would vanish otherwise; beside images that are read, such a file is named."""
    (photographs / "cat" / "a.heic").write_bytes(b"heic")
    record = load(str(photographs), SHAPE).record
    assert record is not None
    assert record.passed[".heic is not read"] == 1
    (photographs / "yak" / "a.avif").write_bytes(b"avif")
    with pytest.raises(DataError, match=re.escape(f"{photographs}: yak holds no image but such as a.avif")):
        load(str(photographs), SHAPE)


def test_a_name_that_is_not_utf8_is_refused(photographs: Path) -> None:
    """One line, that can be printed."""
    import os

    os.mkdir(os.fsencode(photographs) + b"/h\xe9ron")
    with pytest.raises(DataError, match=re.escape(f"{photographs}: the name h\\xe9ron is not UTF-8. Rename it.")):
        load(str(photographs), SHAPE)


def test_links_are_followed_once(photographs: Path, tmp_path: Path) -> None:
    """A link to a folder elsewhere is read; one to what is read already, or to nothing, is named; a loop ends."""
    elsewhere = (photographs / "owl").rename(tmp_path / "elsewhere")
    (photographs / "owl").symlink_to(elsewhere)
    (photographs / "cat" / "loop").symlink_to(photographs)
    (photographs / "cat" / "gone.png").symlink_to(tmp_path / "nothing")
    (photographs / "cat" / "again.png").symlink_to(photographs / "cat" / "000.png")
    record = load(str(photographs), SHAPE).record
    assert record is not None
    assert sum(part.images for part in record.parts.values()) == 100
    reasons = ["a link that leads nowhere", "a link to a folder that is read already"]
    assert [record.passed[why] for why in reasons] == [1, 1]
    assert record.passed["a link to cat/000.png, which is read already"] == 1


def test_mirroring_is_asked_for(photographs: Path) -> None:
    """Not assumed of any folder."""
    assert not load(str(photographs), SHAPE).train.mirrors
    splits = load(DataSource(data=str(photographs), mirror=True), SHAPE)
    assert splits.train.mirrors
    assert splits.record is not None
    assert splits.record.mirrors_because == "as asked for"


def test_images_of_both_sides_are_counted(tmp_path: Path, write_folder: Write) -> None:
    """A set's own test images that lie in its training set too."""
    write_folder(tmp_path / "train", {"cat": range(0, 100, 2), "owl": range(1, 100, 2)})
    write_folder(tmp_path / "val", {"cat": [200, 202], "owl": [201]})
    write_folder(tmp_path / "test", {"cat": [0, 2, 220], "owl": [221]})
    record = load(str(tmp_path), SHAPE).record
    assert record is not None
    assert record.repeated <= 2
    assert record.parts["validation"].origin == "val"


def test_others_see_names_and_fingerprints_and_no_path(
    photographs: Path, tmp_path: Path, write_folder: Write, bundle: Bundle
) -> None:
    """What an edge tells of its data: they can be recognized, and where they lay on their trainer's machine is kept."""
    aside = write_folder(tmp_path / "kept aside", {"cat": range(100, 104), "owl": range(104, 108)})
    source = DataSource(data=str(photographs), test=str(aside))
    record = load(source, SHAPE).record
    assert record is not None
    assert str(tmp_path) in record.model_dump_json()
    origin = bundle.manifest.origin.model_copy(update={"data": str(photographs), "record": record})
    told = TrainedOn.model_validate_json(origin.told)
    assert str(tmp_path) not in origin.told
    assert (told.data, told.seed) == ("data", origin.seed)
    assert told.record is not None
    assert told.record.source == DataSource(data="data", test="kept aside")
    assert (told.record.parts["test"].origin, told.record.fingerprint) == ("kept aside", record.fingerprint)
    assert TrainedOn.model_validate_json(bundle.manifest.origin.told).data == "digits"
    with pytest.raises(DataError, match=r"^data: no such folder\. Say where the data lie: --data FOLDER"):
        load_as_trained(None, told.data, told.record, SHAPE, seed=told.seed)
    splits, changes = load_as_trained(str(photographs), told.data, told.record, SHAPE, seed=told.seed)
    assert splits.train.classes == ("cat", "owl")
    assert any("not as trained with (data, fingerprint" in line for line in changes)  # its test set is not named now
