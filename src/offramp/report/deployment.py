"""A plan as it is deployed: what each tier runs, who leaves there, and what crosses to the next, in words.

Takes a plan, and a bundle's manifest and predictions where they are at hand. Draws nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from offramp.artifacts.codec import Codec
from offramp.artifacts.legs import legs_of
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.outcome import LAST_TIER
from offramp.artifacts.plan import Part, Plan
from offramp.artifacts.predictions import Predictions
from offramp.exits.answers import Answers, tier_number
from offramp.exits.evaluation import route

COLUMNS = ("", "runs", "a sample leaves", "what crosses", "bytes a sample", "answers", "right")


@dataclass(frozen=True)
class Left:
    """Who leaves at one active exit: `share` of all samples, None where nobody knows."""

    exit: int
    threshold: float
    share: float | None = None


@dataclass(frozen=True)
class Hop:
    """What crosses behind a tier: which boundary, 0 for the input, how, and of how many of all samples."""

    cut: int
    codec: Codec
    size: int | None = None  # bytes of a sample's features
    onward: float | None = None  # share of all samples

    @property
    def what(self) -> str:
        """In words."""
        return f"boundary {self.cut} in {self.codec}" if self.cut else f"the input in {self.codec}"


@dataclass(frozen=True)
class Shown:
    """One tier: stages `start + 1` to `end`, None where it is not known which the last one is."""

    name: str
    start: int
    end: int | None
    left: tuple[Left, ...] = ()
    ends: bool = False  # the network ends here
    drop: float | None = None  # a score above it is answered here, and marked
    answers: float | None = None  # share of all samples
    right: float | None = None  # of those, where any
    macs: int | None = None  # of a sample that comes here and leaves at no active exit
    hop: Hop | None = None  # to the next; None behind the last

    @property
    def runs(self) -> str:
        """Which stages, in words."""
        if self.end is None:
            return f"stages {self.start + 1} on"
        if self.end <= self.start:
            return "nothing: a relay"
        return f"stage {self.end}" if self.end == self.start + 1 else f"stages {self.start + 1}–{self.end}"

    @property
    def leaving(self) -> list[str]:
        """Where samples leave, a line each."""
        lines = [
            f"exit {one.exit} below {one.threshold:g}" + ("" if one.share is None else f": {100 * one.share:.1f} %")
            for one in self.left
        ]
        lines += [] if self.drop is None else [f"dropped above {self.drop:g}"]
        return [*lines, *(["at the end: the rest"] if self.ends else [])]


def deployment(plan: Plan, manifest: Manifest | None = None, predictions: Predictions | None = None) -> list[Shown]:
    """The tiers of a plan in the order of the chain, the cloud behind them, as far as any sample comes."""
    if manifest is not None:
        plan.check(manifest)
    last = manifest.last if manifest is not None else None if predictions is None else predictions.last
    answers = None if predictions is None else route(predictions, plan)
    right = None if answers is None or predictions is None else answers.label == predictions.labels
    tiers: list[Shown] = []
    start, onward = 0, 1.0
    legs = plan.tiers if last is None else dict(list(plan.tiers.items())[: len(legs_of(plan, last))])
    for name, part in legs.items():
        ends = last is not None and not part.hands_on(last)
        share, good = _of_tier(answers, right, name)
        onward -= share or 0.0
        hop = None if ends else _hop(part, manifest, None if answers is None else max(onward, 0.0))
        end = last if ends else max([part.cut, *(one.exit for one in part.active)])
        macs = None if manifest is None or end is None else _macs(manifest, part, start, end)
        tiers.append(
            Shown(name, start, end, _left(part, answers, name, last), ends, part.drop_threshold, share, good, macs, hop)
        )
        if ends:
            return tiers
        start = part.cut
    share, good = _of_tier(answers, right, LAST_TIER)
    macs = None if manifest is None else _macs(manifest, None, start, manifest.last)
    return [*tiers, Shown(LAST_TIER, start, last, (), True, None, share, good, macs)]


def rows_of(tiers: Sequence[Shown]) -> list[tuple[str, ...]]:
    """A row a tier and a row a hop under COLUMNS."""
    rows: list[tuple[str, ...]] = []
    for tier in tiers:
        rows.append(
            (tier.name, tier.runs, "\n".join(tier.leaving), "", "", _percent(tier.answers), _percent(tier.right))
        )
        if (hop := tier.hop) is not None:
            size = "" if hop.size is None else f"{hop.size:,}"
            onward = "" if hop.onward is None else f"({100 * hop.onward:.1f} % go on)"
            rows.append(("  ↓", "", "", hop.what, size, onward, ""))
    return rows


def _hop(part: Part, manifest: Manifest | None, onward: float | None) -> Hop:
    size = None if manifest is None else manifest.cut(part.cut).codecs[part.codec].bytes_per_sample
    return Hop(part.cut, part.codec, size, onward)


def _left(part: Part, answers: Answers | None, name: str, last: int | None) -> tuple[Left, ...]:
    """Who leaves at each active exit, but for one at the network's end, where all do."""
    if answers is None or not len(answers):
        return tuple(Left(one.exit, one.threshold) for one in part.active if one.exit != last)
    here = (answers.tier == tier_number(name)) & ~answers.dropped
    return tuple(
        Left(one.exit, one.threshold, float((here & (answers.exit == one.exit)).mean()))
        for one in part.active
        if one.exit != last
    )


def _of_tier(answers: Answers | None, right: object, name: str) -> tuple[float | None, float | None]:
    """The share of all samples that a tier answers, and of them who are right."""
    import numpy as np

    if answers is None or not len(answers):
        return None, None
    here = answers.tier == tier_number(name)
    return float(here.mean()), float(np.asarray(right)[here].mean()) if here.any() else None


def _macs(manifest: Manifest, part: Part | None, start: int, end: int) -> int:
    """Multiply-adds of the stages behind `start` to `end`, and of the heads that are asked there."""
    heads = {head.exit: head.macs for head in manifest.heads}
    asked = [one.exit for one in part.active] if part is not None else []
    asked += [manifest.last] if end == manifest.last and manifest.last not in asked else []
    stages = sum(stage.macs for stage in manifest.stages if start < stage.index <= end)
    return stages + sum(heads[exit_] for exit_ in asked)


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
