"""An edge whose answers are looked at: by the last exit, behind the answers, and against what was promised of them."""

import threading
from functools import partial

import numpy as np
import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.data.image_set import Splits
from offramp.errors import UnreachableError
from offramp.nodes.auditor import Auditor
from offramp.nodes.edge import Edge
from offramp.nodes.flight import Flight
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.route import Course
from offramp.nodes.upstream import failed
from until import until

SURE = Plan.of(8, 0.05, cut=9)
ROUGH = Plan.of(1, 1.0, cut=9)  # every sample leaves at the first exit


class Told:
    """Who is told of alarms."""

    def __init__(self) -> None:
        self.alarms: list[tuple[Course, str]] = []

    def __call__(self, course: Course, said: str) -> None:
        """Note one."""
        self.alarms.append((course, said))


def looked_at(auditor: Auditor) -> int:
    """How many samples were held against the last exit."""
    return auditor.agreed + auditor.disagreed


def reached(auditor: Auditor, end: int) -> bool:
    """Whether it has looked at so many."""
    return looked_at(auditor) == end


@pytest.fixture
def images(bundle: Bundle, digits: Splits) -> np.ndarray:
    """The test set."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images)


def test_what_is_drawn_is_held_against_the_last_exit(bundle: Bundle, images: np.ndarray) -> None:
    """Answers are the same with it; a plan that disagrees more than was promised raises one alarm, another none."""
    told, last = Told(), Edge(bundle, Plan.checked(active=(), cut=9)).infer(images).label
    for plan, alarms in ((SURE, 0), (ROUGH, 1)):
        plain = Edge(bundle, plan).infer(images)
        edge = Edge(bundle, plan, LocalCloud(bundle))
        auditor = Auditor(edge, LocalCloud(bundle), 1.0, lambda course: (0.05, 0.01), told)
        auditor.start()
        for start in range(0, len(images), 20):  # no more than can wait
            part, before = edge.infer(images[start : start + 20]), looked_at(auditor)
            assert (part.label == plain.label[start : start + 20]).all()
            end = min(start + 20, len(images))
            assert before <= end
            until(partial(reached, auditor, end))
        auditor.close()
        assert auditor.disagreed == int((plain.label != last).sum())
        assert [course for course, _ in told.alarms] == [edge.course] * alarms
        told.alarms.clear()
        assert (auditor.alarmed, edge.auditor) == (bool(alarms), None)


def test_what_goes_on_anyway_agrees_and_what_is_asked_for_otherwise_is_not_looked_at(
    bundle: Bundle, images: np.ndarray
) -> None:
    """Nothing is asked for either of them, and a share is a share."""
    edge = Edge(bundle, Plan.of(3, 0.0), LocalCloud(bundle))
    auditor = Auditor(edge, LocalCloud(bundle), 0.25, lambda course: (0.05, 0.01), Told(), seed=0)
    edge.auditor = auditor  # not started: whatever it asked would wait
    for image in images[:200]:
        edge.infer(image[None])
    assert auditor.agreed == pytest.approx(50, abs=25)
    before = auditor.agreed
    for image in images[:50]:
        edge.infer(image[None], plan=Plan.of(3, 1.0, cut=3))
    assert (auditor.agreed, auditor.waiting.qsize()) == (before, 0)


def test_what_the_cloud_was_asked_and_did_not_answer_is_left_out(bundle: Bundle, images: np.ndarray) -> None:
    """The edge answered in its place, and nothing says what the last exit would have."""

    class Gone:
        """One that fails."""

        def check(self, *asked: object) -> None:
            """Say nothing of it."""

        def finish(self, *asked: object) -> object:
            """Never."""
            return failed(UnreachableError("gone"))

    edge = Edge(bundle, Plan.of(3, 0.0), Gone())  # type: ignore[arg-type]
    edge.auditor = auditor = Auditor(edge, LocalCloud(bundle), 1.0, lambda course: (0.05, 0.01), Told())
    assert edge.infer(images[:20]).degraded.all()
    assert dict(auditor.found()) == {"agrees": 0, "disagrees": 0, "left out": 20}


def test_what_another_network_answers_is_not_looked_at(bundle: Bundle, images: np.ndarray) -> None:
    """A cascade is no answer by the plan, and its end not the last exit that was promised of."""

    class Other(LocalCloud):
        """One that serves another network as well."""

        def finish(self, flight: Flight, timeout: float, *asked: object) -> object:  # type: ignore[override]
            """By its own."""
            return super().finish(flight, timeout)

    edge = Edge(bundle, Plan.of(3, 0.0, cut=0, codec="uint8"), Other(bundle))  # type: ignore[arg-type]
    edge.auditor = auditor = Auditor(edge, LocalCloud(bundle), 1.0, lambda course: (0.05, 0.01), Told())
    edge.infer(images[:20], cloud_version="other")
    assert dict(auditor.found()) == {"agrees": 0, "disagrees": 0, "left out": 0}


def test_a_cloud_that_does_not_answer_holds_nobody_up(bundle: Bundle, images: np.ndarray) -> None:
    """What cannot wait is left out, and said to be."""
    held, cloud = threading.Event(), LocalCloud(bundle)

    class Slow(LocalCloud):
        """One that waits."""

        def finish(self, *asked: object) -> object:  # type: ignore[override]
            """Answer when it may."""
            held.wait(60)
            return cloud.finish(*asked)  # type: ignore[arg-type]

    edge = Edge(bundle, SURE, cloud)
    auditor = Auditor(edge, Slow(bundle), 1.0, lambda course: (0.05, 0.01), Told())
    auditor.start()
    assert len(edge.infer(images[:100])) == 100
    assert auditor.left_out >= 100 - 33
    held.set()
    until(lambda: auditor.agreed + auditor.disagreed + auditor.left_out == 100)
    auditor.close()
