"""Whose a run's folder is, where several machines write to one storage: a line in it for each that has begun there.

A machine that is thought dead may only be cut off. It finds, before it writes much, that another has begun after it,
and leaves. What both wrote is the same: a training is determined by its settings.
"""

import json
import secrets
from pathlib import Path

from offramp.artifacts.document import writing
from offramp.errors import TrainingError
from offramp.train.observe import EpochRecord

BEGUN = "begun.jsonl"  # in a run's folder


class Lease:
    """One machine's: an observer of its training."""

    def __init__(self, folder: Path, machine: str, epochs: int) -> None:
        self.path, self.token = folder / BEGUN, secrets.token_hex(8)
        line = json.dumps({"machine": machine, "from_epoch": epochs, "token": self.token})
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with self.path.open("a") as file:
                file.write(line + "\n")

    def step(self, done: int, total: int, loss: float) -> None:
        """Look whether it is still ours."""
        self.check()

    def epoch(self, record: EpochRecord) -> None:
        """The same."""
        self.check()

    def check(self) -> None:
        """Raise TrainingError where another machine has begun in this folder since."""
        if begun(self.path.parent)[-1].get("token") != self.token:
            raise TrainingError(f"{self.path.parent}: another machine goes on with this run.")


def begun(folder: Path) -> list[dict[str, object]]:
    """Where a run has begun and gone on: machine, and the epochs that were done by then, each time."""
    path = folder / BEGUN
    return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
