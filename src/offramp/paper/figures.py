"""The paper's Figures 5 to 10 and one picture that sums them up, drawn from the rows of a reproduction.

Each function gives a matplotlib Figure of whatever was measured; what was not is a gap, never a zero. Figures of SEM
and of MEM have the same scales, so that they can be laid side by side. Where `beside` is true, the numbers that the
paper states stand hollow beside ours: of the same data, that is, and of accuracies and shares alone.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

from offramp.artifacts.model_result import ModelResult
from offramp.artifacts.outcome import Over
from offramp.charts.accuracies import Learning, Marks, Reached, over_all_samples, while_training
from offramp.charts.palette import STEPS
from offramp.charts.panels import (
    Curve,
    bars,
    from_zero,
    line,
    mark_lowest,
    marks,
    over_exits,
    percentages,
    write_values,
)
from offramp.charts.sheet import Figure, legend, sheet
from offramp.paper import stated as paper
from offramp.paper.conditions import of_paper
from offramp.paper.families import Family
from offramp.paper.reproduced import FEW, TIERS, bytes_a_sample, percent
from offramp.paper.reproduction import Row
from offramp.paper.view import View, by_exit

IN_PAPER = "stated in the paper"  # in a legend
COLOR = {Family.SEM: "sem", Family.MEM: "mem"}
NAMED = {Family.SEM: "one exit (SEM)", Family.MEM: "many (MEM)"}
MARKER = {Family.SEM: "o", Family.MEM: "s"}
BESIDE = {Family.SEM: -0.21, Family.MEM: 0.21}
TIER_MARKER: dict[Over, str] = {"edge": "o", "cloud": "^", "overall": "o"}
LATENCY = "(C) latency, p50 (ms)"
STEP_MARKERS = ("o", "s", "^", "D", "v")
HOLLOW = f"hollow marker: accuracy over fewer than {FEW} samples"

Rows = dict[int, Row]  # by exit


class Quantity(NamedTuple):
    """What a panel shows over exits: an accuracy of a tier, or something that starts at zero."""

    title: str
    of: Callable[[Row], float | None]
    accuracy_of: Over | None = None
    top: float | None = None
    in_paper: Callable[[Family], dict[int, float]] = lambda _: {}  # what its text states of it, at T = 0.3

    def values(self, rows: Rows) -> dict[int, float | None]:
        """By exit."""
        return {exit_: self.of(row) for exit_, row in rows.items()}

    def few(self, rows: Rows) -> set[int]:
        """The exits at which the value is an accuracy over few samples."""
        return {k for k, row in rows.items() if self.accuracy_of and row.outcome.count(self.accuracy_of) < FEW}


def _accuracy(tier: Over, title: str) -> Quantity:
    def stated(family: Family) -> dict[int, float]:
        return paper.stated(family, paper.ACCURACY[tier])

    return Quantity(title, lambda row: percent(row.outcome.right(tier)), tier, in_paper=stated)


def _latency(tier: Over, title: str) -> Quantity:
    return Quantity(title, lambda row: row.p50(tier))


def _stated_exited(family: Family) -> dict[int, float]:
    return {exit_: 100 - value for exit_, value in paper.stated(family, "forwarded").items()}


def _exited_share(title: str) -> Quantity:
    def share(row: Row) -> float | None:
        return 100 * row.outcome.local / row.outcome.n if row.outcome.n else None

    return Quantity(title, share, top=100, in_paper=_stated_exited)


def tiers(view: View, *, family: Family, beside: bool = False) -> Figure:
    """A family at T = 0.3 over exits: samples exited locally; accuracy and latency of edge, cloud and all."""
    threshold, exits, samples = view.main_threshold, view.local_exits, view.reproduction.test_samples
    rows = by_exit(view, family, threshold)
    every = [by_exit(view, each, threshold) for each in Family]
    compared = beside and threshold == paper.THRESHOLD
    title = f"{family} at T = {threshold:g}: what exits, how right it is, how long it takes"
    with sheet(of_paper(view), title, 1, 3, (9.6, 3.9), note=HOLLOW) as (figure, panels):
        exited = {k: row.outcome.local for k, row in rows.items()}
        over_exits(panels[0], exits, f"(A) exited locally, of {samples:,}")
        bars(panels[0], exited, color="edge", label="_exited")
        write_values(panels[0], exited, "{:,.0f}")
        from_zero(panels[0], [exited], top=1.08 * samples)
        if compared:
            left = {exit_: share * samples / 100 for exit_, share in _stated_exited(family).items()}
            marks(panels[0], left, color="edge", label=IN_PAPER, marker="*")
        for panel, quantity, what in ((panels[1], _accuracy, "(B) accuracy (%)"), (panels[2], _latency, LATENCY)):
            over_exits(panel, exits, what)
            by_tier = {tier: quantity(tier, what) for tier in TIERS}
            for tier, one in by_tier.items():
                line(
                    panel, exits, one.values(rows), color=tier, label=tier, marker=TIER_MARKER[tier],
                    behind=tier == "overall", few=one.few(rows),
                )  # fmt: skip
            for tier, one in by_tier.items():
                marks(panel, one.in_paper(family) if compared else {}, color=tier, label=IN_PAPER, marker="*")
            _scale(panel, list(by_tier.values()), [rows], every, Family if compared else ())
        legend(figure, panels)
    return figure


def every_threshold(view: View, *, family: Family, beside: bool = False) -> Figure:
    """A family at every threshold over exits: samples exited locally, accuracies, overall latency, traffic."""
    own = {step: by_exit(view, family, step) for step in view.thresholds}
    every = [by_exit(view, each, step) for each in Family for step in view.thresholds]
    quantities = (
        _exited_share("samples exited locally (%)"),
        _latency("overall", "overall latency, p50 (ms)"),
        Quantity("bytes to the cloud, a sample", bytes_a_sample),
        *(_accuracy(tier, f"{tier} accuracy (%)") for tier in TIERS),
    )
    with sheet(of_paper(view), f"{family} at every threshold T", 2, 3, (9.6, 6), note=HOLLOW) as (figure, panels):
        for panel, quantity in zip(panels, quantities, strict=True):
            over_exits(panel, view.local_exits, quantity.title)
            for number, (step, rows) in enumerate(own.items()):
                color, marker = STEPS[number % len(STEPS)], STEP_MARKERS[number % len(STEP_MARKERS)]
                line(
                    panel, view.local_exits, quantity.values(rows), color=color, label=f"T = {step:g}", marker=marker,
                    few=quantity.few(rows),
                )  # fmt: skip
                if beside and step == paper.THRESHOLD:
                    marks(panel, quantity.in_paper(family), color=color, label=IN_PAPER, marker="*")
            _scale(panel, [quantity], list(own.values()), every, Family if beside else ())
        legend(figure, panels)
    return figure


figure_5, figure_6 = (partial(tiers, family=family) for family in Family)
figure_7, figure_8 = (partial(every_threshold, family=family) for family in Family)


def figure_9(view: View, *, beside: bool = False) -> Figure:
    """Validation accuracy of each exit over epochs, a panel an exit that was trained: SEM solid, MEM dotted."""
    trained = {family: training_curves(view.models[family]) for family in Family}
    exits = sorted({exit_ for curves in trained.values() for exit_ in curves})
    families = [
        Learning(family, COLOR[family], trained[family], height, f"{family} {{:.1f}}", dotted=family is Family.MEM)
        for family, height in ((Family.SEM, 0.21), (Family.MEM, 0.06))
    ]
    known = [_in_paper(f, paper.stated(f, "all at the local exit")) for f in Family if beside and trained[f]]
    title = "Accuracy of each exit while training (%, validation samples)"
    return while_training(of_paper(view, nodes=False), title, exits, families, known)


def figure_10(view: View, *, beside: bool = False) -> Figure:
    """Accuracy over all test samples: of each local exit as a bar, of the same model's cloud exit as a line."""
    exits, families, known = view.local_exits, [], []
    last = {Family.SEM: paper.SEM_CLOUD, Family.MEM: dict.fromkeys(exits, paper.MEM_CLOUD)}
    for family, models in view.models.items():
        edge, cloud = (
            {k: percent(model.test_accuracy.get(k if local else max(model.exits))) for k, model in models.items()}
            for local in (True, False)
        )
        if models:
            name, color, shift, dotted = f"{family}, cloud exit", COLOR[family], BESIDE[family], family is Family.MEM
            own = f"{family}, local exit"
            families.append(Reached(name, color, MARKER[family], edge, cloud, own, shift, dotted=dotted))
        if models and beside:
            local = _in_paper(family, paper.stated(family, "all at the local exit"))
            known += [_in_paper(family, last[family])._replace(marker="_"), local._replace(shift=BESIDE[family])]
    return over_all_samples(of_paper(view, nodes=False), "accuracy (%)", exits, families, known, width=0.4)


def summary(view: View, *, beside: bool = False) -> Figure:
    """What exits, how right that is and how long an answer takes, SEM against MEM at T = 0.3: for a first screen."""
    threshold = view.main_threshold
    shown = {family: rows for family in Family if (rows := by_exit(view, family, threshold))}
    latency = _latency("overall", "latency of all, p50 (ms)")
    quantities = (_exited_share("answered at the edge (%)"), _accuracy("edge", "of these, correct (%)"), latency)
    title = f"Where to leave the network: {' or '.join(NAMED[family] for family in shown)}, T = {threshold:g}"
    note = HOLLOW if any(quantities[1].few(rows) for rows in shown.values()) else ""
    compared = list(shown) if beside and threshold == paper.THRESHOLD else []
    with sheet(of_paper(view), title, 1, 3, (9, 3.7), note=note) as (figure, panels):
        for panel, quantity in zip(panels, quantities, strict=True):
            over_exits(panel, view.local_exits, quantity.title)
            for family, rows in shown.items():
                line(
                    panel, view.local_exits, quantity.values(rows), color=COLOR[family], label=family,
                    marker=MARKER[family], dotted=family is Family.MEM, few=quantity.few(rows),
                )  # fmt: skip
                if compared:
                    marks(panel, **_in_paper(family, quantity.in_paper(family))._asdict())
            _scale(panel, [quantity], list(shown.values()), shown.values(), compared)
        mark_lowest(panels[2], [latency.values(rows) for rows in shown.values()], "{:.2f} ms")
        legend(figure, panels)
    return figure


class Plate(NamedTuple):
    """A figure as it is published: how it is drawn, and whether a reproduction holds anything of it."""

    draw: Callable[..., Figure]
    holds: Callable[[View], bool]


FIGURES: dict[str, Plate] = {
    "summary": Plate(summary, lambda view: any(by_exit(view, family, view.main_threshold) for family in Family)),
    "figure-5": Plate(figure_5, lambda view: bool(by_exit(view, Family.SEM, view.main_threshold))),
    "figure-6": Plate(figure_6, lambda view: bool(by_exit(view, Family.MEM, view.main_threshold))),
    "figure-7": Plate(figure_7, lambda view: any(at.family is Family.SEM for at in view.rows)),
    "figure-8": Plate(figure_8, lambda view: any(at.family is Family.MEM for at in view.rows)),
    "figure-9": Plate(figure_9, lambda view: any(map(training_curves, view.models.values()))),
    "figure-10": Plate(figure_10, lambda view: any(view.models.values())),
}


def training_curves(models: dict[int, ModelResult]) -> dict[int, dict[int, float]]:
    """Validation accuracy by local exit and epoch, of the exits that have any."""
    curves = {
        exit_: {p.epoch: 100 * p.validation_accuracy[exit_] for p in model.training if exit_ in p.validation_accuracy}
        for exit_, model in models.items()
    }
    return {exit_: curve for exit_, curve in curves.items() if curve}


def _scale(
    panel: Any, of: Sequence[Quantity], own: Sequence[Rows], every: Iterable[Rows], stated: Iterable[Family]
) -> None:
    """Scale a panel of quantities so that all of `every` would fit, and what is stated; it shows `own`."""
    shown = [quantity.values(rows) for quantity in of for rows in own]
    to_fit: list[Curve[int]] = [quantity.values(rows) for rows in every for quantity in of]
    to_fit += [quantity.in_paper(family) for family in stated for quantity in of]
    if of[0].accuracy_of:
        percentages(panel, shown, to_fit)
    else:
        from_zero(panel, shown, to_fit, top=of[0].top)


def _in_paper(family: Family, values: dict[int, float]) -> Marks:
    """A family's numbers from the paper."""
    return Marks(values, COLOR[family], IN_PAPER, "*")
