"""What `offramp export --triton` wrote, served by Triton's own core and by KServe's Python server, behind our edge.

Skipped where there is none. `OFFRAMP_PYTRITON_PYTHON` names the Python of an environment that has nvidia-pytriton,
`OFFRAMP_KSERVE_PYTHON` of one that has kserve; both need onnxruntime. Without them they are looked for in this one.
"""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from command_line import running
from foreign import SCRIPTS, WAIT, foreign_server, python_of
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec
from offramp.artifacts.plan import Plan
from offramp.bench.check import check
from offramp.bench.drive import drive
from offramp.bench.scenario import scenario
from offramp.data.image_set import Splits
from offramp.errors import BundleMismatchError, OfframpError
from offramp.exits.answers import Tier
from offramp.export.kserve import write_service
from offramp.export.triton import tails_of, write_repository
from offramp.measure.predict import of_bundle
from offramp.nodes.remote_cloud import RemoteCloud
from offramp.nodes.route import Course
from offramp.protocol.peer import Peer
from ports import HERE, held_port

PYTHONS = {
    "triton": python_of("OFFRAMP_PYTRITON_PYTHON", "pytriton"),
    "kserve": python_of("OFFRAMP_KSERVE_PYTHON", "kserve"),
}
TAILS = ("tail-3", "tail-3-fp16", "tail-3-uint8", "tail-0-uint8")


@dataclass(frozen=True)
class Engine:
    """A running server."""

    name: str
    address: str


@pytest.fixture(scope="module", params=PYTHONS)
def engine(
    request: pytest.FixtureRequest, bundle: Bundle, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Engine]:
    """Each that is installed, with a few tails."""
    name = request.param
    if (python := PYTHONS[name]) is None:
        pytest.skip(f"no {name}: OFFRAMP_{'PYTRITON' if name == 'triton' else 'KSERVE'}_PYTHON names none")
    folder = tmp_path_factory.mktemp(name)
    write_repository(folder / "repository", bundle, tails_of(bundle, TAILS))
    with held_port() as port:
        address = f"{HERE}:{port}"
        with foreign_server(python, f"foreign_{name}.py", folder, address, str(folder / "repository"), str(port)):
            yield Engine(name, address)


@pytest.mark.parametrize(("cut", "codec"), [(3, "fp32"), (3, "fp16"), (3, "uint8"), (0, "uint8")])
def test_an_edge_before_another_makers_engine_gives_what_offline_evaluation_gives(
    engine: Engine, bundle: Bundle, digits: Splits, cut: int, codec: Codec
) -> None:
    """Every label, exit and score, while several clients ask: the engine may answer them in batches."""
    plan = Plan.of(3, 0.3, cut=cut, codec=codec)
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images)
    offline = of_bundle(bundle, *((cut, codec) if codec != "fp32" else (0, "fp32"))).predict(digits.test, "test")
    options = ("--exit", "3", "--threshold", "0.3", "--cut", str(cut), "--codec", codec, "--threads", "1")
    to = ("--cloud", engine.address, "--cloud-version", "1", "--runtime", "onnxruntime", "--precision", "fp32")
    with running("edge", str(bundle.path), "--port", "0", *options, *to) as edge, Peer(edge.address()) as client:
        load = scenario("clients", len(pixels), batch_size=24, clients=4)
        driven = drive(client, pixels, batch_size=24, by=load, warm_up=0)
    agreement = check(driven.answers, digits.test, offline, bundle_id=bundle.id, plan=plan)
    assert agreement.holds, agreement
    assert agreement.swayed == 0  # not one of those near the threshold went the other way
    assert (driven.answers.tier == Tier.CLOUD).any()


def test_another_version_is_noticed_where_the_engine_knows_versions(engine: Engine, bundle: Bundle) -> None:
    """Triton has the one that was written; KServe's server takes any."""
    cloud = RemoteCloud(bundle, engine.address, "2")
    try:
        if engine.name == "kserve":
            cloud.check(Course(Plan.of(3, 0.3)), WAIT)
            return
        with pytest.raises(BundleMismatchError) as caught:
            cloud.check(Course(Plan.of(3, 0.3)), WAIT)
    finally:
        cloud.close()
    assert str(caught.value) == (
        f"cloud {engine.address} serves tail-3 in version 1, and this edge asks for version 2. Name the right one with "
        "--cloud-version."
    )


def test_a_tail_that_was_not_written_is_said(engine: Engine, bundle: Bundle) -> None:
    """The edge does not start."""
    cloud = RemoteCloud(bundle, engine.address, "1")
    with pytest.raises(BundleMismatchError) as caught:
        cloud.check(Course(Plan.of(4, 0.3)), WAIT)
    cloud.close()
    assert str(caught.value).startswith(f"cloud {engine.address} does not serve tail-4 (")


def test_another_bundle_is_noticed_by_what_it_computes(engine: Engine, bundle: Bundle) -> None:
    """A version is a number, and says nothing of weights."""
    graph = onnx.load_from_string(bundle.graph)
    for weights in graph.graph.initializer:
        if len(weights.dims) == 4:
            weights.CopyFrom(numpy_helper.from_array(-numpy_helper.to_array(weights), weights.name))
    cloud = RemoteCloud(Bundle(bundle.path, bundle.manifest, graph.SerializeToString()), engine.address, "1")
    with pytest.raises(BundleMismatchError) as caught:
        cloud.check(Course(Plan.of(3, 0.3)), WAIT)
    cloud.close()
    assert str(caught.value).startswith(
        f"cloud {engine.address} computes another network: logits_9 of 4 images are off"
    )


def test_features_of_another_shape_are_refused(engine: Engine) -> None:
    """In its own words."""
    with Peer(engine.address) as client, pytest.raises(OfframpError):
        client.infer("tail-3", {"features_3": np.zeros((1, 1, 1, 1), np.float32)}, timeout=WAIT, version="1")


def test_triton_says_which_bundle_a_version_is_of(engine: Engine, bundle: Bundle) -> None:
    """In the model's configuration, as it read it; KServe's server has none."""
    with InferenceServerClient(engine.address) as client:
        if engine.name == "kserve":
            with pytest.raises(InferenceServerException, match="UNIMPLEMENTED"):
                client.get_model_config("tail-3-uint8", client_timeout=WAIT)
            return
        found = client.get_model_config("tail-3-uint8", client_timeout=WAIT).config
    assert found.parameters["bundle"].string_value == bundle.id
    assert found.max_batch_size == 256
    assert found.dynamic_batching.default_queue_policy.max_queue_size == 256


def test_an_inference_service_has_nothing_that_kserves_own_schema_has_not(bundle: Bundle, tmp_path: Path) -> None:
    """Its package's classes, made of its API, know each word; where a file of the cluster's own is named, that too."""
    if (python := PYTHONS["kserve"]) is None:
        pytest.skip("no kserve: OFFRAMP_KSERVE_PYTHON names none")
    write_service(tmp_path / "service.yaml", bundle, "s3://models/mem", 2)
    script = str(SCRIPTS / "kserve_schema.py")
    done = subprocess.run([python, script, str(tmp_path / "service.yaml")], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "20 words known\n"), done.stdout + done.stderr
