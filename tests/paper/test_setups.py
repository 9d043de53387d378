"""Which setups a reproduction measures, for which networks, and by which plans."""

from collections.abc import Mapping

import pytest

from offramp.artifacts.bundle import Bundle
from offramp.artifacts.cut import CutSpec
from offramp.artifacts.manifest import Manifest
from offramp.artifacts.stages import HeadSpec
from offramp.errors import InputError
from offramp.paper.reproduction import Setup
from offramp.paper.setups import DROPS, SECTIONS, Scope, Varied, setups

SCOPE = Scope(test_samples=10_000)
VARIED = Varied()


@pytest.fixture(scope="session")
def manifests(bundle: Bundle) -> dict[str, Manifest]:
    """The paper's ten networks, as far as planning looks at them."""
    mem = bundle.manifest

    def like(model: str, *exits: int) -> Manifest:
        heads = tuple(HeadSpec(exit=k, macs=1, parameters=1) for k in exits)
        cuts: tuple[CutSpec, ...] = tuple(cut for cut in mem.cuts if cut.boundary in (0, *exits[:-1]))
        return mem.model_copy(update={"model": model, "heads": heads, "cuts": cuts})

    sems = {f"sem-{k}": like(f"sem-{k}", k, 9) for k in range(1, 9)}
    return {"standard": like("standard", 9), **sems, "mem": mem}


def every(manifests: Mapping[str, Manifest], link: str = "loopback", **options: bool) -> list[Setup]:
    """Of all sections."""
    return setups(manifests, SCOPE, sections=SECTIONS, link=link, **options)


def test_the_papers_grid_is_whole(manifests: dict[str, Manifest]) -> None:
    """SEM-1 to 8 at their exit and MEM at each of eight, at four thresholds, every test sample, cut at the exit."""
    grid = setups(manifests, SCOPE, sections=["paper"], link="loopback")
    assert len(grid) == 2 * 8 * 4
    assert {(s.model, s.exit, s.plan.threshold) for s in grid} == {
        (model, k, t) for k in range(1, 9) for t in (0.1, 0.3, 0.5, 0.8) for model in (f"sem-{k}", "mem")
    }
    assert all((s.samples, s.plan.cut, s.plan.codec, s.link) == (10_000, s.exit, "fp32", "loopback") for s in grid)


def test_every_setup_is_a_plan_that_its_network_can_follow(manifests: dict[str, Manifest]) -> None:
    """And no two are the same."""
    found = every(manifests)
    for setup in found:
        setup.plan.check(manifests[setup.model])
    assert len(set(found)) == len(found)


def test_each_section_varies_what_it_is_about(manifests: dict[str, Manifest]) -> None:
    """And holds the rest."""
    by_section = {name: [s for s in every(manifests) if s.section == name] for name in SECTIONS}
    assert {s.plan.drop_threshold for s in by_section["drop"]} == set(DROPS)
    assert {s.edge_cores for s in by_section["cores"]} == set(VARIED.cores)
    assert {s.link for s in by_section["bandwidth"]} == {f"{rate}mbit,5ms" for rate in VARIED.rates}
    assert {s.reply for s in by_section["reply"]} == {"edge", "direct"}
    contenders = {s.contender for s in by_section["baselines"]}
    assert contenders == {"local exit", "all at the edge", "all in the cloud", "fixed split", "cascade"}
    assert {s.form for s in by_section["baselines"] if s.contender == "all in the cloud"} == {"uint8", "jpeg"}


def test_a_slow_link_is_sent_fewer_samples(manifests: dict[str, Manifest]) -> None:
    """So that no setup takes longer than the link would need for what is sent, and two batches are sent at least."""
    band = setups(manifests, SCOPE, sections=["bandwidth"], link="loopback")
    early = {s.link: s.samples for s in band if (s.model, s.contender) == ("sem-1", "local exit")}
    counts = [early[f"{rate}mbit,5ms"] for rate in VARIED.rates]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1] == SCOPE.samples
    assert min(counts) >= 2 * SCOPE.batch_size
    assert all(count % SCOPE.batch_size == 0 for count in counts)


def test_what_the_suite_does_not_hold_is_left_out(manifests: dict[str, Manifest]) -> None:
    """Without the standard network there is no whole to compare with; without SEM there is MEM."""
    found = every({"mem": manifests["mem"]})
    assert {s.model for s in found} == {"mem"}
    assert {s.section for s in found} == {"paper"}
    assert not [s for s in every({"sem-2": manifests["sem-2"]}) if s.contender in ("cascade", "all at the edge")]


def test_somebody_elses_nodes_are_measured_as_they_are(manifests: dict[str, Manifest]) -> None:
    """No setup needs another link than theirs, other cores, or a classifier in the cloud."""
    found = every(manifests, link="wifi", fixed=True)
    assert {s.link for s in found} == {"wifi"}
    assert {s.edge_cores for s in found} == {None}
    assert {s.section for s in found} == {"paper", "baselines", "drop", "reply"}
    assert "all in the cloud" not in {s.contender for s in found}
    assert {s.reply for s in found} == {"edge"}
    assert {s.reply for s in every(manifests, fixed=True)} == {"edge", "direct"}


def test_an_unknown_section_is_refused(manifests: dict[str, Manifest]) -> None:
    """With the names that there are."""
    with pytest.raises(InputError, match=r"section 'drops': unknown\. Choose from paper, baselines, drop, bandwidth"):
        setups(manifests, SCOPE, sections=["paper", "drops"], link="loopback")
