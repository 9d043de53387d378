"""What of a bundle is timed on a device, one name for each, and blocks that time requests to nodes.

Takes clients of an edge and a cloud. Knows neither how nodes are started nor what becomes of the times.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec, tail_name
from offramp.artifacts.profile import Way
from offramp.bench.http_call import HttpCall
from offramp.errors import LinkError
from offramp.measure.rounds import Block, block
from offramp.nodes.contract import CLASSIFIER, DEGRADED
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array, Parameters
from offramp.protocol.tensors import write_request
from offramp.runtime.span import SpanSpec

TIMEOUT = 30.0  # seconds for one request
MANY = 16  # calls at once, that show what a cloud does for each of many
PAUSE, PAUSES = 0.005, 6  # seconds before a call that shall find it idle, and how often


class Length(NamedTuple):
    """Of a block: seconds that count at least, seconds before them, and requests that it has at least."""

    seconds: float
    lead: float
    requests: int


@dataclass(frozen=True)
class SpanRun:
    """One run of a span."""

    spec: SpanSpec
    batch: int
    threads: int

    def __str__(self) -> str:
        exits = f" with exit {self.spec.end}" if self.spec.exits else ""
        where = f"span [{self.spec.start}, {self.spec.end}){exits}, {self.spec.takes} to {self.spec.gives or 'logits'}"
        return f"{where}, batch {self.batch}, {self.threads} threads"


@dataclass(frozen=True)
class Answer:
    """One request that an edge answers at an exit; `named`: the request names the plan, which costs a little."""

    exit: int
    way: Way
    named: bool = False

    def __str__(self) -> str:
        return f"an answer at exit {self.exit} by {self.way}"


@dataclass(frozen=True)
class Crossing:
    """One request that goes on to the cloud, or the cloud asked alone."""

    cut: int
    codec: Codec
    alone: bool = False

    def __str__(self) -> str:
        return f"{'a call of the cloud' if self.alone else 'a request that goes on'} at cut {self.cut} in {self.codec}"


@dataclass(frozen=True)
class Stacked:
    """A library's answer at the last local exit behind all others, or alone."""

    exits: tuple[int, ...]

    def __str__(self) -> str:
        return f"an answer at exit {self.exits[-1]} behind {len(self.exits) - 1} others"


@dataclass(frozen=True)
class Work:
    """What the cloud's process does for one call, in processor time: of one after a pause, or each of many at once."""

    cut: int
    codec: Codec
    many: int = 1

    def __str__(self) -> str:
        return f"the cloud's work for a call at cut {self.cut} in {self.codec}, {self.many} at once"


Timed = SpanRun | Answer | Crossing | Stacked | Work


def at_exit(exit_: int, last: int) -> Parameters:
    """The parameters of a request that is answered at an exit, whatever it says."""
    return {"exit": 0, "cut": last} if exit_ == last else {"exit": exit_, "threshold": 1.0, "cut": exit_}


def onward(cut: int, codec: Codec) -> Parameters:
    """The parameters of a request that goes on at a cut, past the exit there."""
    passed: Parameters = {"exit": cut, "threshold": 0.0} if cut else {"exit": 0}
    return {**passed, "cut": cut, "codec": codec, DEGRADED: False}


def request_blocks(bundle: Bundle, edge: Peer, cloud: Peer, web: HttpCall, length: Length) -> dict[Timed, Block]:
    """Blocks of whole requests of one sample: at each exit, at each cut in each codec, and of the cloud alone.

    `web` asks what the edge answers at its own exit, the bundle's first.
    """
    manifest = bundle.manifest
    (noise,) = SpanSpec(0, manifest.last, (manifest.last,)).noise(bundle, 1)
    ask = partial(asking, edge, {manifest.preprocessing.name: noise})

    def timed(run: Callable[[], object]) -> Block:
        return partial(block, run, runs=length.requests, seconds=length.seconds, lead=length.lead)

    first = manifest.exits[0]
    blocks: dict[Timed, Block] = {
        Answer(first, "grpc"): timed(ask({}, first, "edge")),
        Answer(first, "http"): timed(web.ask),
    }
    for exit_ in manifest.exits:
        named = at_exit(exit_, manifest.last)
        blocks[Answer(exit_, "grpc", named=True)] = timed(ask(named, exit_, "edge"))
    for cut in manifest.cuts:
        for codec in cut.codecs:
            went = ask(onward(cut.boundary, codec), manifest.last, "cloud")
            blocks[Crossing(cut.boundary, codec)] = timed(went)
            blocks[Crossing(cut.boundary, codec, alone=True)] = timed(calling(bundle, cloud, cut.boundary, codec))
    return blocks


def asking(edge: Peer, sample: Mapping[str, Array], named: Parameters, exit_: int, tier: str) -> Callable[[], object]:
    """A request of one sample, once it was seen to be answered where it should be; LinkError where it was not."""

    def ask() -> Any:
        return edge.infer(CLASSIFIER, dict(sample), timeout=TIMEOUT, parameters=named)

    outputs = ask().outputs
    found = int(outputs["exit"][0]), bytes(outputs["tier"][0]).decode()
    if found != (exit_, tier):
        raise LinkError(
            f"edge {edge.address}: a request with {named} was answered at exit {found[0]} of the {found[1]}, and exit "
            f"{exit_} of the {tier} was meant. See the node's log."
        )
    return ask


def work_blocks(
    bundle: Bundle, clouds: Sequence[Peer], worked: Callable[[], float], cut: int, codec: Codec
) -> dict[Timed, Block]:
    """Blocks of a cloud's work for a call, asked on so many connections at once.

    `worked` gives the seconds that its process has been on a processor.
    """
    calls = [calling(bundle, cloud, cut, codec, wait=False) for cloud in clouds]
    return {
        Work(cut, codec): partial(work, calls[:1], worked, PAUSES),
        Work(cut, codec, len(calls)): partial(work, calls, worked, PAUSES // 2),
    }


def work(calls: Sequence[Callable[[], Any]], worked: Callable[[], float], times: int) -> float:
    """Milliseconds of a process's work for one call, where these are sent at once so many times, after a pause each."""
    took = 0.0
    for number in range(times + 1):
        time.sleep(PAUSE)
        before = worked()
        for answer in [call() for call in calls]:
            answer.result()
        took += worked() - before if number else 0.0  # the first time finds connections that are not there yet
    return 1000 * took / times / len(calls)


def calling(bundle: Bundle, cloud: Peer, cut: int, codec: Codec, *, wait: bool = True) -> Callable[[], Any]:
    """A call of the cloud's tail for one sample, as an edge makes it; without `wait` it gives the future alone."""
    spec = SpanSpec(cut, bundle.manifest.last, (bundle.manifest.last,), takes=codec)
    features = dict(zip(bundle.manifest.tensors(cut), spec.noise(bundle, 1), strict=True))
    name = tail_name(cut, codec)

    def begin() -> Any:
        return cloud.begin(write_request(name, bundle.id, features), TIMEOUT)

    return (lambda: begin().result()) if wait else begin
