"""The edge as a library: answer at a local exit what is sure enough, hand the rest on, lose nobody's place.

    edge = Edge(Bundle.open("bundle"), Plan.of(3, 0.3), cloud=RemoteCloud(bundle, "10.0.0.5:8001"))
    answers = edge.infer(images)

A local exit costs no socket. The server (`EdgeModel`) is a thin shell over this.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import Bundle, features_name, logits_name
from offramp.artifacts.plan import Plan
from offramp.errors import InputError, LinkError
from offramp.exits.answers import Answers, Judged, Tier, leaves, merge
from offramp.nodes.upstream import Upstream
from offramp.runtime.span import Span, open_span

CLOUD_TIMEOUT = 10.0  # seconds an edge waits for its cloud when the caller gives no deadline


@dataclass(frozen=True)
class Part:
    """Answers for some rows of a batch."""

    rows: npt.NDArray[np.intp]
    answers: Answers
    bytes_to_cloud: int
    last: bool


class Edge:
    """Answers batches by a plan. Safe to call from several threads at once."""

    def __init__(self, bundle: Bundle, plan: Plan, cloud: Upstream | None = None, *, threads: int = 0) -> None:
        self.bundle, self.cloud, self.threads = bundle, cloud, threads
        self.plan = self._check(plan)
        self.spans: dict[int, Span] = {}
        self.opening = threading.Lock()
        image = np.zeros((1, *bundle.manifest.preprocessing.shape), np.float32)
        self._span(plan.exit).run(image)  # warm: the first run allocates

    def infer(
        self, image: npt.NDArray[np.float32], *, plan: Plan | None = None, timeout: float | None = None
    ) -> Answers:
        """Answer a batch `(N, C, H, W)`, every row in its place.

        `plan` stands in for the edge's own for this call; `timeout` in seconds bounds the wait for the cloud. Raises
        InputError for a batch that the network does not take, LinkError where the cloud was needed and failed.
        """
        parts = [(part.rows, part.answers) for part in self.parts(image, plan=plan, timeout=timeout)]
        return parts[0][1] if len(parts) == 1 else merge(parts, len(image))

    def parts(
        self, image: npt.NDArray[np.float32], *, plan: Plan | None = None, timeout: float | None = None
    ) -> Iterator[Part]:
        """Answer a batch in up to two parts: what leaves here as soon as it is known, then what the cloud answers."""
        plan = self.plan if plan is None else self._check(plan)
        image = self.bundle.manifest.preprocessing.check(image)
        outputs = self._span(plan.exit).run(image)
        judged = Judged.of(outputs[logits_name(plan.exit)], plan.score)
        last = self.bundle.manifest.last
        leave = leaves(judged.scores, plan.threshold)
        if plan.exit == last or leave.all():
            rows = np.arange(len(image))
            yield Part(rows, judged.answers(plan.exit, Tier.EDGE), 0, last=True)
            return
        here, on = np.flatnonzero(leave), np.flatnonzero(~leave)
        if len(here):
            yield Part(here, judged.answers(plan.exit, Tier.EDGE, here), 0, last=False)
        assert self.cloud is not None  # _check saw to it
        features = outputs[features_name(plan.exit)]
        features = features[on] if len(here) else features
        try:
            finished = self.cloud.finish(plan.exit, features, CLOUD_TIMEOUT if timeout is None else timeout)
        except LinkError as error:
            raise type(error)(
                f"{error} {len(on)} of {len(image)} samples are not sure enough at exit {plan.exit} to be answered "
                "without it."
            ) from error
        yield Part(on, Judged.of(finished.logits, plan.score).answers(last, Tier.CLOUD), finished.bytes_sent, last=True)

    def _check(self, plan: Plan) -> Plan:
        last = self.bundle.manifest.last
        if self.cloud is None and plan.check(self.bundle.manifest).exit != last:
            raise InputError(
                f"exit {plan.exit}: what is not sure enough there goes to a cloud, and this edge has none. "
                f"Name one (--cloud HOST:PORT), or answer everything here at exit {last}."
            )
        return plan.check(self.bundle.manifest)

    def _span(self, exit_: int) -> Span:
        """Stages up to an exit and its head: opened when first asked for, once."""
        with self.opening:
            if exit_ not in self.spans:
                on = exit_ != self.bundle.manifest.last
                self.spans[exit_] = open_span(self.bundle, 0, exit_, exits=(exit_,), features=on, threads=self.threads)
            return self.spans[exit_]
