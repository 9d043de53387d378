"""The journal of a reproduction: a line for each repeat of each setup, written as it comes; a run goes on from it."""

from itertools import chain
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError, model_validator

from offramp.artifacts.document import Frozen, write_bytes, writing
from offramp.artifacts.outcome import Outcome, outcome_of_v1
from offramp.errors import InputError, OfframpError
from offramp.paper.reproduction import ROWS, Agreed, Repeat, Row, Setup, Topology


class Head(Frozen):
    """What all lines have in common. A run of anything else does not go on here."""

    bundles: dict[str, str]  # id by model
    batch_size: int
    topology: Topology
    hardware: str


class Entry(Agreed):
    """One repeat of one setup, and how its answers were held against the offline evaluation."""

    setup: Setup
    outcome: Outcome
    bytes_to_cloud: int
    repeat: Repeat

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, values: Any) -> Any:
        if not isinstance(values, dict) or "evaluation" not in values:
            return values
        fields = dict(values)
        evaluation = dict(fields.pop("evaluation"))
        return fields | {
            "outcome": outcome_of_v1(evaluation, evaluation.pop("n")),
            "compared": fields["compared"] - fields["ties"],
        }


class Journal:
    """Lines of a run in its folder: the head, then entries."""

    def __init__(self, path: Path, entries: list[Entry]) -> None:
        self.path = path
        self._by_setup: dict[Setup, list[Entry]] = {}
        for entry in entries:
            self._keep(entry)

    @property
    def entries(self) -> list[Entry]:
        """Every repeat, those of one setup together."""
        return list(chain.from_iterable(self._by_setup.values()))

    @classmethod
    def open(cls, folder: Path, head: Head, *, resume: bool) -> Self:
        """Begin one, or with `resume` go on with the one that is there; InputError where the two do not fit."""
        path = folder / ROWS
        if not path.exists():
            write_bytes(path, f"{head.model_dump_json()}\n".encode())
            return cls(path, [])
        if not resume:
            raise InputError(f"{folder}: holds a run. Go on with it by --resume, or choose another folder by --out.")
        lines = path.read_text().splitlines()
        try:
            begun = Head.model_validate_json(lines[0] if lines else "")
        except ValidationError as error:
            raise InputError(f"{path}: its first line is not a run's. Choose another folder by --out.") from error
        for name in Head.model_fields:
            there, here = getattr(begun, name), getattr(head, name)
            if there != here:
                raise InputError(
                    f"{folder}: holds a run of other {name.replace('_', ' ')}: {_shown(there)}, now {_shown(here)}. "
                    "Choose another folder by --out."
                )
        entries = []
        for line in lines[1:]:
            try:
                entries.append(Entry.model_validate_json(line))
            except ValidationError:  # a run that was killed may have left half a line: it is measured again
                break
        text = "".join(f"{one.model_dump_json()}\n" for one in (head, *entries))
        write_bytes(path, text.encode())
        return cls(path, entries)

    def add(self, entry: Entry) -> None:
        """Keep a repeat."""
        with writing(self.path), self.path.open("a") as file:
            file.write(f"{entry.model_dump_json()}\n")
        self._keep(entry)

    def _keep(self, entry: Entry) -> None:
        self._by_setup.setdefault(entry.setup, []).append(entry)

    def count(self, setup: Setup) -> int:
        """How many repeats of a setup there are."""
        return len(self._by_setup.get(setup, ()))

    def row(self, setup: Setup) -> Row | None:
        """A setup's repeats as one row; OfframpError where they disagree on what is not a time."""
        if not (entries := self._by_setup.get(setup)):
            return None
        first = entries[0]
        for number, entry in enumerate(entries[1:], 2):
            if (entry.outcome, entry.bytes_to_cloud) != (first.outcome, first.bytes_to_cloud):
                raise OfframpError(
                    f"{setup.model} at exit {setup.place}, T = {setup.plan.threshold:g}: repeat {number} gave "
                    f"{entry.outcome}, {entry.bytes_to_cloud} bytes; the first gave {first.outcome}, "
                    f"{first.bytes_to_cloud} bytes. Answers must not differ: report this."
                )
        return Row(
            setup=setup,
            outcome=first.outcome,
            bytes_to_cloud=first.bytes_to_cloud,
            repeats=tuple(entry.repeat for entry in entries),
        )


def _shown(value: object) -> str:
    text = str(value)
    return text if len(text) < 80 else f"{text[:77]}…"
