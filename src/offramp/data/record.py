"""The record of a load: counts, origins and fingerprints of its parts."""

import hashlib
from collections import Counter

import numpy as np

from offramp.artifacts.data_record import DataRecord, DataSource, PartRecord, SplitRule
from offramp.artifacts.preprocessing import ReadAs
from offramp.data.image_set import SPLITS, ImageSet, Splits
from offramp.data.split_names import PartName

SKETCH = 256  # digests of what is learnt from that are kept: any folder that holds a share of them shows some
SHOWN = 3  # of what was passed over, for each reason


def record(
    splits: Splits,
    asked: DataSource,
    rule: SplitRule,
    read_as: ReadAs,
    origins: dict[PartName, str],
    passed: dict[str, str],
    because: str,
) -> DataRecord:
    """Say what splits hold and where they come from."""
    pool = origins.get("train", ".")
    cut = {"position": "position", "content": f"the {splits.train.noun}' content"}[rule.by]
    parts = {}
    for name in SPLITS:
        own = origins.get(name) if name in ("validation", "test") else None
        origin = own or (pool if name == "train" else f"{pool}, cut by {cut}")
        images = splits.part(name)
        counts = np.bincount(images.labels, minlength=len(images.classes)).tolist()
        classes = dict(zip(images.classes, counts, strict=True))
        parts[name] = PartRecord(origin=origin, classes=classes, fingerprint=fingerprint(images))
    learnt = np.concatenate([splits.train.content(), splits.calibration.content()])
    held = np.concatenate([splits.validation.content(), splits.test.content()])
    by_reason: dict[str, list[str]] = {}
    for name_, why in sorted(passed.items()):
        by_reason.setdefault(why.split(": ")[0], []).append(name_)
    return DataRecord(
        source=asked,
        rule=rule,
        reading=read_as,
        mirrors=splits.train.mirrors,
        holds=splits.train.noun,
        mirrors_because=because,
        parts=parts,
        learnt=tuple(f"{digest:016x}" for digest in np.unique(splits.train.content())[:SKETCH]),
        repeated=int(np.isin(held, learnt).sum()),
        passed=Counter({why: len(names) for why, names in by_reason.items()}),
        examples={why: tuple(names[:SHOWN]) for why, names in by_reason.items()},
    )


def fingerprint(images: ImageSet) -> str:
    """16 hexadecimal digits over images and labels, in whatever order they come."""
    rows = np.stack([images.content(), images.labels.astype(np.uint64)], axis=1)
    return hashlib.sha256(rows[np.lexsort(rows.T)].tobytes()).hexdigest()[:16]
