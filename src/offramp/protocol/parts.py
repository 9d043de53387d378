"""Where the time of an answered request went, in Triton's four parts: of the record of what it went through."""

from typing import NamedTuple

from offramp.protocol.record import Record


class Parts(NamedTuple):
    """Seconds. Together they are the time from the decoded request to its last result: nothing is left over."""

    queue: float  # it waited for its turn
    compute_input: float  # until its model began with it, or it was put into the queue: it was checked
    compute_infer: float  # the model, what it was batched with, and what was asked of another node for it
    compute_output: float  # from the model's end on


def parts_of(record: Record) -> Parts:
    """The parts of a request that was answered; all is computing, where its model does not say what it did."""
    since, until = record.served, record.answered or record.ended
    begun, over, queue = until, since, 0.0
    for stage, start, end in record.stages:
        if start < since or end > until:  # what came before the model, or follows its answer
            continue
        begun, over = min(begun, start), max(over, end)
        if stage == "queue":
            queue += end - start
    if over < begun:
        return Parts(0.0, 0.0, until - since, 0.0)
    return Parts(queue, begun - since, over - begun - queue, until - over)
