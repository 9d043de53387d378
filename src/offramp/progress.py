"""How far something is that takes long: who is told of it, and a bar that shows it on a terminal."""

import time
from collections.abc import Callable
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

Watch = Callable[[str, int, int], object]  # is told what is done, how many of it are, and of how many
PATIENCE = 2.0  # seconds that are waited for without a sign
LOOKS = 0.1  # seconds between looks: to move a bar takes longer than to read a small image


def unwatched(_what: str, _done: int, _total: int) -> None:
    """Nobody looks."""


class Bar(Progress):
    """A bar with one task, `columns` on its right; on a terminal alone.

    With `after` it is drawn once so many seconds have passed, and gone when it is over.
    """

    def __init__(
        self,
        title: str,
        *columns: ProgressColumn,
        console: Console,
        shown: bool = True,
        after: float = 0.0,
        pace_over: float = 30.0,
        now: Callable[[], float] = time.monotonic,
        **fields: Any,
    ) -> None:
        super().__init__(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=20),
            *columns,
            console=console,
            refresh_per_second=1 if after else 4,  # beside a measurement it is drawn seldom
            speed_estimate_period=pace_over,
            transient=after > 0,
            redirect_stdout=not after,  # on stderr: what is printed meanwhile must not follow it there
            get_time=now,
            disable=not (shown and console.is_terminal),
        )
        self.task = self.add_task(title, total=None, **fields)
        self.after, self.due = after, now() + after

    def __enter__(self) -> Self:
        """Draw it, unless it is to wait."""
        return self if self.after else super().__enter__()

    def at(self, what: str, done: int, total: int) -> None:
        """Move it: a Watch."""
        if self.disable or self.get_time() < self.due:
            return
        self.due = self.get_time() + LOOKS
        self.update(self.task, description=what, completed=done, total=total)
        self.start()


def waiting(*, shown: bool = True, console: Console | None = None, now: Callable[[], float] = time.monotonic) -> Bar:
    """A bar on stderr for what may be over soon: nothing is drawn in the first two seconds."""
    console = console or Console(stderr=True)
    columns = MofNCompleteColumn(), TimeRemainingColumn()
    return Bar("", *columns, console=console, shown=shown, after=PATIENCE, now=now)
