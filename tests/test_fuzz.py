"""Requests, documents and folders that are not quite what they should be: an error of ours, and the node goes on."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ill_formed import DEFECTS, Documents, Files, Protocols
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.measurement import Conditions, Latency, Measurement
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.machine import here
from offramp.models.checkpoint import Checkpoint
from offramp.runtime.kept import Choices
from offramp.train.recipe import RecipeFile
from outcomes import outcome_of
from reproductions import build_uneven
from suites import build_suite

CHANCE = st.randoms(use_true_random=False)
quick = settings(suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def node(bundle: Bundle) -> Iterator[Protocols]:
    """An edge in this process."""
    protocols = Protocols(bundle)
    yield protocols
    protocols.close()


@pytest.mark.parametrize("way", [Protocols.grpc, Protocols.http])
@settings(quick, max_examples=300)
@given(chance=CHANCE)
def test_a_request_is_answered_or_refused_and_so_is_the_next(
    way: Callable[[Protocols, random.Random], str], node: Protocols, chance: random.Random
) -> None:
    """Never as the node's own fault, and a good one is answered by both protocols afterwards."""
    assert way(node, chance) not in DEFECTS
    assert node.good()


@pytest.fixture(scope="module")
def documents(bundle: Bundle, checkpoint: Checkpoint, predictions: Predictions) -> Documents:
    """One of every class that is read from a user's disk."""
    latency = Latency(mean=2.0, p50=2.0, p95=3.0, p99=3.5)
    measurement = Measurement(
        model="mem",
        plan=Plan.of(3, 0.3),
        outcome=outcome_of(1, 1, 0, (1.0, 0.5, 0.5)),
        latency_ms={"edge": latency, "overall": latency},
        batch_ms=latency,
        bytes_to_cloud=256,
        conditions=Conditions(**here(), batch_size=1, link="none", runtime="onnxruntime", dtype="fp32"),
    )
    assert bundle.self_test is not None
    return Documents(
        [
            Plan.of(3, 0.3),
            RecipeFile(base="modern", changes={"epochs": 3}),
            bundle.manifest,
            bundle.self_test,
            checkpoint.card,
            predictions.header,
            measurement,
            build_suite(models=("standard", "mem"), regimes=("joint",), seeds=(0,)),
            build_uneven(),
            Choices(bundle=bundle.id),
        ]
    )


@settings(quick, max_examples=1000)
@given(chance=CHANCE)
def test_a_document_is_read_or_refused(documents: Documents, chance: random.Random) -> None:
    """By an error of ours, whichever its class, those of before among them."""
    assert documents(chance) in {"read", "ArtifactDamagedError", "ArtifactVersionError"}


@pytest.fixture(scope="module", params=["bundle", "checkpoint", "predictions"])
def files(
    request: pytest.FixtureRequest,
    bundle: Bundle,
    checkpoint: Checkpoint,
    predictions_file: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Files:
    """A copy of each, and what opens it."""
    opened: dict[str, tuple[Path, Callable[[Path], object]]] = {
        "bundle": (bundle.path, Bundle.open),
        "checkpoint": (checkpoint.path, Checkpoint.open),
        "predictions": (predictions_file, Predictions.read),
    }
    source, opens = opened[request.param]
    return Files(source, tmp_path_factory.mktemp("fuzz"), opens)


@settings(quick, max_examples=50)
@given(chance=CHANCE)
def test_what_lies_on_the_disk_is_opened_or_refused(files: Files, chance: random.Random) -> None:
    """With some bytes otherwise, or without one of the files."""
    said = files(chance)
    assert said.startswith("Artifact") or said == "opened"
