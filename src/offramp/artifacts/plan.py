"""The plan: what an edge does with a bundle. Small enough to be typed as options, so a file is not needed for one."""

from pathlib import Path
from typing import ClassVar, Literal, Self, get_args

from pydantic import ValidationError, field_validator

from offramp.artifacts.bundle import Manifest
from offramp.artifacts.document import Document
from offramp.errors import InputError

ScoreName = Literal["entropy", "max-probability", "margin"]


class Plan(Document):
    """Answer at exit `exit` when the score is below `threshold`; forward the rest across the cut at the same place."""

    FORMAT: ClassVar[str] = "offramp.plan"
    VERSION: ClassVar[int] = 1

    exit: int
    threshold: float
    score: ScoreName = "entropy"

    @field_validator("threshold")
    @classmethod
    def _in_range(cls, value: float) -> float:
        if not 0 <= value <= 1:
            raise ValueError(f"threshold must lie in [0, 1], got {value:g}")
        return value

    @classmethod
    def of(cls, exit_: int, threshold: float, score: str = "entropy") -> Self:
        """Make a plan from the options of a command or request, with our own error if they do not fit."""
        try:
            return cls.model_validate({"exit": exit_, "threshold": threshold, "score": score})
        except ValidationError as error:
            first = error.errors()[0]
            if first["loc"] == ("score",):
                raise InputError(
                    f"score {score!r}: unknown. Choose one of {', '.join(get_args(ScoreName))}."
                ) from error
            reason = first["msg"].removeprefix("Value error, ")
            raise InputError(
                f"threshold {threshold!r}: {reason}. 0 forwards every sample; 1 answers all but the least sure."
            ) from error

    def check(self, manifest: Manifest) -> Self:
        """Give the plan back if `manifest` can follow it."""
        manifest.check_exit(self.exit)
        return self

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a plan from a file."""
        return cls.read(Path(path))
