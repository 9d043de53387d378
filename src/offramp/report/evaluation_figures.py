"""What is drawn of predictions: risk against coverage of every exit, and the classes as one plan answers them."""

import numpy as np

from offramp.artifacts.predictions import Predictions
from offramp.charts.by_class import Shares, confusion_matrix, shares_by_class
from offramp.charts.coverage import Surest, risk_and_coverage
from offramp.charts.palette import exit_color
from offramp.charts.sheet import Figure
from offramp.exits.classes import ByClass, Counts
from offramp.exits.coverage import coverage
from offramp.exits.sampling import wilson
from offramp.report.evaluation_words import evaluation_conditions

SHOWN = 40  # classes that a drawing has room for; the table has all


def evaluation_figures(
    predictions: Predictions, counted: ByClass, score: str, whose: str, *, local: bool
) -> dict[str, Figure]:
    """Draw risk against coverage of every exit by a score, and the classes; `local`: what left before the cloud too."""
    names, shown = predictions.header.classes, counted.worst(SHOWN)
    note = f"the {len(shown)} classes with the most errors, of {len(names)}" if len(shown) < len(names) else ""
    short, matrix = [names[k] for k in shown], counted.confusion[np.ix_(shown, shown)]
    beyond = int(counted.n[shown].sum() - matrix.sum())
    outside = f"{note}; {beyond:,} of their {counted.n[shown].sum():,} samples taken for others" if note else ""
    conditions = list(evaluation_conditions(predictions).values())
    groups = [_bars("right", "cloud", counted.right[shown], counted.n[shown], ranges=True)]
    if local:
        groups.append(_bars("answered at the edge", "edge", counted.local[shown], counted.n[shown]))
    return {
        "coverage": risk_and_coverage(
            conditions, "Risk against coverage", [_surest(predictions, k, score) for k in predictions.header.exits],
            score=score,
        ),
        "confusion": confusion_matrix(
            conditions, f"What each class was taken for: {whose}", short, matrix.tolist(),
            counted.n[shown].tolist(), note=outside,
        ),
        "classes": shares_by_class(conditions, f"Classes: {whose}", short, groups, note=note),
    }  # fmt: skip


def _surest(predictions: Predictions, exit_: int, score: str) -> Surest:
    curve = coverage(predictions, exit_, score)
    end = exit_ == predictions.last
    label, color = (f"exit {exit_}, the end", "ink") if end else (f"exit {exit_}", exit_color(exit_))
    return Surest(label, color, curve.threshold.tolist(), (100 * curve.share).tolist(), (100 * curve.risk).tolist())


def _bars(label: str, color: str, part: Counts, of: Counts, *, ranges: bool = False) -> Shares:
    known = [(place, int(a), int(n)) for place, (a, n) in enumerate(zip(part, of, strict=True)) if n]
    ends = {place: wilson(a / n, n) for place, a, n in known if ranges}
    between = {place: (100 * low, 100 * high) for place, (low, high) in ends.items()}
    return Shares(label, color, {place: 100 * a / n for place, a, n in known}, between)
