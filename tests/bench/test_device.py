"""A device and a link profiled for real: nodes as processes, every part that a plan may have, priced."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.artifacts.profile import LinkProfile, Profile
from offramp.bench.device import Wanted, profile_device
from offramp.bench.timed import MANY
from offramp.children import Child
from offramp.export.write import export
from offramp.link.shape import LinkShape
from offramp.models.architecture import StandardCnn
from offramp.nodes.process import child_node
from offramp.nodes.settings import CloudSettings
from offramp.plan.cost import Costs
from offramp.plan.service import Service
from untrained import noise, untrained


@pytest.fixture(scope="module")
def cloud(bundle: Bundle) -> Iterator[Child]:
    """A cloud of the bundle."""
    settings = CloudSettings(bundles=(str(bundle.path),), runtime="onnxruntime", precision="fp32", threads=1)
    with child_node(settings) as child:
        yield child


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A network of four stages, as it was drawn: there is a time for each of its exits, cuts and codecs."""
    folder, classes = tmp_path_factory.mktemp("short"), tuple("0123456789")
    sizes = {"channels": 1, "height": 16, "width": 16, "widths": (8, 8, 8, 8), "pool_after": (1,)}
    network = StandardCnn.model_validate(sizes | {"classes": classes, "exits": (1, 2, 3, 4)})
    return export(untrained(network, folder), folder / "bundle", noise(network, 64))


def test_a_device_is_profiled_whole(short: Bundle, tmp_path: Path) -> None:
    """Every exit, cut and codec has its times, so that every plan has a price; nothing is asked of their size."""
    bundle, last = short, short.manifest.last
    wanted = Wanted("onnxruntime", "fp32", threads=1, rounds=4, batches=(1,), bound=1000.0, requests=1)
    profile_device(bundle, wanted).write(tmp_path / "profile.json")
    profile = Profile.read(tmp_path / "profile.json")
    assert {(one.exit, one.way) for one in profile.answers} == {
        *((k, "grpc") for k in bundle.manifest.exits), (1, "http"), (1, "library"),
    }  # fmt: skip
    assert (profile.bundle, profile.threads, profile.precision) == (bundle.id, 1, "fp32")
    costs = Costs.of(bundle.manifest, profile, LinkProfile.stated(LinkShape.parse("lte")), way="http")
    for cut in bundle.manifest.cuts:
        for codec in cut.codecs:
            for exits in ([], [1], [1, 2]) if cut.boundary != 1 else ([], [1]):
                active = [{"exit": k, "threshold": 0.5} for k in exits]
                part = Plan.checked(active=active, cut=cut.boundary, codec=codec).first
                assert costs.onward(part) > 0.07  # of which the link alone takes so long
    assert [(one.cut, one.codec, one.many) for one in profile.work] == [(0, "fp32", MANY), (3, "fp32", MANY)]
    service = Service.of(profile, bundle.manifest, 2, "uint8")
    assert service.run(1) > 0
    assert service.host + service.wake > 0  # whatever a node does, it is not nothing
    assert costs.local(Plan.checked(active=[{"exit": 2, "threshold": 0.5}], cut=last).first) > 0


def test_a_link_is_measured_by_the_protocol(
    offramp: Callable[..., "subprocess.CompletedProcess[str]"], bundle: Bundle, cloud: Child, tmp_path: Path
) -> None:
    """Rates and round trip are those of the shape; what is printed is what is written."""
    out, over = tmp_path / "link.json", ("--cloud", cloud.address(), "--link", "2mbit/8mbit,30ms")
    done = offramp("profile", str(bundle.path), *over, "--rounds", "8", "--json", "--out", str(out))
    assert json.loads(done.stdout) == json.loads(out.read_text())
    found = LinkProfile.read(out)
    assert found.up == pytest.approx(2e6, rel=0.2)
    assert found.down == pytest.approx(8e6, rel=0.5)
    assert found.round_trip_ms == pytest.approx(60, rel=0.3)
    assert found.measured
    assert str(LinkShape.parse("2mbit/8mbit,30ms")) in found.between


def test_what_cannot_be_measured_is_refused(refusal: Callable[..., str], bundle: Bundle, tmp_path: Path) -> None:
    """A link without a cloud, options of a device beside a cloud, a share that nobody has: before anything starts."""
    path, out = str(bundle.path), str(tmp_path / "out.json")
    assert refusal("profile", path, "--link", "wifi", "--out", out).startswith("link: there is no cloud")
    beside = refusal("profile", path, "--cloud", "127.0.0.1:1", "--cores", "0.5", "--out", out)
    assert beside.startswith("--cores: of a device")
    assert refusal("profile", path, "--cores", "0.01", "--out", out).startswith("cores 0.01: expected a share")
    assert refusal("profile", path, "--batch", "0", "--out", out).startswith("batch 0")
    assert "not a bundle" in refusal("profile", str(tmp_path), "--out", out)
    assert not Path(out).exists()
