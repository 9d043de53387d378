"""An edge of several processes: they share its port, its counts and its plan's file; each has a way to the cloud."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest

from command_line import Node, running, samples
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.data.image_set import Splits
from offramp.exits.answers import Answers, tier_name
from offramp.nodes.edge import Edge
from offramp.nodes.local_cloud import LocalCloud
from offramp.protocol.peer import Peer
from processes import children
from until import until

WAIT = 60.0
ENGINE = ("--port", "0", "--runtime", "onnxruntime", "--precision", "fp32")
PLAN, OTHER = Plan.of(3, 0.3), Plan.of(9, 0.0)


@pytest.fixture(scope="module")
def plan_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("plan") / "plan.json"
    PLAN.write(path)
    return path


@pytest.fixture(scope="module")
def edge(bundle: Bundle, plan_file: Path) -> Iterator[Node]:
    """Two, in front of a cloud."""
    with running("cloud", str(bundle.path), *ENGINE) as cloud:
        asked = ("--plan", str(plan_file), "--cloud", cloud.address(), "--workers", "2")
        with running("edge", str(bundle.path), *ENGINE, *asked) as node:
            node.address()
            yield node


@pytest.fixture(scope="module")
def expected(bundle: Bundle, digits: Splits) -> Answers:
    """What one edge in memory answers."""
    return Edge(bundle, PLAN, LocalCloud(bundle)).infer(pixels(bundle, digits))


def pixels(bundle: Bundle, digits: Splits) -> np.ndarray:
    return bundle.manifest.preprocessing.from_uint8(digits.test.images[:64])


def ask(edge: Node, batch: np.ndarray) -> tuple[dict[str, np.ndarray], int]:
    """The answers on a connection of its own, and the process that gave them: the kernel chooses which."""
    with Peer(edge.address(), alone=True) as client:
        process = int(client.config("classifier", WAIT)["process"])
        return dict(client.infer("classifier", {"image": batch}, timeout=WAIT).outputs), process


def same(found: dict[str, np.ndarray], expected: Answers) -> None:
    np.testing.assert_array_equal(found["label"], expected.label)
    np.testing.assert_array_equal(found["exit"], expected.exit)
    assert [tier.decode() for tier in found["tier"]] == [tier_name(int(tier)) for tier in expected.tier]


def test_they_answer_as_one_does_and_count_together(
    edge: Node, bundle: Bundle, digits: Splits, expected: Answers
) -> None:
    """Labels, exits and tiers of many connections; whoever is asked tells of all that was answered."""
    batch, before, asked = pixels(bundle, digits), samples(edge), set[int]()
    for _ in range(64):
        found, process = ask(edge, batch)
        same(found, expected)
        asked.add(process)
    assert asked == children(edge.process.pid)
    assert len(asked) == 2
    assert {samples(edge) for _ in range(8)} == {before + 64 * 64}
    assert "2 workers" in " ".join(edge.words)


def test_one_that_is_killed_is_replaced_and_nothing_counted_is_lost(
    edge: Node, bundle: Bundle, digits: Splits, expected: Answers
) -> None:
    """The next looks for the cloud by itself, and answers whole."""
    batch, before, first = pixels(bundle, digits), samples(edge), children(edge.process.pid)
    killed = min(first)
    os.kill(killed, signal.SIGKILL)
    until(lambda: f"(process {killed}) died (SIGKILL)" in "".join(edge.output))
    until(lambda: len(children(edge.process.pid) - first) == 1)
    (new,) = children(edge.process.pid) - first
    answered = 0

    def by_the_new_one() -> bool:
        nonlocal answered
        found, process = ask(edge, batch)
        answered += len(batch)
        same(found, expected)
        return process == new

    until(by_the_new_one)
    assert samples(edge) == before + answered


def test_a_plan_s_file_is_read_again_by_all_of_them(
    edge: Node, bundle: Bundle, digits: Splits, plan_file: Path
) -> None:
    """At SIGHUP; and none takes a plan that a caller sends, which the others would not have."""
    with pytest.raises(HTTPError) as caught:
        urlopen(f"http://{edge.http_address()}/plan", timeout=WAIT)
    assert caught.value.code == 404
    caught.value.close()
    OTHER.write(plan_file)
    edge.process.send_signal(signal.SIGHUP)
    until(lambda: "".join(edge.output).count("reload: mem follows the plan") == 2)
    batch, at_the_edge, asked = pixels(bundle, digits), samples(edge, 'tier="edge"'), 0
    seen = set[int]()
    while seen != children(edge.process.pid):
        found, process = ask(edge, batch)
        assert set(found["exit"].tolist()) == {9}
        seen.add(process)
        asked += len(batch)
    assert samples(edge, 'tier="edge"') == at_the_edge + asked
