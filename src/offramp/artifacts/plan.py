"""The plan: what each tier does with a bundle. Small enough to be typed as options, so a file is not needed for one."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from pydantic import Field, ValidationError, model_validator

from offramp.artifacts.codec import Codec
from offramp.artifacts.document import Document, Frozen, why
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.outcome import LAST_TIER, OVERALL, TIER_NAMES, TierName
from offramp.artifacts.promise import Promise
from offramp.errors import InputError

ScoreName = Literal["entropy", "max-probability", "margin", "patience"]
Threshold = Annotated[float, Field(ge=0, le=1)]


class ActiveExit(Frozen):
    """An exit where samples may leave: those whose score is below the threshold do."""

    exit: int
    threshold: Threshold


class Part(Frozen):
    """What one tier does: where samples may leave, where the network is cut behind it, how features cross there.

    `cut` is the boundary at which the samples that did not leave are handed on. It is the last active exit's, or a
    later one (the node runs on without another exit), or the network's end (the node answers everything), or 0: the
    next tier gets the image itself and runs the whole network, which pays where the features are larger than the image.
    """

    active: tuple[ActiveExit, ...]
    cut: int
    codec: Codec = "fp32"
    drop_threshold: Threshold | None = None  # a score above it is not worth the next tier: answered here, and marked

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        exits = [active.exit for active in self.active]
        if exits != sorted(set(exits)):
            raise ValueError(f"active exits must rise, got {exits}")
        if exits and self.cut != 0 and self.cut < exits[-1]:
            raise ValueError(f"the cut must be 0 or not before the last active exit {exits[-1]}, got {self.cut}")
        if self.drop_threshold is not None:
            if not self.active:
                raise ValueError("a drop threshold needs an active exit, whose answer a dropped sample gets")
            if self.drop_threshold < self.active[-1].threshold:
                raise ValueError(
                    f"the drop threshold must not be below the last exit's threshold {self.active[-1].threshold:g}, "
                    f"got {self.drop_threshold:g}"
                )
        return self

    @property
    def exit(self) -> int:
        """The last active exit, or the cut where there is none: what a plan with one exit is called by."""
        return self.active[-1].exit if self.active else self.cut

    @property
    def threshold(self) -> float:
        """The last active exit's threshold; 0 where there is none, since nobody leaves."""
        return self.active[-1].threshold if self.active else 0.0

    def hands_on(self, last: int) -> bool:
        """Whether any sample of a network of `last` stages may be left to the next tier."""
        return last not in (self.cut, self.exit)


class Plan(Document):
    """What each tier of a chain does, in the order in which samples reach them, from the one that has the image on.

    The first tier takes the image, each other one what crosses the cut of the one before. Behind the last of them the
    cloud runs the network to its end, and is not named unless it has exits of its own. Of a plan for an edge and a
    cloud, the usual one, `active`, `cut` and the like are the edge's.
    """

    FORMAT: ClassVar[str] = "offramp.plan"
    VERSION: ClassVar[int] = 2
    READS: ClassVar[tuple[int, ...]] = (1,)

    tiers: dict[TierName, Part]
    score: ScoreName = "entropy"
    # What was shown of it; a plan that is changed has none, and it is not written then: programs of before read that.
    promise: Promise | None = Field(default=None, exclude_if=lambda promise: promise is None)

    @model_validator(mode="after")
    def _in_a_row(self) -> Self:
        names = list(self.tiers)
        usual = [name for name in names if name in TIER_NAMES]
        if not names or usual != sorted(usual, key=TIER_NAMES.index):
            raise ValueError(
                f"tiers are named as samples reach them, those of {', '.join(TIER_NAMES)} in this order, got {names}"
            )
        if OVERALL in names or LAST_TIER in names[:-1]:
            raise ValueError(f"a chain ends in the {LAST_TIER}, and no tier is called {OVERALL!r}, got {names}")
        start = 0
        for name, part in self.tiers.items():
            if [active.exit for active in part.active if active.exit <= start] or part.cut < start:
                raise ValueError(f"the {name} starts at boundary {start}: its exits and its cut must lie behind it")
            start = part.cut
        return self

    @classmethod
    def upgrade(cls, fields: dict[str, Any]) -> dict[str, Any]:
        """Version 1 was of an edge."""
        return {"score": fields.pop("score", "entropy"), "tiers": {"edge": fields}}

    def __hash__(self) -> int:
        return hash((self.score, *self.tiers.items()))

    @property
    def first(self) -> Part:
        """What the first tier does."""
        return next(iter(self.tiers.values()))

    @property
    def active(self) -> tuple[ActiveExit, ...]:
        """The first tier's active exits."""
        return self.first.active

    @property
    def cut(self) -> int:
        """The first tier's cut."""
        return self.first.cut

    @property
    def codec(self) -> Codec:
        """How features cross the first cut."""
        return self.first.codec

    @property
    def drop_threshold(self) -> float | None:
        """The first tier's."""
        return self.first.drop_threshold

    @property
    def exit(self) -> int:
        """The first tier's last active exit, or its cut."""
        return self.first.exit

    @property
    def threshold(self) -> float:
        """The first tier's last threshold."""
        return self.first.threshold

    def after(self, tier: str) -> str:
        """The tier that one of its tiers hands on to: the next that it names, or the cloud behind the last."""
        names = [*self.tiers, LAST_TIER]
        return names[names.index(tier) + 1]

    def before(self, tier: str) -> Part | None:
        """What the tier before one of its tiers does, whose features that one takes; None for the first."""
        names = list(self.tiers)
        position = names.index(tier)
        return self.tiers[names[position - 1]] if position else None

    @classmethod
    def of(
        cls,
        exit_: int,
        threshold: float,
        score: str = "entropy",
        *,
        cut: int | None = None,
        codec: str = "fp32",
        drop_threshold: float | None = None,
    ) -> Self:
        """Make the paper's kind of plan: one active exit, cut at the same place unless `cut` says otherwise."""
        return cls.checked(
            active=({"exit": exit_, "threshold": threshold},),
            cut=exit_ if cut is None else cut,
            codec=codec,
            score=score,
            drop_threshold=drop_threshold,
        )

    @classmethod
    def at_last_local_exit(cls, exits: tuple[int, ...], threshold: float, score: str = "entropy", **part: Any) -> Self:
        """Make the plan that a threshold alone means for a network of these exits, the last of them its end.

        Its last local exit is active, and it is cut there unless `part`, which is cut, codec and drop threshold, says
        otherwise. A network without a local exit answers everything at its end.
        """
        if local := exits[:-1]:
            return cls.of(local[-1], threshold, score, **part)
        return cls.checked(active=(), cut=exits[-1], codec=part.get("codec", "fp32"), score=score)

    @classmethod
    def checked(cls, *, score: str = "entropy", **part: object) -> Self:
        """Make an edge's plan from the options of a command or request; an InputError says what does not fit."""
        return cls._checked(score, {"edge": part})

    @classmethod
    def _checked(cls, score: str, tiers: dict[str, Any]) -> Self:
        try:
            return cls.model_validate({"score": score, "tiers": tiers})
        except ValidationError as error:
            first = error.errors()[0]
            name = str(first["loc"][-1]) if first["loc"] and first["loc"][-1] not in tiers else "plan"
            if name in ("threshold", "drop_threshold"):
                raise InputError(
                    f"{name.replace('_', ' ')} {first['input']!r}: expected a number in [0, 1]. A sample leaves "
                    "when its score is below the threshold: at 0 none does."
                ) from error
            choices = {"score": get_args(ScoreName), "codec": get_args(Codec)}
            if name in choices:
                raise InputError(
                    f"{name} {first['input']!r}: unknown. Choose one of {', '.join(choices[name])}."
                ) from error
            raise InputError(f"{name}: {why(error)}.") from error

    def but(
        self,
        *,
        exit_: int | None = None,
        threshold: float | None = None,
        cut: int | None = None,
        codec: str | None = None,
        drop_threshold: float | None = None,
    ) -> Self:
        """Give the plan with what is named changed: its one active exit moved, and the cut with it unless named too.

        An exit of 0 is none: every sample goes on from `cut`, and no head is computed.
        """
        if (exit_, threshold, cut, codec, drop_threshold) == (None,) * 5:
            return self
        active: tuple[object, ...] = self.active
        at, drop = self.cut, self.drop_threshold
        if exit_ == 0:
            if cut is None:
                raise InputError("exit 0: without a local exit, the cut says how far the edge runs. Name it as well.")
            if threshold:
                raise InputError(f"threshold {threshold:g}: exit 0 is none, and nobody leaves there. Leave it out.")
            active, drop = (), None
        elif exit_ is not None or threshold is not None:
            if len(active) > 1:
                raise InputError(
                    f"exit or threshold: this edge has {len(active)} active exits, and which is meant is not said. "
                    "Leave them out, or run an edge with one active exit."
                )
            if exit_ is None and not active and threshold:
                raise InputError(f"threshold {threshold:g}: this edge has no active exit. Name one as well.")
            if exit_ is not None or active:
                moved = self.exit if exit_ is None else exit_
                active = ({"exit": moved, "threshold": self.threshold if threshold is None else threshold},)
                at = moved if self.cut == self.exit else self.cut
        changed = {
            "active": active,
            "cut": at if cut is None else cut,
            "codec": self.codec if codec is None else codec,
            "drop_threshold": drop if drop_threshold is None else drop_threshold,
        }
        return self._checked(self.score, {**self.model_dump()["tiers"], next(iter(self.tiers)): changed})

    def check(self, manifest: Manifest) -> Self:
        """Give the plan back if `manifest` can follow it."""
        for part in self.tiers.values():
            for active in part.active:
                manifest.check_exit(active.exit)
            manifest.check_cut(part.cut, part.codec)
        return self

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read a plan from a file."""
        return cls.read(Path(path))


def plan_of_v1(values: dict[str, Any]) -> dict[str, Any]:
    """Take an edge's plan as version 1 of measurements had it out of a document's values and give that of version 2.

    It had one exit; at a threshold of 0 nobody leaves there, and `exit` may have been the cut's number.
    """
    active = {"exit": values.pop("exit"), "threshold": values.pop("threshold")}
    part = {"active": [active] if active["threshold"] else [], "cut": values.pop("cut"), "codec": values.pop("codec")}
    return {"tiers": {"edge": part | {"drop_threshold": values.pop("drop_threshold", None)}}}
