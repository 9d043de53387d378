"""A trial: one repeat of one setup on running nodes, and its answers held against the offline evaluation.

Takes networks with their predictions, the test images and nodes; gives an entry of the journal. Knows nothing of how
often and in which order setups are tried.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from offramp.artifacts.measurement import Latency
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.artifacts.stages import IMAGE
from offramp.bench.check import check
from offramp.bench.drive import Drive, drive
from offramp.data.image_set import ImageSet
from offramp.data.jpeg import to_jpeg
from offramp.exits.answers import Tier
from offramp.exits.evaluation import evaluate
from offramp.nodes.contract import CLASSIFIER
from offramp.paper.journal import Entry
from offramp.paper.networks import Network
from offramp.paper.reproduction import Agreed, Form, Repeat, Setup
from offramp.paper.stage import Nodes
from offramp.protocol.served import Parameters
from offramp.protocol.tensors import write_request

NO_EXIT = 0  # the classifier's parameter `exit` for none


class Trials:
    """Everything that a trial needs but nodes; `images` has every test image as it may leave the test node."""

    def __init__(
        self, networks: Mapping[str, Network], test: ImageSet, predictions: Mapping[str, Predictions], batch_size: int
    ) -> None:
        self.networks, self.test, self.predictions, self.batch_size = networks, test, predictions, batch_size
        bundle = next(iter(networks.values())).bundle
        self.images: dict[Form, npt.NDArray[Any]] = {
            "fp32": bundle.read(test.images),
            "uint8": test.images,
            "jpeg": np.array([to_jpeg(image) for image in test.images], np.object_),
        }

    def take(self, nodes: Nodes, setup: Setup) -> Entry:
        """Send the setup's samples, once."""
        images = self.images[setup.form][: setup.samples]
        batch_size = 1 if setup.singly else self.batch_size
        before = nodes.cloud_seconds()
        if setup.contender == "all in the cloud":
            assert nodes.front is not None  # else the setup would not be here
            driven = _as_cloud(drive(nodes.front, images, batch_size=batch_size), _request_bytes(images, batch_size))
        elif setup.contender == "planned":
            assert nodes.planned is not None
            driven = drive(nodes.planned, images, batch_size=batch_size, version=self._version(setup.model))
        else:
            driven = drive(
                nodes.edge,
                images,
                batch_size=batch_size,
                version=self._version(setup.model),
                options=parameters(setup.plan, self._version(setup.cloud_model)),
                direct=(nodes.cloud,) if setup.reply == "direct" and nodes.cloud else (),
            )
        cloud_ms = 1000 * (nodes.cloud_seconds() - before)
        return Entry(
            setup=setup,
            outcome=evaluate(driven.answers, self.test.labels[: setup.samples]),
            bytes_to_cloud=driven.bytes_to_cloud,
            **self._held(setup, driven).model_dump(),
            repeat=Repeat(
                latency_ms=driven.latencies(), batch_ms=Latency.of(driven.batch_ms), cloud_ms=round(cloud_ms, 3)
            ),
        )

    def _version(self, model: str | None) -> str:
        return "" if model is None else self.networks[model].bundle.id

    def _held(self, setup: Setup, driven: Drive) -> Agreed:
        """Compare answers where the offline evaluation says what they must be: of fp32, of one network."""
        if setup.plan.codec != "fp32" or setup.form != "fp32" or setup.cloud_model is not None:
            return Agreed(compared=0, differing=0, ties=0)
        rows = slice(0, setup.samples)
        agreement = check(
            driven.answers,
            self.test.rows(rows),
            self.predictions[setup.model].rows(rows),
            bundle_id=self._version(setup.model),
            plan=setup.plan,
        )
        differing = max(agreement.labels, agreement.exits, agreement.scores)
        return Agreed(compared=agreement.compared, differing=differing, ties=agreement.ties)


def parameters(plan: Plan, cloud_version: str = "") -> Parameters:
    """A plan as parameters of each request; `cloud_version` is the bundle that is asked in the cloud, if another."""
    options = {
        "cut": plan.cut,
        "codec": plan.codec,
        "exit": plan.exit if plan.active else NO_EXIT,
        "threshold": plan.threshold if plan.active else None,
        "drop_threshold": plan.drop_threshold,
        "cloud_version": cloud_version or None,
    }
    return {name: value for name, value in options.items() if value is not None}


def _as_cloud(driven: Drive, sent: int) -> Drive:
    """A node in the cloud that answers everything calls itself the edge; seen from here it is the cloud."""
    answers = driven.answers
    return replace(driven, answers=replace(answers, tier=np.full_like(answers.tier, Tier.CLOUD)), bytes_to_cloud=sent)


def _request_bytes(images: npt.NDArray[Any], batch_size: int) -> int:
    starts = range(0, len(images), batch_size)
    return sum(write_request(CLASSIFIER, "", {IMAGE: images[at : at + batch_size]}).ByteSize() for at in starts)
