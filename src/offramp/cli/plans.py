"""The plan that options mean: `serve edge`, `predict`, `evaluate` and `bench` read the same words the same way."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from offramp.cli import completion
from offramp.errors import InputError

if TYPE_CHECKING:
    from offramp.artifacts.plan import Plan
    from offramp.artifacts.predictions import PredictionsHeader
    from offramp.nodes.edge_settings import AtLastExit

PlanFile = Annotated[
    Path | None,
    typer.Option("--plan", help="A plan as a file, of any number of tiers, instead of options that say one."),
]
Exits = Annotated[
    list[int] | None, typer.Option("--exit", help="Active exit; repeat for several: one plan, that has them all.")
]
Thresholds = Annotated[
    list[float] | None,
    typer.Option(
        "--threshold",
        help="A sample leaves when its score is below this; one for each --exit. One alone, without an exit: of the "
        "last local exit.",
    ),
]
Cut = Annotated[
    int | None,
    typer.Option("--cut", help="Where the rest leaves the edge; 0 sends the image. Default: the last active exit."),
]
CodecSaid = Annotated[
    str | None,
    typer.Option(
        "--codec",
        help="fp32, fp16 or uint8: how features cross the cut. Default: fp32.",
        autocompletion=completion.codecs,
    ),
]
ScoreSaid = Annotated[
    str | None,
    typer.Option(
        "--score",
        help="entropy, max-probability, margin or patience. Default: entropy.",
        autocompletion=completion.scores,
    ),
]


@dataclass(frozen=True, kw_only=True)
class Said:
    """What was said of a plan; None or nothing for what was not."""

    plan: Path | None = None
    exits: tuple[int, ...] = ()
    thresholds: tuple[float, ...] = ()
    cut: int | None = None
    codec: str | None = None
    score: str | None = None
    drop: float | None = None

    @property
    def options(self) -> dict[str, Any]:
        """What was said in options, by their names."""
        said = {
            "--exit": self.exits, "--threshold": self.thresholds, "--cut": self.cut, "--codec": self.codec,
            "--score": self.score, "--drop-threshold": self.drop,
        }  # fmt: skip
        return {name: value for name, value in said.items() if value not in (None, ())}

    def __bool__(self) -> bool:
        return self.plan is not None or bool(self.options)


def plan_of(said: Said) -> "Plan | AtLastExit":
    """One plan with every exit named, or by a threshold alone, for each network: its last local exit.

    Raises InputError where nothing says what to do, where a file stands beside options that it says itself, and where
    exits and thresholds are not as many.
    """
    from offramp.artifacts.plan import Plan
    from offramp.nodes.edge_settings import AtLastExit

    if said.plan is not None:
        _alone(said)
        return Plan.load(said.plan)
    codec, score = said.codec or "fp32", said.score or "entropy"
    if not said.exits and said.cut is None:
        if len(said.thresholds) == 1:
            return AtLastExit(threshold=said.thresholds[0], score=score, codec=codec, drop_threshold=said.drop)
        raise InputError(
            "plan: nothing says what to do. Give --threshold, with --exit or alone, or --cut, or --plan FILE."
        )
    if len(said.exits) != len(said.thresholds):
        raise InputError(
            f"threshold: {len(said.exits)} exits and {len(said.thresholds)} thresholds; expected one --threshold for "
            "each --exit."
        )
    pairs = zip(said.exits, said.thresholds, strict=True)
    active = [{"exit": exit_, "threshold": threshold} for exit_, threshold in pairs]
    cut = said.exits[-1] if said.cut is None else said.cut
    return Plan.checked(active=active, cut=cut, codec=codec, score=score, drop_threshold=said.drop)


def route_of(said: Said) -> "Plan | None":
    """The plan whose spans are meant, whatever its thresholds; None where neither a plan nor an exit is named."""
    from offramp.artifacts.plan import Plan

    if said.plan is not None:
        _alone(said)
        return Plan.load(said.plan)
    if not said.exits:
        return None
    active = [{"exit": exit_, "threshold": 0.0} for exit_ in said.exits]
    return Plan.checked(active=active, cut=said.exits[-1] if said.cut is None else said.cut, codec=said.codec or "fp32")


def one_plan(said: Said, header: "PredictionsHeader") -> "Plan":
    """The plan that was said, of predictions: cut and codec are those measured where they were not named."""
    from offramp.artifacts.plan import Plan

    _of_one_tier(said, header)
    if said.plan is None and (header.active is not None or header.codec != "fp32"):
        cut, codec = header.cut if said.cut is None else said.cut, said.codec or header.codec
        said = replace(said, cut=cut if said.exits else said.cut, codec=codec)
    found = plan_of(said)
    return found if isinstance(found, Plan) else found.of_exits(header.exits)


def each_plan(said: Said, header: "PredictionsHeader") -> "list[Plan]":
    """A plan for each exit at each threshold; of predictions by a plan, its own exits together at each threshold."""
    from offramp.artifacts.plan import Plan
    from offramp.paper.stated import THRESHOLDS

    _of_one_tier(said, header)
    last, codec = header.exits[-1], said.codec or header.codec
    together = header.active is not None and not said.exits
    alone = said.exits or [k for k in header.exits if k != last] or [last]
    measured = header.cut if header.active is not None or header.codec != "fp32" else None
    plans = []
    for threshold in said.thresholds or THRESHOLDS:
        for exits in [header.active or ()] if together else [[k] for k in alone]:
            at = measured if said.cut is None else said.cut
            plans.append(
                Plan.checked(
                    active=[{"exit": k, "threshold": threshold} for k in exits],
                    cut=exits[-1] if at is None else at,
                    codec=codec,
                    score=said.score or "entropy",
                    drop_threshold=said.drop,
                )
            )
    return plans


def _of_one_tier(said: Said, header: "PredictionsHeader") -> None:
    """Raise InputError where options, which are of an edge, would have to say what a chain does."""
    if said.plan is None and header.behind:
        raise InputError(
            f"predictions: of a chain ({header.route}), and options say what one tier does. Give its plan: --plan FILE"
        )


def asked_of(said: Said) -> "Callable[[Plan], dict[str, Any]]":
    """What a running edge is asked for, from its own plan: parts of another as `Plan.but` takes them.

    Raises InputError where a file stands beside options; so does the function, where no request can ask for the file's.
    """
    from offramp.artifacts.plan import Plan

    if said.plan is not None:
        _alone(said)
        return partial(_asked, said.plan, Plan.load(said.plan))
    options = {"--exit": "exit_", "--threshold": "threshold", "--cut": "cut", "--codec": "codec"}
    asked = {options[name]: value[0] if isinstance(value, tuple) else value for name, value in said.options.items()}
    return lambda _: asked


def _asked(file: Path, wanted: "Plan", served: "Plan") -> dict[str, Any]:
    """The parts in which one plan differs from an edge's, if a request can name them all."""
    (names, *behind), (served_names, *served_behind) = (
        (list(plan.tiers), *list(plan.tiers.values())[1:]) for plan in (wanted, served)
    )
    same = wanted.active == served.active
    several = not same and bool(wanted.active) and max(len(wanted.active), len(served.active)) > 1
    moved = [one.exit for one in wanted.active] != [one.exit for one in served.active]
    differs = {
        "tiers": (names, behind) != (served_names, served_behind),
        "score": wanted.score != served.score,
        "exits": several and moved,
        "thresholds": several and not moved,
    }
    if fixed := [name for name, differ in differs.items() if differ]:
        raise InputError(
            f"plan {file}: differs from the edge's plan in its {' and '.join(fixed)}, which no request can change. Run "
            f"the edge by it: offramp serve edge BUNDLE --plan {file}"
        )
    asked: dict[str, Any] = {}
    if not same:
        asked |= {"exit_": wanted.exit, "threshold": wanted.threshold} if wanted.active else {"exit_": 0}
    if not same or wanted.cut != served.cut:
        asked["cut"] = wanted.cut
    if wanted.codec != served.codec:
        asked["codec"] = wanted.codec
    if wanted.active and wanted.drop_threshold != served.drop_threshold:
        asked["drop_threshold"] = 1.0 if wanted.drop_threshold is None else wanted.drop_threshold  # 1 drops none
    return asked


def _alone(said: Said) -> None:
    if options := ", ".join(said.options):
        raise InputError(
            f"plan {said.plan}: the file says all of a plan, and {options} would say it again. Leave out the one or "
            "the other."
        )
