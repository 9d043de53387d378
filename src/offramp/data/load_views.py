"""From what a user names as data to splits of several views: made of an image set, of a folder, or of tables."""

from pathlib import Path

from offramp.data.image_set import SPLITS, Splits
from offramp.data.listing import list_files
from offramp.data.load import load
from offramp.data.made_views import CIFAR10, DIGITS, SEED, Eye, made_views
from offramp.data.parquet import parquet_files
from offramp.data.reading import READING
from offramp.data.view_folder import view_folder
from offramp.data.view_set import ViewSplits, one_after_another, split_views
from offramp.data.view_tables import view_tables
from offramp.errors import DataError
from offramp.progress import Watch, unwatched

SIZE = (3, 32, 32)  # channels, height and width to which photographs are brought unless told otherwise


def load_views(
    source: str, *, seed: int = 0, size: tuple[int, int, int] = SIZE, train: int | None = None, test: int | None = None,
    looks: int = 1, watch: Watch = unwatched,
) -> ViewSplits:  # fmt: skip
    """Read samples with several views and split them, the same for the same seed.

    `digits` and a folder of parquet files (CIFAR-10) give made views (`data.made_views`) of six devices; a folder of
    CSV files a vector a file (`data.view_tables`); another folder photographs `class/sample/view-1.png`, brought to
    `size`. `train` and `test` are how many samples at most are taken of these parts, the first ones. Where views are
    made, the devices look `looks` times at each training sample: shake, noise, occluder and sight are drawn anew.
    """
    if source == "digits":
        return _made(load(source, (1, 16, 16), seed=seed), DIGITS, train, test, looks)
    folder = Path(source)
    if not folder.is_dir():
        raise DataError(
            f"{source}: no such folder. Give 'digits', a folder of parquet files, of CSV files (a view each), or of "
            "photographs as class/sample/view-1.png."
        )
    listing = list_files(folder)
    if parquet_files(listing):
        return _made(load(source, SIZE, seed=seed, watch=watch), CIFAR10, train, test, looks)
    if any(path.suffix == ".csv" for path in listing.files):
        found = split_views(view_tables(folder), None, seed)
    else:
        channels, height, width = size
        found = split_views(*view_folder(folder, height, width, channels, how=READING), seed)
    return ViewSplits(found.train.rows(slice(train)), found.validation, found.calibration, found.test.rows(slice(test)))


def _made(splits: Splits, eyes: dict[str, Eye], train: int | None, test: int | None, looks: int) -> ViewSplits:
    most = {"train": train, "test": test}
    parts = {name: splits.part(name).rows(slice(most.get(name))) for name in SPLITS}
    made = {name: made_views(part, eyes, SEED) for name, part in parts.items()}
    more = [made_views(parts["train"], eyes, SEED + look) for look in range(1, looks)]
    return ViewSplits(**made | {"train": one_after_another([made["train"], *more])})
