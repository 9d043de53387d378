"""An edge that reaches its cloud over a link: the same answers, and never earlier than the link lets them be."""

import time
from collections.abc import Callable

import numpy as np

from command_line import running
from offramp.artifacts.bundle import Bundle
from offramp.artifacts.plan import Plan
from offramp.data.image_set import Splits
from offramp.nodes.contract import CLASSIFIER, read_answers
from offramp.nodes.edge import Edge
from offramp.nodes.local_cloud import LocalCloud
from offramp.protocol.peer import Peer

PORTABLE = ("--port", "0", "--threads", "1", "--runtime", "onnxruntime", "--precision", "fp32")
DELAY = 0.05


def test_answers_over_a_link_are_the_same_and_take_its_round_trip(bundle: Bundle, digits: Splits) -> None:
    """The ready line says the link; the edge's own answers do not pass it."""
    pixels = bundle.manifest.preprocessing.from_uint8(digits.test.images[:8])
    expected = Edge(bundle, Plan.of(3, 0.0), LocalCloud(bundle)).infer(pixels)
    with running("cloud", str(bundle.path), *PORTABLE) as cloud:
        plan = ("--exit", "3", "--threshold", "0", "--cloud", cloud.address(), "--link", "10mbit,50ms")
        with running("edge", str(bundle.path), *plan, *PORTABLE) as edge, Peer(edge.address()) as client:
            assert f", cloud {cloud.address()} over 10 Mbit/s, 50 ms, bundle " in "".join(edge.output)
            start = time.monotonic()
            answers = read_answers(client.infer(CLASSIFIER, {"image": pixels}, timeout=60).outputs)
            took = time.monotonic() - start
    np.testing.assert_array_equal(answers.label, expected.label)
    assert took >= 2 * DELAY


def test_a_cloud_that_does_not_answer_goes_by_its_own_name(bundle: Bundle, refusal: Callable[..., str]) -> None:
    """Not by the port where the link begins; with degraded answers, the edge would start without its cloud."""
    plan = ("--exit", "3", "--threshold", "0", "--cloud", "127.0.0.1:1", "--cloud-wait", "1", "--link", "1ms")
    said = refusal("serve", "edge", str(bundle.path), *plan, "--no-degraded", *PORTABLE)
    assert said == (
        "127.0.0.1:1 does not answer (waited 1 s). Start it, or check the address and the network. By this edge's "
        "plan, nothing is answered without it."
    )


def test_a_link_without_a_cloud_and_an_unknown_preset_are_refused(refusal: Callable[..., str]) -> None:
    """Before anything is opened or started."""
    edge = ("serve", "edge", "nothing-here", "--exit", "9", "--threshold", "1")
    assert refusal(*edge, "--link", "lan") == (
        "link 'lan: 1 Gbit/s, 0.1 ms': leads to the cloud, and this edge has none. Name one (--cloud HOST:PORT)."
    )
    said = refusal(*edge, "--link", "wife")
    assert said.startswith("link 'wife': no preset of that name. Expected RATE,DELAY,JITTER,LOSS")
    assert said == refusal("link", "wife", "--to", "127.0.0.1:1")
    assert refusal("link", "lan").startswith("link: say where it leads, --to HOST:PORT")
