"""The paper's Figures 9 and 10 from a suite, the paper's own numbers beside ours; and the multi-exit frontier.

Lines and bars are means over seeds; whiskers reach from the lowest seed to the highest. What was not trained is a gap.
"""

from collections.abc import Callable

from offramp.artifacts.macs import macs_until
from offramp.artifacts.suite import Suite
from offramp.charts.palette import STEPS, light
from offramp.charts.panels import (
    OVER_EDGE,
    PAPER,
    bars,
    line,
    marks,
    over_epochs,
    over_exits,
    percentages,
    whiskers,
    write_in,
)
from offramp.charts.sheet import Figure, legend, sheet
from offramp.data.parquet import CIFAR10_CLASSES
from offramp.exits.frontier import Point
from offramp.paper import stated as paper
from offramp.paper.values import Values
from offramp.report.seeds import (
    Spreads,
    baseline,
    curves,
    local_exits,
    many,
    mem_edge,
    regimes,
    runs,
    sem,
    sem_cloud,
    sem_edge,
    shown,
)
from offramp.report.suite_words import suite_in_short

COLUMNS = 4  # of the legend
MARKERS = ("s", "^", "D", "v", "P", "X")


def figure_9(suite: Suite) -> Figure:
    """Validation accuracy of each exit over epochs, a panel an exit: SEM solid, MEM dotted, a colour a regime."""
    exits = local_exits(suite)
    columns = max(1, min(4, len(exits)))
    rows = max(1, -(-len(exits) // columns))
    title = "Accuracy of each exit while training (%, validation samples, mean over seeds)"
    lines = _rows(1 + len(shown(suite)) + 2 * comparable(suite))
    size = (9.6, 1.4 + 1.8 * rows + 0.34 * (lines - 1))
    with sheet(
        suite_in_short(suite), title, rows, columns, size, share_y=True, legend_rows=lines, note=_note(suite)
    ) as (figure, panels):
        panels[0].set_ylim(0, 100)
        for panel in panels[len(exits) :]:
            panel.set_visible(False)
        for number, (panel, exit_) in enumerate(zip(panels, exits, strict=False)):
            panel.set_title(f"exit {exit_}")
            panel.set_xlabel("epoch" if number >= len(exits) - columns else "")
            drawn = [("SEM", "sem", curves(suite, sem(exit_), baseline(suite), exit_))]
            name = many(suite)
            for color, regime in zip(_colors(suite), shown(suite), strict=True):
                assert name is not None
                drawn.append((f"MEM {regime}", color, curves(suite, name, regime, exit_)))
            height = 0.06
            for label, color, values in reversed(drawn):
                if values:
                    over_epochs(panel, values, color=color, label=label, dotted=label != "SEM")
                    write_in(panel, f"{list(values.values())[-1]:.1f}", color, height)
                    height += 0.11
            end = max((max(values) for _, _, values in drawn if values), default=1)
            if comparable(suite):
                for found, color, label in (
                    (paper.SEM_EDGE, "sem", "SEM, paper"),
                    (paper.MEM_EDGE, "mem", "MEM, paper"),
                ):
                    marks(panel, {end: found[exit_]} if exit_ in found else {}, color=color, label=label)
        legend(figure, panels, COLUMNS)
    return figure


def figure_10(suite: Suite) -> Figure:
    """Accuracy over all test samples: local exits as bars, cloud exits as lines, the paper's as hollow marks."""
    exits, first = local_exits(suite), baseline(suite)
    families = [("SEM", "sem", sem_edge(suite, first), sem_cloud(suite, first), "o")]
    for color, regime, marker in zip(_colors(suite), shown(suite), MARKERS, strict=False):
        at = mem_edge(suite, regime)
        last = {exit_: at[max(at)] for exit_ in exits} if at else {}
        families.append((f"MEM {regime}", color, {k: at[k] for k in exits if k in at}, last, marker))
    width = 0.8 / len(families)
    compared = comparable(suite)
    rows = _rows(len(families) + 3 * compared)
    title = "Accuracy if every test sample were answered at one exit"
    size = (9.6, 4.3 + 0.34 * rows)
    with sheet(suite_in_short(suite), title, 1, 1, size, legend_rows=rows, note=_note(suite)) as (figure, panels):
        panel = panels[0]
        scale = [_means(part) for _, _, edge, cloud, _ in families for part in (edge, cloud)]
        beside: list[Values] = [dict(paper.SEM_EDGE), dict(paper.MEM_EDGE)] if compared else []
        start = percentages(panel, [*scale, *beside])
        from_where = f"; the axis starts at {start:.0f}" if start else ""
        over_exits(panel, exits, f"accuracy (%): bars the local exit, lines the last{from_where}")
        shifts = [(number - (len(families) - 1) / 2) * width for number in range(len(families))]
        for shift, (label, color, edge, cloud, marker) in zip(shifts, families, strict=True):
            bars(panel, _means(edge), color=color, label=f"_{label}", shift=shift, width=width * 0.95, alpha=0.45)
            whiskers(panel, _ranges(edge), color=color, label=label, shift=shift)
            line(panel, exits, _means(cloud), color=color, label=label, marker=marker, dotted=label != "SEM")
        if compared:
            marks(panel, paper.SEM_EDGE, color="sem", label="SEM, paper", shift=shifts[0])
            shift = shifts[min(1, len(shifts) - 1)]
            marks(panel, paper.MEM_EDGE, color="mem", label="MEM, paper", marker="s", shift=shift)
            at_last = dict.fromkeys(exits, paper.MEM_CLOUD)
            marks(panel, at_last, color="mem", label="MEM's last exit, paper", marker="_")
        legend(figure, panels, COLUMNS)
    return figure


def frontier_figure(suite: Suite, found: dict[str, tuple[Point, ...]]) -> Figure:
    """Average multiply-adds against accuracy: MEM under each regime, all its exits active; and single points beside."""
    title = "What accuracy costs: average multiply-adds a sample, all local exits active"
    note = "one threshold at every exit, swept; no point was chosen by the test set"
    note = " · ".join(filter(None, (note, _note(suite))))
    alone = [
        (macs_until(k, run.stage_macs, run.head_macs), spread.mean)
        for k, spread in sem_edge(suite, baseline(suite)).items()
        for run in [next(iter(runs(suite, sem(k), baseline(suite)).values()))]
    ]
    rows = _rows(len(shown(suite)) + bool(alone) + comparable(suite))
    size = (9.6, 4.3 + 0.34 * rows)
    with sheet(suite_in_short(suite), title, 1, 1, size, note=note, legend_rows=rows) as (figure, panels):
        panel = panels[0]
        colors = dict(zip(shown(suite), _colors(suite), strict=True))
        for regime, points in ((regime, found[regime]) for regime in colors if regime in found):
            ordered = sorted(points, key=lambda point: point.macs)
            panel.plot(
                [p.macs / 1e6 for p in ordered], [100 * p.accuracy for p in ordered], color=light(colors[regime]),
                label=f"MEM {regime}", marker=".", **OVER_EDGE,
            )  # fmt: skip
        if alone:
            panel.plot(
                [macs / 1e6 for macs, _ in alone], [accuracy for _, accuracy in alone], linestyle="none", marker="o",
                color=light("sem"), label="SEM, all samples at its exit", **OVER_EDGE,
            )  # fmt: skip
        if comparable(suite):
            macs, accuracies = zip(*paper.BUDGETED, strict=True)
            panel.plot(macs, accuracies, marker="*", color=light("muted"), label=paper.BUDGETED_NAME, **PAPER)
        panel.set_title("accuracy (%)")
        panel.set_xlabel("million multiply-adds a sample, mean")
        panel.set_xlim(left=0)
        legend(figure, panels, COLUMNS)
    return figure


SUITE_FIGURES: dict[str, Callable[[Suite], Figure]] = {"figure-9": figure_9, "figure-10": figure_10}


def comparable(suite: Suite) -> bool:
    """Whether the paper's and others' published numbers are of the same data: CIFAR-10, told by its classes."""
    return suite.classes == CIFAR10_CLASSES


def _rows(names: int) -> int:
    return -(-names // COLUMNS)


def _colors(suite: Suite) -> list[str]:
    """MEM's own colour for the first regime, and others for the others."""
    return ["mem", *STEPS][: len(shown(suite))]


def _note(suite: Suite) -> str:
    left_out = len(regimes(suite)) - len(shown(suite))
    return f"{left_out} other regimes, worse on the validation samples, are in the table" if left_out else ""


def _means(spreads: Spreads) -> Values:
    return {exit_: spread.mean for exit_, spread in spreads.items()}


def _ranges(spreads: Spreads) -> dict[int, tuple[float, float]]:
    return {exit_: (spread.low, spread.high) for exit_, spread in spreads.items() if spread.n > 1}
