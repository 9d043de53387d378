"""Time contenders in turn within one run, and say what came out: medians, extremes, ratios of neighbours.

A machine's speed drifts by the minute: two contenders timed one after the other are compared with the drift between
them. Timed as A B A B …, each round gives a ratio of two figures taken within the same moment, and the median of those
ratios is what is quoted. Knows nothing of what it times.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from offramp.artifacts.measurement import Conditions

Calls = Mapping[str, Callable[[], object]]
WIDTH = 120  # of a table, where there is no terminal or a narrow one


@dataclass(frozen=True)
class Spread:
    """A figure over rounds."""

    median: float
    min: float
    max: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Summarize one figure a round."""
        return cls(*(float(f"{value:.5g}") for value in (median(values), min(values), max(values))), len(values))

    def show(self, scale: float = 1.0) -> str:
        """For a table: the median, and the extremes behind it."""
        middle, low, high = (f"{value * scale:.4g}" for value in (self.median, self.min, self.max))
        return f"{middle} ({low} to {high})" if self.rounds > 1 else middle


def ratio(above: Sequence[float], below: Sequence[float]) -> Spread:
    """Ratios of the two figures of each round."""
    return Spread.of([a / b for a, b in zip(above, below, strict=True)])


def alternate(calls: Calls, *, rounds: int, repeats: int = 1, warm_up: int = 1) -> dict[str, list[float]]:
    """Give seconds a call: for each contender one figure a round, the median of the round's `repeats` calls.

    The contenders take turns in the order given, `warm_up` rounds more than are counted.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    for position in range(-warm_up, rounds):
        for name, call in calls.items():
            seconds = median(_seconds(call) for _ in range(repeats))
            if position >= 0:
                found[name].append(seconds)
    return found


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def memory_kib(pid: int | str = "self") -> int:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def last_line(benchmark: str, figures: dict[str, Any], conditions: Conditions, **settings: object) -> None:
    """Print everything as one JSON object on a line of its own: the last thing a benchmark does."""
    document = {
        "benchmark": benchmark,
        "settings": settings,
        "figures": figures,
        "conditions": conditions.model_dump(mode="json")
        | {"python": platform.python_version(), "load_1min": round(os.getloadavg()[0], 2)},
    }
    print(json.dumps(document, default=asdict, allow_nan=False), flush=True)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], caption: str | None = None) -> None:
    """Print a table for people: the first column is text, the others are figures."""
    table = Table(title=title, caption=caption, title_justify="left", caption_justify="left")
    for position, column in enumerate(columns):
        table.add_column(column, justify="right" if position else "left", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    console = Console()
    Console(width=max(console.width, WIDTH)).print(table)
