"""Who watches a training: a log of JSON lines, TensorBoard's events, a progress bar."""

import json
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from rich import get_console
from rich.console import Console, RenderableType
from rich.progress import MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from offramp.artifacts.document import Frozen, write_bytes, writing
from offramp.progress import Bar
from offramp.train.workers import first


class EpochRecord(Frozen):
    """What one epoch came to."""

    epoch: int  # counted from 1
    of: int
    loss: float  # mean over the epoch of the joint loss
    learning_rate: float  # at its end
    validation_accuracy: dict[int, float]  # by exit, every sample at every exit
    seconds: float  # training alone
    images_per_second: float


class Observer(Protocol):
    """Is told how a training goes on."""

    def step(self, done: int, total: int, loss: float) -> None:
        """Hear of the share of steps that is done, in batches, and of the latest loss."""

    def epoch(self, record: EpochRecord) -> None:
        """Hear of an epoch that is over."""


class JsonLog:
    """One JSON line an epoch. On resuming, epochs that are to be trained again are taken out first."""

    def __init__(self, path: Path, keep_epochs: int) -> None:
        self.path = path
        kept = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                epoch = json.loads(line)["epoch"]
            except ValueError:  # an interrupted run may have left half a line
                break
            if epoch <= keep_epochs:
                kept.append(line)
        write_bytes(path, "".join(line + "\n" for line in kept).encode())

    def epoch(self, record: EpochRecord) -> None:
        """Append the record."""
        with writing(self.path), self.path.open("a") as file:
            file.write(record.model_dump_json() + "\n")


def read_log(path: Path) -> list[EpochRecord]:
    """The epochs of a `JsonLog`, up to a line that an interrupted run left half; none where there is no file."""
    records = []
    for line in path.read_text().splitlines() if path.exists() else []:
        try:
            records.append(EpochRecord.model_validate_json(line))
        except ValueError:
            break
    return records


class TensorBoardLog:
    """Scalars that TensorBoard reads, in the run's folder.

    Written here and now: tensorboardX's own writer does it in a thread, where a full disk is nobody's error.
    """

    def __init__(self, folder: Path, keep_epochs: int) -> None:
        from tensorboardX.proto.event_pb2 import SessionLog
        from tensorboardX.record_writer import RecordWriter

        self.folder = folder
        # A file's name tells seconds only: without a name of its own, what goes on within the same second would be
        # written over what came before.
        name = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.from-epoch-{keep_epochs + 1:05d}"
        with writing(folder):
            self.records = RecordWriter(str(folder / name))
            self._write(file_version="brain.Event:2")
            if keep_epochs:  # TensorBoard hides what an interrupted run wrote from this step on
                self._write(step=keep_epochs + 1, session_log=SessionLog(status=SessionLog.START))
            self.records.flush()

    def epoch(self, record: EpochRecord) -> None:
        """Write the record as scalars over epochs."""
        from tensorboardX.summary import scalar

        values = {f"train/{name}": getattr(record, name) for name in ("loss", "learning_rate", "images_per_second")}
        values |= {f"validation_accuracy/exit_{exit_}": value for exit_, value in record.validation_accuracy.items()}
        with writing(self.folder):
            for name, value in values.items():
                self._write(step=record.epoch, summary=scalar(name, value))
            self.records.flush()

    def close(self) -> None:
        """Finish the file. Every epoch is in it by now, or has said why it is not."""
        with suppress(OSError):
            self.records.close()

    def _write(self, **fields: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        self.records.write(Event(wall_time=time.time(), **fields).SerializeToString())


class ProgressBar(Bar):
    """A bar with loss and time left, below it every exit's validation accuracy; of the first process alone."""

    below = ""  # what would make the bar's line too long for a terminal of 80 columns

    def __init__(self, title: str, console: Console | None = None) -> None:
        columns = MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.fields[state]}", markup=False)
        super().__init__(title, *columns, console=console or get_console(), shown=first(), state="")
        self.title = title

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar, and the line under it."""
        yield from super().get_renderables()
        if self.below:
            yield Text(self.below)

    def step(self, done: int, total: int, loss: float) -> None:
        """Move the bar."""
        self.update(self.task, completed=done, total=total, state=f"loss {loss:.3f}")

    def epoch(self, record: EpochRecord) -> None:
        """Show the new accuracies; where there is no terminal to draw on, print a line instead."""
        shown = " ".join(f"{exit_}:{100 * value:.1f}" for exit_, value in record.validation_accuracy.items())
        self.below = f"exits %  {shown}"
        if self.disable:
            print(
                f"{self.title} epoch {record.epoch}/{record.of} loss {record.loss:.3f}  exits % {shown} "
                f"{record.images_per_second:.0f} images/s",
                flush=True,
            )
