"""A chain of nodes as processes: device, edge and more, up to the cloud, each of which answers what it is sure of.

The first tier runs in this process where that is enough, by many plans in front of the same nodes: the plan goes along.
"""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest

from command_line import Node, running
from load import WAIT, Load
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.codec import Codec
from offramp.artifacts.plan import Plan
from offramp.artifacts.predictions import Predictions
from offramp.client.client import Client
from offramp.data.image_set import Splits
from offramp.errors import BundleMismatchError, InputError, UnreachableError
from offramp.exits.answers import Answers, Tier, merge
from offramp.exits.evaluation import route
from offramp.nodes.contract import hops, read_answers
from offramp.nodes.edge import Edge
from offramp.nodes.flight import Answered, Flight, Rows
from offramp.nodes.local_cloud import LocalCloud
from offramp.nodes.streamed import sent_in_parts
from offramp.protocol.gone import Gone
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array
from ports import HERE, held_port
from processes import stop
from until import until

PORTABLE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1", "--port", "0", "--no-http")


def part(cut: int, *active: tuple[int, float], codec: str = "fp32") -> dict[str, object]:
    """What one tier does."""
    return {"active": [{"exit": k, "threshold": t} for k, t in active], "cut": cut, "codec": codec}


def chain(**tiers: dict[str, object]) -> Plan:
    """A plan."""
    return Plan.model_validate({"tiers": tiers})


TWO = chain(device=part(3, (2, 0.2), (3, 0.3)))
THREE = chain(device=part(3, (2, 0.2)), edge=part(6, (4, 0.2), (5, 0.3)))
FOUR = chain(device=part(2, (1, 0.6)), edge=part(4, (3, 0.2)), region=part(7, (5, 0.2), (6, 0.3)))
BEHIND = {"edge": 3, "region": 5, "cloud": 9}  # of four: the first exit that answers what was sent there
ONWARD = chain(device=part(3), edge=part(6))
ALONG = chain(device=part(0), edge=part(3, (2, 0.2), (3, 0.3)))


@dataclass(frozen=True)
class Chain:
    """Running nodes: two ways from an edge on, to the same cloud."""

    cloud: Node
    edge: Node  # in front of the cloud
    region: Node  # in front of it too
    outer: Node  # an edge in front of the region

    def behind(self, plan: Plan) -> str:
        """What the first tier of a plan hands on to."""
        return {1: self.cloud, 2: self.edge, 3: self.outer}[len(plan.tiers)].address()


@pytest.fixture(scope="module")
def nodes(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """Each tier but the first, by a plan that need not be the one that requests follow."""
    folder = tmp_path_factory.mktemp("chain")
    with ExitStack() as held:

        def tier(name: str, plan: Plan, onto: Node) -> Node:
            path = folder / f"{name}-{len(plan.tiers)}.json"
            plan.write(path)
            told = ("--plan", str(path), "--tier", name, "--next", onto.address())
            return held.enter_context(running("edge", str(bundle.path), *told, *PORTABLE))

        cloud = held.enter_context(running("cloud", str(bundle.path), *PORTABLE))
        edge, region = tier("edge", THREE, cloud), tier("region", FOUR, cloud)
        yield Chain(cloud, edge, region, tier("edge", FOUR, region))


@pytest.fixture(scope="module")
def image(bundle: Bundle, digits: Splits) -> Array:
    """Samples of the test set."""
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:200])


def same(found: Answers, expected: Answers) -> None:
    """To the last bit, in the caller's order."""
    for field in fields(Answers):
        assert np.array_equal(getattr(found, field.name), getattr(expected, field.name)), field.name


@pytest.mark.parametrize("plan", [TWO, THREE, FOUR, ALONG], ids=["two", "three", "four", "along"])
def test_every_answer_is_the_evaluation_s(
    bundle: Bundle, predictions: Predictions, image: Array, nodes: Chain, plan: Plan
) -> None:
    """Label, exit, tier, score and probabilities, of a batch and of samples alone; and every tier answers some."""
    expected = route(predictions, plan).rows(slice(0, len(image)))
    assert len(np.unique(expected.tier)) == len([p for p in plan.tiers.values() if p.active]) + 1
    device = Edge(bundle, plan, nodes.behind(plan), threads=1, tier="device")
    device.check()
    same(device.infer(image, degraded=False), expected)
    for row in range(20):
        same(device.infer(image[row : row + 1], degraded=False), expected.rows(slice(row, row + 1)))


def test_a_chain_with_all_exits_at_one_tier_is_the_two_nodes_case(bundle: Bundle, image: Array, nodes: Chain) -> None:
    """Bit for bit: a device that only passes images on changes nothing."""
    device = Edge(bundle, ALONG, nodes.edge.address(), threads=1, tier="device")
    alone = Edge(bundle, Plan(tiers={"edge": ALONG.tiers["edge"]}), nodes.cloud.address(), threads=1)
    same(device.infer(image, degraded=False), alone.infer(image, degraded=False))


@pytest.mark.parametrize("codecs", [("uint8", "fp16", "fp32"), ("fp16", "uint8", "uint8"), ("fp32", "uint8", "fp16")])
def test_features_cross_each_hop_in_its_own_codec(
    bundle: Bundle, image: Array, nodes: Chain, codecs: tuple[Codec, ...]
) -> None:
    """As the same plan gives it in one process, tier by tier."""
    parts = [p.model_copy(update={"codec": codec}) for p, codec in zip(FOUR.tiers.values(), codecs, strict=True)]
    plan = Plan(tiers=dict(zip(FOUR.tiers, parts, strict=True)))
    device = Edge(bundle, plan, nodes.behind(plan), threads=1, tier="device")
    same(device.infer(image, degraded=False), tier_by_tier(bundle, plan, image))


def tier_by_tier(bundle: Bundle, plan: Plan, image: Array) -> Answers:
    """What each tier's own spans make of what the tier before hands on, in this process."""
    found, rows, came = list[tuple[Rows, Answers]](), np.arange(len(image)), image
    cloud = LocalCloud(bundle)
    for name in plan.tiers:
        here = Edge(bundle, plan, cloud, threads=1, tier=name)
        for one in here.parts(came):
            if isinstance(one, Answered):
                assert one.answers is not None
                found.append((rows[one.rows], one.answers))
            else:
                onward = one
        rows, came = rows[onward.rows], onward.features
    rest = here.send(onward)().answers
    assert rest is not None
    return merge([*found, (rows, rest)], len(image))


@pytest.fixture(scope="module")
def device(bundle: Bundle, nodes: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """The first tier of four, as a process."""
    path = tmp_path_factory.mktemp("device") / "chain.json"
    FOUR.write(path)
    told = ("--plan", str(path), "--tier", "device", "--next", nodes.outer.address())
    with running("edge", str(bundle.path), *told, *PORTABLE) as node:
        yield node


def test_a_stream_gives_sent_in_parts_answers_as_they_come(
    bundle: Bundle, predictions: Predictions, image: Array, device: Node
) -> None:
    """Four parts and more, in the order of the chain, together what the evaluation says."""
    expected = route(predictions, FOUR).rows(slice(0, len(image)))
    with Client(device.address()) as client, Peer(device.address()) as peer:
        client.infer(image)  # the plan goes along whole, once
        whole = hops(peer.infer("classifier", {"image": image}, timeout=10.0).parameters)
        parts = list(client.stream(image))
    assert [int(exit_) for one in parts for exit_ in np.unique(one.answers.exit)] == [1, 3, 5, 6, 9]
    assert all(len(np.unique(one.answers.tier)) == 1 for one in parts)
    same(merge([(one.rows, one.answers) for one in parts], len(image)), expected)
    assert all(one.parameters.keys() > {"bytes_to_edge"} for one in parts[1:])
    assert {name: sum(one.hops.get(name, 0) for one in parts) for name in BEHIND} == whole


def test_every_tier_answers_a_client_directly(
    predictions: Predictions, image: Array, nodes: Chain, device: Node
) -> None:
    """What goes on comes straight from who answers it, once."""
    behind = ",".join(node.address() for node in (nodes.outer, nodes.region, nodes.cloud))
    expected = route(predictions, FOUR).rows(slice(0, len(image)))
    with Client(device.address(), cloud=behind) as client:
        parts = list(client.stream(image, degraded=False))
        same(client.infer(image, degraded=False), expected)
        same(client.infer(image[:3], degraded=False), expected.rows(slice(0, 3)))
    same(merge([(one.rows, one.answers) for one in parts], len(image)), expected)
    assert client.second_answers == 0


def test_a_client_that_names_not_every_tier_is_told_which_is_missing(
    predictions: Predictions, image: Array, nodes: Chain, device: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """And has every answer all the same, none of them degraded, or an error where it takes no other way."""
    expected = route(predictions, FOUR).rows(slice(0, len(image)))
    with Client(device.address(), cloud=f"{nodes.outer.address()},{nodes.cloud.address()}") as client:
        same(client.infer(image), expected)
        with pytest.raises(InputError, match="by edge and region and cloud, and region is not among those named"):
            client.infer(image, degraded=False)
    (said,) = {record.getMessage() for record in caplog.records}
    assert "region is not among those named" in said


def test_the_bytes_of_each_hop_come_back(bundle: Bundle, image: Array, device: Node) -> None:
    """By the name of the tier that they went to: the features that were handed on, and little around them."""
    with Peer(device.address()) as peer:
        answer = peer.infer("classifier", {"image": image}, timeout=10.0)
    sent, exits = hops(answer.parameters), read_answers(answer.outputs).exit
    assert sent.keys() == BEHIND.keys()
    for (name, first), p in zip(BEHIND.items(), FOUR.tiers.values(), strict=True):
        features = int((exits >= first).sum()) * bundle.manifest.cut(p.cut).codecs[p.codec].bytes_per_sample
        assert features < sent[name] < features + 1000


def test_a_tier_that_is_lost_and_back_costs_no_answer(bundle: Bundle, image: Array, tmp_path: Path) -> None:
    """The nearest tier that can stands in for those behind it, marked, and each goes back to them by itself.

    The one between is another process when it is back, that follows another plan: nobody is refused for that.
    """
    asked, path, other = image[:8], tmp_path / "chain.json", tmp_path / "other.json"
    ONWARD.write(path)
    THREE.write(other)

    def tier(name: str, plan: Path, onto: str, *port: str) -> Node:
        told = ("--plan", str(plan), "--tier", name, "--next", onto, "--cloud-timeout", "1")
        return running("edge", str(bundle.path), *told, *PORTABLE, *port)

    with held_port() as far, held_port() as near, ExitStack() as last:
        cloud = last.enter_context(running("cloud", str(bundle.path), *PORTABLE, "--port", str(far)))
        edge = last.enter_context(tier("edge", path, cloud.address(), "--port", str(near)))
        with tier("device", path, edge.address()) as device, Load(device.address(), asked) as load:
            by_all = {(9, "cloud", False)}
            assert by(load) == by_all
            cloud.process.kill()
            cloud.process.wait(WAIT)
            until(lambda: by(load) == {(9, "edge", True)})
            last.enter_context(running("cloud", str(bundle.path), *PORTABLE, "--port", str(far)))
            until(lambda: by(load) == by_all)
            edge.process.kill()
            edge.process.wait(WAIT)
            until(lambda: by(load) == {(9, "device", True)})
            again = last.enter_context(tier("edge", other, f"{HERE}:{far}", "--port", str(near)))
            until(lambda: by(load) == by_all)
            stop(again.process.pid)
            until(lambda: by(load) == {(9, "device", True)})
            again.process.send_signal(signal.SIGCONT)
            until(lambda: by(load) == by_all)
            assert {made for one in load.all for made in one.by} <= by_all | {(9, "edge", True), (9, "device", True)}


def by(load: Load) -> set[tuple[int, str, bool]]:
    """Exit, tier and whether degraded, of what is answered from now on."""
    return {made for one in load.next() for made in one.by}


def test_who_takes_no_degraded_answer_gets_an_error_of_the_tier_that_is_lost(
    bundle: Bundle, image: Array, tmp_path: Path
) -> None:
    """The caller's word goes along: a tier between does not stand in either."""
    path = tmp_path / "chain.json"
    ONWARD.write(path)
    with held_port() as nobody:
        told = ("--plan", str(path), "--next", f"{HERE}:{nobody}", "--cloud-wait", "0.1", *PORTABLE)
        with running("edge", str(bundle.path), *told, "--tier", "edge") as edge:
            device = Edge(bundle, ONWARD, edge.address(), threads=1, tier="device")
            assert set(device.infer(image[:2]).tier.tolist()) == {Tier.EDGE}
            for _ in range(3):
                with pytest.raises(UnreachableError, match=f"{HERE}:{nobody} does not answer"):
                    device.infer(image[:2], degraded=False)
                with pytest.raises(UnreachableError, match=f"{HERE}:{nobody} does not answer"):
                    list(sent_in_parts(device, onward_of(device, image[:2]), None, False, Gone()))
                # The edge is there all the same, and is asked by others, who take its answer.
                assert set(device.infer(image[:2]).tier.tolist()) == {Tier.EDGE}


def onward_of(edge: Edge, image: Array) -> Flight:
    """What an edge hands on."""
    (flight,) = (one for one in edge.parts(image) if isinstance(one, Flight))
    return flight


def test_a_plan_is_refused_where_any_tier_behind_cannot_follow_it(bundle: Bundle, nodes: Chain) -> None:
    """It is made ready along the chain before it is in force: a cloud has no exits of its own to answer at."""
    plan = Plan.model_validate({"tiers": {**THREE.model_dump()["tiers"], "cloud": part(9, (8, 0.2))}})
    with pytest.raises(BundleMismatchError) as refused:
        Edge(bundle, plan, nodes.edge.address(), threads=1, tier="device").check()
    assert f"cloud {nodes.cloud.address()} is no tier of a chain" in str(refused.value)


@pytest.mark.parametrize(
    ("plan", "tier", "onto", "said"),
    [
        (THREE, "device", "cloud", "cloud {0} is no tier of a chain, and by the plan the edge follows"),
        (THREE, "device", "region", "edge {0} is the region, and by the plan the edge follows"),
        (THREE, "edge", "outer", "cloud {0} is the edge, and by the plan the rest of the network follows: the chain "),
        (TWO, "device", "edge", "cloud {0} is the edge, and by the plan the rest of the network follows"),
    ],
)
def test_what_is_not_the_next_tier_is_refused(
    bundle: Bundle, nodes: Chain, plan: Plan, tier: str, onto: str, said: str
) -> None:
    """Before anything is sent to it: a chain that closes on itself, one that leaves a tier out, one that ends early."""
    where = getattr(nodes, onto).address()
    with pytest.raises(BundleMismatchError) as refused:
        Edge(bundle, plan, where, threads=1, tier=tier).check()
    assert str(refused.value).startswith(said.format(where).replace("cloud", plan.after(tier), 1))


def test_a_request_to_a_tier_between_that_fits_no_plan_says_so(bundle: Bundle, nodes: Chain) -> None:
    """Other features than its plan takes, parts of a plan, a plan that is none or not known."""
    with Peer(nodes.edge.address()) as peer:

        def refused(model: str, **parameters: str | float) -> str:
            features = np.zeros((1, *bundle.manifest.tensors(int(model[-1]))[f"features_{model[-1]}"]), np.float32)
            with pytest.raises(InputError) as error:
                peer.infer(model, {f"features_{model[-1]}": features}, timeout=10, parameters=parameters)
            return str(error.value).split(": ", 1)[1]

        assert refused("classifier-5") == (
            "classifier-5: by the plan that this request follows, the edge takes what crosses boundary 3 as fp32."
        )
        assert refused("classifier-3", threshold=0.5).startswith("parameter 'threshold': a chain's plan is its first")
        assert refused("classifier-3", follows="0" * 16).startswith("parameter 'follows': no plan '0000000000000000'")
        assert refused("classifier-3", follows="{}").startswith("parameter 'follows': expected a document of format")


def test_a_tier_that_the_plan_does_not_name_does_not_start(
    bundle: Bundle, offramp: Callable[..., "subprocess.CompletedProcess[str]"], tmp_path: Path
) -> None:
    """It says which there are."""
    path = tmp_path / "chain.json"
    THREE.write(path)
    ended = offramp("serve", "edge", str(bundle.path), "--plan", str(path), "--tier", "region", *PORTABLE)
    assert (ended.returncode, "tier 'region': the plan is for device and edge." in ended.stderr) == (2, True)


def test_a_tier_between_says_so_where_one_looks(nodes: Chain) -> None:
    """In the line that says ready and in what it is lost to; the plan is changed at the first tier."""
    assert "region: mem, exit 5, T = 0.2, exit 6, T = 0.3, cloud " in "\n".join(nodes.region.output)
    assert f"edge: mem, exit 3, T = 0.2, region {nodes.region.address()}, " in "\n".join(nodes.outer.output)
