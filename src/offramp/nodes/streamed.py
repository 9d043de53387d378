"""What goes on, answered in parts: each tier's answers as they come, for a caller that waits on its own thread."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, runtime_checkable

import numpy as np

from offramp.errors import DeadlineError, LinkError
from offramp.nodes.edge import TOO_LATE, Edge
from offramp.nodes.flight import Answered, Flight, Rows
from offramp.nodes.upstream import Finished, failed
from offramp.protocol.gone import Gone


@runtime_checkable
class InParts(Protocol):
    """A next tier that answers in parts."""

    def parts(self, flight: Flight, timeout: float, gone: Gone) -> Iterator[tuple[Rows, Finished]]:
        """Give answers as they come, with the rows of the flight, counted from 0, that each part answers.

        Raises a LinkError where that goes wrong, or is not over after `timeout` seconds, and GoneError where whoever
        waits for it has `gone`.
        """


def sent_in_parts(edge: Edge, flight: Flight, end: float | None, degraded: bool, gone: Gone) -> Iterator[Answered]:
    """Send a flight as `Edge.send` does; what no tier behind has answered when that fails is answered here."""
    sending = edge.sending(flight, end, degraded)
    left = np.ones(len(flight.rows), np.bool_)
    try:
        if sending.wait <= 0:
            raise DeadlineError(TOO_LATE)
        assert isinstance(edge.cloud, InParts)  # a tier that answers is a node elsewhere
        with edge.room.held(len(flight.rows)):
            for rows, part in edge.cloud.parts(sending.flight, sending.wait, gone):
                if not left[rows].all():
                    raise LinkError("the next tier answered a sample twice.")
                left[rows] = False
                yield part.answered(flight.rows[rows], last=not left.any())
                if not left.any():
                    return
        raise LinkError(f"the next tier answered {int((~left).sum())} of {len(left)} samples.")
    except LinkError as error:
        rest = replace(sending, flight=sending.flight.of_rows(left))
        yield rest.sent(failed(error), edge.notice.note)()
