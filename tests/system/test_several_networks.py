"""One edge process and one cloud process with several networks, each asked by its bundle's id, against offline."""

import http.client
import io
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from command_line import Node, running
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.names import parse_exits
from offramp.artifacts.plan import Plan
from offramp.bench.check import check
from offramp.bench.drive import Drive, drive
from offramp.client.describe import describe_edge, describe_edges, find_edge
from offramp.data.image_set import Splits
from offramp.errors import InputError, UnknownModelError
from offramp.exits.answers import Answers, Judged, Tier, merge
from offramp.exits.evaluation import route
from offramp.export.write import export
from offramp.measure.predict import of_bundle, open_predictor
from offramp.models.architecture import preset
from offramp.protocol.peer import Peer
from offramp.protocol.served import Parameters
from offramp.train.loop import Run, train
from offramp.train.recipe import recipe

Program = Callable[..., "subprocess.CompletedProcess[str]"]
WAIT = 30.0  # seconds after which a test that hangs fails
COMMON = ("--port", "0", "--threads", "1", "--runtime", "onnxruntime", "--precision", "fp32")
T = 0.3


@dataclass(frozen=True)
class Nodes:
    """An edge and its cloud, each with all of the networks, and a client of each."""

    edge: Node
    cloud: Node
    client: Peer
    at_cloud: Peer


@pytest.fixture(scope="module")
def trained(digits: Splits, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Bundle]:
    """A maker of networks that have learnt a little."""

    def make(name: str, epochs: int) -> Bundle:
        architecture = preset("tiny").architecture(parse_exits(name, 9), digits.train.classes)
        folder = tmp_path_factory.mktemp(name) / "checkpoint"
        run = Run(architecture, recipe("digits").but(epochs=epochs), "digits", 1)
        checkpoint = train(run, digits, folder, threads=1)
        return export(checkpoint, folder / "bundle", digits.calibration)

    return make


@pytest.fixture(scope="module")
def networks(bundle: Bundle, trained: Callable[[str, int], Bundle]) -> dict[str, Bundle]:
    """By name, in the order in which the nodes get them."""
    return {"sem-2": trained("sem-2", 6), "standard": trained("standard", 2), "mem": bundle}


@pytest.fixture(scope="module")
def nodes(networks: dict[str, Bundle]) -> Iterator[Nodes]:
    """One process each. The plans are what a threshold alone makes of each network."""
    paths = [str(bundle.path) for bundle in networks.values()]
    with running("cloud", *paths, *COMMON) as cloud:
        to = ("--threshold", str(T), "--cloud", cloud.address())
        with (
            running("edge", *paths, *to, *COMMON) as edge,
            Peer(edge.address()) as client,
            Peer(cloud.address()) as at_cloud,
        ):
            yield Nodes(edge, cloud, client, at_cloud)


def pixels(bundle: Bundle, digits: Splits) -> Any:
    """The test set as networks take it."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images)


def assert_as_offline(nodes: Nodes, driven: Drive, bundle: Bundle, plan: Plan, digits: Splits) -> None:
    """The answers are those of the offline evaluation of the bundle by the plan."""
    offline = open_predictor(bundle.path, plan=plan).predict(digits.test, "test")
    places = describe_edge(nodes.client, WAIT, bundle.id).places
    agreement = check(driven.answers, digits.test, offline, bundle_id=bundle.id, plan=plan, places=places)
    assert agreement.holds, agreement
    # Predicted by the plan's own spans, every sample tells. But an edge whose own plan asks no cloud does not know what
    # that computes with.
    assert agreement.ties == 0 or None in places, agreement


PLANS = {
    "sem-2": Plan.of(2, T),
    "standard": Plan.checked(active=[], cut=9),
    "mem": Plan.of(8, T),
}


def test_an_edge_tells_all_its_networks(nodes: Nodes, networks: dict[str, Bundle]) -> None:
    """In order; where none is named, it is the first."""
    served = describe_edges(nodes.client, WAIT)
    assert [(one.model, one.bundle, one.plan) for one in served] == [
        (name, bundle.id, PLANS[name]) for name, bundle in networks.items()
    ]
    assert describe_edge(nodes.client, WAIT) == served[0]
    assert describe_edge(nodes.client, WAIT, served[2].bundle) == served[2]
    assert find_edge(nodes.client, "mem") == find_edge(nodes.client, networks["mem"].id) == served[2]


def test_the_ready_line_names_all_networks(nodes: Nodes) -> None:
    """In short."""
    line = " ".join(nodes.edge.words)
    assert f" edge: sem-2 (exit 2, T = {T}), standard (cut 9), mem (exit 8, T = {T}), cloud " in line


@pytest.mark.parametrize("name", PLANS)
def test_each_network_answers_by_its_own_plan(
    nodes: Nodes, networks: dict[str, Bundle], digits: Splits, name: str
) -> None:
    """Asked by its bundle's id, as the offline evaluation of it says."""
    bundle = networks[name]
    driven = drive(nodes.client, pixels(bundle, digits), batch_size=64, version=bundle.id, warm_up=0)
    assert_as_offline(nodes, driven, bundle, PLANS[name], digits)


def test_the_first_network_answers_where_none_is_named(
    nodes: Nodes, networks: dict[str, Bundle], digits: Splits
) -> None:
    """As the protocol leaves it to the server."""
    driven = drive(nodes.client, pixels(networks["sem-2"], digits), batch_size=64, warm_up=0)
    assert_as_offline(nodes, driven, networks["sem-2"], PLANS["sem-2"], digits)


@pytest.mark.parametrize("name", PLANS)
def test_each_network_answers_over_http(nodes: Nodes, networks: dict[str, Bundle], digits: Splits, name: str) -> None:
    """At the address of its version."""
    bundle = networks[name]
    image = pixels(bundle, digits)[:16]
    offline = route(of_bundle(bundle).predict(digits.test, "test"), PLANS[name]).rows(slice(0, 16))
    tensor = {"name": "image", "datatype": "FP32", "shape": image.shape, "data": image.ravel().tolist()}
    connection = http.client.HTTPConnection(*nodes.edge.http_address().split(":"), timeout=WAIT)
    connection.request("POST", f"/v2/models/classifier/versions/{bundle.id}/infer", json.dumps({"inputs": [tensor]}))
    answer = json.loads(connection.getresponse().read())
    connection.close()
    outputs = {output["name"]: output["data"] for output in answer["outputs"]}
    assert answer["model_version"] == bundle.id
    assert outputs["label"] == offline.label.tolist()
    assert outputs["exit"] == offline.exit.tolist()
    assert outputs["score"] == pytest.approx(offline.score.tolist(), abs=1e-4)


ASKED: dict[str, tuple[str, Parameters, Plan]] = {
    "the 8-bit image goes on": ("mem", {"exit": 2, "cut": 0, "codec": "uint8"}, Plan.of(2, T, cut=0, codec="uint8")),
    "a cut behind the exit": ("mem", {"exit": 2, "cut": 5, "codec": "fp16"}, Plan.of(2, T, cut=5, codec="fp16")),
    "features in 8 bits": ("sem-2", {"codec": "uint8", "threshold": 0.4}, Plan.of(2, 0.4, codec="uint8")),
    "a drop threshold": ("sem-2", {"threshold": 0.2, "drop_threshold": 0.45}, Plan.of(2, 0.2, drop_threshold=0.45)),
    "nobody leaves": ("sem-2", {"threshold": 0}, Plan.of(2, 0.0)),
    "a fixed split": ("mem", {"exit": 0, "cut": 4, "codec": "uint8"}, Plan.checked(active=[], cut=4, codec="uint8")),
    "all in the cloud": ("standard", {"cut": 0, "codec": "uint8"}, Plan.checked(active=[], cut=0, codec="uint8")),
    "all at the edge": ("sem-2", {"exit": 0, "cut": 9}, Plan.checked(active=[], cut=9)),
    "an exit, and its cut with it": ("mem", {"exit": 3, "threshold": 0.4}, Plan.of(3, 0.4)),
}


@pytest.mark.parametrize("case", ASKED)
def test_a_request_follows_the_plan_that_it_names(
    nodes: Nodes, networks: dict[str, Bundle], digits: Splits, case: str
) -> None:
    """As the offline evaluation by that plan says."""
    name, options, plan = ASKED[case]
    bundle = networks[name]
    driven = drive(nodes.client, pixels(bundle, digits), batch_size=64, options=options, version=bundle.id, warm_up=0)
    assert_as_offline(nodes, driven, bundle, plan, digits)
    if not plan.active:
        assert set(driven.answers.exit) == {9}
    if plan.drop_threshold is not None:
        assert driven.answers.dropped.any()
    assert (driven.bytes_to_cloud == 0) == (plan.cut == 9)


def test_a_request_s_plan_is_its_own_alone(nodes: Nodes, networks: dict[str, Bundle], digits: Splits) -> None:
    """The next one that names nothing follows the edge's."""
    bundle = networks["mem"]
    image = pixels(bundle, digits)[:64]
    for options in ({"exit": 0, "cut": 0}, {}):
        driven = drive(nodes.client, image, batch_size=64, options=options, version=bundle.id, warm_up=0)
    offline = route(of_bundle(bundle).predict(digits.test, "test"), PLANS["mem"]).rows(slice(0, 64))
    assert driven.answers.exit.tolist() == offline.exit.tolist()


@pytest.mark.parametrize("form", ["8-bit", "png, an array", "png, a list"])
def test_every_form_of_the_images_can_be_driven(
    nodes: Nodes, networks: dict[str, Bundle], digits: Splits, form: str
) -> None:
    """What loses nothing gives the same answers."""
    bundle, frames = networks["sem-2"], digits.test.images
    files = [_png(frame) for frame in frames]
    array = np.empty(len(files), np.object_)
    array[:] = files
    sent = {"8-bit": frames, "png, an array": array, "png, a list": files}[form]
    driven = drive(nodes.client, sent, batch_size=64, version=bundle.id, warm_up=0)
    assert_as_offline(nodes, driven, bundle, PLANS["sem-2"], digits)


@pytest.mark.parametrize("name", ["sem-2", "mem"])
def test_direct_replies_come_from_each_network(
    nodes: Nodes, networks: dict[str, Bundle], digits: Splits, name: str
) -> None:
    """Over one kind of stream, whichever network was asked: the first of the cloud's, or its last."""
    bundle = networks[name]
    options = {"exit": 2, "threshold": 0.3, "codec": "uint8"}
    driven = drive(
        nodes.client,
        pixels(bundle, digits),
        batch_size=64,
        options=options,
        version=bundle.id,
        warm_up=0,
        direct=(nodes.at_cloud,),
    )
    assert (driven.answers.tier == Tier.CLOUD).any()
    assert_as_offline(nodes, driven, bundle, Plan.of(2, 0.3, codec="uint8"), digits)


def composed(networks: dict[str, Bundle], digits: Splits, exit_: int, threshold: float) -> Answers:
    """The cascade, offline: what SEM-2 is sure of at its exit, and the standard network's word on the 8-bit rest."""
    judged = Judged.of(of_bundle(networks["sem-2"]).predict(digits.test, "test").at(exit_))
    whole = Judged.of(of_bundle(networks["standard"], 0, "uint8").predict(digits.test, "test").at(9))
    here, there = (np.flatnonzero(rows) for rows in (judged.scores < threshold, judged.scores >= threshold))
    parts = [(here, judged.answers(exit_, Tier.EDGE, here)), (there, whole.answers(9, Tier.CLOUD, there))]
    return merge(parts, len(digits.test))


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.4])
@pytest.mark.parametrize("way", ["through the edge", "direct"])
def test_a_cascade_gives_what_its_two_networks_give(
    nodes: Nodes, networks: dict[str, Bundle], digits: Splits, threshold: float, way: str
) -> None:
    """The edge's SEM-2 decides, and the cloud's standard network answers for the images that it gets whole."""
    cascade = {"threshold": threshold, "cut": 0, "codec": "uint8", "cloud_version": networks["standard"].id}
    driven = drive(
        nodes.client,
        pixels(networks["sem-2"], digits),
        batch_size=64,
        options=cascade,
        version=networks["sem-2"].id,
        warm_up=0,
        direct=(nodes.at_cloud,) if way == "direct" else (),
    )
    offline = composed(networks, digits, 2, threshold)
    for field in ("label", "exit", "tier", "dropped", "degraded"):
        assert np.array_equal(getattr(driven.answers, field), getattr(offline, field)), field
    assert np.abs(driven.answers.score - offline.score).max() < 1e-4
    forwarded = int((offline.tier == Tier.CLOUD).sum())
    assert forwarded
    assert driven.bytes_to_cloud > forwarded * 256

    own = of_bundle(networks["sem-2"], 0, "uint8").predict(digits.test, "test").at(9).argmax(axis=1)
    assert (own != offline.label)[offline.tier == Tier.CLOUD].any(), "the two networks cannot be told apart"


WRONG: dict[str, tuple[Parameters, str]] = {
    "features to another network": (
        {"cloud_version": "f" * 32},
        f"cloud_version '{'f' * 32}': another network takes images and no features, and this request is cut at 2. Set "
        "cut to 0.",
    ),
    "no version": (
        {"cloud_version": "", "cut": 0},
        "cloud_version '': expected the id of a bundle that the cloud serves.",
    ),
    "a number of a version": (
        {"cloud_version": 1, "cut": 0},
        "parameter 'cloud_version': expected a string, got 1.",
    ),
    "an exit that another network has": ({"exit": 3}, "exit 3: sem-2 has the exits 2, 9. Choose one of them."),
    "a cut that another network has": ({"cut": 3}, "cut 3: sem-2 can be cut at 0, 2. Choose one of them."),
    "a cut before the exit": (
        {"exit": 9, "cut": 2},
        "plan: the cut must be 0 or not before the last active exit 9, got 2.",
    ),
    "no exit and no cut": (
        {"exit": 0},
        "exit 0: without a local exit, the cut says how far the edge runs. Name it as well.",
    ),
    "a codec that there is not": ({"codec": "jpeg"}, "codec 'jpeg': unknown. Choose one of fp32, fp16, uint8, 1bit."),
    "a drop threshold below the threshold": (
        {"drop_threshold": 0.2},
        "plan: the drop threshold must not be below the last exit's threshold 0.3, got 0.2.",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_plan_that_cannot_be_followed_is_an_invalid_argument(
    nodes: Nodes, networks: dict[str, Bundle], digits: Splits, case: str
) -> None:
    """Over gRPC and HTTP in the same words, and the next request is answered."""
    options, message = WRONG[case]
    image = pixels(networks["sem-2"], digits)[:2]
    with pytest.raises(InputError) as caught:
        nodes.client.infer("classifier", {"image": image}, timeout=WAIT, parameters=options)
    assert str(caught.value) == f"{nodes.client.address}: {message}"
    connection = http.client.HTTPConnection(*nodes.edge.http_address().split(":"), timeout=WAIT)
    tensor = {"name": "image", "datatype": "FP32", "shape": image.shape, "data": image.ravel().tolist()}
    connection.request("POST", "/v2/models/classifier/infer", json.dumps({"inputs": [tensor], "parameters": options}))
    response = connection.getresponse()
    assert (response.status, json.loads(response.read())) == (400, {"error": message})
    connection.close()
    assert len(nodes.client.infer("classifier", {"image": image}, timeout=WAIT).outputs["label"]) == 2


def test_a_cascade_to_a_network_that_is_not_there_is_an_invalid_argument(
    nodes: Nodes, networks: dict[str, Bundle], digits: Splits
) -> None:
    """It is the request's own parameter that names it."""
    options = {"cut": 0, "threshold": 0, "cloud_version": "nobody"}
    image = pixels(networks["sem-2"], digits)[:2]
    with pytest.raises(InputError) as caught:
        nodes.client.infer("classifier", {"image": image}, timeout=WAIT, parameters=options)
    assert type(caught.value) is InputError
    assert str(caught.value).startswith(
        f"{nodes.client.address}: cloud_version 'nobody': the cloud does not serve it ({nodes.at_cloud.address}: model "
        "'tail-0' version 'nobody': this node serves version "
    )


def test_a_network_that_the_edge_does_not_have_is_not_found(nodes: Nodes, digits: Splits) -> None:
    """By its version."""
    with pytest.raises(UnknownModelError, match="version 'nobody': this node serves version"):
        nodes.client.infer("classifier", {"image": digits.test.images[:2]}, timeout=WAIT, version="nobody")
    with pytest.raises(UnknownModelError, match="version 'nobody': this node serves version"):
        drive(nodes.client, digits.test.images[:2], batch_size=2, version="nobody")


def test_the_cloud_counts_each_network_s_samples_and_time(
    nodes: Nodes, networks: dict[str, Bundle], digits: Splits
) -> None:
    """Apart, though the tails have one name."""
    before = nodes.at_cloud.statistics(timeout=WAIT)
    counts = {"sem-2": 3, "mem": 5}
    for name, count in counts.items():
        options = {"exit": 0, "cut": 0, "codec": "uint8"}
        version = networks[name].id
        drive(nodes.client, digits.test.images[:count], batch_size=2, options=options, version=version, warm_up=0)
    after = nodes.at_cloud.statistics("tail-0-uint8", WAIT)
    assert set(after) == {("tail-0-uint8", bundle.id) for bundle in networks.values()}
    for name, bundle in networks.items():
        key = ("tail-0-uint8", bundle.id)
        assert after[key].samples - before[key].samples == counts.get(name, 0)
        assert (after[key].seconds > before[key].seconds) == (name in counts)
    connection = http.client.HTTPConnection(*nodes.cloud.http_address().split(":"), timeout=WAIT)
    connection.request("GET", "/v2/models/tail-0-uint8/stats")
    told = json.loads(connection.getresponse().read())["model_stats"]
    connection.close()
    assert {(one["name"], one["version"]): one["inference_count"] for one in told} == {
        key: found.samples for key, found in after.items()
    }


def test_bench_measures_a_network_by_its_name(nodes: Nodes, networks: dict[str, Bundle], offramp: Program) -> None:
    """Not the first, which it would without."""
    done = offramp("bench", "--edge", nodes.client.address, "--model", "mem", "--exit", "3", "--threshold", "0.4")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["model"], Plan.model_validate(found["plan"])) == ("mem", Plan.of(3, 0.4))


def test_bench_says_which_networks_there_are(nodes: Nodes, networks: dict[str, Bundle], offramp: Program) -> None:
    """Where none is called so."""
    done = offramp("bench", "--edge", nodes.client.address, "--model", "sem-3")
    names = ", ".join(f"{name} ({bundle.id})" for name, bundle in networks.items())
    assert (done.returncode, done.stderr) == (
        2,
        f"offramp: error: model 'sem-3': no network of {nodes.client.address} is called so. It serves {names}. Name "
        "one, by its bundle's id where names are the same.\n",
    )


@pytest.fixture
def refused(refusal: Callable[..., str]) -> Callable[..., str]:
    """What an edge says that is not started."""
    return lambda *arguments: refusal("serve", "edge", *arguments, *COMMON)


def test_a_plan_that_does_not_fit_every_bundle_isrefused(
    networks: dict[str, Bundle], refused: Callable[..., str]
) -> None:
    """By the path of the one that it does not fit."""
    mem, sem = str(networks["mem"].path), str(networks["sem-2"].path)
    where = ("--cloud", "127.0.0.1:1")
    assert refused(mem, sem, "--exit", "3", "--threshold", "0.3", *where) == (
        f"{sem}: exit 3: sem-2 has the exits 2, 9. Choose one of them."
    )
    assert refused(mem, sem, "--cut", "3", *where) == f"{sem}: cut 3: sem-2 can be cut at 0, 2. Choose one of them."


def test_an_edge_of_several_networks_says_what_it_lacks(
    networks: dict[str, Bundle], tmp_path: Path, refused: Callable[..., str]
) -> None:
    """A plan, a cloud, a bundle of its own, one version for one network."""
    mem, sem = str(networks["mem"].path), str(networks["sem-2"].path)
    assert refused(mem, sem).startswith("plan: nothing says what to do. Give --threshold, with --exit or ")
    assert refused(mem, sem, "--threshold", "0.3") == (
        f"{mem}: exit 8: what is not sure enough there goes to a cloud, and this edge has none. Name one (--cloud "
        "HOST:PORT), or answer everything here at exit 9."
    )
    assert refused(mem, sem, "--threshold", "1.5", "--cloud", "127.0.0.1:1").startswith(f"{mem}: threshold 1.5: ")
    assert refused(mem, mem, "--threshold", "0.3") == (
        f"{mem} and {mem}: the same bundle {networks['mem'].id}. Name it once."
    )
    assert refused(mem, sem, "--threshold", "0.3", "--cloud", "127.0.0.1:1", "--cloud-version", "1") == (
        "cloud version '1': it is one network's, and this edge has 2. Leave it out, or run an edge for each."
    )


def test_a_cloud_that_lacks_one_of_the_networks_isrefused(
    nodes: Nodes, networks: dict[str, Bundle], refused: Callable[..., str]
) -> None:
    """The check covers all of them."""
    mem, sem = networks["mem"], networks["sem-2"]
    with running("cloud", str(mem.path), *COMMON) as cloud:
        message = refused(str(mem.path), str(sem.path), "--exit", "2", "--threshold", "0.3", "--cloud", cloud.address())
    assert re.fullmatch(
        rf"cloud \S+ serves bundle {mem.id}, and this edge holds {sem.id} \({re.escape(str(sem.path))}\)\. Give both "
        r"nodes the same bundle\.",
        message,
    )


def _png(frame: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame).save(file, "PNG")
    return file.getvalue()
