"""What has come of samples that several devices see: who is waited for, until when, and what is done with who is late.

Takes views by sample, gives gathers that are ready to be joined: a whole one, one with a quorum, or one whose time is
over. Pure but for the clock that it is given; knows neither networks nor who waits. Not safe to call from several
threads at once: who holds it has a lock.
"""

import math
import time
from collections import Counter
from collections.abc import Callable, Collection
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from offramp.errors import InputError, OverloadedError

# What became of gathers, and of views: whole; joined with a quorum, or with fewer when their time was over; views that
# came when their sample was joined already without them, or again.
Told = Literal["whole", "quorum", "short", "late", "repeated"]
TOLD: tuple[Told, ...] = ("whole", "quorum", "short", "late", "repeated")
LONGEST_ID = 256  # characters of a sample's id
SHARE = 0.5  # of the time that a caller has left, for which others are waited for; the rest is for the answer

Given = TypeVar("Given")


@dataclass(eq=False)
class Gather(Generic[Given]):
    """What came of one sample. `answer` is for whoever waits; nobody here looks at it."""

    sample: str
    end: float  # when it is joined with what is there
    dues: list[float] = field(default_factory=list)  # when each of its callers waits no longer
    views: dict[str, Given] = field(default_factory=dict)  # by name; empty again once it was taken
    had: tuple[str, ...] = ()  # the views it was joined with
    forgotten: float = math.inf  # when nothing is known of it any more
    answer: "Future[Any]" = field(default_factory=Future)

    def due(self, now: float, least: float) -> float:
        """When it has to be answered: before the first goes of those callers who wait for `least` seconds more.

        Who goes sooner gets no answer in any case, and costs the others none.
        """
        return min((due for due in self.dues if due - now > least), default=max(self.dues, default=math.inf))

    @property
    def joined(self) -> bool:
        """Whether it is joined, or being joined, and takes no view any more."""
        return bool(self.had)


class Came(NamedTuple, Generic[Given]):
    """What a view met: its gather, whether that is to be joined now, and whether it was too late for it."""

    gather: Gather[Given]
    ready: bool
    late: bool


class Gathering(Generic[Given]):
    """Samples under way, and for `keep` seconds those that were joined, so that a late view finds its answer.

    A sample is joined when all of the `views` are there, or `quorum` of them, or `wait` seconds after the first came:
    earlier, where half of the time of one of its callers is over. `most` samples are known at once, the joined ones
    included: of those the oldest are forgotten first, and what is under way is not. A sample's id must not come again
    for another one within `keep` seconds.
    """

    def __init__(
        self,
        views: Collection[str],
        quorum: int | None = None,
        wait: float = 0.1,
        keep: float = 10.0,
        most: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        quorum = len(views) if quorum is None else quorum
        if not 1 <= quorum <= len(views):
            raise InputError(f"quorum {quorum}: expected 1 to {len(views)}, which is how many views there are.")
        if not 0 <= wait < math.inf or not 0 <= keep < math.inf:
            raise InputError(f"wait {wait:g} and keep {keep:g}: expected seconds, 0 or more.")
        if most < 1:
            raise InputError(f"samples {most}: expected at least 1 that may be under way.")
        self.views, self.quorum, self.wait, self.keep, self.most = tuple(views), quorum, wait, keep, most
        self.clock = clock
        self.known: dict[str, Gather[Given]] = {}  # by sample: in the order in which they began
        self.told: Counter[Told] = Counter()

    def add(self, sample: str, view: str, given: Given, timeout: float | None = None) -> Came[Given]:
        """A view of a sample has come, whose caller waits for `timeout` seconds more.

        One that was there already, and comes again before its sample is joined, takes the other's place. Raises
        InputError for an unknown view or a sample that has no name, OverloadedError where too many are under way.
        """
        self._check(sample, view)
        now = self.clock()
        self._forget(now)
        gather = self.known.get(sample)
        if gather is not None and gather.joined:
            self.told["repeated" if view in gather.had else "late"] += 1
            return Came(gather, ready=False, late=True)
        if gather is None:
            gather = self._begin(sample, now)
        self.told["repeated"] += view in gather.views
        gather.views[view] = given
        gather.dues.append(math.inf if timeout is None else now + timeout)
        if timeout is not None:
            gather.end = min(gather.end, now + SHARE * timeout)
        ready = len(gather.views) >= self.quorum or gather.end <= now
        if ready:
            self._close(gather, now)
        return Came(gather, ready, late=False)

    def due(self) -> list[Gather[Given]]:
        """The gathers whose time is over, to be joined with what is there; each is given once."""
        now = self.clock()
        over = [gather for gather in self.known.values() if not gather.joined and gather.end <= now]
        for gather in over:
            self._close(gather, now)
        self._forget(now)
        return over

    def drop(self, gather: Gather[Given]) -> None:
        """Forget a gather of which no answer came: whoever sends a view again begins anew."""
        if self.known.get(gather.sample) is gather:
            del self.known[gather.sample]

    def hurry(self) -> None:
        """The time of everything that is under way is over now."""
        now = self.clock()
        for gather in self.known.values():
            gather.end = min(gather.end, now)

    def next(self) -> float | None:
        """Seconds until the next gather's time is over; None: none is under way."""
        ends = [gather.end for gather in self.known.values() if not gather.joined]
        return max(min(ends) - self.clock(), 0.0) if ends else None

    def take(self, gather: Gather[Given]) -> dict[str, Given]:
        """What a gather is joined of, in the order of the views; it is not kept any longer."""
        taken = {name: gather.views[name] for name in gather.had}
        gather.views.clear()
        return taken

    def _check(self, sample: str, view: str) -> None:
        if view not in self.views:
            raise InputError(f"view {view!r}: unknown. The network was trained on {', '.join(self.views)}.")
        if not 0 < len(sample) <= LONGEST_ID:
            raise InputError(f"sample: an id of 1 to {LONGEST_ID} characters is expected, got {len(sample)}.")

    def _begin(self, sample: str, now: float) -> Gather[Given]:
        if len(self.known) >= self.most:
            oldest = next((name for name, one in self.known.items() if one.joined), None)
            if oldest is None:
                raise OverloadedError(
                    f"overloaded: {len(self.known)} samples wait for views, and no more may. Wait for less time "
                    "(--wait-ms) or for fewer views (--quorum), or ask later."
                )
            del self.known[oldest]
        gather = self.known[sample] = Gather(sample, now + self.wait)
        return gather

    def _close(self, gather: Gather[Given], now: float) -> None:
        gather.had = tuple(name for name in self.views if name in gather.views)
        gather.forgotten = now + self.keep
        count = len(gather.had)
        self.told["whole" if count == len(self.views) else "quorum" if count >= self.quorum else "short"] += 1

    def _forget(self, now: float) -> None:
        gone = [name for name, gather in self.known.items() if gather.forgotten <= now]
        for name in gone:
            del self.known[name]
