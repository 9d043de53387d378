"""Another maker's server as the cloud: MLServer with tails of the bundle, behind our edge.

Skipped where there is none. `OFFRAMP_MLSERVER_PYTHON` names the Python of an environment that has mlserver and
onnxruntime; without it, they are looked for in this one.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from command_line import running
from foreign import WAIT, foreign_server, python_of
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.bench.check import check
from offramp.bench.drive import drive
from offramp.data.image_set import Splits
from offramp.errors import BundleMismatchError, InputError
from offramp.exits.answers import Tier
from offramp.exits.evaluation import route
from offramp.measure.predict import of_bundle
from offramp.nodes.edge import Edge
from offramp.nodes.flight import Flight
from offramp.nodes.remote_cloud import RemoteCloud
from offramp.nodes.route import Course
from offramp.protocol.peer import Peer
from ports import HERE, held_port

PYTHON = python_of("OFFRAMP_MLSERVER_PYTHON", "mlserver")
pytestmark = pytest.mark.skipif(PYTHON is None, reason="no mlserver: OFFRAMP_MLSERVER_PYTHON names none")

TAILS = {"tail-3": "fp32", "tail-3-uint8": "uint8", "tail-3-fp16": "fp16"}


@pytest.fixture(scope="module")
def foreign(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Its HOST:PORT."""
    folder = tmp_path_factory.mktemp("foreign")
    models = [f"{name}={_slice(bundle, folder / f'{name}.onnx', codec)}" for name, codec in TAILS.items()]
    assert PYTHON is not None
    with held_port() as port, held_port() as http_port:
        address = f"{HERE}:{port}"
        with foreign_server(PYTHON, "foreign_cloud.py", folder, address, str(port), str(http_port), *models):
            yield address


@pytest.mark.parametrize("codec", ["fp32", "fp16", "uint8"])
@pytest.mark.parametrize("threshold", [0.0, 0.3])
def test_an_edge_before_a_foreign_cloud_gives_what_offline_evaluation_gives(
    foreign: str, bundle: Bundle, digits: Splits, codec: str, threshold: float
) -> None:
    """Labels, exits and scores, in every codec: the slice and the protocol are all that the cloud knows."""
    plan = Plan.of(3, threshold, codec=codec)
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    offline = of_bundle(bundle, *((3, codec) if codec != "fp32" else (0, "fp32"))).predict(digits.test, "test")
    options = ("--exit", "3", "--threshold", str(threshold), "--codec", codec, "--threads", "1", "--port", "0")
    to = ("--cloud", foreign, "--cloud-version", "1", "--runtime", "onnxruntime", "--precision", "fp32")
    with running("edge", str(bundle.path), *options, *to) as edge, Peer(edge.address()) as client:
        driven = drive(client, pixels, batch_size=64, warm_up=0)
    agreement = check(driven.answers, digits.test, offline, bundle_id=bundle.id, plan=plan)
    assert agreement.holds, agreement
    assert agreement.swayed == 0  # not one of those near the threshold went the other way
    assert (driven.answers.tier == Tier.CLOUD).any()


def test_a_foreign_cloud_ends_a_chain(foreign: str, bundle: Bundle, digits: Splits, tmp_path: Path) -> None:
    """The tier before it need not be the first: what it answers goes back through both."""
    relay = {"active": [], "cut": 3}
    plan = Plan.model_validate(
        {"tiers": {"device": {"active": [{"exit": 2, "threshold": 0.2}], "cut": 3}, "edge": relay}}
    )
    plan.write(tmp_path / "chain.json")
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:64])
    told = ("--plan", str(tmp_path / "chain.json"), "--tier", "edge", "--next", foreign, "--cloud-version", "1")
    with running("edge", str(bundle.path), *told, "--precision", "fp32", "--port", "0", "--no-http") as edge:
        answers = Edge(bundle, plan, edge.address(), threads=1, tier="device").infer(pixels, degraded=False)
    offline = of_bundle(bundle).predict(digits.test, "test").rows(slice(0, 64))
    expected = route(offline, plan)
    assert np.array_equal(answers.label, expected.label)
    assert np.array_equal(answers.tier, expected.tier)
    assert {Tier.DEVICE, Tier.CLOUD} == set(answers.tier.tolist())


def test_a_foreign_cloud_is_checked_before_it_is_used(foreign: str, bundle: Bundle) -> None:
    """Its model and its version are there."""
    cloud = RemoteCloud(bundle, foreign, "1")
    cloud.check(Course(Plan.of(3, 0.3)), WAIT)
    cloud.close()


def test_a_foreign_cloud_without_the_tail_is_said(foreign: str, bundle: Bundle) -> None:
    """The edge does not start."""
    cloud = RemoteCloud(bundle, foreign, "1")
    with pytest.raises(BundleMismatchError) as caught:
        cloud.check(Course(Plan.of(4, 0.3)), WAIT)
    cloud.close()
    assert str(caught.value) == (
        f"cloud {foreign} does not serve tail-4 ({foreign}: Model tail-4 with version  not found). Serve the edge's "
        f"bundle there: {bundle.path}"
    )


@pytest.mark.parametrize("version", ["2", None])
def test_a_foreign_cloud_of_another_version_is_said(foreign: str, bundle: Bundle, version: str | None) -> None:
    """Of the number that was named, or of the bundle's id, which it cannot know."""
    cloud = RemoteCloud(bundle, foreign, version)
    with pytest.raises(BundleMismatchError) as caught:
        cloud.check(Course(Plan.of(3, 0.3)), WAIT)
    cloud.close()
    named = version or bundle.id
    assert str(caught.value) == (
        f"cloud {foreign} does not serve tail-3 in version {named} ({foreign}: Model tail-3 with version {named} not "
        "found). A server of another maker has versions of its own: name its with --cloud-version."
    )


def test_a_foreign_cloud_that_numbers_nothing_is_asked_for_no_version(foreign: str, bundle: Bundle) -> None:
    """An empty version takes what there is."""
    cloud = RemoteCloud(bundle, foreign, "")
    course = Course(Plan.of(3, 0.3))
    cloud.check(course, WAIT)
    features = np.zeros((2, *bundle.manifest.tensors(3)["features_3"]), np.float32)
    answers = cloud.finish(Flight(course, np.arange(2), {"features_3": features}, 2), WAIT).result(WAIT).answers
    cloud.close()
    assert answers is not None
    assert answers.probabilities.shape == (2, 10)


def test_the_answers_of_a_foreign_cloud_are_read(foreign: str, bundle: Bundle) -> None:
    """Raw, with empty typed contents beside them."""
    with Peer(foreign) as client:
        features = np.zeros((2, *bundle.manifest.tensors(3)["features_3"]), np.float32)
        outputs = client.infer("tail-3", {"features_3": features}, timeout=WAIT, version="1").outputs
    assert outputs["logits_9"].shape == (2, 10)


def test_a_refusal_of_a_foreign_cloud_is_an_error_of_ours(foreign: str, bundle: Bundle) -> None:
    """By its status."""
    with Peer(foreign) as client, pytest.raises(InputError):
        client.infer("tail-9", {"features_9": np.zeros((1, 1), np.float32)}, timeout=WAIT, version="1")


def _slice(bundle: Bundle, out: Path, codec: str) -> Path:
    options = ("--start", "3", "--takes", codec, "--out", str(out))
    subprocess.run([sys.executable, "-m", "offramp", "slice", str(bundle.path), *options], check=True, timeout=120)
    return out
