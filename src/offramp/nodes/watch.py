"""What an edge knows of its cloud: there, lost, or with another bundle. Said in the log, once, whenever it changes.

It learns of trouble from requests that fail, and of the end of it by asking: while there is trouble, again and again,
whether anybody sends a request or not. Knows neither requests nor the protocol.
"""

import logging
import threading
import time
from collections.abc import Callable

from offramp.errors import BundleMismatchError, DeadlineError, OfframpError, UnreachableError

EVERY = 1.0  # seconds from one asking to the next
PATIENCE = 10.0  # seconds for an answer: over a satellite, a connection takes two of them

log = logging.getLogger("offramp")


class CloudWatch:
    """Keeps an eye on the cloud at `address`. `ask` raises an OfframpError unless it can be used, within some seconds.

    Without trouble it is not asked, but `always`. `changed` is called, on some thread, when `trouble` has.
    """

    def __init__(
        self, address: str, ask: Callable[[float], None], *, always: bool = False, every: float = EVERY
    ) -> None:
        self.address, self.ask, self.always, self.every = address, ask, always, every
        self.trouble: OfframpError | None = None  # why it cannot be used now
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
        return None if self.trouble is None else str(self.trouble)

    def failed(self, error: OfframpError) -> None:
        """A request has failed: for a reason that is the cloud's, or perhaps, which is then asked."""
        if isinstance(error, DeadlineError):  # it may have been a short one
            self.wake.set()
        elif isinstance(error, UnreachableError | BundleMismatchError):
            self._now(error)

    def _watch(self) -> None:
        while not self.closed.is_set():
            self.wake.wait(self.every if self.always or self.trouble is not None else None)
            self.wake.clear()
            if self.closed.is_set():
                return
            self._ask()
            self.closed.wait(self.every)

    def _ask(self) -> None:
        try:
            self.ask(PATIENCE)
        except OfframpError as error:
            if not self.closed.is_set():
                self._now(error)
        except Exception:  # of a connection that is closed; of any other it is a defect
            if not self.closed.is_set():
                log.exception("a defect while asking cloud %s", self.address)
        else:
            self._now(None)

    def _now(self, trouble: OfframpError | None) -> None:
        """So it is now: say it, where it was not so before."""
        with self.changing:
            before, self.trouble = self.trouble, trouble
            if _kind(before) == _kind(trouble):
                return
            lasted, self.since = time.monotonic() - self.since, time.monotonic()
        if trouble is None:
            log.info("cloud back: %s, after %.1f s", self.address, lasted)
        elif isinstance(trouble, BundleMismatchError):
            log.error("cloud refused: %s", trouble)
        else:
            log.warning("cloud lost: %s Until it is back, what needs it fails, and the rest is answered.", trouble)
        self.wake.set()
        self.changed()


def _kind(trouble: OfframpError | None) -> str:
    """What there is to say of it; its words may differ from one time to the next."""
    return "" if trouble is None else "refused" if isinstance(trouble, BundleMismatchError) else "lost"
