"""The paper's Figures 5 to 10 and one picture that sums them up, drawn from an experiment.

Each function gives a matplotlib Figure of whatever was measured; what was not is a gap, never a zero. Figures of SEM
and of MEM have the same scales, so that they can be laid side by side. Where `beside` is true, the numbers that the
paper states stand hollow beside ours: of the same data, that is, and of accuracies and shares alone.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from offramp.charts.palette import STEPS
from offramp.charts.panels import (
    IN_PAPER,
    Curve,
    bars,
    from_zero,
    line,
    mark_lowest,
    marks,
    over_epochs,
    over_exits,
    percentages,
    write_in,
    write_values,
)
from offramp.charts.sheet import Figure, legend, sheet
from offramp.paper import stated as paper
from offramp.paper.experiment import Experiment
from offramp.paper.families import Family, local_exits, main_threshold, measured, models, thresholds
from offramp.paper.values import (
    FEW,
    TIERS,
    Found,
    Tier,
    Values,
    accuracy,
    at_all_samples,
    exited,
    exited_share,
    few,
    latency,
    sent,
    training_curves,
)

COLOR = {Family.SEM: "sem", Family.MEM: "mem"}
NAMED = {Family.SEM: "one exit (SEM)", Family.MEM: "many (MEM)"}
MARKER = {Family.SEM: "o", Family.MEM: "s"}
BESIDE = {Family.SEM: -0.21, Family.MEM: 0.21}
TIER_MARKER = {"edge": "o", "cloud": "^", "overall": "o"}
STEP_MARKERS = ("o", "s", "^", "D", "v")
HOLLOW = f"hollow marker: accuracy over fewer than {FEW} samples"


def figure_5(experiment: Experiment, *, beside: bool = False) -> Figure:
    """SEM at T = 0.3 over exits: samples exited locally; accuracy and latency of edge, cloud and all."""
    return _tiers(experiment, Family.SEM, beside=beside)


def figure_6(experiment: Experiment, *, beside: bool = False) -> Figure:
    """MEM at T = 0.3 over exits: samples exited locally; accuracy and latency of edge, cloud and all."""
    return _tiers(experiment, Family.MEM, beside=beside)


def figure_7(experiment: Experiment, *, beside: bool = False) -> Figure:
    """SEM at every threshold over exits: samples exited locally, accuracies, overall latency, traffic."""
    return _thresholds(experiment, Family.SEM, beside=beside)


def figure_8(experiment: Experiment, *, beside: bool = False) -> Figure:
    """MEM at every threshold over exits: samples exited locally, accuracies, overall latency, traffic."""
    return _thresholds(experiment, Family.MEM, beside=beside)


def figure_9(experiment: Experiment, *, beside: bool = False) -> Figure:
    """Validation accuracy of each exit over epochs, a panel an exit that was trained: SEM solid, MEM dotted."""
    trained = {family: training_curves(models(experiment, family)) for family in Family}
    exits = sorted({exit_ for curves in trained.values() for exit_ in curves})
    columns = max(1, min(4, len(exits)))
    rows = max(1, -(-len(exits) // columns))
    title = "Accuracy of each exit while training (%, validation samples)"
    size = (9.6, 1.4 + 1.8 * rows)
    with sheet(experiment, title, rows, columns, size, nodes=False, share_y=True) as (figure, panels):
        panels[0].set_ylim(0, 100)
        for panel in panels[len(exits) :]:
            panel.set_visible(False)
        for number, (panel, exit_) in enumerate(zip(panels, exits, strict=False)):
            panel.set_title(f"exit {exit_}")
            panel.set_xlabel("epoch" if number >= len(exits) - columns else "")
            for family, height in ((Family.SEM, 0.21), (Family.MEM, 0.06)):
                values = trained[family].get(exit_, {})
                if values:
                    over_epochs(panel, values, color=COLOR[family], label=family, dotted=family is Family.MEM)
                    write_in(panel, f"{family} {list(values.values())[-1]:.1f}", COLOR[family], height)
                    known = paper.stated(family, "all at the local exit").get(exit_) if beside else None
                    marks(panel, {} if known is None else {max(values): known}, **_in_paper(family))
        legend(figure, panels)
    return figure


def figure_10(experiment: Experiment, *, beside: bool = False) -> Figure:
    """Accuracy over all test samples: of each local exit as a bar, of the same model's cloud exit as a line."""
    exits = local_exits(experiment)
    found = {family: at_all_samples(models(experiment, family)) for family in Family if models(experiment, family)}
    title = "Accuracy if every test sample were answered at one exit"
    with sheet(experiment, title, 1, 1, (9.6, 4.3), nodes=False) as (figure, panels):
        panel = panels[0]
        local = {family: paper.stated(family, "all at the local exit") if beside else {} for family in found}
        last = {Family.SEM: paper.SEM_CLOUD, Family.MEM: dict.fromkeys(exits, paper.MEM_CLOUD)} if beside else {}
        start = percentages(panel, [*(values for pair in found.values() for values in pair), *local.values()])
        over_exits(panel, exits, "accuracy (%)" + (f"; the axis starts at {start:.0f}" if start else ""))
        for family, (edge, cloud) in found.items():
            color, shift, dotted = COLOR[family], BESIDE[family], family is Family.MEM
            bars(panel, edge, color=color, label=f"{family}, local exit", shift=shift, width=0.4, alpha=0.45)
            write_values(panel, edge, "{:.1f}", shift=shift, at=start)
            line(panel, exits, cloud, color=color, label=f"{family}, cloud exit", marker=MARKER[family], dotted=dotted)
            marks(panel, last.get(family, {}), **(_in_paper(family) | {"marker": "_"}))
            marks(panel, local[family], shift=shift, **_in_paper(family))
        legend(figure, panels)
    return figure


def summary(experiment: Experiment, *, beside: bool = False) -> Figure:
    """What exits, how right that is and how long an answer takes, SEM against MEM at T = 0.3: for a first screen."""
    threshold, exits = main_threshold(experiment), local_exits(experiment)
    found = {family: at for family in Family if (at := measured(experiment, family, threshold))}
    quantities = (
        Quantity("answered at the edge (%)", exited_share, top=100, in_paper=_stated_exited),
        Quantity("of these, correct (%)", lambda at: accuracy(at, "edge"), "edge", in_paper=_stated("edge")),
        Quantity("latency of all, p50 (ms)", lambda at: latency(at, "overall")),
    )
    title = f"Where to leave the network: {' or '.join(NAMED[family] for family in found)}, T = {threshold:g}"
    note = HOLLOW if any(few(at, "edge") for at in found.values()) else ""
    compared = beside and threshold == paper.THRESHOLD
    with sheet(experiment, title, 1, 3, (9, 3.7), note=note) as (figure, panels):
        for panel, quantity in zip(panels, quantities, strict=True):
            over_exits(panel, exits, quantity.title)
            for family, at in found.items():
                line(
                    panel, exits, quantity.values(at), color=COLOR[family], label=family, marker=MARKER[family],
                    dotted=family is Family.MEM, few=quantity.few(at),
                )  # fmt: skip
                if compared:
                    marks(panel, quantity.in_paper(family), **_in_paper(family))
            stated = [quantity.in_paper(family) for family in found] if compared else []
            quantity.scale(panel, list(found.values()), list(found.values()), stated)
        mark_lowest(panels[2], [latency(at, "overall") for at in found.values()], "{:.2f} ms")
        legend(figure, panels)
    return figure


class Quantity(NamedTuple):
    """What a panel shows over exits: an accuracy of a tier, or something that starts at zero."""

    title: str
    values: Callable[[Found], Values]
    accuracy_of: Tier | None = None
    top: float | None = None
    in_paper: Callable[[Family], dict[int, float]] = lambda _: {}  # what its text states of it, at T = 0.3

    def few(self, found: Found) -> set[int]:
        """The exits at which the value is an accuracy over few samples."""
        return few(found, self.accuracy_of) if self.accuracy_of else set()

    def scale(self, panel: Any, own: list[Found], every: list[Found], stated: Sequence[dict[int, float]] = ()) -> None:
        """Scale the panel so that all of `every` and of `stated` would fit, though it shows `own`."""
        shown = [self.values(at) for at in own]
        all_of: list[Curve[int]] = [*map(self.values, every), *stated]
        if self.accuracy_of:
            percentages(panel, shown, all_of)
        else:
            from_zero(panel, shown, all_of, top=self.top)


class Plate(NamedTuple):
    """A figure as it is published: how it is drawn, and whether an experiment holds anything of it."""

    draw: Callable[..., Figure]
    holds: Callable[[Experiment], bool]


FIGURES: dict[str, Plate] = {
    "summary": Plate(summary, lambda e: any(measured(e, family, main_threshold(e)) for family in Family)),
    "figure-5": Plate(figure_5, lambda e: bool(measured(e, Family.SEM, main_threshold(e)))),
    "figure-6": Plate(figure_6, lambda e: bool(measured(e, Family.MEM, main_threshold(e)))),
    "figure-7": Plate(figure_7, lambda e: _measured(e, Family.SEM)),
    "figure-8": Plate(figure_8, lambda e: _measured(e, Family.MEM)),
    "figure-9": Plate(figure_9, lambda e: any(training_curves(models(e, family)) for family in Family)),
    "figure-10": Plate(figure_10, lambda e: any(models(e, family) for family in Family)),
}


def _measured(experiment: Experiment, family: Family) -> bool:
    return any(measured(experiment, family, threshold) for threshold in thresholds(experiment))


def _tiers(experiment: Experiment, family: Family, *, beside: bool) -> Figure:
    threshold, exits = main_threshold(experiment), local_exits(experiment)
    found = measured(experiment, family, threshold)
    every = [measured(experiment, each, threshold) for each in Family]
    compared = beside and threshold == paper.THRESHOLD
    title = f"{family} at T = {threshold:g}: what exits, how right it is, how long it takes"
    with sheet(experiment, title, 1, 3, (9.6, 3.9), note=HOLLOW) as (figure, panels):
        over_exits(panels[0], exits, f"(A) exited locally, of {experiment.test_samples:,}")
        bars(panels[0], exited(found), color="edge", label="_exited")
        write_values(panels[0], exited(found), "{:,.0f}")
        from_zero(panels[0], [exited(found)], top=1.08 * experiment.test_samples)
        over_exits(panels[1], exits, "(B) accuracy (%)")
        over_exits(panels[2], exits, "(C) latency, p50 (ms)")
        stated = [_stated(tier)(each) for tier in TIERS for each in Family] if compared else []
        for tier in TIERS:
            marker, behind, how_right = TIER_MARKER[tier], tier == "overall", accuracy(found, tier)
            hollow = few(found, tier)
            line(panels[1], exits, how_right, color=tier, label=tier, marker=marker, behind=behind, few=hollow)
            line(panels[2], exits, latency(found, tier), color=tier, label=tier, marker=marker, behind=behind)
        if compared:
            whole = experiment.test_samples / 100
            left = {exit_: share * whole for exit_, share in _stated_exited(family).items()}
            marks(panels[0], left, color="edge", label=IN_PAPER, marker="*")
            for tier in TIERS:
                marks(panels[1], _stated(tier)(family), color=tier, label=IN_PAPER, marker="*")
        scale: list[Curve[int]] = [*(accuracy(at, tier) for at in every for tier in TIERS), *stated]
        percentages(panels[1], [accuracy(found, tier) for tier in TIERS], scale)
        scale = [latency(at, tier) for at in every for tier in TIERS]
        from_zero(panels[2], [latency(found, tier) for tier in TIERS], scale)
        legend(figure, panels)
    return figure


def _thresholds(experiment: Experiment, family: Family, *, beside: bool) -> Figure:
    exits, steps = local_exits(experiment), thresholds(experiment)
    own = [measured(experiment, family, step) for step in steps]
    every = [measured(experiment, each, step) for each in Family for step in steps]
    quantities = (
        Quantity("samples exited locally (%)", exited_share, top=100, in_paper=_stated_exited),
        Quantity("overall latency, p50 (ms)", lambda at: latency(at, "overall")),
        Quantity("bytes to the cloud, a sample", sent),
        Quantity("edge accuracy (%)", lambda at: accuracy(at, "edge"), "edge", in_paper=_stated("edge")),
        Quantity("cloud accuracy (%)", lambda at: accuracy(at, "cloud"), "cloud", in_paper=_stated("cloud")),
        Quantity("overall accuracy (%)", lambda at: accuracy(at, "overall"), "overall", in_paper=_stated("overall")),
    )
    with sheet(experiment, f"{family} at every threshold T", 2, 3, (9.6, 6), note=HOLLOW) as (figure, panels):
        for panel, quantity in zip(panels, quantities, strict=True):
            over_exits(panel, exits, quantity.title)
            for number, (step, at) in enumerate(zip(steps, own, strict=True)):
                color, marker = STEPS[number % len(STEPS)], STEP_MARKERS[number % len(STEP_MARKERS)]
                line(
                    panel, exits, quantity.values(at), color=color, label=f"T = {step:g}", marker=marker,
                    few=quantity.few(at),
                )  # fmt: skip
                if beside and step == paper.THRESHOLD:
                    marks(panel, quantity.in_paper(family), color=color, label=IN_PAPER, marker="*")
            stated = [quantity.in_paper(each) for each in Family] if beside else []
            quantity.scale(panel, own, every, stated)
        legend(figure, panels)
    return figure


def _stated(tier: Tier) -> Callable[[Family], dict[int, float]]:
    quantities: dict[Tier, paper.Quantity] = {
        "edge": "edge accuracy", "cloud": "cloud accuracy", "overall": "overall accuracy",
    }  # fmt: skip
    return lambda family: paper.stated(family, quantities[tier])


def _stated_exited(family: Family) -> dict[int, float]:
    return {exit_: 100 - value for exit_, value in paper.stated(family, "forwarded").items()}


def _in_paper(family: Family) -> dict[str, Any]:
    """How a family's numbers from the paper are marked."""
    return {"color": COLOR[family], "label": IN_PAPER, "marker": "*"}
