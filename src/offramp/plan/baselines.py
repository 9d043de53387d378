"""What others would deploy, priced as the search prices its own: the rows that a choice has to stand beside.

Each is its authors' rule and nothing better: where a rule asks for a threshold, the best for the goal is taken.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from offramp.exits.score import Floats
from offramp.plan.candidate import Candidate
from offramp.plan.goal import Goal
from offramp.plan.leaving import leaving
from offramp.plan.pricing import Columns, Figures, Prices, curve
from offramp.plan.table import Crossing, Table

JPEG = "everything in the cloud, JPEG"


@dataclass(frozen=True)
class Jpeg:
    """Images that clients send compressed, in the mean: what that saves on the link, and who is right all the same."""

    bytes: float  # of one
    seconds: float  # that a byte takes on the way up
    accuracy: float  # of the network's end on images that went through JPEG


@dataclass(frozen=True)
class Row:
    """A baseline: a plan that nodes run, or figures alone where there is no such plan, with the reason."""

    name: str
    figures: Figures
    candidate: Candidate | None = None
    remark: str = ""


def baselines(table: Table, prices: Prices, goal: Goal, grid: Floats, jpeg: Jpeg | None = None) -> list[Row]:
    """All of them, of this network: those whose rule needs what was not given are left out."""
    last, all_exits = table.last, table.exits
    at_edge = Crossing(last, "fp32")
    others = [way for way in table.ends if way.other]
    rows = [_row("everything at the edge", Candidate.of(prices, table, (), (), at_edge))]
    pixels = [way for way in table.ends if way.cut == 0 and not way.other]  # none where there is no link
    for way in pixels:
        what = "everything in the cloud" + (", pixels" if way.input == "image" else "")
        rows.append(_row(what, Candidate.of(prices, table, (), (), way)))
    if jpeg is not None:
        rows.append(_jpeg(rows[-1].figures, prices, jpeg))
    rows.append(_row("Neurosurgeon: partition by latency", neurosurgeon(table, prices)))
    if goal.deadline is not None:
        rows.append(_row("Edgent: latest exit within the deadline", *edgent(table, prices, goal.deadline)))
    rules: list[tuple[str, Iterable[tuple[Sequence[int], Crossing]]]] = [
        (
            "the paper: one exit, cut there",
            [((k,), way) for k in all_exits if (way := Crossing(k, "fp32")) in table.ends],
        ),
        ("BranchyNet: all exits, one threshold", [(all_exits, at_edge)] if all_exits else []),
        ("cascade of two models", [((k,), way) for k in all_exits for way in others]),
    ]
    rows += [_row(name, found) for name, tried in rules if (found := _best(table, prices, goal, grid, tried))]
    return [*rows, Row("oracle", oracle(table, prices, goal), remark="knows the labels: nothing that can be deployed")]


def neurosurgeon(table: Table, prices: Prices) -> Candidate:
    """No exits: the cut of least latency, features as they are (Kang et al., ASPLOS 2017)."""
    cuts = [way for way in table.ends if not way.other and (way.codec == "fp32" or way.cut == 0)]
    return min((Candidate.of(prices, table, (), (), way) for way in cuts), key=lambda found: found.figures.mean)


def edgent(table: Table, prices: Prices, deadline: float) -> tuple[Candidate, str]:
    """From the last exit to the first, all cuts: the first within the deadline; who leaves when is not asked.

    Li et al., arXiv 1806.07840. The network ends at the exit, for all samples. A local exit is run at the edge whole:
    no node runs a part of the way to one elsewhere. Where nothing is within the deadline, the fastest.
    """
    found = neurosurgeon(table, prices)
    if found.figures.p95 <= deadline:
        return found, ""
    for exit_ in reversed(table.exits):
        found = Candidate.of(prices, table, (exit_,), (1.0,), Crossing(table.last, "fp32"))
        if prices.path((exit_,), found.crossing).seconds[0] <= deadline:
            return found, ""
    return found, "misses the deadline"


def oracle(table: Table, prices: Prices, goal: Goal) -> Figures:
    """Each sample by the cheapest way on which it is right, of all with one exit or none; if on none, the cheapest."""
    by_goal = Goal("latency" if goal.minimise in ("loss", "p95") else goal.minimise)
    ways: list[tuple[Figures, np.ndarray]] = []
    for exit_ in table.exits:  # all leave there
        path = prices.path((exit_,), Crossing(table.last, "fp32"))
        seconds = path.seconds[0]
        ways.append((Figures(0, seconds, seconds, 0, 0, 0, seconds, path.macs[0], 0), table.right[table.row(exit_)]))
    for crossing, right in table.ends.items():
        path = prices.path((), crossing)
        sent, seconds = float(path.sends), path.seconds[-1]
        values = Figures(0, seconds, seconds, path.up, path.down, path.cloud, path.edge, path.macs[-1], sent)
        ways.append((values, right))
    columns = Columns.of(values for values, _ in ways)
    right = np.stack([right for _, right in ways])
    costs = by_goal.cost(columns)
    chosen = np.where(right, costs[:, None], costs[:, None] + 2 * costs.max() + 1).argmin(axis=0)
    shares = np.bincount(chosen, minlength=len(ways)) / len(table)
    means = [float(column @ shares) for column in columns]
    late = float(np.quantile(columns.p95[chosen], 0.95, method="inverted_cdf"))
    return Figures(*means)._replace(accuracy=float(right.any(axis=0).mean()), p95=late)


def _best(
    table: Table, prices: Prices, goal: Goal, grid: Floats, tried: Iterable[tuple[Sequence[int], Crossing]]
) -> Candidate | None:
    """The best of some sets of exits with a crossing, over one threshold; None of none."""
    found = list(_tops(table, prices, goal, grid, tried))
    return found[int(goal.ranked(Columns.of(each.figures for each in found))[0])] if found else None


def _tops(
    table: Table, prices: Prices, goal: Goal, grid: Floats, tried: Iterable[tuple[Sequence[int], Crossing]]
) -> Iterator[Candidate]:
    for exits, crossing in tried:
        columns = curve(prices, leaving(table, grid, exits), crossing)
        place = int(goal.ranked(columns)[0])
        yield Candidate(tuple(exits), (float(grid[place]),) * len(exits), crossing, columns.at(place))


def _row(name: str, candidate: Candidate, remark: str = "") -> Row:
    return Row(name, candidate.figures, candidate, remark)


def _jpeg(pixels: Figures, prices: Prices, jpeg: Jpeg) -> Row:
    """As with pixels, but for what crosses; decoding is not priced, and no edge sends one on."""
    saved = (pixels.up - jpeg.bytes) * jpeg.seconds
    found = pixels._replace(
        accuracy=jpeg.accuracy, mean=pixels.mean - saved, p95=pixels.p95 - saved, up=jpeg.bytes, edge=0.0
    )
    remark = "no edge sends one on: clients ask a node at the cloud's place (serve edge --cut {0})"
    return Row(JPEG, found, None, remark.format(prices.manifest.last))
