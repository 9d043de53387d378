"""Devices, an aggregator and a cloud as processes: one thing seen by several, whichever of them speaks."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pytest

from command_line import Node, running
from offramp.artifacts.plan import Plan
from offramp.artifacts.views import ViewsFolder
from offramp.client.client import Client
from offramp.data.view_set import ViewSet, ViewSplits
from offramp.errors import DeadlineError, InputError, UnknownModelError
from offramp.exits.answers import Judged, Tier
from offramp.measure.views import Seen, joined, joint_span, seen
from offramp.protocol.peer import Peer
from offramp.protocol.served import Array, Result

PORTABLE = ("--runtime", "onnxruntime", "--precision", "fp32", "--threads", "1", "--port", "0", "--no-http")
AGGREGATOR = 0.4  # threshold: some are answered there, others by the cloud
WAIT = "15000"  # milliseconds: on a busy machine three devices' calls may be far apart
TIMEOUT, SHORT = 60.0, 3.0  # seconds; the latter of who is not to wait so long for a device that does not speak


@dataclass
class Nodes:
    """All of them, running; a client's connection to each device, and to the aggregator."""

    devices: dict[str, Node]
    peers: dict[str, Peer]
    aggregator: Peer
    onto: tuple[str, ...]  # what each device is told


@pytest.fixture(scope="module")
def test_set(seen_views: ViewSplits) -> ViewSet:
    return seen_views.test.rows(slice(40))


@pytest.fixture(scope="module")
def offline(views: ViewsFolder, test_set: ViewSet) -> Seen:
    return seen(views, test_set, "1bit")


@pytest.fixture(scope="module")
def threshold(offline: Seen) -> float:
    """By which a tenth of all views are answered by their devices alone."""
    return float(np.quantile([Judged.of(logits).scores for logits in offline.logits.values()], 0.1))


@pytest.fixture(scope="module")
def sure(offline: Seen, threshold: float) -> dict[str, Array]:
    """Which samples each device answers by itself."""
    return {name: Judged.of(logits).scores < threshold for name, logits in offline.logits.items()}


@pytest.fixture(scope="module")
def nodes(views: ViewsFolder, threshold: float, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """A device for each view, each in front of the one aggregator, and that in front of a cloud."""
    plan = Plan.model_validate({
        "tiers": {
            "device": {"active": [{"exit": 1, "threshold": threshold}], "cut": 1, "codec": "1bit"},
            "edge": {"active": [{"exit": 2, "threshold": AGGREGATOR}], "cut": 2},
        }
    })  # fmt: skip
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    plan.write(path)
    with ExitStack() as held:
        cloud = held.enter_context(running("cloud", str(views.joint.path), *PORTABLE))
        told = (
            str(views.path),
            "--threshold",
            str(AGGREGATOR),
            "--wait-ms",
            WAIT,
            "--keep-s",
            "120",
            "--next",
            cloud.address(),
        )
        aggregator = held.enter_context(running("aggregator", *told, *PORTABLE))
        onto = ("--tier", "device", "--plan", str(path), "--next", aggregator.address(), "--cloud-timeout", "50")
        devices = {
            name: held.enter_context(running("edge", str(bundle.path), *onto, *PORTABLE))
            for name, bundle in views.devices.items()
        }
        peers = {name: held.enter_context(Peer(node.address())) for name, node in devices.items()}
        yield Nodes(devices, peers, held.enter_context(Peer(aggregator.address())), onto)


def ask(nodes: Nodes, test_set: ViewSet, view: str, row: int, sample: str, timeout: float = TIMEOUT) -> Result:
    """One device's own view of one sample, asked of that device."""
    image = {"image": np.ascontiguousarray(test_set.views[view].images[[row]])}
    return nodes.peers[view].infer("classifier", image, timeout=timeout, parameters={"sample": sample, "view": view})


def together(
    nodes: Nodes, test_set: ViewSet, names: tuple[str, ...], row: int, sample: str, speak: tuple[str, ...]
) -> dict[str, Result]:
    """The views of one sample by some devices, all at once, of which these `speak` to the aggregator.

    Where not all do, the others' time is short, and on a busy machine they may miss each other: then they try again.
    """
    everyone = len(speak) == len(nodes.peers)
    for attempt in range(1 if everyone else 6):
        with ThreadPoolExecutor(len(names)) as pool:
            told = (row, f"{sample}-{attempt}", TIMEOUT if everyone else SHORT)
            asked = {name: pool.submit(ask, nodes, test_set, name, *told) for name in names}
        try:
            found = {name: answer.result() for name, answer in asked.items()}
        except DeadlineError:
            continue
        if all(found[name].parameters.get("views") == ",".join(speak) for name in speak):
            return found
    raise AssertionError(f"{sample}: {', '.join(speak)} were never answered together")


def by_evaluation(views: ViewsFolder, of: Seen, names: tuple[str, ...]) -> tuple[Array, Array]:
    """Labels and exits, in the words of a device's bundle, where these devices' views are joined."""
    exits = joined(views, joint_span(views), of, of.had(names))
    first, last = (Judged.of(exits[exit_]) for exit_ in (1, 2))
    here = first.scores < AGGREGATOR
    return np.where(here, first.probabilities.argmax(axis=1), last.probabilities.argmax(axis=1)), np.where(here, 2, 3)


def test_every_answer_is_the_evaluation_s(
    views: ViewsFolder, nodes: Nodes, test_set: ViewSet, offline: Seen, sure: dict[str, Array]
) -> None:
    """A device answers what it is sure of; the others are answered, each, by the views of all that were not."""
    names = views.views.names
    tiers, silences = set(), np.sum([*sure.values()], axis=0)
    rows = [*np.flatnonzero(silences == 0)[:12], np.flatnonzero(silences == 1)[0]]  # who is silent is waited for
    for row in map(int, rows):
        silent = tuple(name for name in names if sure[name][row])
        speak = tuple(name for name in names if name not in silent)
        found = together(nodes, test_set, names, row, f"all-{row}", speak)
        for name in silent:
            assert found[name].outputs["label"].tolist() == [offline.logits[name][row].argmax()]
            assert found[name].outputs["tier"].tolist() == [b"device"]
        labels, exits = by_evaluation(views, offline, speak)
        for name in speak:
            answer = found[name]
            assert answer.outputs["label"].tolist() == [labels[row]]
            assert answer.outputs["exit"].tolist() == [exits[row]]
            tiers.add(answer.outputs["tier"].item())
            assert int(answer.parameters["bytes_to_edge"]) > 0
    assert tiers == {b"edge", b"cloud"}


@pytest.fixture(scope="module")
def row(sure: dict[str, Array]) -> int:
    """A sample that none of the devices answers by itself."""
    return int(np.flatnonzero(~np.any([*sure.values()], axis=0))[0])


def test_a_late_device_gets_the_answer_that_was_made(
    views: ViewsFolder, nodes: Nodes, test_set: ViewSet, offline: Seen, row: int
) -> None:
    """And the next sample knows nothing of its view."""
    early = ("view-1", "view-5")
    labels, _ = by_evaluation(views, offline, early)
    answered = together(nodes, test_set, early, row, "slow", early)
    late = ask(nodes, test_set, "view-2", row, str(answered["view-1"].parameters["sample"]))
    assert late.parameters["late"] is True
    assert late.parameters["views"] == "view-1,view-5"
    assert late.outputs["label"].tolist() == [labels[row]]
    together(nodes, test_set, views.views.names, row, "next", views.views.names)


def test_a_caller_in_a_hurry_is_answered_in_time(nodes: Nodes, test_set: ViewSet, row: int) -> None:
    """By its own view alone, though the aggregator would wait for longer."""
    image = {"image": np.ascontiguousarray(test_set.views["view-1"].images[[row]])}
    for attempt in range(5):  # whatever else the machine does
        try:
            said = {"sample": f"hurry-{attempt}"}
            answer = nodes.peers["view-1"].infer("classifier", image, timeout=0.9, parameters=said)
        except DeadlineError:
            continue
        assert answer.parameters["views"] == "view-1" or answer.outputs["degraded"].all()
        return
    pytest.fail("no answer came in time")


def test_another_bundle_s_features_are_refused(nodes: Nodes, test_set: ViewSet, row: int) -> None:
    """And the sample's other views are answered without them."""
    features = {"features_1": np.zeros((1, 9), np.uint8)}
    with pytest.raises(UnknownModelError):
        nodes.aggregator.infer(
            "classifier-1-1bit", features, timeout=TIMEOUT, version="0" * 32, parameters={"sample": "other-0"}
        )
    together(nodes, test_set, ("view-1", "view-2"), row, "other", ("view-1", "view-2"))


def test_a_dead_device_costs_accuracy_and_not_the_answer(
    views: ViewsFolder, nodes: Nodes, test_set: ViewSet, offline: Seen, row: int
) -> None:
    """The others are answered as the evaluation says without it; started again, it is one of them again."""
    left = ("view-1", "view-2")
    nodes.devices["view-5"].process.kill()
    found = together(nodes, test_set, left, row, "dead", left)
    labels, exits = by_evaluation(views, offline, left)
    for answer in found.values():
        assert (answer.outputs["label"].item(), answer.outputs["exit"].item()) == (labels[row], exits[row])
    with (
        running("edge", str(views.devices["view-5"].path), *nodes.onto, *PORTABLE) as again,
        Peer(again.address()) as peer,
    ):
        nodes.peers["view-5"] = peer
        together(nodes, test_set, views.views.names, row, "restarted", views.views.names)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"view": "view-9"}, "view 'view-9': unknown"),
        ({"view": "view-2", "sample": "mine"}, "view 'view-2': bundle"),
        ({"sample": 17}, "parameter 'sample': expected a string, got 17"),
        ({"sample": ""}, "an id of 1 to 256 characters is expected"),
    ],
)
def test_what_a_caller_says_wrong_of_a_sample_is_its_own_fault(
    nodes: Nodes, test_set: ViewSet, row: int, said: dict[str, str | int], why: str
) -> None:
    """Refused through the device, as often as it is said; the next good one is answered by the aggregator."""
    image = {"image": np.ascontiguousarray(test_set.views["view-1"].images[[row]])}
    for _ in range(4):
        with pytest.raises(InputError) as refused:
            nodes.peers["view-1"].infer("classifier", image, timeout=TIMEOUT, parameters=said)
        assert why in str(refused.value)
    good = nodes.peers["view-1"].infer("classifier", image, timeout=TIMEOUT)
    assert not good.outputs["degraded"].any()


def test_a_stream_says_which_views_an_answer_is_made_of(nodes: Nodes, test_set: ViewSet, row: int) -> None:
    """As a whole answer does: what the aggregator says comes back with the part that it made."""
    image = np.ascontiguousarray(test_set.views["view-1"].images[[row]])
    with Client(nodes.devices["view-1"].address()) as client:
        (part,) = client.stream(image)
    assert part.parameters["views"] == "view-1"
    assert part.answers.tier.tolist() != [Tier.DEVICE]
