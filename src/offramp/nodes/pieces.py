"""A flight of more samples than the next tier takes in one request: sent in pieces, one behind the other.

Takes a flight and who sends one piece. Knows neither the protocol nor what is there next.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future

import numpy as np

from offramp.exits.answers import merge
from offramp.nodes.flight import Flight, Rows
from offramp.nodes.upstream import Finished, give


def shares(count: int, most: int | None) -> list[Rows]:
    """The numbers of so many rows in as few pieces of up to `most` as there can be, of about one size; None: in one."""
    return np.array_split(np.arange(count), 1 if most is None else max(1, -(-count // most)))


def pieces(flight: Flight, most: int | None) -> Iterator[Flight]:
    """The flight in such pieces, in the order of its rows; as it is, where it is no larger."""
    count = len(flight.rows)
    for some in shares(count, most):
        here = np.zeros(count, np.bool_)
        here[some] = True
        yield flight if len(some) == count else flight.of_rows(here)


def in_turn(
    sent: Sequence[Flight], send: Callable[[Flight, float], Future[Finished]], timeout: float
) -> Future[Finished]:
    """Send a piece when the one before is answered, and give what will be all answers, or the first error.

    At once they would stand in a queue there that has no room for so many. `timeout` seconds are for all.
    """
    answer: Future[Finished] = Future()
    end, found, asked = time.monotonic() + timeout, list[Finished](), list[Future[Finished]]()

    def ask() -> None:
        asked.append(send(sent[len(found)], end - time.monotonic()))
        asked[-1].add_done_callback(came)

    def came(one: Future[Finished]) -> None:
        if answer.cancelled():
            return
        try:
            found.append(one.result())
            if len(found) < len(sent):
                ask()
            else:
                give(answer, joined(found))
        except Exception as error:
            give(answer, error)

    answer.add_done_callback(lambda answer: answer.cancelled() and asked[-1].cancel())
    ask()
    return answer


def joined(found: Sequence[Finished]) -> Finished:
    """What the next tier gave back for the pieces, as if it were for one flight."""
    answers = [one.answers for one in found if one.answers is not None]
    ends = np.cumsum([len(one) for one in answers], dtype=np.intp)
    rows = [np.arange(end - len(one), end) for one, end in zip(answers, ends, strict=True)]
    took = [one.took for one in found if one.took is not None]
    return Finished(
        merge([*zip(rows, answers, strict=True)], int(ends[-1])) if answers else None,
        sum(one.bytes_sent for one in found),
        sum(one.bytes_received for one in found),
        sum(took) if len(took) == len(found) else None,
        sum((Counter(one.hops) for one in found), Counter[str]()),
        {name: value for one in found for name, value in one.said.items()},
        sum(one.requests for one in found),
    )
