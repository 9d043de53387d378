"""The plans of an edge's networks, as they are read and changed while it runs: whole or not at all, one at a time."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.errors import BusyError, InputError, OfframpError, UnknownModelError, UnreachableError
from offramp.nodes.edge_networks import EdgeNetworks
from offramp.nodes.edge_settings import EdgeSettings
from offramp.nodes.plans import Plans
from ports import HERE, held_port

BEFORE = Plan.of(2, 0.3, cut=9)  # everything is answered here
OTHER = Plan.of(3, 0.4, cut=9)


@contextmanager
def networks_of(*bundles: Bundle, plan: Plan = BEFORE, **options: object) -> Iterator[EdgeNetworks]:
    """An edge's networks, without a server."""
    paths = tuple(str(bundle.path) for bundle in bundles)
    settings = EdgeSettings(
        bundles=paths, plan=plan, runtime="onnxruntime", precision="fp32", threads=1, max_batch=4, **options
    )
    with ExitStack() as held:
        yield EdgeNetworks(settings, held)


@pytest.fixture
def networks(bundle: Bundle) -> Iterator[EdgeNetworks]:
    """One network that needs no cloud."""
    with networks_of(bundle) as networks:
        yield networks


def test_a_plan_is_followed_and_said(networks: EdgeNetworks, caplog: pytest.LogCaptureFixture) -> None:
    """One line has both, and who asked; a reload goes back to what the edge was started with."""
    plans = Plans(networks)
    assert Plan.parse(plans.told(""), "") == BEFORE
    with caplog.at_level(logging.INFO, "offramp"):
        assert Plan.parse(plans.change("", OTHER.to_json().encode(), "ops"), "") == OTHER
    new, old = OTHER.model_dump_json(), BEFORE.model_dump_json()
    assert caplog.messages == [f"plan: mem follows the plan {new}, and before it {old}, as the token of 'ops' asks"]
    assert networks.edges[0].plan == OTHER
    networks.reload(lambda models: None)
    assert Plan.parse(plans.told(""), "") == BEFORE


@pytest.mark.parametrize(
    ("document", "said"),
    [
        (b"{", "plan: not a JSON document"),
        (b'{"format": "offramp.recipe"}', "plan: expected a document of format 'offramp.plan'"),
        (OTHER.to_json().replace('"version": 2', '"version": 9').encode(), "plan: offramp.plan version 9"),
        (OTHER.to_json().replace("0.4", "1.4").encode(), "plan: tiers.edge.active.0.threshold: "),
        (Plan.of(12, 0.3).to_json().encode(), "exit 12: mem has the exits"),
        (
            Plan.of(2, 0.3).to_json().encode(),
            "exit 2: what is not sure enough there goes to a cloud, and this edge has",
        ),
    ],
)
def test_what_cannot_be_followed_changes_nothing(networks: EdgeNetworks, document: bytes, said: str) -> None:
    """The error is of what was sent, and says what the same in a file would; the next one is followed."""
    plans, course = Plans(networks), networks.edges[0].course
    with pytest.raises(InputError) as refused:
        plans.change("", document, "ops")
    assert str(refused.value).startswith(said)
    assert networks.edges[0].course is course
    plans.change("", OTHER.to_json().encode(), "ops")


def test_a_plan_that_needs_a_cloud_is_refused_where_none_answers(bundle: Bundle) -> None:
    """Where nothing would be answered without it, as at a reload."""
    with held_port() as port, networks_of(bundle, cloud=f"{HERE}:{port}", cloud_wait=0.2, degraded=False) as networks:
        with pytest.raises(UnreachableError, match="nothing is answered without it"):
            Plans(networks).change("", Plan.of(2, 0).to_json().encode(), "ops")
        assert networks.edges[0].plan == BEFORE


def test_one_change_at_a_time(networks: EdgeNetworks) -> None:
    """While a reload or another call is at it, a call is refused at once."""
    plans = Plans(networks)
    with networks.changing, pytest.raises(BusyError, match="another change of this edge is under way"):
        plans.change("", OTHER.to_json().encode(), "ops")
    assert networks.edges[0].plan == BEFORE
    plans.change("", OTHER.to_json().encode(), "ops")


def test_of_several_networks_one_is_named(bundle: Bundle, tmp_path: Path) -> None:
    """By its bundle's id; the others go on by theirs."""
    manifest = bundle.manifest.model_copy(update={"model": "twin"})
    twin = Bundle.write(tmp_path, manifest, bundle.graph, bundle.graph_int8, bundle.self_test)
    with networks_of(bundle, twin) as networks:
        plans = Plans(networks)
        plans.change(twin.id, OTHER.to_json().encode(), "ops")
        assert [edge.plan for edge in networks.edges] == [BEFORE, OTHER]
        calls = (lambda: plans.told(""), lambda: plans.change("", OTHER.to_json().encode(), "ops"))
        for call in calls:
            with pytest.raises(InputError, match=rf"has 2 networks.*/plan/{twin.id} \(twin\)"):
                call()
        with pytest.raises(UnknownModelError, match=f"/plan/{bundle.id}"):
            plans.told("7")


def test_a_network_that_is_let_go_meanwhile_is_not_changed(networks: EdgeNetworks, bundle: Bundle) -> None:
    """It answers nobody, or who names it, by the plan that it had."""
    (network,) = networks.generations.now.values()
    networks.generations = networks.generations.turned([], lambda _: network)
    with pytest.raises(OfframpError, match=f"bundle {bundle.id} is not what this edge answers by now"):
        networks.change(network, OTHER, "ops")
    assert network.edge.plan == BEFORE


def test_a_tier_between_follows_the_plan_of_the_first(bundle: Bundle) -> None:
    """What is changed there would hold for nobody: it says where to change it."""
    parts = {"active": [{"exit": 2, "threshold": 0.3}], "cut": 2}, {"active": [{"exit": 5, "threshold": 0.3}], "cut": 9}
    plan = Plan.model_validate({"tiers": dict(zip(("device", "edge"), parts, strict=True))})
    with networks_of(bundle, plan=plan, tier="edge") as networks:
        assert {model.name for model in networks.models} >= {"classifier-2", "classifier-2-uint8", "replies"}
        with pytest.raises(InputError, match="a chain follows the plan of its first tier"):
            Plans(networks).change("", plan.to_json().encode(), "ops")
