"""The planner's choice in a reproduction: made once, kept, and set beside the paper's plans."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from made_up_profile import made_up_profile
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.paper import planned as module
from offramp.paper.answers import planner
from offramp.paper.networks import Network
from offramp.paper.planned import KEPT, PROFILE, most_exits, planned
from offramp.paper.reproduced import name
from offramp.paper.reproduction import Planned, Reproduction, Setup
from offramp.paper.reproduction_tables import choices
from offramp.paper.setups import SINGLY, Scope, setups
from reproductions import row

ACTIVE = [{"exit": 2, "threshold": 0.2}, {"exit": 4, "threshold": 0.3}]
CHOICE = Planned(
    link="wifi", model="mem", plan=Plan.checked(active=ACTIVE, cut=4),
    said="exit 2 at T = 0.2, exit 4 at T = 0.3; the rest cut at 4 in fp32", latency_ms=4.0, accuracy=0.9,
    bytes_a_sample=100.0,
)  # fmt: skip


@pytest.fixture(scope="module")
def network(bundle: Bundle) -> Network:
    """The shared network, as one of a suite."""
    return Network(SimpleNamespace(key=SimpleNamespace(model="mem")), bundle)  # type: ignore[arg-type]


def test_a_choice_is_made_for_each_link_and_kept(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a link is slow, less goes over it; a run that goes on asks nobody again."""
    monkeypatch.setattr(module, "profile_device", lambda *_: made_up_profile(network.bundle))
    fast, slow = planned(network, ["loopback", "1mbit,20ms"], tmp_path)
    assert (fast.link, slow.link) == ("loopback", "1mbit,20ms")
    assert slow.bytes_a_sample < fast.bytes_a_sample or slow.bytes_a_sample == 0
    for one in (fast, slow):
        one.plan.check(network.bundle.manifest)
        assert one.latency_ms > 0
    monkeypatch.setattr(module, "choose", None)
    monkeypatch.setattr(module, "profile_device", None)
    assert planned(network, ["loopback", "1mbit,20ms"], tmp_path) == (fast, slow)
    assert {path.name for path in tmp_path.iterdir()} == {KEPT, PROFILE}


def test_it_is_asked_of_the_network_with_most_exits(network: Network) -> None:
    """And of none where there is nothing to choose."""
    lone = replace(
        network.bundle,
        manifest=network.bundle.manifest.model_copy(update={"heads": network.bundle.manifest.heads[-1:]}),
    )
    alone = replace(network, bundle=lone)
    assert most_exits({"standard": alone, "mem": network}) is network
    assert most_exits({"standard": alone}) is None


def test_each_choice_stands_beside_the_papers_plans(bundle: Bundle) -> None:
    """On its link, each sample a request of its own; without nodes of one's own there is none."""
    mem = bundle.manifest
    sem = mem.model_copy(update={"model": "sem-2", "heads": tuple(h for h in mem.heads if h.exit in (2, 9))})
    found = setups({"mem": mem, "sem-2": sem}, Scope(10_000), sections=["planner"], link="loopback", planned=[CHOICE])
    assert [(s.contender, s.model, s.link) for s in found] == [
        ("planned", "mem", "wifi"), ("local exit", "sem-2", "wifi"),
    ]  # fmt: skip
    assert all(s.singly and s.samples == SINGLY for s in found)
    assert setups({"mem": mem}, Scope(10_000), sections=["planner"], link="loopback") == []


def test_what_was_predicted_and_what_it_came_to_stand_in_one_row(reproduce: Callable[..., Reproduction]) -> None:
    """And in a sentence, against the fastest of the paper's."""
    at = {"section": "planner", "link": "wifi", "singly": True, "samples": 200}
    mine = Setup.model_validate(at | {"contender": "planned", "model": "mem", "plan": CHOICE.plan})
    theirs = [Setup.model_validate(at | {"model": f"sem-{k}", "plan": Plan.of(k, 0.3)}) for k in (2, 5)]
    rows = tuple(map(row, (mine, *theirs)))
    whole = reproduce(sections=()).model_copy(update={"rows": rows, "planned": (CHOICE,)})
    (shown,) = choices(whole)
    took = rows[0].repeats[1].latency_ms["overall"].mean
    assert (shown.link, shown.predicted, shown.measured) == ("wifi", "4.00 ms", f"{took:.2f} ms")
    assert shown.off == f"{100 * (4.0 / took - 1):+.0f} %"
    (said,) = planner(whole)
    best = min(rows[1:], key=lambda one: one.repeats[1].latency_ms["overall"].mean)
    assert shown.paper.startswith(f"{name(best.setup)}: ")
    assert f"the fastest of the paper's, {name(best.setup)} (" in said
    assert said.startswith(f"wifi: the choice, {CHOICE.said}, took {took:.2f} ms")
    assert choices(whole.model_copy(update={"rows": rows[1:]})) == []
