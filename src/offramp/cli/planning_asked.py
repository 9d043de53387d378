"""What was asked of the verb plan and what was given to it, as typed: checked, and filled in where nothing was said."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar, get_args

from offramp.errors import InputError

if TYPE_CHECKING:
    from offramp.plan.choose import Wanted

MAX_LOSS = 0.01  # where nothing is said
SCORES = ("entropy", "max-probability", "margin")


T = TypeVar("T")


@dataclass(frozen=True)
class Asked:
    """What is wanted, and with which confidence it is promised; None: it is not."""

    wanted: "Wanted"
    confidence: float | None
    promise: Any
    scores: tuple[Any, ...]

    @classmethod
    def of(
        cls,
        minimise: str | None,
        max_loss: float | None,
        deadline: float | None,
        up: float | None,
        cloud_ms: float | None,
        confidence: float | None,
        promise: str,
        score: str,
    ) -> Self:
        """Check what was said, and fill in the rest."""
        from offramp.artifacts.promise import PromiseKind
        from offramp.plan.choose import Wanted
        from offramp.plan.goal import MINIMISED

        if promise not in get_args(PromiseKind):
            raise InputError(f"promise {promise!r}: unknown. Choose one of {', '.join(get_args(PromiseKind))}.")
        if score not in (*SCORES, "auto"):
            raise InputError(
                f"score {score!r}: not one that plans are looked for by. Choose one of {', '.join(SCORES)}, or auto."
            )
        if confidence is not None and not 0 < confidence < 1:
            raise InputError(
                f"confidence {confidence:g}: expected a share above 0 and below 1, like 95%. No samples make one sure."
            )
        bounded = any(bound is not None for bound in (deadline, up, cloud_ms))
        if minimise is None:
            minimise = "loss" if bounded and max_loss is None and confidence is None else "latency"
        least = next((one for one in MINIMISED if one == minimise), None)
        if least is None:
            raise InputError(f"minimise {minimise!r}: unknown. Choose one of {', '.join(MINIMISED)}.")
        if max_loss is None and (least != "loss" or confidence is not None):
            max_loss = MAX_LOSS
        cloud = None if cloud_ms is None else cloud_ms / 1000
        return cls(
            Wanted(least, max_loss, deadline, up, cloud), confidence, promise, SCORES if score == "auto" else (score,)
        )

    def by_score(self, choose: Callable[[Any], T], cost: Callable[[T], Any]) -> T:
        """The choice of least cost over the scores; where none of them meets what is wanted, what the first says."""
        found, refused = [], []
        for score in self.scores:
            try:
                found.append(choose(score))
            except InputError as error:
                refused.append(error)
        if not found:
            raise refused[0]
        return min(found, key=lambda one: float(cost(one)))


@dataclass(frozen=True)
class Given:
    """Paths and names, as they were typed."""

    bundle: Path
    predictions: tuple[Path, ...]
    data: str | None
    profile: Path | None
    cloud_profile: Path | None
    link: str | None
    cascade: Path | None
    cascade_predictions: Path | None
    cascade_profile: Path | None
    report: tuple[Path, ...]
