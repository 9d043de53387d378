"""A batch under way: what of it is still to be answered, and what is known of it so far.

Takes a batch and the course that it follows, gives answers for what leaves here and a flight for what goes on. Knows
neither the protocol nor who takes the flight.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import IMAGE
from offramp.artifacts.codec import encode_image
from offramp.exits.answers import Answers, Judged
from offramp.exits.decision import Decision
from offramp.nodes.route import Course, Step
from offramp.runtime.span import Tensors

Rows = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Answered:
    """Some rows of a batch, answered; `last` where no further part follows."""

    rows: Rows
    answers: Answers | None  # None where the next tier answers the client directly
    bytes_to_cloud: int = 0
    bytes_from_cloud: int = 0
    last: bool = False


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

    def onward(self, step: Step, outputs: Tensors, judged: Judged, forward: Rows) -> Self:
        """What goes on behind an exit: some of the rows, with what the exit said of them and what features it gave."""
        features, rows = step.given(outputs), self.rows
        if len(forward) < len(rows):
            features = {name: tensor[forward] for name, tensor in features.items()}
            rows, judged = rows[forward], judged.at(forward)
        return type(self)(self.course, rows, features, self.of, judged, step.exit)


def parts(course: Course, came: Tensors) -> Iterator[Answered | Flight]:
    """Answer a batch by a course: what leaves at each active exit as soon as it is known, then what goes on, if any.

    `came` is the batch where the course starts: checked, its tensors in the order of their boundary.
    """
    count = len(next(iter(came.values())))
    flight = Flight(course, np.arange(count), came, count)
    score, tier, route = course.plan.score, course.tier, course.route
    for position, step in enumerate(route.exits):
        outputs = step.span.run(*flight.features.values())
        judged = Judged.of(outputs[step.logits], score, flight.judged)
        if step.ends:  # every sample is answered, whatever its score
            yield Answered(flight.rows, judged.answers(step.exit, tier), last=True)
            return
        decision = Decision.at(judged.scores, course.part, position)
        if len(decision.exit):
            done = not len(decision.forward) and not len(decision.drop)
            answers = judged.answers(step.exit, tier, slice(None) if done else decision.exit)
            yield Answered(flight.rows[decision.exit], answers, last=done)
        if len(decision.drop):
            answers = judged.answers(step.exit, tier, decision.drop, dropped=True)
            yield Answered(flight.rows[decision.drop], answers, last=not len(decision.forward))
        if not len(decision.forward):
            return
        flight = flight.onward(step, outputs, judged, decision.forward)
    yield _rest(flight, came)


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
