"""What exits cost, as the text of a table."""

from collections.abc import Iterable

from offramp.artifacts.model_result import ModelResult

NONE = "–"


def costs(models: Iterable[ModelResult], image: int) -> list[tuple[str, ...]]:
    """Give a row an exit, MACs and features as such and as shares: of the whole network's, of an image's `image` bytes.

    An exit costs the same in every model, as only its head is active.
    """
    macs: dict[int, int] = {}
    features: dict[int, int] = {}
    for model in models:
        macs |= model.macs
        features |= model.feature_bytes
    last = max(macs, default=0)
    rows: list[tuple[str, ...]] = []
    for exit_, count in sorted(macs.items()):
        size = features.get(exit_) if exit_ < last else None  # from the last exit nothing goes on
        share = f"{100 * count / macs[last]:.0f} %" if macs[last] else NONE
        crosses = (NONE, NONE) if size is None else (f"{size:,}", f"{size / image:.1f} ×")
        rows.append((str(exit_), f"{count:,}", share, *crosses))
    return rows
