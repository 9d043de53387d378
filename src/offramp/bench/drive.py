"""The paper's test node: send a set to an edge batch by batch, collect the answers, take the time of each sample."""

import queue
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from offramp.artifacts.bundle import IMAGE
from offramp.artifacts.measurement import Conditions, Latency, Measurement, TierLatency
from offramp.artifacts.plan import Plan
from offramp.data.image_set import ImageSet
from offramp.errors import InputError, LinkError
from offramp.exits.answers import Answers, Tier, merge
from offramp.exits.evaluation import evaluate
from offramp.link.client import Client
from offramp.link.served import Array
from offramp.nodes.edge_model import NAME, read_answers

TIMEOUT = 600.0  # seconds a whole drive may take


@dataclass(frozen=True)
class Drive:
    """What came back, a row a sample in the set's order."""

    answers: Answers
    latency_ms: npt.NDArray[np.float64]  # of each sample: from its batch's sending to its answer
    batch_ms: npt.NDArray[np.float64]  # of each batch: until its last answer
    bytes_to_cloud: int


def drive(
    client: Client,
    images: npt.NDArray[np.float32],
    *,
    batch_size: int,
    exit_: int | None = None,
    threshold: float | None = None,
    warm_up: int = 2,
) -> Drive:
    """Send images `(N, C, H, W)` one batch after another over the streaming call and wait for every answer.

    The first `warm_up` batches are sent twice; their first answers are thrown away.
    """
    if batch_size < 1:
        raise InputError(f"batch size {batch_size}: expected at least 1.")
    if not len(images):
        raise InputError("images: there is nothing to send.")
    parameters: dict[str, bool | int | float | str] = {}
    if exit_ is not None:
        parameters["exit"] = exit_
    if threshold is not None:
        parameters["threshold"] = threshold
    batches = [images[start : start + batch_size] for start in range(0, len(images), batch_size)]
    waiting: queue.SimpleQueue[dict[str, Array] | None] = queue.SimpleQueue()

    def sent() -> Iterator[dict[str, Array]]:
        while (batch := waiting.get()) is not None:
            yield batch

    results = client.stream(NAME, sent(), timeout=TIMEOUT, parameters=parameters)
    parts: list[tuple[npt.NDArray[np.intp], Answers]] = []
    latency, batch_ms, bytes_to_cloud = np.full(len(images), np.nan), [], 0
    try:
        for position, batch in [*enumerate(batches[:warm_up], -warm_up), *enumerate(batches)]:
            start = time.perf_counter()
            waiting.put({IMAGE: batch})
            answered = 0
            for result in results:
                elapsed = (time.perf_counter() - start) * 1000
                answered += len(result.outputs["row"])
                if position >= 0:
                    rows = result.outputs["row"] + position * batch_size
                    parts.append((rows, read_answers(result.outputs)))
                    latency[rows] = elapsed
                    bytes_to_cloud += int(result.parameters["bytes_to_cloud"])
                if result.last:
                    break
            if answered != len(batch):
                raise LinkError(f"{client.address}: answered {answered} of the {len(batch)} samples of a batch.")
            if position >= 0:
                batch_ms.append(elapsed)
    finally:
        waiting.put(None)
    return Drive(merge(parts, len(images)), latency, np.array(batch_ms), bytes_to_cloud)


def measurement(model: str, plan: Plan, images: ImageSet, drive: Drive, conditions: Conditions) -> Measurement:
    """Hold what came back against the labels."""
    accuracy = evaluate(drive.answers, images.labels)
    cloud = drive.answers.tier == Tier.CLOUD
    return Measurement(
        model=model,
        exit=plan.exit,
        threshold=plan.threshold,
        cut=plan.cut,
        codec=plan.codec,
        n=accuracy.n,
        exited_locally=accuracy.exited_locally,
        forwarded=accuracy.forwarded,
        dropped=accuracy.dropped,
        degraded=int(drive.answers.degraded.sum()),
        edge_accuracy=accuracy.edge_accuracy,
        cloud_accuracy=accuracy.cloud_accuracy,
        overall_accuracy=accuracy.overall_accuracy,
        latency_ms=TierLatency(
            edge=Latency.of(drive.latency_ms[~cloud]),
            cloud=Latency.of(drive.latency_ms[cloud]),
            overall=Latency.of(drive.latency_ms),
        ),
        batch_ms=Latency.of(drive.batch_ms),
        bytes_to_cloud=drive.bytes_to_cloud,
        conditions=conditions,
    )
