"""What a node is told: written on one line and read as it was, and what each worker and each network gets of it."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.choices import Choices, Priced
from offramp.artifacts.plan import Part, Plan
from offramp.errors import InputError
from offramp.link.shape import LinkShape
from offramp.nodes.batching import Limits
from offramp.nodes.edge import CLOUD_TIMEOUT
from offramp.nodes.edge_settings import AtLastExit, Audited, EdgeSettings, Follow, Gathers
from offramp.nodes.settings import CloudSettings
from offramp.nodes.told import Settings, from_json, to_json
from offramp.protocol.credentials import Credentials
from offramp.protocol.door import Access

CLOUD = CloudSettings(bundles=("a b", "ü"), port=8001, http_port=8000, limits=Limits(3, 0.5, 7, 2), workers=2, why="x")
EDGES = [
    EdgeSettings(bundles=("a",), plan=Plan.of(3, 0.3, "margin", cut=4, codec="uint8", drop_threshold=0.7)),
    EdgeSettings(bundles=("a", "b"), plan=AtLastExit(threshold=0.1 + 0.2, codec="fp16"), cloud="c:1"),
    EdgeSettings(bundles=("a",), plan=Plan.of(3, 0), cloud="c:1", cloud_version="", link=LinkShape.parse("wifi")),
    EdgeSettings(
        bundles=("a",), plan=Plan.of(3, 0), cloud="c:1", access=Access(cert="c", key="k", client_ca="a", tokens="t"),
        credentials=Credentials(ca="ca", cert="d", key="e", token_file="f"),
    ),
]  # fmt: skip


def test_credentials_need_a_cloud_that_asks_for_them() -> None:
    """An edge without one shows them to nobody."""
    with pytest.raises(InputError, match=r"^cloud credentials: this edge has no cloud\."):
        EdgeSettings(bundles=("a",), plan=Plan.of(3, 0), credentials=Credentials(ca="ca"))


@pytest.mark.parametrize("settings", [CLOUD, *EDGES])
def test_what_is_written_on_one_line_is_read_as_it_was(settings: Settings) -> None:
    """Either kind of node, with all that stands inside."""
    line = to_json(settings)
    assert "\n" not in line
    assert from_json(line) == settings


def test_settings_of_no_known_node_are_not_read() -> None:
    """A cloud's are not taken for an edge's, nor anything for a cloud's."""
    with pytest.raises(ValidationError, match="node"):
        from_json(to_json(CLOUD).replace('"cloud"', '"fog"'))


def test_web_pages_and_the_proxy_s_path_are_held_to_their_form() -> None:
    """Of either node, before it serves; kept as browsers and proxies send them."""
    node = CloudSettings(bundles=("a",), origins=("https://App.example/", "*"), root_path="/vision/")
    assert (node.origins, node.root_path) == (("https://app.example", "*"), "/vision")
    assert from_json(to_json(node)) == node
    with pytest.raises(InputError, match=r"^origin 'app\.example': expected a page's scheme"):
        EdgeSettings(bundles=("a",), plan=Plan.of(3, 0), cloud="c:1", origins=("app.example",))
    with pytest.raises(InputError, match=r"^root path 'vision': expected what stands before /v2"):
        CloudSettings(bundles=("a",), root_path="vision")


def test_workers_share_the_cores_and_the_ports() -> None:
    """Threads as asked, or a part of the cores; a runner for each core of the part."""
    cores = len(os.sched_getaffinity(0))
    two = CLOUD.of_one()
    assert (two.shared, two.threads, two.limits.runners) == (True, max(1, cores // 2), max(1, cores // 2))
    assert two.of_one() == two
    alone = CloudSettings(bundles=("a",), threads=3).of_one()
    assert (alone.shared, alone.threads, alone.limits.runners) == (False, 3, cores)
    assert CloudSettings(bundles=("a",)).of_one().threads == 0


def test_workers_share_no_unix_socket() -> None:
    """One alone may listen there."""
    assert CloudSettings(bundles=("a",), host="unix:/run/cloud.sock").of_one().host == "unix:/run/cloud.sock"
    with pytest.raises(InputError) as caught:
        CloudSettings(bundles=("a",), host="unix:/run/cloud.sock", workers=2)
    assert str(caught.value) == (
        "workers 2: processes share no Unix socket, as they do a port. Serve by one, or listen on a port (--host HOST "
        "--port PORT)."
    )


def test_a_path_has_room_for_http_beside_it() -> None:
    """Its socket's name is longer, and nobody has given that name."""
    path = "/" + "a" * 100
    assert CloudSettings(bundles=("a",), host=f"unix:{path}", http_port=0).http_port == 0
    assert CloudSettings(bundles=("a",), host=f"unix:{path}aaaaa").http_port is None
    with pytest.raises(
        InputError, match=r"a path of 102 characters, and with HTTP beside it a Unix socket has at most"
    ):
        CloudSettings(bundles=("a",), host=f"unix:{path}a", http_port=0)


def test_a_socket_s_mode_is_of_a_socket() -> None:
    """A port has none, and whoever says one may think that it keeps others out."""
    assert CloudSettings(bundles=("a",), host="unix:/run/a.sock", socket_mode=0o660).socket_mode == 0o660
    with pytest.raises(InputError, match=r"^socket mode 660: is of a Unix socket's file, and this node listens at 127"):
        CloudSettings(bundles=("a",), socket_mode=0o660)


def test_workers_share_no_regions_of_shared_memory() -> None:
    """Each knows what it was told itself."""
    assert CloudSettings(bundles=("a",), shared_memory=True).shared_memory
    with pytest.raises(InputError) as caught:
        CloudSettings(bundles=("a",), shared_memory=True, workers=2)
    assert str(caught.value) == (
        "workers 2: one knows no region of shared memory that another was told of. Serve by one, or leave out "
        "--shared-memory."
    )


@pytest.mark.parametrize(
    ("alone", "why"),
    [
        ({"link": LinkShape.parse("wifi")}, "link, each would have a link of its own, and all of them more than it"),
        ({"follow": Follow(choices="c.json")}, "follow, each would follow the link by its own traffic"),
        ({"audit": Audited(share=0.1, most=0.1)}, "audit, each would see a part of the answers, and bet on that"),
        ({"gathers": Gathers(folder="v")}, "gathers, views of one sample may come to different ones"),
    ],
)
def test_several_do_nothing_that_takes_one_who_sees_all(alone: dict[str, Any], why: str) -> None:
    """One does, and so may several without it."""
    EdgeSettings(bundles=("a",), plan=Plan.of(3, 0.3), cloud="c:1", **alone)
    EdgeSettings(bundles=("a",), plan=Plan.of(3, 0.3), cloud="c:1", workers=2)
    with pytest.raises(InputError) as caught:
        EdgeSettings(bundles=("a",), plan=Plan.of(3, 0.3), cloud="c:1", workers=2, **alone)
    assert str(caught.value).startswith(f"workers 2: with {why}")


def test_a_tier_that_others_hand_on_to_is_one_process() -> None:
    """The first tier may be several."""
    parts = {"device": Part(active=(), cut=2), "edge": Part(active=(), cut=5)}
    chain = Plan(tiers=parts)
    edge = EdgeSettings(bundles=("a",), plan=chain, cloud="c:1", tier="edge", workers=2)
    with pytest.raises(InputError, match=r"^workers 2: what a tier before the edge hands on goes to one"):
        edge.tier_of(chain)
    assert replace(edge, tier="device").tier_of(chain) == "device"
    assert replace(edge, workers=1).tier_of(chain) == "edge"


def test_a_threshold_alone_is_a_plan_for_any_network(bundle: Bundle) -> None:
    """At its last local exit."""
    found = AtLastExit(threshold=0.2, score="margin", codec="uint8", drop_threshold=0.9).check(bundle.manifest)
    assert found == Plan.of(8, 0.2, "margin", codec="uint8", drop_threshold=0.9)
    with pytest.raises(InputError, match=r"threshold 1\.5: "):
        AtLastExit(threshold=1.5).check(bundle.manifest)


def test_one_version_is_one_network_s() -> None:
    """Several need none."""
    with pytest.raises(InputError) as caught:
        EdgeSettings(bundles=("a", "b"), plan=AtLastExit(threshold=0.3), cloud="c:1", cloud_version="1")
    assert str(caught.value) == (
        "cloud version '1': it is one network's, and this edge has 2. Leave it out, or run an edge for each."
    )


def test_what_is_not_asked_for_is_as_the_command_line_says() -> None:
    """A cloud gets ten seconds to come, and ten to answer; everything else is chosen by the node."""
    edge = EdgeSettings(bundles=("a",), plan=AtLastExit(threshold=0.3))
    assert (edge.node, edge.cloud, edge.cloud_version, edge.cloud_wait, edge.link) == ("edge", None, None, 10.0, None)
    assert (edge.cloud_timeout, edge.ready_needs_cloud) == (CLOUD_TIMEOUT, False)
    cloud = CloudSettings(bundles=("a",))
    assert (cloud.node, cloud.limits, cloud.workers, cloud.shared, cloud.why) == (
        "cloud",
        Limits(),
        1,
        False,
        "as asked",
    )
    for node in (edge, cloud):
        assert (node.host, node.port, node.http_port, node.threads, node.max_batch) == ("127.0.0.1", 0, None, 0, 256)
        assert (node.runtime, node.precision, node.origins, node.root_path) == ("auto", "auto", (), "")


def test_plans_of_a_chain_are_not_followed(tmp_path: Path) -> None:
    """An edge knows the link behind it, and not those behind the next tier; nor does it audit a chain."""
    part = {"active": (), "cut": 2, "codec": "fp32"}
    plan = Plan.model_validate({"tiers": {"device": part, "edge": part | {"cut": 5}}})
    priced = Priced(plan=plan, accuracy=0.9, edge_ms=1.0, onward=0)
    Choices(bundle="a bundle", least_accuracy=0.5, plans=(priced,)).write(tmp_path / "choices.json")
    follow = Follow(choices=str(tmp_path / "choices.json"))
    with pytest.raises(InputError) as caught:
        follow.read()
    assert str(caught.value) == (
        f"follow {follow.choices}: a plan is for device and edge. Expected plans for an edge and its cloud."
    )
    audit = Audited(share=0.1)
    settings = EdgeSettings(bundles=("a bundle",), plan=plan, tier="device", cloud="localhost:1", audit=audit)
    with pytest.raises(InputError, match=r"audit: by the plan the edge follows, which need not ask the last exit\."):
        settings.tier_of(plan)
