"""An edge's audit: of a share of all samples, those that it answers go on as well, behind its answers, to be compared.

Nobody waits for it: what is drawn is asked of the cloud one after another, in the background, and left out while the
cloud is busy or gone. Takes parts of batches as they are answered; knows neither how an alarm is met nor the protocol.
"""

import logging
import queue
import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from offramp.artifacts.codec import Codec, encode_image
from offramp.artifacts.plan import Plan
from offramp.artifacts.stages import IMAGE
from offramp.errors import LinkError, OfframpError
from offramp.exits.audit import Audit
from offramp.nodes.edge import Edge
from offramp.nodes.flight import Answered, Flight
from offramp.nodes.route import Course
from offramp.nodes.upstream import Finished, Upstream
from offramp.runtime.span import Array, Tensors

WAITING = 32  # drawn samples that may wait to be asked; what comes on top is left out
PATIENCE = 10.0  # seconds for an answer

log = logging.getLogger("offramp")


@dataclass(frozen=True)
class Drawn:
    """A sample that was drawn, and what it was answered by whom."""

    course: Course
    image: Array  # (1, C, H, W), or another sample of the network's input
    label: int


class Auditor:
    """Audits an edge's answers against what is promised of each plan, from `start` to `close`.

    `share` of the samples are drawn. `most` gives the disagreement that is promised of a course, and how sure that is
    not to raise a false alarm, δ; None: nothing is promised of it. `alarm` is called once for each course.
    """

    def __init__(
        self,
        edge: Edge,
        cloud: Upstream,
        share: float,
        most: Callable[[Course], tuple[float, float] | None],
        alarm: Callable[[Course, str], object],
        *,
        seed: int | None = None,
    ) -> None:
        self.edge, self.cloud, self.share, self.most, self.alarm = edge, cloud, share, most, alarm
        self.drawn = random.Random(seed)
        self.waiting: queue.Queue[Drawn | None] = queue.Queue(WAITING)
        # Whole to the cloud, for its last exit to answer: an image as small as the 8 bits that it was made from.
        self.codec: Codec = "uint8" if "uint8" in edge.bundle.manifest.cut(0).codecs else "fp32"
        self.course = edge.course_of(Plan.checked(active=(), cut=0, codec=self.codec))
        self.audits: dict[Course, Audit | None] = {}
        self.changing, self.closed = threading.Lock(), False
        self.agreed = self.disagreed = self.left_out = 0
        self.thread = threading.Thread(target=self._run, name="audit", daemon=True)

    def start(self) -> None:
        """Draw from now on."""
        self.edge.auditor = self
        self.thread.start()

    def close(self) -> None:
        """Draw no more, and raise no alarm any more; what waits is forgotten."""
        if self.edge.auditor is self:
            self.edge.auditor = None
        self.closed = True
        with suppress(queue.Full):
            self.waiting.put_nowait(None)

    @property
    def alarmed(self) -> bool:
        """Whether any promise was found not to hold."""
        return any(audit is not None and audit.alarmed for audit in self.audits.values())

    def found(self) -> Iterator[tuple[str, int]]:
        """How many that were drawn agreed with the last exit, did not, and were left out."""
        yield from (("agrees", self.agreed), ("disagrees", self.disagreed), ("left out", self.left_out))

    def watched(self, parts: Iterator[Answered | Flight], course: Course, came: Tensors) -> Iterator[Answered | Flight]:
        """The same parts; what is drawn of them is taken note of."""
        image = came[IMAGE]
        if len(image) == 1:  # the usual request
            if self.drawn.random() >= self.share:
                return parts
            chosen = np.ones(1, bool)
        else:
            chosen = np.array([self.drawn.random() < self.share for _ in range(len(image))])
        return self._noted(parts, course, image, chosen) if chosen.any() and self._audit(course) else parts

    def _noted(
        self, parts: Iterator[Answered | Flight], course: Course, image: Array, chosen: Array
    ) -> Iterator[Answered | Flight]:
        for part in parts:
            if isinstance(part, Flight):
                yield replace(part, drawn=int(chosen[part.rows].sum()))
                continue
            yield part
            if part.answers is not None:  # when it has gone out
                for position in np.flatnonzero(chosen[part.rows]):
                    row = part.rows[position]
                    self._put(Drawn(course, image[row : row + 1], int(part.answers.label[position])))

    def went(self, flight: Flight, answer: "Future[Finished]") -> None:
        """Take note of those of a flight that were drawn, when it is known who answers them."""
        answer.add_done_callback(partial(self._went, flight))

    def _went(self, flight: Flight, answer: "Future[Finished]") -> None:
        if answer.cancelled() or answer.exception() is not None:  # the edge answers in its place, or nobody
            self._left_out(flight.drawn)
            return
        for _ in range(flight.drawn):
            self._saw(flight.course, False)  # the last exit has answered it

    def _put(self, drawn: Drawn) -> None:
        try:
            self.waiting.put_nowait(drawn)
        except queue.Full:
            self._left_out(1)

    def _left_out(self, count: int) -> None:
        with self.changing:
            self.left_out += count

    def _audit(self, course: Course) -> Audit | None:
        """The bet on a course; None where nothing is promised of it."""
        if course not in self.audits:
            promised = self.most(course)
            self.audits[course] = None if promised is None else Audit(*promised)
        return self.audits[course]

    def _run(self) -> None:
        while (drawn := self.waiting.get()) is not None and not self.closed:
            try:
                label = self._last_label(drawn.image)
            except OfframpError as error:  # it says nothing of the sample
                self._left_out(1)
                if not isinstance(error, LinkError):
                    log.warning("audit: a sample could not be asked: %s", error)
            except Exception:  # of a connection that is closed, or a defect
                log.exception("audit: a defect")
            else:
                self._saw(drawn.course, label != drawn.label)

    def _last_label(self, image: Array) -> int:
        """What the network's last exit says."""
        flight = Flight(self.course, np.arange(1), {IMAGE: encode_image(image, self.codec)}, 1)
        answers = self.cloud.finish(flight, PATIENCE).result(2 * PATIENCE).answers
        assert answers is not None  # nobody else was named
        return int(answers.label[0])

    def _saw(self, course: Course, disagrees: bool) -> None:
        audit = self._audit(course)
        if audit is None:
            return
        with self.changing:
            before = audit.alarmed
            alarmed = audit.saw(disagrees)
            self.disagreed += disagrees
            self.agreed += not disagrees
        if alarmed and not before and not self.closed:
            self.alarm(course, audit.said())
