"""What costs memory and time to make, such as a bundle's open spans: each made when it is first asked for, once.

A request may name a plan of its own, and each plan needs spans of its own, and a way on for when the cloud fails. They
are finitely many, but each holds its part of the weights and threads: beyond a bound, the one that was asked for
longest ago is let go, and made again when it is asked for again.
"""

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Cache(Generic[K, V]):
    """Up to `kept` of what `make` makes of a key, beside those held for good. For several threads at once."""

    def __init__(self, make: Callable[[K], V], kept: int) -> None:
        self.make, self.kept = make, kept
        self.others: dict[K, V] = {}  # the one asked for longest ago first
        self.own: dict[K, V] = {}  # of the course in force: not let go while it is
        self.making, self.changing = threading.Lock(), threading.Lock()

    def get(self, key: K) -> V:
        """What is made of a key. What is let go serves those who have it until they are done with it."""
        found = self._found(key)
        if found is None:
            with self.making:
                found = self._found(key)  # by who held the lock before
                if found is None:
                    found = self.make(key)
                    with self.changing:
                        self.others[key] = found
                        self._trim()
        return found

    def keep(self, own: dict[K, V]) -> None:
        """Hold these for good, which an edge runs by its own plan; those held until now become as all others."""
        with self.changing:
            for key in own:
                self.others.pop(key, None)
            self.others |= {key: value for key, value in self.own.items() if key not in own}
            self.own = own
            self._trim()

    def _trim(self) -> None:
        while len(self.others) > self.kept:
            del self.others[next(iter(self.others))]

    def _found(self, key: K) -> V | None:
        found = self.own.get(key)
        if found is not None:
            return found
        with self.changing:  # moved to the end: asked for last
            found = self.others.pop(key, None)
            if found is not None:
                self.others[key] = found
        return found
