"""Hold what a profile says of plans against running nodes: the same device, the same link, round after round in turn.

Starts a cloud, the link, an edge for each plan, and what a profile times. Gives for each plan the predicted and the
measured mean latency of a client that sends one sample after another, and the bytes. Knows nothing of choosing plans.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.profile import LinkProfile, Profile, Spread
from offramp.bench.cores import limited
from offramp.bench.device import Wanted, document, started
from offramp.bench.link import profile_link
from offramp.bench.timed import TIMEOUT, Crossing, SpanRun, Timed, Work
from offramp.bench.verified import Row
from offramp.data.image_set import ImageSet
from offramp.errors import InputError
from offramp.exits.answers import Answers, Tier, tier_name
from offramp.exits.evaluation import route
from offramp.link.shape import LinkShape
from offramp.link.shaper_process import child_link
from offramp.machine import cores_to_use
from offramp.measure.predict import of_plan
from offramp.measure.rounds import Block
from offramp.nodes.contract import BYTES_TO_CLOUD, CLASSIFIER
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.plan.cost import Costs
from offramp.progress import Watch, unwatched
from offramp.protocol.peer import Peer
from offramp.runtime.choice import Choice, choose
from offramp.runtime.span import SpanSpec
from offramp.runtime.tier_spans import tier_spans

EACH = 30  # images of a plan and round
LEAD = 5  # of them once more before they count: of an edge that is held, what was left of its share is used by then

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Driven:
    """What came of a round of one plan: milliseconds and bytes to the cloud of a sample, in the mean; the answers."""

    ms: float
    bytes: float
    labels: npt.NDArray[np.int64]
    same: bool  # whether label, exit and tier of each are those expected


@dataclass(frozen=True)
class Verified:
    """What came of it, with the profiles that it came by."""

    rows: tuple[Row, ...]
    edge: Profile
    link: LinkProfile


def verify(
    bundle: Bundle,
    plans: Sequence[Plan],
    images: ImageSet,
    shape: LinkShape,
    wanted: Wanted,
    *,
    each: int = EACH,
    watch: Watch = unwatched,
) -> Verified:
    """Profile this device and the link, and measure every plan, in turn; hold the one against the other.

    Each round sends the first `each` images by every plan, and times every span and request that the plans need. The
    accuracy that is predicted is that of all images. Raises InputError for a plan that the bundle cannot follow or too
    few images.
    """
    if len(images) < each:
        raise InputError(f"images: {len(images)}, and {each} are sent in each round. Send fewer, or give more.")
    asked = 1 if wanted.share is not None else wanted.threads
    choice = choose(bundle, wanted.runtime, wanted.precision, asked, 1)
    threads = cores_to_use(asked)
    expected = [_expected(bundle, plan, images, choice) for plan in plans]
    with (
        started(bundle, choice, threads, wanted) as (every, held),
        _edges(bundle, plans, shape, choice, threads, wanted.share) as (edges, link),
    ):
        blocks = needed(every, bundle, plans)
        sent = {bundle.manifest.preprocessing.name: bundle.read(images.images[:each])}
        times: dict[Timed, list[float]] = {key: [] for key in blocks}
        measured: list[list[Driven]] = [[] for _ in plans]
        for number in range(wanted.rounds):
            for key, block in blocks.items():
                times[key].append(block())
            for edge, answers, found in zip(edges, expected, measured, strict=True):
                found.append(_drive(edge, sent, answers.rows(slice(each))))
            watch("rounds", number + 1, wanted.rounds)
    spreads = {key: Spread.of(some) for key, some in times.items()}
    profile = document(bundle, choice, threads, wanted, spreads, held)
    costs = Costs.of(bundle.manifest, profile, link)
    made = zip(plans, expected, measured, strict=True)
    rows = tuple(row_of(costs, plan, answers, found, images.labels) for plan, answers, found in made)
    return Verified(rows, profile, link)


def needed(blocks: Mapping[Timed, Block], bundle: Bundle, plans: Sequence[Plan]) -> dict[Timed, Block]:
    """The blocks by which these plans can be priced: all requests but crossings elsewhere, and the spans they run."""
    last, local = bundle.manifest.last, bundle.manifest.exits[:-1]
    crossings = {(plan.cut, plan.codec) for plan in plans}
    run = {SpanSpec(start, end, (end,), "fp32") for start, end in pairwise((0, *local))}  # those of all exits in a row
    run |= {SpanSpec(0, end, (end,), None if end == last else "fp32") for end in bundle.manifest.exits}
    for part in (plan.first for plan in plans):
        steps, rest, _ = tier_spans(part, last)
        specs = [*steps, *([] if rest is None else [rest])]
        run |= {replace(spec, gives=None if spec.end == last else "fp32") for spec in specs}
        run.add(SpanSpec(0, part.cut, (part.cut,), part.codec))
    return {
        key: block
        for key, block in blocks.items()
        if not (isinstance(key, SpanRun) and (key.batch != 1 or key.spec not in run))
        and not (isinstance(key, Crossing) and (key.cut, key.codec) not in crossings)
        and not isinstance(key, Work)  # a fleet's, and no plan's price
    }


@contextmanager
def _edges(
    bundle: Bundle, plans: Sequence[Plan], shape: LinkShape, choice: Choice, threads: int, share: float | None
) -> Iterator[tuple[list[Peer], LinkProfile]]:
    """Clients of an edge for each plan, all behind one link to one cloud, and what that link was measured as."""
    engine = choice.engine
    common: dict[str, Any] = {
        "bundles": (str(bundle.path),), "runtime": engine.runtime, "precision": engine.precision, "threads": threads,
    }  # fmt: skip
    with ExitStack() as stack:
        cloud = stack.enter_context(child_node(CloudSettings(**common))).address()
        link = profile_link(bundle, cloud, shape)
        over = stack.enter_context(child_link(shape, cloud))
        settings = [EdgeSettings(**common, plan=plan, cloud=over, degraded=False) for plan in plans]
        edges = [stack.enter_context(child_node(each)) for each in settings]
        peers = [stack.enter_context(Peer(edge.address())) for edge in edges]
        for edge in edges:
            if share is not None:
                stack.enter_context(limited(edge.process.pid, share))
        yield peers, link


def _expected(bundle: Bundle, plan: Plan, images: ImageSet, choice: Choice) -> Answers:
    """What nodes answer by the plan, without any: which exit takes each sample is all that a prediction needs of it."""
    return route(of_plan(bundle, plan, choice.engine).predict(images, "test"), plan)


def _drive(edge: Peer, batch: Mapping[str, npt.NDArray[np.float32]], expected: Answers) -> Driven:
    """Send the samples of a batch one after another, and hold the answers against those expected."""
    ((name, samples),) = batch.items()
    for sample in samples[-LEAD:]:
        edge.infer(CLASSIFIER, {name: sample[None]}, timeout=TIMEOUT)
    start = perf_counter()
    answers = [edge.infer(CLASSIFIER, {name: sample[None]}, timeout=TIMEOUT) for sample in samples]
    passed = 1000 * (perf_counter() - start) / len(samples)
    sent = sum(int(answer.parameters[BYTES_TO_CLOUD]) for answer in answers) / len(samples)
    label, exit_ = (np.array([answer.outputs[name][0] for answer in answers]) for name in ("label", "exit"))
    tiers = [bytes(answer.outputs["tier"][0]).decode() for answer in answers]
    same = (label == expected.label).all() and (exit_ == expected.exit).all()
    return Driven(passed, sent, label, bool(same) and tiers == [tier_name(tier) for tier in expected.tier])


def row_of(
    costs: Costs, plan: Plan, everyone: Answers, measured: Sequence[Driven], labels: npt.NDArray[np.int64]
) -> Row:
    """A plan's row: what each sample that was sent costs where it is answered, in the mean, beside what was measured.

    `everyone` are the answers that are predicted to all images, the first of which were sent, and `labels` theirs.
    """
    sent = len(measured[0].labels)
    expected = everyone.rows(slice(sent))
    part, last = plan.first, costs.manifest.last
    onward = float((expected.tier == Tier.CLOUD).mean())
    leave = dict(zip([active.exit for active in part.active], costs.exits(part), strict=True))
    total = 0.0
    for exit_, tier in zip(expected.exit.tolist(), expected.tier.tolist(), strict=True):
        if tier == Tier.CLOUD:
            total += costs.onward(part)
        else:
            total += leave[exit_] if exit_ in leave else costs.local(part)
    milliseconds = tuple(one.ms for one in measured)
    return Row(
        plan=plan,
        onward=onward,
        predicted_ms=1000 * total / len(expected),
        measured_ms=median(milliseconds),
        rounds_ms=milliseconds,
        predicted_bytes=onward * costs.bytes_up(part) if part.hands_on(last) else 0.0,
        measured_bytes=sum(one.bytes for one in measured) / len(measured),
        predicted_accuracy=float((everyone.label == labels).mean()),
        measured_accuracy=float((measured[0].labels == labels[:sent]).mean()),
        samples=sent,
        same=all(one.same for one in measured),
    )
