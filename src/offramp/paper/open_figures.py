"""Figures of what the paper leaves open: baselines, drop threshold, cores, bandwidth, and the way of the answers.

Each is drawn from one section of a reproduction. Latencies are medians over the repeats; whiskers reach from the lowest
of the repeats' medians to the highest.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from offramp.artifacts.outcome import Over
from offramp.charts.palette import STEPS, exit_color, light
from offramp.charts.panels import OVER_EDGE, Place, bars, from_zero, line, logarithmic, over_exits, scatter, whiskers
from offramp.charts.sheet import Figure, legend, sheet
from offramp.paper.conditions import of_rows
from offramp.paper.contest import at_rates
from offramp.paper.reproduced import by_rate, bytes_a_sample, cloud_ms, kind, links, name, percent
from offramp.paper.reproduction import Reproduction, Row, Setup
from offramp.paper.view import View

KINDS = {  # colour and marker
    "local exit": ("sem", "o"),
    "fixed split": ("step1", "^"),
    "cascade": ("step4", "D"),
    "all at the edge": ("edge", "s"),
    "all in the cloud, uint8": ("cloud", "P"),
    "all in the cloud, JPEG": ("cloud", "X"),
    "all in the cloud, fp32": ("cloud", "p"),
}
REPLIES = {"edge": ("edge", -0.19), "direct": ("cloud", 0.19)}
TO_THE_END = "all at the edge"
COLUMNS = 5  # of a long legend


def baselines(of: Reproduction) -> Figure:
    """Overall accuracy, and bytes a sample, against overall latency: a column a link, a mark a contender."""
    rows = of.section("baselines")
    columns = links(rows)
    size = (max(6.4, 3.2 * len(columns)), 6.6)
    note = "the number at a mark is the exit, or where the network is cut"
    title = "What else one could deploy: accuracy, latency, traffic"
    with sheet(of_rows(of, rows), title, 2, len(columns), size, note=note, legend_rows=2) as (figure, panels):
        for column, link in enumerate(columns):
            here = [row for row in rows if row.setup.link == link]
            for panel, what, value in (
                (panels[column], f"accuracy (%), {link}", lambda row: percent(row.outcome.overall)),
                (panels[column + len(columns)], f"bytes a sample, {link}", bytes_a_sample),
            ):
                panel.set_title(what)
                panel.set_xlabel("overall latency, p50 (ms)")
                for shown in KINDS:
                    _scatter(panel, [row for row in here if kind(row.setup) == shown], value, shown)
                panel.margins(0.12)
                panel.set_xlim(left=0)
            panels[column + len(columns)].set_ylim(bottom=0)
        heights = [percent(row.outcome.overall) or 100.0 for row in rows]
        pad = 0.08 * (max(heights) - min(heights)) + 0.2
        for panel in panels[: len(columns)]:
            panel.set_ylim(min(heights) - pad, max(heights) + pad)
        legend(figure, panels, 3)
    return figure


def drop(of: Reproduction) -> Figure:
    """Over drop thresholds, a line an exit: samples dropped, accuracy, bytes to the cloud, the cloud's computing."""
    rows = of.section("drop")
    models = dict.fromkeys((row.setup.model, row.setup.place) for row in rows)
    places = sorted({_place(row) for row in rows})
    quantities: tuple[tuple[str, Callable[[Row], float | None]], ...] = (
        (
            "samples dropped (%)",
            lambda row: 100 * row.outcome.dropped / row.setup.samples if row.setup.samples else None,
        ),
        ("overall accuracy (%)", lambda row: percent(row.outcome.overall)),
        ("bytes to the cloud, a sample", bytes_a_sample),
        ("cloud computing, a sample (ms)", cloud_ms),
    )
    note = "dropped: answered at the edge and marked; it counts in the overall accuracy"
    title = "Drop threshold: what giving up on the least sure saves, and costs"
    with sheet(of_rows(of, rows), title, 2, 2, (9.6, 6.2), note=note) as (figure, panels):
        for panel, (what, value) in zip(panels, quantities, strict=True):
            curves = {}
            for model, exit_ in models:
                own = [row for row in rows if (row.setup.model, row.setup.place) == (model, exit_)]
                curves[model, exit_] = {_place(row): value(row) for row in own}
                line(panel, places, curves[model, exit_], color=exit_color(exit_), label=name(own[0].setup))
            panel.set_title(what)
            panel.set_xlabel("drop threshold")
            panel.set_xticks(places, ["none" if place == 1.0 else f"{place:g}" for place in places])
            if what == "overall accuracy (%)":
                known = [height for curve in curves.values() for height in curve.values() if height is not None]
                panel.set_ylim(min(known, default=0) - 1, min(100.0, max(known, default=99) + 1))
            else:
                from_zero(panel, list(curves.values()))
        legend(figure, panels, COLUMNS)
    return figure


def cores(of: Reproduction) -> Figure:
    """Over exits, a line a number of the edge's cores: latency overall and at the edge; the baselines at the ends."""
    rows = of.section("cores")
    steps = sorted({row.setup.edge_cores for row in rows}, key=lambda share: -(share or float("inf")))
    last = View.of(of).last
    tiers: tuple[tuple[str, Over], ...] = (("overall", "overall"), ("of what the edge answers", "edge"))
    with sheet(of_rows(of, rows), "An edge of fewer cores", 1, 2, (9.6, 4.2)) as (figure, panels):
        for panel, (what, tier) in zip(panels, tiers, strict=True):
            places = range(last + 1)
            curves = []
            for number, share in enumerate(steps):
                here = [row for row in rows if row.setup.edge_cores == share]
                color, shown = STEPS[number % len(STEPS)], _cores(share)
                values, ranges = _medians({_on_axis(row, last): row for row in here}, tier)
                curves.append(values)
                line(panel, places, values, color=color, label=shown)
                whiskers(panel, ranges, color=color, label=shown)
            over_exits(panel, places, f"latency {what}, p50 (ms)")
            panel.set_xticks(places, ["all in\ncloud", *map(str, range(1, last)), "all at\nedge"])
            from_zero(panel, curves)
        legend(figure, panels)
    return figure


def bandwidth(of: Reproduction) -> Figure:
    """Overall latency over the link's rate, a line a contender; and which of them is fastest at each rate."""
    at = by_rate(of)
    rows, rates = [row for here in at.values() for row in here], list(at)
    shown = {name(row.setup): row.setup for row in sorted(rows, key=lambda row: (kind(row.setup), row.setup.place))}
    order = [who for who, setup in shown.items() if setup.contender == "local exit"]
    order += [who for who in shown if who not in order]
    legend_rows = -(-len(order) // COLUMNS)
    title = "Bandwidth between edge and cloud: which exit is best where"
    size = (9.6, 4.2 + 0.34 * legend_rows)
    with sheet(of_rows(of, rows), title, 1, 2, size, legend_rows=legend_rows) as (figure, panels):
        for who in order:
            color, marker = _look(shown[who])
            local = shown[who].contender == "local exit"
            own = {rate: row for rate, here in at.items() for row in here if name(row.setup) == who}
            values, ranges = _medians(own, "overall")
            line(panels[0], rates, values, color=color, label=who, marker=marker, dotted=not local)
            whiskers(panels[0], ranges, color=color, label=who)
        for panel in panels:
            logarithmic(panel, rates)
            panel.set_xlabel("rate (Mbit/s)")
        panels[0].set_yscale("log")
        panels[0].set_title("overall latency, p50 (ms)")
        panels[0].yaxis.set_major_formatter("{x:g}")
        panels[1].set_title("fastest (hollow: within the spread)")
        panels[1].set_yticks(range(len(order)), order)
        panels[1].set_ylim(len(order) - 0.5, -0.5)
        for contest in at_rates(of):
            for row in (contest.best, *contest.close):
                color, marker = _look(row.setup)
                panels[1].plot(
                    [contest.rate], [order.index(name(row.setup))], marker=marker, color=light(color),
                    label=f"_best {name(row.setup)}", linestyle="none", markersize=9, markeredgewidth=1.6,
                    markerfacecolor=light(color) if row is contest.best else "none", **OVER_EDGE,
                )  # fmt: skip
        legend(figure, panels, COLUMNS)
    return figure


def reply(of: Reproduction) -> Figure:
    """The cloud's answers straight to the client and through the edge, by exit: latency of these and of all samples."""
    rows = of.section("reply")
    columns = links(rows)
    exits = sorted({row.setup.place for row in rows})
    places = range(len(exits))
    size = (max(6.4, 4.2 * len(columns)), 5.8)
    tiers: tuple[tuple[str, Over], ...] = (("cloud latency", "cloud"), ("overall latency", "overall"))
    with sheet(of_rows(of, rows), "The cloud's answers: straight, or through the edge", 2, len(columns), size) as (
        figure,
        panels,
    ):
        for number, panel in enumerate(panels):
            (what, tier), link = tiers[number // len(columns)], columns[number % len(columns)]
            curves = []
            for way, (color, shift) in REPLIES.items():
                here = {exits.index(r.setup.place): r for r in rows if (r.setup.link, r.setup.reply) == (link, way)}
                shown = "straight from the cloud" if way == "direct" else "through the edge"
                values, ranges = _medians(here, tier)
                curves.append(values)
                bars(panel, values, color=color, label=shown, shift=shift, width=0.36, alpha=0.55)
                whiskers(panel, ranges, color=color, label=shown, shift=shift)
            over_exits(panel, places, f"{what}, p50 (ms), {link}")
            panel.set_xticks(places, [str(exit_) for exit_ in exits])
            from_zero(panel, curves)
        legend(figure, panels)
    return figure


OPEN_FIGURES: dict[str, Callable[[Reproduction], Figure]] = {
    "baselines": baselines,
    "drop": drop,
    "cores": cores,
    "bandwidth": bandwidth,
    "reply": reply,
}


def _medians(
    rows: Mapping[Place, Row], over: Over
) -> tuple[dict[Place, float | None], dict[Place, tuple[float, float]]]:
    """By place the rows' median latencies, and from the lowest of the repeats' to the highest."""
    ranges = {place: row.p50_range(over) for place, row in rows.items()}
    known = {place: ends for place, ends in ranges.items() if ends is not None}
    return {place: row.p50(over) for place, row in rows.items()}, known


def _scatter(panel: Any, rows: Sequence[Row], value: Callable[[Row], float | None], shown: str) -> None:
    color, marker = KINDS[shown]
    whole = shown.startswith("all")  # at one place: there is no exit to tell
    points, short = [], []
    for row in rows:
        if (time := row.p50("overall")) and (height := value(row)) is not None:
            points.append((time, height, name(row.setup)))
            short.append("" if whole else str(row.setup.place))
    scatter(panel, points, color=color, label=shown, marker=marker, short=short)


def _look(setup: Setup) -> tuple[str, str]:
    """Colour and marker where each exit is a line of its own."""
    return (exit_color(setup.place), "o") if setup.contender == "local exit" else KINDS[kind(setup)]


def _place(row: Row) -> float:
    """Of a drop threshold on the axis: no score is above 1, so none stands there."""
    return 1.0 if row.setup.plan.drop_threshold is None else row.setup.plan.drop_threshold


def _on_axis(row: Row, last: int) -> int:
    """Everything in the cloud before the first exit, everything at the edge where the network ends."""
    return {"all in the cloud": 0, TO_THE_END: last}.get(row.setup.contender, row.setup.place)


def _cores(share: float | None) -> str:
    return "all cores" if share is None else f"{share:g} core{'s' * (share > 1)}"
