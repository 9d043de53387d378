"""The tier where several devices' views of one thing are joined: gathers them, joins, and answers as an edge does.

Knows features where they are joined, and no requests: those are each device's `view_model.ViewModel`'s.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np

from offramp.artifacts.codec import Codec
from offramp.artifacts.views import ViewsFolder
from offramp.errors import InputError, OfframpError, UnreachableError
from offramp.exits.joining import join
from offramp.nodes.cache import Cache
from offramp.nodes.edge import Edge
from offramp.nodes.edge_model import gathered, landed, result_of, timed
from offramp.nodes.flight import Flight
from offramp.nodes.gathering import TOLD, Came, Gather, Gathering
from offramp.nodes.upstream import again
from offramp.protocol.record import Record
from offramp.protocol.served import Array, Pending, Result
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
