"""A batch under way: what of it is still to be answered, and what is known of it so far.

Takes a batch and the course that it follows, gives answers for what leaves here and a flight for what goes on. Knows
neither the protocol nor who takes the flight.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.codec import encode_image
from offramp.artifacts.stages import IMAGE
from offramp.exits.answers import Answers, Judged
from offramp.exits.decision import Decision
from offramp.nodes.route import Course
from offramp.protocol.served import Parameters
from offramp.runtime.span import Tensors

Rows = npt.NDArray[np.intp]


NOWHERE: Mapping[str, int] = MappingProxyType({})


class Answered(NamedTuple):
    """Some rows of a batch, answered; `last` where no further part follows."""

    rows: Rows
    answers: Answers | None  # None where the next tier answers the client directly
    bytes_to_cloud: int = 0
    bytes_from_cloud: int = 0
    last: bool = False
    hops: Mapping[str, int] = NOWHERE  # bytes that were sent on behind the next tier, to each
    said: Parameters = NOWHERE  # what the tiers behind say of the answers


@dataclass(frozen=True)
class Flight:
    """The rows of a batch that are not answered yet. Every array but `rows` has a row for each of them."""

    course: Course
    rows: Rows  # of the caller's batch
    features: Tensors  # in the order of their boundary; at the cut and in its codec once handed on
    of: int  # samples in the caller's batch
    judged: Judged | None = None  # what the last local exit said of these rows; None where none was asked
    exit: int | None = None  # which that was
    trace: str = ""  # the context of a trace that it is part of
    along: Parameters = field(default_factory=dict)  # parameters that go on with it
    drawn: int = 0  # of its rows, by an audit (nodes.auditor)

    def of_rows(self, some: npt.NDArray[np.bool_]) -> Self:
        """The same of some of its rows alone."""
        features = {name: tensor[some] for name, tensor in self.features.items()}
        judged = None if self.judged is None else self.judged.at(np.flatnonzero(some))
        return replace(self, rows=self.rows[some], features=features, judged=judged)


def parts(course: Course, came: Tensors) -> Iterator[Answered | Flight]:
    """Answer a batch by a course: what leaves at each active exit as soon as it is known, then what goes on, if any.

    `came` is the batch where the course starts: checked, its tensors in the order of their boundary.
    """
    count = len(next(iter(came.values())))
    rows, features, judged, exit_ = _every(count), came, None, None
    score, tier = course.plan.score, course.tier
    for position, step in enumerate(course.route.exits):
        exit_, outputs = step.exit, step.span.run(*features.values())
        judged = Judged.of(outputs[step.logits], score, judged)
        if step.ends:  # every sample is answered, whatever its score
            yield Answered(rows, judged.answers(exit_, tier), last=True)
            return
        leave, drop, forward = Decision.at(judged.scores, course.part, position)
        if len(leave):
            done = len(leave) == len(rows)
            yield Answered(rows[leave], judged.answers(exit_, tier, None if done else leave), last=done)
        if len(drop):
            yield Answered(rows[drop], judged.answers(exit_, tier, drop, dropped=True), last=not len(forward))
        if not len(forward):
            return
        features = step.given(outputs)
        if len(forward) < len(rows):
            rows, judged = rows[forward], judged.at(forward)
            features = {name: tensor[forward] for name, tensor in features.items()}
    yield _rest(Flight(course, rows, features, count, judged, exit_), came)


@lru_cache(maxsize=128)
def _every(count: int) -> Rows:
    """All rows of a batch, not to be written to."""
    rows = np.arange(count)
    rows.setflags(write=False)
    return rows


def _rest(flight: Flight, came: Tensors) -> Answered | Flight:
    """What left at no active exit: answered, if the network ends here, else brought to the cut."""
    course, step = flight.course, flight.course.route.rest
    features = flight.features
    if course.route.back:
        features = {name: tensor[flight.rows] for name, tensor in came.items()}
    if step is not None:
        outputs = step.span.run(*features.values())
        if step.ends:
            judged = Judged.of(outputs[step.logits], course.plan.score, flight.judged)
            return Answered(flight.rows, judged.answers(step.exit, course.tier), last=True)
        features = step.given(outputs)
    elif course.takes is None and course.part.cut == 0:
        features = {IMAGE: encode_image(features[IMAGE], course.part.codec)}
    return flight if features is flight.features else replace(flight, features=features)
