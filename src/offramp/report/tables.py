"""The report's tables as text, cell by cell: the paper's measures by model, exit and threshold; and what exits cost."""

from typing import NamedTuple

from offramp.artifacts.experiment import Experiment
from offramp.artifacts.measurement import Measurement
from offramp.models.architecture import PRESETS
from offramp.report.families import as_in_the_paper, label, thresholds
from offramp.report.values import TIERS, p50, percent

NONE = "–"  # no sample was answered there


class Row(NamedTuple):
    """One measurement."""

    model: str
    exit: int
    exited: str
    accuracy: tuple[str, ...]  # edge, cloud, overall, in %
    latency: tuple[str, ...]  # the same, p50 in ms
    bytes: str  # to the cloud, a forwarded sample
    remarks: str
    starts_group: bool  # of models, SEM or MEM
    most_accurate: bool  # overall, in its table
    fastest: bool


class ThresholdTable(NamedTuple):
    """All measurements at one threshold."""

    threshold: str
    n: str
    rows: tuple[Row, ...]


class Cost(NamedTuple):
    """What it takes to leave at an exit, or to go on from there."""

    exit: int
    macs: str
    share: str  # of the whole network's
    features: str  # bytes
    against_image: str


def threshold_tables(experiment: Experiment) -> list[ThresholdTable]:
    """Give a table a threshold, in the order in which the experiment measured."""
    tables = []
    for threshold in thresholds(experiment):
        found = [m for m in experiment.measurements if m.threshold == threshold]
        best = max((m.overall_accuracy for m in found if m.overall_accuracy is not None), default=None)
        lowest = min((time for m in found if (time := p50(m, "overall")) is not None), default=None)
        rows = []
        for position, m in enumerate(found):
            rows.append(
                Row(
                    model=label(m.model),
                    exit=m.exit,
                    exited=f"{m.exited_locally:,}",
                    accuracy=tuple(_number(percent(getattr(m, f"{tier}_accuracy"))) for tier in TIERS),
                    latency=tuple(_number(p50(m, tier)) for tier in TIERS),
                    bytes=f"{m.bytes_to_cloud / m.forwarded:,.0f}" if m.forwarded else NONE,
                    remarks=_remarks(m),
                    starts_group=position > 0 and m.exit <= found[position - 1].exit,
                    most_accurate=best is not None and m.overall_accuracy == best,
                    fastest=lowest is not None and p50(m, "overall") == lowest,
                )
            )
        tables.append(ThresholdTable(f"{threshold:g}", " / ".join(sorted({f"{m.n:,}" for m in found})), tuple(rows)))
    return tables


def image_bytes(experiment: Experiment) -> int | None:
    """Size of one image as the network takes it, a byte a value; None where the preset is not known here."""
    sizes = PRESETS.get(experiment.preset)
    return None if sizes is None else sizes.channels * sizes.size * sizes.size


def costs(experiment: Experiment, image: int | None) -> list[Cost]:
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
                against_image=NONE if size is None or not image else f"{size / image:.1f} ×",
            )
        )
    return rows


def _remarks(m: Measurement) -> str:
    remarks = [f"{m.degraded:,} degraded"] * bool(m.degraded) + [f"{m.dropped:,} dropped"] * bool(m.dropped)
    return ", ".join(remarks + [f"cut at {m.cut}, {m.codec}"] * (not as_in_the_paper(m)))


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"
