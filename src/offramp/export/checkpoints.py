"""Bundles of several checkpoints, one after another: data that several were trained on are read once."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from offramp.artifacts.bundle import Bundle
from offramp.data.image_set import ImageSet
from offramp.data.recorded import load_as_trained
from offramp.errors import ParityError
from offramp.export.write import export
from offramp.models.checkpoint import Checkpoint
from offramp.progress import waiting


def export_checkpoints(
    places: Iterable[tuple[Path, Path]], data: str | None = None, **how: Any
) -> Iterator[tuple[Bundle, list[str]]]:
    """Write a bundle of each checkpoint's folder into the folder beside it; `how` are options of `export`.

    Gives each bundle once it is written, with the summary of its data where they were read for it. `data` stands in for
    where they lay. Raises what `export` raises, a ParityError with the checkpoint's folder.
    """
    read: tuple[object, ...] = ()
    calibration: ImageSet | None = None
    for folder, out in places:
        checkpoint = Checkpoint.open(folder)
        card, notes = checkpoint.card, list[str]()
        wanted = (card.data, card.record, card.takes, card.seed)
        if calibration is None or wanted != read:
            with waiting() as watching:
                splits, notes = load_as_trained(data, *wanted[:3], seed=card.seed, watch=watching.at)
            calibration, read = splits.calibration, wanted
        try:
            bundle = export(checkpoint, out, calibration, **how)
        except ParityError as error:
            raise ParityError(f"{folder}: {error}") from error
        yield bundle, notes
