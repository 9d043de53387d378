"""What exits cost, as the text of a table."""

from typing import NamedTuple

from offramp.paper.experiment import Experiment

NONE = "–"


class Cost(NamedTuple):
    """What it takes to leave at an exit, or to go on from there."""

    exit: int
    macs: str
    share: str  # of the whole network's
    features: str  # bytes
    against_image: str


def costs(experiment: Experiment, image: int) -> list[Cost]:
    """Give a row an exit; `image`: bytes of one. An exit costs the same in every model, as only its head is active."""
    macs = {exit_: value for model in experiment.models for exit_, value in model.macs.items()}
    features = {exit_: value for model in experiment.models for exit_, value in model.feature_bytes.items()}
    last = max(macs, default=0)
    rows = []
    for exit_ in sorted(macs):
        size = features.get(exit_) if exit_ < last else None  # from the last exit nothing goes on
        rows.append(
            Cost(
                exit=exit_,
                macs=f"{macs[exit_]:,}",
                share=f"{100 * macs[exit_] / macs[last]:.0f} %" if macs[last] else NONE,
                features=NONE if size is None else f"{size:,}",
                against_image=NONE if size is None else f"{size / image:.1f} ×",
            )
        )
    return rows
