"""The paper's Figures 5 to 10 and one picture that sums them up, drawn from an experiment.

Each function gives a matplotlib Figure of whatever was measured; what was not is a gap, never a zero. Figures of SEM and
of MEM have the same scales, so that they can be laid side by side.
"""

from collections.abc import Callable
from pathlib import Path

from offramp.artifacts.document import write_bytes
from offramp.artifacts.experiment import Experiment
from offramp.artifacts.measurement import Measurement
from offramp.report.families import Family, local_exits, main_threshold, measured, models, thresholds
from offramp.report.palette import STEPS
from offramp.report.panels import (
    Values,
    bars,
    from_zero,
    line,
    over_exits,
    over_steps,
    percentages,
    write_at,
    write_in,
)
from offramp.report.sheet import Figure, as_png, as_svg, legend, sheet
from offramp.report.values import TIERS, accuracy, at_all_samples, exited, exited_share, few, latency

COLOR = {Family.SEM: "sem", Family.MEM: "mem"}
MARKER = {Family.SEM: "o", Family.MEM: "s"}
TIER_MARKER = {"edge": "o", "cloud": "^", "overall": "s"}
STEP_MARKERS = ("o", "s", "^", "D", "v")


def figure_5(experiment: Experiment) -> Figure:
    """SEM at T = 0.3 over exits: samples exited locally; accuracy and latency of edge, cloud and all."""
    return _tiers(experiment, Family.SEM)


def figure_6(experiment: Experiment) -> Figure:
    """MEM at T = 0.3 over exits: samples exited locally; accuracy and latency of edge, cloud and all."""
    return _tiers(experiment, Family.MEM)


def figure_7(experiment: Experiment) -> Figure:
    """SEM at every threshold over exits: samples exited locally, accuracies, overall latency."""
    return _thresholds(experiment, Family.SEM)


def figure_8(experiment: Experiment) -> Figure:
    """MEM at every threshold over exits: samples exited locally, accuracies, overall latency."""
    return _thresholds(experiment, Family.MEM)


def figure_9(experiment: Experiment) -> Figure:
    """Validation accuracy of each exit over epochs, a panel an exit: SEM solid, MEM dotted."""
    exits = local_exits(experiment)
    columns = max(1, min(4, len(exits)))
    rows = max(1, -(-len(exits) // columns))
    size = (9.6, 1.5 + 1.9 * rows)
    with sheet(experiment, "Accuracy of each exit while training", rows, columns, size, share_y=True) as (fig, panels):
        for number, panel in enumerate(panels):
            if number >= len(exits):
                panel.set_visible(False)
                continue
            exit_ = exits[number]
            panel.set_title(f"exit {exit_}" + " (validation, %)" * (number == 0))
            panel.set_xlabel("epoch" if number >= len(exits) - columns else "")
            for height, family in ((0.22, Family.SEM), (0.08, Family.MEM)):
                model = models(experiment, family).get(exit_)
                points = [] if model is None else [p for p in model.training if exit_ in p.validation_accuracy]
                values = {p.epoch: 100 * p.validation_accuracy[exit_] for p in points}
                over_steps(panel, values, color=COLOR[family], label=family, dotted=family is Family.MEM)
                if values:
                    write_in(panel, f"{family} {list(values.values())[-1]:.1f}", COLOR[family], height)
        legend(fig, panels)
    return fig


def figure_10(experiment: Experiment) -> Figure:
    """Accuracy over all test samples: of each local exit as bars, of the same model's cloud exit as a line."""
    exits = local_exits(experiment)
    edge: dict[Family, Values] = {}
    cloud: dict[Family, Values] = {}
    for family in Family:
        edge[family], cloud[family] = at_all_samples(models(experiment, family))
    with sheet(experiment, "Every test sample at every exit", 1, 1, (9.6, 4.4)) as (fig, panels):
        over_exits(panels[0], exits, "accuracy (%): bars at the exit, lines at the same model's cloud exit")
        for family, shift in ((Family.SEM, -0.21), (Family.MEM, 0.21)):
            bars(panels[0], edge[family], color=COLOR[family], label=f"{family} edge", shift=shift, width=0.4, alpha=0.4)
        for family in Family:
            line(
                panels[0], exits, cloud[family], color=COLOR[family], label=f"{family} cloud", marker=MARKER[family],
                dotted=family is Family.MEM,
            )  # fmt: skip
        start = percentages(panels[0], [*edge.values(), *cloud.values()])
        for family, shift in ((Family.SEM, -0.21), (Family.MEM, 0.21)):
            write_at(panels[0], edge[family], "{:.1f}", shift=shift, base=start)
        legend(fig, panels)
    return fig


def summary(experiment: Experiment) -> Figure:
    """What exits, how right it is and how long an answer takes, SEM against MEM at T = 0.3: for a first screen."""
    threshold, exits = main_threshold(experiment), local_exits(experiment)
    by_family = {family: measured(experiment, family, threshold) for family in Family}
    shares = {family: exited_share(found) for family, found in by_family.items()}
    right = {family: accuracy(found, "edge") for family, found in by_family.items()}
    times = {family: latency(found, "overall") for family, found in by_family.items()}
    title = f"Answered at the edge: one exit (SEM) or many (MEM), T = {threshold:g}"
    with sheet(experiment, title, 1, 3, (9, 3.75)) as (fig, panels):
        titles = ("samples that exit (%)", "of these, right (%)", "latency of all, p50 (ms)")
        for panel, name, curves in zip(panels, titles, (shares, right, times), strict=True):
            over_exits(panel, exits, name)
            for family in Family:
                line(
                    panel, exits, curves[family], color=COLOR[family], label=family, marker=MARKER[family],
                    dotted=family is Family.MEM, few=few(by_family[family], "edge") if curves is right else (),
                )  # fmt: skip
        from_zero(panels[0], shares.values(), top=100)
        percentages(panels[1], right.values())
        from_zero(panels[2], times.values())
        legend(fig, panels)
    return fig


def _tiers(experiment: Experiment, family: Family) -> Figure:
    threshold, exits = main_threshold(experiment), local_exits(experiment)
    both = [measured(experiment, each, threshold) for each in Family]
    found = measured(experiment, family, threshold)
    title = f"{family} at T = {threshold:g}: what exits, how right it is, how long it takes"
    with sheet(experiment, title, 1, 3, (9.6, 4)) as (fig, panels):
        over_exits(panels[0], exits, "A  samples exited locally")
        bars(panels[0], exited(found), color="edge", label="_exited")
        write_at(panels[0], exited(found), "{:,.0f}")
        over_exits(panels[1], exits, "B  accuracy (%)")
        over_exits(panels[2], exits, "C  latency, p50 (ms)")
        for tier in TIERS:
            color, marker = tier, TIER_MARKER[tier]
            few_at = few(found, tier)
            line(panels[1], exits, accuracy(found, tier), color=color, label=tier, marker=marker, few=few_at)
            line(panels[2], exits, latency(found, tier), color=color, label=tier, marker=marker)
        from_zero(panels[0], [exited(found)], top=experiment.test_samples)
        percentages(panels[1], [accuracy(each, tier) for each in both for tier in TIERS], shown=found)
        from_zero(panels[2], [latency(each, tier) for each in both for tier in TIERS], shown=found)
        legend(fig, panels[1:])
    return fig


def _thresholds(experiment: Experiment, family: Family) -> Figure:
    exits, steps = local_exits(experiment), thresholds(experiment)
    every = [measured(experiment, each, step) for each in Family for step in steps]
    found = {step: measured(experiment, family, step) for step in steps}
    title = f"{family}: a higher threshold T lets more samples exit"
    with sheet(experiment, title, 2, 3, (9.6, 6.2)) as (fig, panels):
        share, overall, time, edge, cloud, spare = panels
        spare.set_visible(False)
        drawn: list[tuple[object, str, Callable[[dict[int, Measurement]], Values]]] = [
            (share, "A  samples exited locally (%)", exited_share),
            (overall, "B  overall accuracy (%)", lambda at: accuracy(at, "overall")),
            (time, "C  overall latency, p50 (ms)", lambda at: latency(at, "overall")),
            (edge, "B  edge accuracy (%)", lambda at: accuracy(at, "edge")),
            (cloud, "B  cloud accuracy (%)", lambda at: accuracy(at, "cloud")),
        ]
        for panel, name, value in drawn:
            over_exits(panel, exits, name)
            for number, step in enumerate(steps):
                color, marker = STEPS[number % len(STEPS)], STEP_MARKERS[number % len(STEP_MARKERS)]
                line(panel, exits, value(found[step]), color=color, label=f"T = {step:g}", marker=marker)
    return fig
