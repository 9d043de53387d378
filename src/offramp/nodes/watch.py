"""What an edge knows of its cloud: there, lost, or with another bundle. Said in the log, once, whenever it changes.

A breaker opens by requests that fail, and closes by asking: while it is open, again and again, whether anybody sends a
request or not, so that no request is spent on finding out. Knows neither requests nor the protocol.
"""

import logging
import math
import threading
import time
from collections.abc import Callable

from offramp.artifacts.outcome import LAST_TIER
from offramp.errors import BundleMismatchError, DeadlineError, OfframpError, RefusedError, UnreachableError
from offramp.nodes.breaker import Breaker

EVERY = 0.5  # seconds from one asking to the next
PATIENCE = 10.0  # seconds for an answer: over a satellite, a connection takes two of them
REFUSED = (BundleMismatchError, RefusedError)  # it is there, and is not to be used, or not by us
REST = 10  # times what an asking took that ended in a refusal, until the next

log = logging.getLogger("offramp")


class CloudWatch:
    """Keeps an eye on the cloud at `address`. `ask` raises an OfframpError unless it can be used, within some seconds.

    Without trouble it is not asked, but `always`. `changed` is called, on some thread, when there is
    some, or none any more. `meanwhile`
    is what becomes of requests while it is lost, in words.
    """

    def __init__(
        self,
        address: str,
        ask: Callable[[float], None],
        *,
        always: bool = False,
        every: float = EVERY,
        meanwhile: str,
    ) -> None:
        self.address, self.ask, self.always, self.every, self.meanwhile = address, ask, always, every, meanwhile
        self.called = LAST_TIER  # or another tier of a chain
        self.breaker = Breaker(cool=math.inf)
        self.known: OfframpError | None = None  # what was said last of why it cannot be used
        self.changed: Callable[[], object] = lambda: None
        self.since, self.changing = time.monotonic(), threading.Lock()
        self.wake, self.closed = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._watch, name="cloud-watch", daemon=True)

    def start(self) -> None:
        """Begin to ask, where there is need."""
        self.thread.start()

    def close(self) -> None:
        """Ask no more. What is under way ends by itself, at the latest with its connection."""
        self.closed.set()
        self.wake.set()

    def why_not(self) -> str | None:
        """Why it cannot be used now, in words; None where it can, as far as is known."""
        return None if (reason := self.refusal()) is None else str(reason)

    def refusal(self) -> OfframpError | None:
        """Why it cannot be used now: nothing is sent to it, and while it is watched no request finds out for others."""
        return self.breaker.reason

    def answered(self) -> None:
        """A request has been answered."""
        self.breaker.answered()
        if self.known is not None:
            self._now()

    def failed(self, error: OfframpError) -> None:
        """A request has failed: for a reason that is the cloud's, or perhaps, which is then asked."""
        self.breaker.failed(error)
        if self.refusal() is not None:
            self._now()
        if self.refusal() is not None or isinstance(error, (DeadlineError, *REFUSED)):
            self.wake.set()

    def lost(self, error: OfframpError) -> None:
        """It cannot be used, as somebody else has found out."""
        self.breaker.open(error)
        self._now()

    def _watch(self) -> None:
        while not self.closed.is_set():
            if not self.always and self.refusal() is None:
                self.wake.wait()
            self.wake.clear()
            if self.closed.is_set():
                return
            began = time.monotonic()
            self._ask()
            # One that is refused was sent features: what that takes of a thin link stays a small part.
            rest = REST * (time.monotonic() - began) if isinstance(self.refusal(), REFUSED) else 0.0
            self.closed.wait(max(self.every, min(rest, PATIENCE)))

    def _ask(self) -> None:
        try:
            self.ask(PATIENCE)
        except OfframpError as error:
            if not self.closed.is_set():
                self.lost(error)
        except Exception:  # of a connection that is closed; of any other it is a defect
            if not self.closed.is_set():
                log.exception("a defect while asking %s %s", self.called, self.address)
        else:
            self.answered()

    def _now(self) -> None:
        """Say how it is, where it was not so before."""
        with self.changing:
            trouble = self.refusal()
            before, self.known = self.known, trouble
            if _kind(before) == _kind(trouble):
                return
            lasted, self.since = time.monotonic() - self.since, time.monotonic()
        if not _kind(trouble):
            log.info("%s back: %s, after %.1f s", self.called, self.address, lasted)
        elif isinstance(trouble, REFUSED):
            log.error("%s refused: %s", self.called, trouble)
        else:
            log.warning("%s lost: %s Until it is back, %s", self.called, trouble, self.meanwhile)
        self.wake.set()
        self.changed()


def _kind(trouble: OfframpError | None) -> str:
    """What there is to say of it; its words may differ from one time to the next.

    Of one that is there and answers late, or nonsense, nothing: it would be lost and back twice a second.
    """
    return "refused" if isinstance(trouble, REFUSED) else "lost" if isinstance(trouble, UnreachableError) else ""
