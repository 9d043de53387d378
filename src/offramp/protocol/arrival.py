"""The message of a gRPC call before a thread of its own: no thread waits for one, however slowly its client sends it.

grpc has a pool's thread ask for the message of each call, wait on a condition, and be woken when it is there. Here who
asks runs on a stack of its own, on the thread that reads what comes, and is left there until then: a thread takes up
the call once it can go on, and threads change once for each call and not twice. Knows no protocol and no model.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from greenlet import getcurrent, greenlet

log = logging.getLogger("offramp")


def set_aside(state: Any, message: Callable[[], Any], then: Callable[[Any], object]) -> None:
    """Ask for a call's message as grpc does, and go on with it once it is there: None where the client has gone.

    `state` is grpc's of the call, of which nobody else has heard yet; its condition is taken by another. Called on the
    thread that reads what comes, and so is `then`.
    """
    condition = state.condition = _Arrival()

    def ask() -> None:
        came = message()
        condition.asks = None
        try:
            then(came)
        except Exception:  # of this call alone: the thread reads for all
            log.exception("a defect while taking up a call")

    condition.asks = greenlet(ask)
    condition.asks.switch()


class _Arrival(threading.Condition):
    """Who asks for the message waits here on its own stack. Woken for nothing, grpc looks, and waits again."""

    asks: greenlet | None = None

    def wait(self, timeout: float | None = None) -> bool:
        if self.asks is None or getcurrent() is not self.asks:
            return super().wait(timeout)
        self.release()
        self.asks.parent.switch()
        self.acquire()
        return True

    def notify_all(self) -> None:
        super().notify_all()
        if self.asks is not None:
            self.asks.switch()
