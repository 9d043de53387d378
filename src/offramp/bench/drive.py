"""The paper's test node: send a set to an edge batch by batch, collect the answers, take the time of each sample."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.measurement import Conditions, Latencies, Latency, Measurement
from offramp.artifacts.outcome import TIER_NAMES, Over
from offramp.artifacts.plan import Plan
from offramp.client.streaming import Conversation
from offramp.data.image_set import ImageSet
from offramp.errors import InputError
from offramp.exits.answers import Answers, Tier, merge
from offramp.exits.evaluation import evaluate
from offramp.protocol.peer import Peer
from offramp.protocol.served import Parameters


@dataclass(frozen=True)
class Drive:
    """What came back, a row a sample in the set's order."""

    answers: Answers
    latency_ms: npt.NDArray[np.float64]  # of each sample: from its batch's sending to its answer
    batch_ms: npt.NDArray[np.float64]  # of each batch: until its last answer
    bytes_to_cloud: int

    def latencies(self) -> Latencies:
        """Latency over the samples that each tier answered, and over all."""
        found: dict[Over, Latency | None] = {
            name: Latency.of(self.latency_ms[self.answers.tier == Tier[name.upper()]]) for name in TIER_NAMES
        }
        found["overall"] = Latency.of(self.latency_ms)
        return {over: latency for over, latency in found.items() if latency is not None}


def drive(
    client: Peer,
    images: npt.NDArray[Any] | Sequence[bytes],
    *,
    batch_size: int,
    options: Parameters | None = None,
    version: str = "",
    warm_up: int = 2,
    direct: Peer | None = None,
) -> Drive:
    """Send images one batch after another over the streaming call and wait for every answer.

    Images are float32 `(N, C, H, W)` in [0, 1], uint8 `(N, H, W, C)`, or encoded (bytes). `options` are parameters of
    every request: another plan than the edge's own. `version` (a bundle's id) names one of several networks of it.

    The first `warm_up` batches are sent twice; their first answers are thrown away. With `direct`, a client of the
    cloud, the cloud's answers come straight from there, the paper's way; else they come through the edge.
    """
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}: expected at least 1.")
    if not len(images):
        raise InputError("images: there is nothing to send.")
    images = images if isinstance(images, np.ndarray) else np.array(images, np.object_)
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    rounds = [*enumerate(batches[:warm_up], -warm_up), *enumerate(batches)]
    parts: list[tuple[npt.NDArray[np.intp], Answers]] = []
    latency, batch_ms, bytes_to_cloud = np.full(len(images), np.nan), [], 0
    with Conversation(client, direct, version) as conversation:
        for position, batch in rounds:
            start, answered_ms = time.perf_counter(), 0.0
            for arrival in conversation.ask(batch, options or {}, position):
                elapsed = (arrival.time - start) * 1000
                if position < 0:
                    continue
                bytes_to_cloud += arrival.bytes_to_cloud
                if arrival.answers is not None:
                    rows = arrival.rows + position * batch_size
                    parts.append((rows, arrival.answers))
                    latency[rows] = elapsed
                    answered_ms = elapsed
            if position >= 0:
                batch_ms.append(answered_ms)
    return Drive(merge(parts, len(images)), latency, np.array(batch_ms), bytes_to_cloud)


def measurement(model: str, plan: Plan, images: ImageSet, drive: Drive, conditions: Conditions) -> Measurement:
    """Hold what came back against the labels."""
    return Measurement(
        model=model,
        plan=plan,
        outcome=evaluate(drive.answers, images.labels),
        latency_ms=drive.latencies(),
        batch_ms=Latency.of(drive.batch_ms),
        bytes_to_cloud=drive.bytes_to_cloud,
        conditions=conditions,
    )
