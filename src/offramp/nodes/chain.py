"""A chain of nodes: what one tier asks of the next, and by which plan that one answers.

The first tier's plan holds for the whole chain: it goes along with what is handed on, whole until the next tier has
answered by it once, by its id from then on. Takes courses and parameters; knows neither the protocol nor who is asked.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import lru_cache

from offramp.artifacts.codec import tail_name
from offramp.artifacts.plan import Plan
from offramp.errors import (
    ArtifactError,
    BehindError,
    BundleMismatchError,
    InputError,
    RefusedError,
    UnknownModelError,
    UnreachableError,
)
from offramp.nodes.contract import FOLLOWS, classifier_name
from offramp.nodes.route import Course
from offramp.protocol.served import Result

KEPT = 128  # plans that a tier remembers
LONGEST = 64 * 1024  # bytes of a plan that goes along: one of a hundred exits has a tenth of that


@lru_cache(maxsize=KEPT)
def plan_id(plan: Plan) -> str:
    """A plan's name: the same for the same tiers and score, whatever is promised of it."""
    return hashlib.sha256(_whole(plan).encode()).hexdigest()[:16]


@lru_cache(maxsize=KEPT)
def _whole(plan: Plan) -> str:
    return plan.model_copy(update={"promise": None}).model_dump_json()


def model_asked(course: Course) -> str:
    """The model of the next tier that takes what a course hands on."""
    named = classifier_name if course.onward else tail_name
    return named(course.part.cut, course.part.codec)


def follows(plan: Plan, known: bool) -> str:
    """What is said of the plan along with a request: its id where the next tier knows it, else all of it."""
    return plan_id(plan) if known else _whole(plan)


class Followed:
    """The plans by which a tier has been asked to answer, by their ids. Safe to call from several threads at once."""

    def __init__(self) -> None:
        self.plans: dict[str, Plan] = {}  # the one asked for longest ago first
        self.changing = threading.Lock()

    def meant(self, said: str, own: Plan) -> Plan:
        """The plan that a request follows: `own` where that is meant.

        Raises UnknownModelError where it is named and not known, InputError where what was said is no plan.
        """
        if not said.startswith("{"):
            if said == plan_id(own):
                return own
            with self.changing:
                plan = self.plans.pop(said, None)
                if plan is not None:
                    self.plans[said] = plan
            if plan is None:
                raise UnknownModelError(f"parameter {FOLLOWS!r}: no plan {said!r} is known here. Send it whole.")
            return plan
        if len(said) > LONGEST:
            raise InputError(f"parameter {FOLLOWS!r}: a plan of {len(said):,} bytes, expected {LONGEST:,} at most.")
        try:
            plan = Plan.parse(said, f"parameter {FOLLOWS!r}")
        except ArtifactError as error:  # it is no file of the node's
            raise InputError(str(error)) from error
        with self.changing:
            self.plans[plan_id(plan)] = plan
            while len(self.plans) > KEPT:
                del self.plans[next(iter(self.plans))]
        return plan


@contextmanager
def behind() -> Iterator[None]:
    """What goes wrong with the next tier is told to the tier before as that: this one is there, and may be asked."""
    try:
        yield
    except (UnreachableError, BundleMismatchError, RefusedError) as error:
        raise BehindError(str(error)) from error


def told_if_unknown(
    first: "Future[Result]", again: Callable[[float], "Future[Result]"], timeout: float
) -> "Future[Result]":
    """The answer to a request that names a plan; to one that says it `again`, where it has been forgotten meanwhile.

    Nothing was done for the first then. `timeout` seconds are for both.
    """
    answer: Future[Result] = Future()
    end, asked = time.monotonic() + timeout, [first]

    def done(came: "Future[Result]") -> None:
        error = None if came.cancelled() else came.exception()
        if came is first and isinstance(error, UnknownModelError) and FOLLOWS in str(error) and not answer.cancelled():
            try:
                asked.append(again(max(end - time.monotonic(), 0.0)))
            except Exception as failed:  # of a connection that is closed
                error = failed
            else:
                asked[-1].add_done_callback(done)
                return
        if came.cancelled() or not answer.set_running_or_notify_cancel():
            return
        if error is None:
            answer.set_result(came.result())
        else:
            answer.set_exception(error)

    answer.add_done_callback(lambda answer: answer.cancelled() and [one.cancel() for one in asked])
    first.add_done_callback(done)
    return answer


def check_next(course: Course, tier: str | None, peer: str) -> None:
    """Raise BundleMismatchError where a node says that it is another tier than the next of a course's plan."""
    if tier == course.next or (tier is None and not course.onward):
        return
    what = "no tier of a chain" if tier is None else f"the {tier}"
    closes = tier in course.plan.tiers and tier not in course.behind
    raise BundleMismatchError(
        f"{peer} is {what}, and by the plan {'the rest of the network' if not course.onward else f'the {course.next}'} "
        f"follows{': the chain closes on itself' if closes else ''}. Start it as "
        f"{f'--tier {course.next}' if course.onward else 'a cloud'}, or name another (--next HOST:PORT)."
    )
