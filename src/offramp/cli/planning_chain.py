"""The verb plan of three tiers: a device before the edge, a link behind each; whether it pays, and what is promised."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from offramp.cli.console import console, print_choice
from offramp.cli.planning_asked import Asked, Given
from offramp.cli.planning_inputs import say_estimate, source_of, split_samples
from offramp.cli.planning_market import edge_profile, link_named, read_all
from offramp.errors import InputError
from offramp.progress import waiting

if TYPE_CHECKING:
    from offramp.artifacts.bundle import Bundle
    from offramp.artifacts.plan import Plan
    from offramp.artifacts.predictions import Predictions
    from offramp.measure.crossings import Crossings
    from offramp.plan.chain_path import ChainPrices
    from offramp.plan.chain_search import ChainCandidate, ChainChosen
    from offramp.plan.chain_table import Hops


@dataclass(frozen=True)
class Third:
    """What was said of a device before the edge, as typed."""

    profile: Path | None
    link: str | None
    direct: str | None

    def __bool__(self) -> bool:
        return (self.profile, self.link, self.direct) != (None, None, None)


def plan_chain(
    given: Given, asked: Asked, third: Third, out: Path, unlike: Mapping[str, object], as_json: bool
) -> None:
    """Choose among plans of three tiers, print, and write the plan; `unlike` is what is said of two tiers alone."""
    from offramp.artifacts.bundle import Bundle

    if said := [name for name, value in unlike.items() if value not in (None, False)]:
        raise InputError(f"--{said[0]}: of an edge and its cloud. Of a chain it is not known yet: leave it out.")
    bundle = Bundle.open(given.bundle)
    with waiting() as watching:
        edge = edge_profile(given)
        source = None if given.data is None and given.predictions else source_of(bundle, edge, given, watching.at)
        found = _gathered(given, asked, third, bundle, source)
    lines = _tests(given, found, bundle)
    print(json.dumps(_document(found, lines), indent=2)) if as_json else _print(found, lines)
    plan = found.plan
    plan.write(out)
    print(
        f"{out}: the plan of {' and '.join(plan.tiers)}; show it by: offramp show {out} --bundle {given.bundle}; serve "
        f"it by: offramp serve edge BUNDLE --plan {out} --tier TIER --next HOST:PORT",
        file=sys.stderr,
    )


@dataclass(frozen=True)
class Found:
    """What was chosen, the plan that is written, and whose it is where another than the best is promised."""

    chosen: "ChainChosen"
    plan: "Plan"
    shown: "ChainCandidate | None" = None

    @property
    def deployed(self) -> "ChainCandidate":
        """Whose plan is written."""
        return self.shown or self.chosen.best


def _gathered(given: Given, asked: Asked, third: Third, bundle: "Bundle", source: "Crossings | None") -> Found:
    """Choose by the score that is asked for, or the best of all; promise where that is asked for."""
    from offramp.plan.chain_promised import promised_chain
    from offramp.plan.chain_search import choose_chain

    samples, calibration = split_samples(given, asked, bundle.manifest, source, chains=True)
    say_estimate(samples.plain.header)
    prices = _prices(given, third, bundle, samples)
    measure = None if source is None else _measured(source, samples.split, bundle)
    chosen = asked.by_score(
        lambda score: choose_chain(samples, prices, asked.wanted, score, measure),
        lambda one: one.goal.cost(one.best.figures),
    )
    if asked.confidence is None or calibration is None:
        return Found(chosen, chosen.best.plan(chosen.table.last, chosen.score))
    measure = None if source is None else _measured(source, calibration.split, bundle)
    shown, plan = promised_chain(chosen, asked.wanted, calibration, asked.confidence, asked.promise, measure)
    return Found(chosen, plan, shown)


def _prices(given: Given, third: Third, bundle: "Bundle", samples: Any) -> "ChainPrices":
    from offramp.artifacts.profile import Profile
    from offramp.plan.chain_path import ChainPrices
    from offramp.plan.cost import Costs

    if third.profile is None:
        raise InputError(
            "device profile: nothing says what the network's parts take on the device. Measure it there: offramp "
            f"profile {given.bundle} --out device.json, and give --device-profile device.json"
        )
    if third.link is None:
        raise InputError("device link: nothing says what lies between device and edge. Name it: --device-link wifi")
    near, far = link_named(third.link), link_named(given.link)
    if near is None or far is None:
        raise InputError("link: none, and a chain needs the links that it is made of. Name both, or plan without one.")
    device, edge = Profile.read(third.profile), edge_profile(given)
    cloud = edge if given.cloud_profile is None else Profile.read(given.cloud_profile)
    manifest, precision = bundle.manifest, samples.plain.header.precision
    past = None if third.direct is None else link_named(third.direct)
    return ChainPrices(
        manifest,
        Costs.of(manifest, device, near, edge, precision=precision),
        Costs.of(manifest, edge, far, cloud, precision=precision),
        None if past is None else Costs.of(manifest, device, past, cloud, precision=precision),
    )


def _measured(source: "Crossings", split: str, bundle: "Bundle") -> Any:
    """What measures a split by two hops."""
    from offramp.plan.chain_table import lossy, plan_measured

    def measure(hops: "Hops") -> "Predictions":
        first, second = hops
        if lossy(first) and first != second:
            return source.measure_by(split, plan_measured(bundle.manifest, first, second))
        return source.measure(split, second.cut, second.codec)

    return measure


def _tests(given: Given, found: Found, bundle: "Bundle") -> list[str]:
    """What the plan comes to on predictions that nothing was chosen on."""
    from offramp.plan.chain_search import ChainCandidate
    from offramp.plan.chain_table import ChainTable
    from offramp.plan.inputs import sort_out
    from offramp.plan.table import Crossing

    lines, chosen, best = [], found.chosen, found.deployed
    for split, samples in sort_out(read_all(given.report), bundle.manifest, reporting=True, chains=True).items():
        table = ChainTable.of(samples, bundle.manifest, chosen.score)
        if not table.knows(best.shape):
            lines.append(f"on {split}: what is lost on its hops was not measured. Those predictions too: --report")
            continue
        figures = ChainCandidate.of(table, chosen.prices, best.shape, best.thresholds).figures.floats()
        whole = float(table.plain.ends[Crossing(table.last, "fp32")].mean())
        lines.append(
            f"on {split}, {len(table.plain):,} samples: right on {100 * figures['accuracy']:.2f} %, "
            f"{100 * (whole - figures['accuracy']):.2f} points lost; mean {1000 * figures['mean']:.3g} ms, "
            f"{figures['first']:,.0f} and {figures['second']:,.0f} bytes; the device answers "
            f"{100 * figures['at_device']:.1f} %, the edge {100 * figures['at_edge']:.1f} %"
        )
    return lines


def _print(found: Found, lines: list[str]) -> None:
    from offramp.report.chain_words import COLUMNS, PREDICTED, SAYS, answer, kept, rows_of
    from offramp.report.plan_words import asked

    chosen, promise = found.chosen, kept(found.chosen, found.shown, found.plan.promise)
    console.print(
        f"{len(chosen.table.plain)} samples; {chosen.priced:,} plans of three tiers priced. Asked for: "
        f"{asked(chosen.goal, chosen.whole)}",
        highlight=False,
    )
    table = Table(caption=SAYS)
    for name in COLUMNS:
        table.add_column(
            name, justify="right" if name in PREDICTED else "left", no_wrap=name in (*PREDICTED, *COLUMNS[1:3]),
            min_width=26 if name == COLUMNS[-1] else None,
        )  # fmt: skip
    print_choice(table, rows_of(chosen, found.shown), [*answer(chosen), *promise, *lines])


def _document(found: Found, lines: list[str]) -> dict[str, Any]:
    from offramp.report.chain_words import answer, kept

    chosen, last = found.chosen, found.chosen.table.last
    promise = kept(chosen, found.shown, found.plan.promise)
    return {
        "samples": len(chosen.table.plain),
        "priced": chosen.priced,
        "last_exit": chosen.whole,
        "third_tier_pays": chosen.pays,
        "plan": found.plan.model_dump(mode="json"),
        "predicted": found.deployed.figures.floats(),
        "by_tiers": [
            {
                "computes": tiers, "predicted": one.figures.floats(), "met": chosen.goal.met(one.figures),
                "direct": one.shape.direct, "plan": one.plan(last, chosen.score).model_dump(mode="json"),
            }
            for tiers, one in chosen.by_tiers.items()
        ],
        "answer": [*answer(chosen), *promise, *lines],
    }  # fmt: skip
