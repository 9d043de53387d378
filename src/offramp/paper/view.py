"""The one view of a reproduction: its rows by where the paper's kind of deployment was measured, its models by family.

Takes a reproduction, whole or partial. Knows nothing of how it is shown, and copies nothing: what is measured stays in
the rows.
"""

from dataclasses import dataclass
from typing import NamedTuple, Self

from offramp.artifacts.model_result import ModelResult
from offramp.paper.families import Family
from offramp.paper.reproduction import Reproduction, Row
from offramp.paper.stated import THRESHOLD


class Point(NamedTuple):
    """Where the paper's kind of deployment was measured."""

    family: Family
    exit: int
    threshold: float


@dataclass(frozen=True)
class View:
    """What figures, tables and findings read."""

    reproduction: Reproduction
    rows: dict[Point, Row]  # cut at the exit, fp32 features, nothing dropped
    models: dict[Family, dict[int, ModelResult]]  # by exit: SEM-k at k, and MEM at all of its own
    thresholds: tuple[float, ...]  # measured, rising
    main_threshold: float  # to show where one is shown: the paper's 0.3, or the measured one that is nearest to it
    last: int  # the cloud's exit; 1 where there is no model

    @classmethod
    def of(cls, reproduction: Reproduction) -> Self:
        """Look at a reproduction."""
        models = {family: _models(reproduction.models, family) for family in Family}
        rows = as_in_the_paper(reproduction)
        thresholds = tuple(sorted({row.setup.plan.threshold for row in rows}))
        return cls(
            reproduction=reproduction,
            rows={
                Point(family, row.setup.place, row.setup.plan.threshold): row
                for row in rows
                for family, by_exit in models.items()
                if row.setup.place in by_exit and by_exit[row.setup.place].model == row.setup.model
            },
            models=models,
            thresholds=thresholds,
            main_threshold=min(thresholds, key=lambda threshold: abs(threshold - THRESHOLD), default=THRESHOLD),
            last=max((max(model.exits) for model in reproduction.models), default=1),
        )

    @property
    def local_exits(self) -> tuple[int, ...]:
        """Every exit before the last: the horizontal axis of the figures, whether all of it was measured or not."""
        return tuple(range(1, self.last))


def by_exit(view: View, family: Family, threshold: float) -> dict[int, Row]:
    """A family's rows at a threshold, by exit, rising."""
    return {at.exit: row for at, row in sorted(view.rows.items()) if (at.family, at.threshold) == (family, threshold)}


def as_in_the_paper(reproduction: Reproduction) -> list[Row]:
    """The rows of the paper's part that are deployed its way: cut at the exit, fp32 features, nothing dropped."""
    return [
        row
        for row in reproduction.section("paper")
        if row.repeats
        and row.setup.contender == "local exit"
        and row.setup.plan.cut == row.setup.exit
        and row.setup.plan.codec == "fp32"
        and row.setup.plan.drop_threshold is None
    ]


def _models(results: tuple[ModelResult, ...], family: Family) -> dict[int, ModelResult]:
    """A family's model at each exit: SEM-k at k, and MEM, the model with the most local exits, at all of its own.

    Told apart by their exits, not by their names. Of two single-exit models of one exit the first counts.
    """
    if family is Family.SEM:
        single = [model for model in results if len(model.exits) == 2]
        return dict(sorted({model.exits[0]: model for model in reversed(single)}.items()))
    multiple = (model for model in results if len(model.exits) > 2)
    mem = max(multiple, key=lambda model: len(model.exits), default=None)
    return dict.fromkeys(mem.exits[:-1], mem) if mem else {}
