"""Read again what a network was trained on, by the rule that it was split by; and say what is not as it was."""

from pathlib import Path

import numpy as np

from offramp.artifacts.data_record import HUB, POSITION, DataRecord, DataSource
from offramp.artifacts.inputs import Input
from offramp.artifacts.preprocessing import Preprocessing
from offramp.data.image_set import ImageSet, Splits
from offramp.data.load import load
from offramp.errors import DataError
from offramp.progress import Watch, unwatched


def load_as_trained(
    data: str | None,
    trained_on: str,
    record: DataRecord | None,
    takes: tuple[int, int, int] | Input,
    *,
    seed: int,
    split: str = "calibration",
    watch: Watch = unwatched,
) -> tuple[Splits, list[str]]:
    """Read `data`, or what a network was trained on, split as its record says; and the summary with what is new.

    Raises DataError where the `split` that is asked for would be images that the network learnt from, unless that is
    what it is called.
    """
    source = record.source if record else DataSource(data=trained_on)
    if data is not None and data != source.data:
        source = source.model_copy(update={"data": data, "validation": None, "test": None})
    if source.data != "digits" and not source.data.startswith(HUB) and not Path(source.data).exists():
        here = "" if source.data == trained_on else f" The network was trained on {trained_on}."
        what = "folder" if isinstance(takes, tuple | Preprocessing) else "folder or file"
        raise DataError(f"{source.data}: no such {what}.{here} Say where the data lie: --data FOLDER")
    rule = record.rule if record else None if source.data == "digits" else POSITION
    read_as = record.read_as if record else "plain"
    classes = tuple(record.parts["train"].classes) if record else None
    splits = load(source, takes, seed=seed, rule=rule, classes=classes, read_as=read_as, watch=watch)
    now = splits.record
    if now is None:
        return splits, []
    if record is not None and split in ("validation", "calibration", "test"):
        _check_unlearnt(record, now, splits.part(split), split)
    return splits, [*now.lines(), *_changes(record, now)]


def _check_unlearnt(record: DataRecord, now: DataRecord, images: ImageSet, split: str) -> None:
    """Raise a DataError where images of a split are among those learnt from: more than were when it was trained."""
    if now.parts[split].fingerprint == record.parts[split].fingerprint:
        return
    learnt = np.array([int(digest, 16) for digest in record.learnt], np.uint64)
    known = int(np.isin(images.content(), learnt).sum())
    if known > record.repeated:
        raise DataError(
            f"{now.source.data}: of its {len(images)} {split} {images.noun} at least {known} are those that the "
            f"network was trained on ({record.source.data}). Ask for --split train, or give other data."
        )


def _changes(record: DataRecord | None, now: DataRecord) -> list[str]:
    """What is not as it was trained with, a line each."""
    if record is None or record.fingerprint == now.fingerprint:
        return []
    said = [f"  not as trained with ({record.source.data}, fingerprint {record.fingerprint}):"]
    for name, part in now.parts.items():
        was = record.parts[name]
        if was.fingerprint != part.fingerprint:
            said.append(f"    {name}: {part.images} {now.holds}, {part.images - was.images:+d}; other content")
    return said
