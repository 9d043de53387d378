"""How many replicas there should be: by the requests in flight at each, which Ray Serve does not see by itself."""

import math
import threading
import time
from typing import Any

from offramp.protocol.record import Record


class Flying:
    """A hook that knows how many requests were in flight in the mean: their seconds over those that passed (Little)."""

    NAME = "in_flight"

    def __init__(self) -> None:
        self.changing, self.seconds, self.since = threading.Lock(), 0.0, time.perf_counter()

    def ended(self, record: Record) -> None:
        """A request is over; it counts whole, where it ends."""
        with self.changing:
            self.seconds += record.ended - record.began

    def mean(self) -> float:
        """How many since this was asked last."""
        with self.changing:
            now = time.perf_counter()
            found = self.seconds / max(now - self.since, 1e-3)
            self.seconds, self.since = 0.0, now
        return found


def by_flight(context: Any) -> tuple[int, dict[str, Any]]:
    """A policy of Ray Serve's: replicas for all that is in flight, `target` at each. It keeps to least and most."""
    found = context.aggregated_metrics.get(Flying.NAME, {})
    if not found:  # none has reported yet
        return context.current_num_replicas, {}
    return math.ceil(sum(found.values()) / context.config.target_ongoing_requests), {}
