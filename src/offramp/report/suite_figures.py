"""A suite's figures: accuracy while training and in the end, published numbers beside it; and the multi-exit frontier.

Lines and bars are means over seeds; whiskers reach from the lowest seed to the highest. What was not trained is a gap.
"""

from collections.abc import Callable

from offramp.artifacts.macs import macs_until
from offramp.artifacts.names import SEM
from offramp.artifacts.suite import Suite
from offramp.charts.accuracies import Learning, Marks, Reached, legend_rows, over_all_samples, while_training
from offramp.charts.palette import STEPS, light
from offramp.charts.panels import HOLLOW, OVER_EDGE
from offramp.charts.sheet import Figure, legend, sheet
from offramp.exits.frontier import FrontierPoint
from offramp.report import seeds
from offramp.report.published import NOTHING, Published
from offramp.report.seeds import Spreads
from offramp.report.suite_words import suite_in_short

COLUMNS = 4  # of the legend
MARKERS = ("s", "^", "D", "v", "P", "X")


def figure_9(suite: Suite, beside: Published = NOTHING) -> Figure:
    """Validation accuracy of each exit over epochs, a panel an exit: SEM solid, MEM dotted, a colour a regime."""
    exits, colors = seeds.local_exits(suite), _colors(suite)
    top = 0.06 + 0.11 * len(colors)
    by_exit = {k: seeds.curves(suite, f"{SEM}{k}", seeds.baseline(suite), k) for k in exits}
    families = [Learning("SEM", "sem", by_exit, top, dotted=False)]
    for color, regime in colors.items():
        by_exit = {k: seeds.curves(suite, seeds.many(suite), regime, k) for k in exits}
        families.append(Learning(f"MEM {regime}", color, by_exit, top - 0.11 * len(families)))
    published = [Marks(beside.sem, "sem", "SEM, paper")] if beside.sem else []
    published += [Marks(beside.mem, "mem", "MEM, paper")] if beside.mem else []
    title = "Accuracy of each exit while training (%, validation samples, mean over seeds)"
    return while_training(
        suite_in_short(suite), title, exits, families[::-1], published, note=_note(suite), names=COLUMNS
    )


def figure_10(suite: Suite, beside: Published = NOTHING) -> Figure:
    """Accuracy over all test samples: local exits as bars, cloud exits as lines, published ones as hollow marks."""
    exits, first = seeds.local_exits(suite), seeds.baseline(suite)
    of = [("SEM", "sem", seeds.sem_edge(suite, first), _means(seeds.sem_cloud(suite, first)), "o")]
    for (color, regime), marker in zip(_colors(suite).items(), MARKERS, strict=False):
        at = seeds.mem_edge(suite, regime)
        last = dict.fromkeys(exits, at[max(at)].mean) if at else {}
        of.append((f"MEM {regime}", color, {k: at[k] for k in exits if k in at}, last, marker))
    width = 0.8 / len(of)
    shifts = [(number - (len(of) - 1) / 2) * width for number in range(len(of))]
    families = [
        Reached(
            name, color, marker, _means(local), last, f"_{name}", shift, _ranges(local), dotted=name != "SEM"
        )
        for shift, (name, color, local, last, marker) in zip(shifts, of, strict=True)
    ]  # fmt: skip
    published = [Marks(beside.sem, "sem", "SEM, paper", shift=shifts[0])] if beside.sem else []
    if beside.mem:
        published.append(Marks(beside.mem, "mem", "MEM, paper", "s", shifts[min(1, len(shifts) - 1)]))
    if beside.mem_last is not None:
        published.append(Marks(dict.fromkeys(exits, beside.mem_last), "mem", "MEM's last exit, paper", "_"))
    what = "accuracy (%): bars the local exit, lines the last"
    return over_all_samples(
        suite_in_short(suite), what, exits, families, published, width=0.95 * width, note=_note(suite), names=COLUMNS
    )


def frontier_figure(suite: Suite, found: dict[str, tuple[FrontierPoint, ...]], beside: Published = NOTHING) -> Figure:
    """Average multiply-adds against accuracy: MEM under each regime, all its exits active; and single points beside."""
    title = "What accuracy costs: average multiply-adds a sample, all local exits active"
    note = "one threshold at every exit, swept; no point was chosen by the test set"
    note = " · ".join(filter(None, (note, _note(suite))))
    alone = [
        (macs_until(k, run.stage_macs, run.head_macs), spread.mean)
        for k, spread in seeds.sem_edge(suite, seeds.baseline(suite)).items()
        for run in [next(iter(seeds.runs(suite, f"{SEM}{k}", seeds.baseline(suite)).values()))]
    ]
    rows = legend_rows(len(seeds.shown(suite)) + bool(alone) + bool(beside.frontier), COLUMNS)
    size = (9.6, 4.3 + 0.34 * rows)
    with sheet(suite_in_short(suite), title, 1, 1, size, note=note, legend_rows=rows) as (figure, (panel,)):
        for color, regime in _colors(suite).items():
            ordered = sorted(found.get(regime, ()), key=lambda point: point.macs)
            if ordered:
                panel.plot(
                    [p.macs / 1e6 for p in ordered], [100 * p.accuracy for p in ordered], color=light(color),
                    label=f"MEM {regime}", marker=".", **OVER_EDGE,
                )  # fmt: skip
        if alone:
            panel.plot(
                [macs / 1e6 for macs, _ in alone], [accuracy for _, accuracy in alone], linestyle="none", marker="o",
                color=light("sem"), label="SEM, all samples at its exit", **OVER_EDGE,
            )  # fmt: skip
        if beside.frontier:
            macs, accuracies = zip(*beside.frontier[1], strict=True)
            panel.plot(macs, accuracies, marker="*", color=light("muted"), label=beside.frontier[0], **HOLLOW)
        panel.set_title("accuracy (%)")
        panel.set_xlabel("million multiply-adds a sample, mean")
        panel.set_xlim(left=0)
        legend(figure, [panel], COLUMNS)
    return figure


SUITE_FIGURES: dict[str, Callable[[Suite, Published], Figure]] = {"figure-9": figure_9, "figure-10": figure_10}


def _colors(suite: Suite) -> dict[str, str]:
    """The regimes shown, by colour: MEM's own for the first, and others for the others."""
    return dict(zip(["mem", *STEPS], seeds.shown(suite), strict=False))


def _note(suite: Suite) -> str:
    left_out = len(seeds.regimes(suite)) - len(seeds.shown(suite))
    return f"{left_out} other regimes, worse on the validation samples, are in the table" if left_out else ""


def _means(spreads: Spreads) -> dict[int, float]:
    return {exit_: spread.mean for exit_, spread in spreads.items()}


def _ranges(spreads: Spreads) -> dict[int, tuple[float, float]]:
    return {exit_: (spread.low, spread.high) for exit_, spread in spreads.items() if spread.n > 1}
