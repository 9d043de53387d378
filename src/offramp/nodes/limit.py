"""How many samples the next tier takes in one request: as it said last, and asked again where it refuses a flight.

Takes who sends a flight and who asks for its configuration. Knows neither the protocol nor who waits for the answers.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from offramp.errors import OverloadedError, TooLargeError
from offramp.nodes.contract import most_of
from offramp.nodes.flight import Flight, Rows
from offramp.nodes.pieces import in_turn, pieces, shares
from offramp.nodes.upstream import Finished, onward, then

Said = Future[dict[str, str]]
Ask = Callable[[Flight, float], Said]  # for the configuration of who finishes a flight, within seconds
Send = Callable[[Flight, float], Future[Finished]]


def too_large(error: BaseException | None) -> bool:
    """Whether a request was refused because the next tier takes less at once: it has done nothing for it."""
    return isinstance(error, OverloadedError) and isinstance(error.__cause__, TooLargeError)


class Limit:
    """What one request to the next tier may hold. It may never have been asked, and be another node by now."""

    def __init__(self) -> None:
        self.most: int | None = None  # samples; None: it has not said so

    def requests(self, rows: int) -> int:
        """How many so many rows take, one behind the other."""
        return len(shares(rows, self.most))

    def sent(self, flight: Flight, send: Send, ask: Ask, timeout: float) -> Future[Finished]:
        """Send a flight whole or in pieces, and in smaller ones where that is refused; `timeout` seconds are for all.

        No thread waits, for what it takes neither.
        """
        fitting = partial(self._fitting, send, ask)
        sent = [*pieces(flight, self.most)]
        return fitting(flight, timeout) if len(sent) == 1 else in_turn(sent, fitting, timeout)

    def _fitting(self, send: Send, ask: Ask, flight: Flight, timeout: float) -> Future[Finished]:
        if len(flight.rows) == 1:
            return send(flight, timeout)
        if len(sent := [*pieces(flight, self.most)]) > 1:  # a piece before was refused
            return in_turn(sent, send, timeout)
        end = time.monotonic() + timeout

        def refused(found: Future[Finished]) -> Future[Finished]:
            if found.cancelled() or not too_large(found.exception()):
                return found
            return onward(ask(flight, max(end - time.monotonic(), 0.0)), partial(smaller, found))

        def smaller(found: Future[Finished], said: Said) -> Future[Finished]:
            sent = self._smaller(flight, said)
            return then(in_turn(sent, send, end - time.monotonic()), tried) if len(sent) > 1 else found

        def tried(found: Future[Finished]) -> Finished:
            one, whole = found.result(), sum(tensor.nbytes for tensor in flight.features.values())  # sent for nothing
            return replace(one, bytes_sent=one.bytes_sent + whole, requests=one.requests + 2)

        return onward(send(flight, timeout), refused)

    def parts(
        self, flight: Flight, send: Callable[[Flight], Iterator[tuple[Rows, Finished]]], ask: Callable[[Flight], Said]
    ) -> Iterator[tuple[Rows, Finished]]:
        """The same for who waits on its own thread, and is given each part's rows of the flight, counted from 0."""
        left, first = [flight], 0
        while left:
            piece, *rest = pieces(left.pop(0), self.most)
            left = rest + left
            try:
                for rows, part in send(piece):
                    yield first + rows, part
                first += len(piece.rows)
            except OverloadedError as error:
                if not too_large(error) or len(self._smaller(piece, ask(piece))) == 1:
                    raise
                left.insert(0, piece)

    def _smaller(self, flight: Flight, said: Said) -> list[Flight]:
        """The flight in pieces of what the next tier says that it takes; in one, where it does not say."""
        if said.exception() is None:
            self.most = most_of(said.result())
        return [*pieces(flight, self.most)]
