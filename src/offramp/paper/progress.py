"""What a long run shows while it runs: what is measured now, how far it is, how long is left."""

from rich.console import Console
from rich.progress import TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from offramp.link.shape import LinkShape
from offramp.paper.reproduction import Setup
from offramp.progress import Bar

PER_SAMPLE, PER_SETUP = 0.0006, 0.05  # seconds, roughly: only how they compare matters to the time that is left


class RunProgress:
    """A bar over all repeats, weighed by how long each should take; without a terminal, a line a section and link.

    `bar` is shown while it is entered.
    """

    def __init__(self, console: Console, work: list[tuple[Setup, int]]) -> None:
        self.console, self.last = console, ""
        columns = TaskProgressColumn(), TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn()
        self.bar = Bar("starting the nodes", *columns, console=console, pace_over=120)
        total = sum(_weight(setup) * repeats for setup, repeats in work if repeats > 0)
        self.bar.update(self.bar.task, total=total or 1)

    def at(self, setup: Setup, repeat: int) -> None:
        """Say what is being measured."""
        where = setup.link if setup.edge_cores is None else f"{setup.edge_cores:g} cores"
        place = f"{setup.section}, {where}"
        if self.bar.disable and place != self.last:
            done = self.bar.tasks[0]
            share = 100 * done.completed / (done.total or 1)
            self.console.print(f"{place}: measuring ({share:.0f} % done)", highlight=False)
        self.last = place
        what = f"{setup.model} {setup.contender}, exit {setup.place}, T {setup.plan.threshold:g}, repeat {repeat}"
        self.bar.update(self.bar.task, description=f"{place}: {what}")

    def done(self, setup: Setup) -> None:
        """Move the bar."""
        self.bar.advance(self.bar.task, _weight(setup))


def _weight(setup: Setup) -> float:
    """Seconds that a repeat should take."""
    shape = LinkShape.parse(setup.link)
    slower = 1 / min(1.0, setup.edge_cores or 1.0)
    return PER_SETUP + setup.samples * (PER_SAMPLE * slower + shape.delay / 16)
