"""The tier where several devices' views of one thing are joined: gathers them, joins, and answers as an edge does.

To each device it is the next tier of its chain: `classifier-k`, in the version of that device's bundle. A request that
names its `sample` waits for the other views of it; one that names none is answered by its own view alone.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter

import numpy as np

from offramp.artifacts.codec import Codec
from offramp.artifacts.views import ViewsFolder
from offramp.errors import BehindError, InputError, OfframpError, UnreachableError
from offramp.exits.answers import tier_name
from offramp.exits.joining import join
from offramp.nodes.cache import Cache
from offramp.nodes.chain import behind
from offramp.nodes.contract import DEGRADED, LATE, PLAN, READY, SAMPLE, TIER, VIEW, VIEWS, Reply, classifier_name
from offramp.nodes.edge import Edge, deadline
from offramp.nodes.edge_model import answer_specs, gathered, landed, result_of, timed
from offramp.nodes.features import boundary_specs, check_features
from offramp.nodes.flight import Flight
from offramp.nodes.gathering import TOLD, Came, Gather, Gathering
from offramp.nodes.upstream import again
from offramp.protocol.record import Record
from offramp.protocol.served import Array, Call, Pending, Result
from offramp.protocol.streams import STOPPING
from offramp.runtime.open import open_span, warm_up
from offramp.runtime.span import Span, SpanSpec

log = logging.getLogger("offramp")

MOST_SPANS = 256
LEAST = 0.03  # seconds without which nobody can be answered any more
Decode = tuple[str, int, Codec]  # a view, and where and how its features come


@dataclass(frozen=True)
class Given:
    """One view of one sample: its features where they are joined `(1, *shape)`, and whether its caller takes less."""

    features: Array
    degraded: bool


class Aggregator:
    """Joins views and answers them by an edge, which runs what is behind the join by a plan of its own.

    `edge` holds the bundle `joint`. From `start` to `close` a thread of its own joins samples whose time is over.
    """

    def __init__(self, folder: ViewsFolder, edge: Edge, gathering: "Gathering[Given]") -> None:
        if edge.bundle.id != folder.joint.id:
            raise InputError(f"aggregator: its edge holds bundle {edge.bundle.id}, not {folder.joint.path}.")
        self.folder, self.edge, self.gathering = folder, edge, gathering
        self.changing = threading.Condition()  # guards the gathering
        self.closed = False
        self.none = {name: np.zeros((1, *folder.shape(name)), np.float32) for name in folder.views.names}
        self.spans = Cache[Decode, Span | None](self._open, MOST_SPANS)
        self.thread = threading.Thread(target=self._watch, name="gathering", daemon=True)

    def models(self) -> "list[ViewModel]":
        """A model for each place where a device may hand on, in each codec: up to where its view is joined."""
        return [
            ViewModel(self, name, cut.boundary, codec)
            for name, bundle in self.folder.devices.items()
            for cut in bundle.manifest.cuts
            if cut.boundary <= self.folder.cut(name)
            for codec in cut.codecs
        ]

    def start(self) -> None:
        """Watch the time."""
        self.thread.start()

    def close(self) -> None:
        """Join what is there, take nothing more, and end."""
        with self.changing:
            self.closed = True
            self.changing.notify_all()
        self.thread.join()

    def joined_alone(self, view: str, features: Array) -> Array:
        """The joint part's input `(N, *shape)` where no view but one is there."""
        rows = len(features)
        others = {name: np.zeros((rows, *none.shape[1:]), np.float32) for name, none in self.none.items()}
        had = np.tile([name == view for name in others], (rows, 1))
        return join([*(others | {view: features}).values()], had, self.folder.views.join)

    def add(self, sample: str, view: str, given: Given, timeout: float | None) -> "Came[Given]":
        """A view has come: join its sample at once where nobody is waited for any more."""
        with self.changing:
            if self.closed:
                raise UnreachableError(STOPPING)
            came = self.gathering.add(sample, view, given, timeout)
            taken = self.gathering.take(came.gather) if came.ready else None
            self.changing.notify_all()
        if taken is not None:
            self._join(came.gather, taken)
        return came

    def decoder(self, view: str, boundary: int, codec: Codec) -> Span | None:
        """What brings a view's features to where they are joined; None: they are there."""
        return self.spans.get((view, boundary, codec))

    def told(self) -> Mapping[str, int]:
        """What became of samples and views so far."""
        with self.changing:
            return {name: self.gathering.told[name] for name in TOLD}

    def _open(self, of: Decode) -> Span | None:
        view, boundary, codec = of
        bundle, cut = self.folder.devices[view], self.folder.cut(view)
        if (boundary, codec) == (cut, "fp32"):
            return None
        spec = SpanSpec(boundary, cut, (), "fp32", codec)
        span = open_span(bundle, spec, self.edge.choice.engine)
        warm_up(span, bundle, spec)
        return span

    def _watch(self) -> None:
        while True:
            with self.changing:
                if not self.closed:
                    self.changing.wait(self.gathering.next())
                if self.closed:
                    self.gathering.hurry()
                over = [(gather, self.gathering.take(gather)) for gather in self.gathering.due()]
                ends = self.closed
            for gather, taken in over:
                self._join(gather, taken)
            if ends:
                return

    def _join(self, gather: "Gather[Given]", taken: Mapping[str, Given]) -> None:
        """Answer a sample by the views that are there: at the aggregator's exit, or by asking the next tier."""
        try:
            views = [taken[name].features if name in taken else none for name, none in self.none.items()]
            had = np.array([[name in taken for name in self.none]])
            # Made for whoever takes one; a caller who does not gets an error in its place.
            degraded = any(given.degraded for given in taken.values())
            due = gather.due(time.monotonic(), LEAST)
            end = None if due == math.inf else due
            found = answered(self.edge, join(views, had, self.folder.views.join), end, degraded, Record())
        except Exception as error:
            if not isinstance(error, OfframpError):
                log.exception("aggregator: a defect, of sample %s", gather.sample)
            self._forget(gather)
            gather.answer.set_exception(error)
            return
        if isinstance(found, Result):
            gather.answer.set_result(Once(lambda: found))
            return
        once = Once(found.finish, lambda: self._forget(gather))
        found.answer.add_done_callback(lambda _: gather.answer.set_result(once))

    def _forget(self, gather: "Gather[Given]") -> None:
        with self.changing:
            self.gathering.drop(gather)


class Once:
    """A result that is made once, by whoever asks first, for all who ask."""

    def __init__(self, make: Callable[[], Result], told: Callable[[], object] = lambda: None) -> None:
        self.make, self.told, self.making = make, told, threading.Lock()  # of a failure
        self.made: Result | None = None
        self.failed: Exception | None = None

    def get(self) -> Result:
        """The result; raises what making it raised, a copy for each."""
        with self.making:
            if self.made is None and self.failed is None:
                try:
                    self.made = self.make()
                except Exception as error:
                    self.failed = error
                    self.told()
        if self.failed is not None:
            raise again(self.failed)
        assert self.made is not None
        return self.made


def answered(edge: Edge, joined: Array, end: float | None, degraded: bool, record: Record) -> Result | Pending:
    """What an edge makes of joined features, whole."""

    def parts() -> Iterator[Result | Pending]:
        for part in timed(edge.parts(joined), record):
            if isinstance(part, Flight):
                start, to = perf_counter(), edge.course.next
                sent = edge.send(part, end, None, None, degraded)
                yield Pending(sent.answer, partial(landed, sent, None, to, record, record.stage("encode", start)))
            else:
                yield result_of(part, None, edge.course.next)

    return gathered(parts())


class ViewModel:
    """What the aggregator makes of one device's features at one boundary, in one codec."""

    def __init__(self, aggregator: Aggregator, view: str, boundary: int, codec: Codec) -> None:
        self.aggregator, self.view, self.boundary, self.codec = aggregator, view, boundary, codec
        bundle = aggregator.folder.devices[view]
        self.name, self.version = classifier_name(boundary, codec), bundle.id
        self.inputs = boundary_specs(bundle.manifest, boundary, codec)
        self.sources = tuple(spec.name for spec in self.inputs)
        self.outputs = answer_specs(bundle.manifest.classes)
        self.behind = aggregator.folder.behind(view)

    @property
    def config(self) -> dict[str, str]:
        """What the node is, whose features it takes, and what became of those that came."""
        aggregator, gathering = self.aggregator, self.aggregator.gathering
        return {
            "bundle": self.version,
            "model": self.view,
            "plan": aggregator.edge.plan.to_json(),
            TIER: tier_name(aggregator.edge.tier),
            "boundary": str(self.boundary),
            "codec": self.codec,
            VIEW: self.view,
            VIEWS: ",".join(aggregator.folder.views.names),
            "join": aggregator.folder.views.join,
            "quorum": str(gathering.quorum),
            "wait_ms": f"{1000 * gathering.wait:g}",
            "gathered": json.dumps(aggregator.told()),
            **aggregator.edge.choice.config,
        }

    def prepare(self) -> None:
        """Open what decodes these features."""
        self.aggregator.decoder(self.view, self.boundary, self.codec)

    def infer(self, call: Call) -> Result | Pending:
        """Answer a view with the others of its sample, or a batch of views each alone where no sample is named."""
        if call.flag(READY):  # the aggregator answers by its own plan, and is ready
            return Result({})
        self._check(call)
        sent = call.tensors(*self.sources)
        check_features(self.inputs, sent)
        sample, degraded = call.text(SAMPLE), self.aggregator.edge.degrading(call.flag(DEGRADED))
        if sample is not None and len(sent[0]) != 1:
            raise InputError(
                f"sample {sample!r}: a call has one view of one sample, got {len(sent[0])} rows. Send a call for each."
            )
        start = perf_counter()
        decoder = self.aggregator.decoder(self.view, self.boundary, self.codec)
        features = sent[0] if decoder is None else next(iter(decoder.run(*sent).values()))
        call.record.stage("decode", start)
        if sample is None:
            joined = self.aggregator.joined_alone(self.view, features)
            return self._alone(answered(self.aggregator.edge, joined, deadline(call.timeout), degraded, call.record))
        came = self.aggregator.add(sample, self.view, Given(features, degraded), call.timeout)
        return self._waits(came, degraded, call)

    def stream(self, call: Call) -> Iterator[Result | Pending]:
        """Answer in one part: of a sample that is waited for there is no earlier one."""
        yield self.infer(call)

    def _check(self, call: Call) -> None:
        if others := sorted(PLAN & set(call.parameters)):
            raise InputError(f"parameter {others[0]!r}: the aggregator answers by its own plan. Leave it out.")
        if Reply.of(call) is not None:
            raise InputError("parameter 'reply_to': an aggregator sends no direct replies. Leave it out.")
        said, names = call.text(VIEW), self.aggregator.folder.views.names
        if said is not None and said not in names:
            raise InputError(f"view {said!r}: unknown. The network was trained on {', '.join(names)}.")
        if said not in (None, self.view):
            raise InputError(f"view {said!r}: bundle {self.version} is of {self.view}. Send each view by its own part.")

    def _alone(self, found: Result | Pending) -> Result | Pending:
        if isinstance(found, Result):
            return self._own(found, (self.view,), late=False)
        return Pending(found.answer, partial(self._finished_alone, found))

    def _finished_alone(self, found: Pending) -> Result:
        with behind():
            return self._own(found.finish(), (self.view,), late=False)

    def _waits(self, came: "Came[Given]", degraded: bool, call: Call) -> Pending:
        """What its caller waits for: a future of its own, since it may go while others wait."""
        gather, mine, start = came.gather, Future[None](), perf_counter()

        def there(_: "Future[Once]") -> None:
            if mine.set_running_or_notify_cancel():
                mine.set_result(None)

        def finish() -> Result:
            call.record.stage("queue", start)
            with behind():
                if (error := gather.answer.exception()) is not None:
                    raise again(error)
                answer = gather.answer.result().get()
            if not degraded and answer.outputs["degraded"].any():
                raise BehindError(
                    f"sample {gather.sample!r}: it was answered without the {self.aggregator.edge.course.next}, which "
                    "does not answer, and this caller takes no degraded answer."
                )
            return self._own(answer, gather.had, came.late)

        gather.answer.add_done_callback(there)
        return Pending(mine, finish)

    def _own(self, result: Result, had: tuple[str, ...], late: bool) -> Result:
        """An answer in the words of this device's bundle: its exits, and which views it is made of."""
        outputs = {**result.outputs, "exit": result.outputs["exit"] + self.behind}
        by = {kind._replace(exit=int(kind.exit) + self.behind): count for kind, count in result.by.items()}
        said: dict[str, bool | int | float | str] = {**result.parameters, VIEWS: ",".join(had)}
        return replace(result, outputs=outputs, parameters=said | ({LATE: True} if late else {}), by=by)
